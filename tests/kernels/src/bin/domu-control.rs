//! The control ABI from an ordinary domain: every operation, whatever it is given, is -EPERM, and so are the privileged operations of Xen's
//! own ABI.
#![no_std]
#![no_main]

use domus_test_kernels::report::{Check, Outcome, run};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::control::{self, MachineInfo};
use pv_guest_sdk::abi::memory::{Exchange, OP_EXCHANGE, Reservation};
use pv_guest_sdk::abi::mmu::MmuUpdate;
use pv_guest_sdk::abi::{Errno, domid, hypercall as number};
use pv_guest_sdk::{BootInfo, entry, events, hypercall};

entry!(main);

fn main(_info: &'static BootInfo) {
    let checks: [Check; 3] = [
        ("every control operation, known or not, of every version, is -EPERM", operations),
        ("the same for pointers that cannot be read", pointers),
        ("another domain's memory and channels are out of reach", others),
    ];
    run(&[&checks]);
}

fn control(op: u64, version: u64, at: u64) -> i64 {
    // SAFETY: nothing may happen; that is what is tried. The structure is as large as any.
    unsafe { hypercall::raw(number::CONTROL, [op, version, at, 0, 0]) }
}

fn operations() -> Outcome {
    let mut room = MachineInfo::default();
    let at = &raw mut room as u64;
    for op in (0..64).chain([u64::from(u32::MAX), u64::MAX]) {
        for version in [0, u64::from(control::VERSION), u64::MAX] {
            same!(control(op, version, at), Errno::PERM.as_ret(), "operation");
        }
    }
    Ok(())
}

fn pointers() -> Outcome {
    for op in 0..16 {
        for at in [0, 1, 0xffff_8000_0000_0000, 0x8000_0000_0000_0000, u64::MAX] {
            same!(control(op, control::VERSION.into(), at), Errno::PERM.as_ret(), "operation");
        }
    }
    Ok(())
}

fn others() -> Outcome {
    let own = events::own_domid().expect("our number");
    for other in [0, own + 1, 0x1234] {
        let update = MmuUpdate { ptr: 0, val: 0 };
        // SAFETY: must be refused, and names no entry of ours.
        holds!(unsafe { hypercall::mmu_update(&[update], other) }.is_err());
        holds!(events::alloc_unbound_for(other, own).is_err());
    }
    for nobody in [domid::XEN, domid::IO] {
        // SAFETY: as above.
        holds!(unsafe { hypercall::mmu_update(&[MmuUpdate { ptr: 0, val: 0 }], nobody) }.is_err());
    }
    let of_other = Reservation { domid: 0, ..Default::default() };
    let mut exchange = Exchange { input: of_other, output: of_other, nr_exchanged: 0 };
    // SAFETY: as above.
    same!(unsafe { hypercall::memory_op(OP_EXCHANGE, &mut exchange) }, Err(Errno::PERM));
    Ok(())
}

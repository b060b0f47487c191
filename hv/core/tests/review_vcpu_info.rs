//! A frame that was about to become a page table can hold `vcpu_info` at once: guests know no "try again" of that call.

use abi::mmu::*;
use domus_hv_core::call::Outcome;
use domus_hv_core::context::vcpu_info;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::check::Holder;
use domus_hv_core::fake::kit::{Kit, RO, RW, entry, slot};
use domus_hv_core::frames::PageType;
use domus_hv_core::hypercalls::mmuext_op;
use domus_hv_core::ids::VcpuRef;
use zerocopy::IntoBytes;

#[test]
fn an_abandoned_table_becomes_vcpu_info() {
    let mut kit = Kit::new(64);
    let guest = kit.guest(1, 12, 0);
    kit.run(1);
    let table = guest.frames[8];
    for index in 0..2 {
        kit.hv.machine.guest_write(guest.va(8) + 8 * index, entry(guest.frames[9 + index as usize], RW)).expect("plain memory");
    }
    for page in 8..11 {
        assert_eq!(kit.mmu_update(1, &[(slot(guest.l1(), page), entry(guest.frames[page], RO))]), 0);
    }
    kit.hv.machine.put(0, MmuextOp { cmd: EXT_PIN_L2_TABLE, _pad: 0, arg1: table.0, arg2: 0 }.as_bytes());
    kit.hv.machine.interrupt_every.set(1);
    let outcome = kit.once(1, mmuext_op::handler, [WINDOW, 1, 0, abi::domid::SELF.into(), 0]);
    kit.hv.machine.interrupt_every.set(0);
    assert!(matches!(outcome, Outcome::Again(_)) && kit.hv.frames.get(table).is_some_and(|frame| frame.usage().partial()));
    assert_eq!(vcpu_info::register(&mut kit.hv, VcpuRef { domain: 1, vcpu: 0 }, table, 64), Ok(()));
    kit.permitted.holders.push(Holder { mfn: table, kind: Some(PageType::Writable) });
    kit.check();
}

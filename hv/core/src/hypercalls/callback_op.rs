//! `callback_op` (30): where events, failed returns and system calls enter the guest kernel.

use abi::callback::{
    FLAG_MASK_EVENTS, OP_REGISTER, OP_UNREGISTER, Register, TYPE_EVENT, TYPE_FAILSAFE, TYPE_NMI, TYPE_SYSCALL, TYPE_SYSCALL32,
    TYPE_SYSENTER, Unregister,
};
use abi::errno::Errno;
use abi::layout::is_canonical;
use abi::segment::FLAT_KERNEL_CS;
use abi::trap::{FLAGS_MASK_EVENTS, NMI, TrapInfo};

use crate::call::{Call, Outcome};
use crate::machine::Machine;
use crate::vcpu::{Callback, Vcpu};

/// `CALLBACKOP_*` in RDI, the address of its structure in RSI.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match args[0] as u32 {
        OP_REGISTER => register_from(call, args[1]).into(),
        OP_UNREGISTER => unregister_from(call, args[1]).into(),
        _ => Errno::NOSYS.into(),
    }
}

fn register_from<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: Register = call.read(address)?;
    register(call.vcpu(), request.kind, request.flags, request.address)
}

/// Registers an entry point of a kind (`CALLBACKTYPE_*`).
///
/// # Errors
/// -EINVAL for an address that is not canonical, -ENOSYS for an unknown kind.
pub fn register(vcpu: &mut Vcpu, kind: u16, flags: u16, address: u64) -> Result<(), Errno> {
    if !is_canonical(address) {
        return Err(Errno::INVAL);
    }
    match kind {
        TYPE_EVENT | TYPE_FAILSAFE | TYPE_SYSCALL | TYPE_SYSENTER | TYPE_SYSCALL32 => {
            vcpu.callbacks[usize::from(kind)] = Callback { address, flags: u64::from(flags & FLAG_MASK_EVENTS) };
        }
        TYPE_NMI => vcpu.traps[usize::from(NMI)] = nmi_handler(address),
        _ => return Err(Errno::NOSYS),
    }
    Ok(())
}

fn nmi_handler(address: u64) -> TrapInfo {
    TrapInfo { vector: NMI, flags: FLAGS_MASK_EVENTS, cs: FLAT_KERNEL_CS, _pad: 0, address }
}

fn unregister_from<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: Unregister = call.read(address)?;
    match request.kind {
        TYPE_NMI => call.vcpu().traps[usize::from(NMI)] = TrapInfo::default(),
        // A guest cannot do without these.
        TYPE_EVENT | TYPE_FAILSAFE | TYPE_SYSCALL | TYPE_SYSENTER | TYPE_SYSCALL32 => return Err(Errno::INVAL),
        _ => return Err(Errno::NOSYS),
    }
    Ok(())
}

//! `physdev_op` (33): the few operations on I/O privilege that an unprivileged kernel issues. Devices belong to domain 0, which has its
//! own ways; everything else is refused (-ENOSYS), and Linux takes that for "no physical interrupts".

use abi::errno::Errno;
use abi::physdev::{OP_SET_IOBITMAP, OP_SET_IOPL, SetIobitmap, SetIopl};

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Where the I/O privilege level lies in RFLAGS.
const IOPL_SHIFT: u32 = 12;

/// How many I/O ports there are.
const PORTS: u32 = 1 << 16;

/// `PHYSDEVOP_*` in RDI, the address of its structure in RSI.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match args[0] as u32 {
        OP_SET_IOPL => set_iopl(call, args[1]).into(),
        OP_SET_IOBITMAP => set_iobitmap(call, args[1]).into(),
        _ => Errno::NOSYS.into(),
    }
}

fn set_iopl<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let SetIopl { iopl } = call.read(address)?;
    if iopl > 3 {
        return Err(Errno::INVAL);
    }
    call.vcpu().iopl = (iopl as u16) << IOPL_SHIFT;
    Ok(())
}

/// The bitmap would let user mode use ports that the domain may use. A domain has none to pass on, so there is nothing to remember.
fn set_iobitmap<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: SetIobitmap = call.read(address)?;
    if request.nr_ports > PORTS {
        return Err(Errno::INVAL);
    }
    Ok(())
}

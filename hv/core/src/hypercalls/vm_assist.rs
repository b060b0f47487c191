//! `vm_assist` (21): switches behaviours on and off for the calling domain.

use abi::errno::Errno;
use abi::vm_assist::{
    CMD_DISABLE, CMD_ENABLE, TYPE_4GB_SEGMENTS, TYPE_4GB_SEGMENTS_NOTIFY, TYPE_ARCHITECTURAL_IOPL, TYPE_M2P_STRICT, TYPE_PAE_EXTENDED_CR3,
    TYPE_RUNSTATE_UPDATE_FLAG, TYPE_WRITABLE_PAGETABLES,
};

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// The assists that a domain may have, bit per `VMASST_TYPE_*`. Those for 32-bit guests have no effect, but Linux asks for them.
pub const VALID: u64 = 1 << TYPE_4GB_SEGMENTS
    | 1 << TYPE_4GB_SEGMENTS_NOTIFY
    | 1 << TYPE_WRITABLE_PAGETABLES
    | 1 << TYPE_PAE_EXTENDED_CR3
    | 1 << TYPE_ARCHITECTURAL_IOPL
    | 1 << TYPE_RUNSTATE_UPDATE_FLAG
    | 1 << TYPE_M2P_STRICT;

/// `VMASST_CMD_*` in RDI, `VMASST_TYPE_*` in RSI.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let (command, kind) = (args[0] as u32, args[1] as u32);
    let bit = 1u64.checked_shl(kind).unwrap_or(0);
    if VALID & bit == 0 {
        return Errno::INVAL.into();
    }
    let domain = call.domain();
    match command {
        CMD_ENABLE => domain.set_assists(domain.assists | bit),
        CMD_DISABLE => domain.set_assists(domain.assists & !bit),
        _ => return Errno::NOSYS.into(),
    }
    Outcome::Done(0)
}

//! The hypercalls: one row in the table, one file each.

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// A hypercall's handler: the caller and the five argument registers RDI, RSI, RDX, R10, R8.
pub type Handler<M> = fn(&mut Call<'_, M>, [u64; 5]) -> Outcome;

/// One hypercall.
pub struct Row<M: Machine> {
    /// Its number (`__HYPERVISOR_*`).
    pub number: u64,
    /// Its name in `xen.h`, in small letters.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arguments: u8,
    /// What it does.
    pub handler: Handler<M>,
}

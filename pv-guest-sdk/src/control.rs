//! Domus's control ABI, for privileged domains: hypercall 55 with its version; see [`abi::control`].

use abi::control::{OP_VERSION, VERSION};
use abi::hypercall::CONTROL;

use crate::hypercall::{self, Result};

/// The version that the hypervisor speaks.
///
/// # Errors
/// -EPERM if this domain is not privileged; -ENOSYS if the hypervisor is not Domus.
pub fn version() -> Result<u32> {
    // SAFETY: the operation takes no structure.
    unsafe { hypercall::call(CONTROL, [OP_VERSION.into(), VERSION.into(), 0, 0, 0]) }.map(|version| version as u32)
}

/// Any operation with its structure.
///
/// # Safety
/// `argument` must be the structure of `operation`, and buffers that it names must be valid.
///
/// # Errors
/// -EPERM, -EPROTONOSUPPORT if versions differ, and what the operation returns.
pub unsafe fn op<T>(operation: u32, argument: &mut T) -> Result {
    // SAFETY: the caller's obligation.
    unsafe { hypercall::call(CONTROL, [operation.into(), VERSION.into(), core::ptr::from_mut(argument) as u64, 0, 0]) }
}

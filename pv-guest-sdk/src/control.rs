//! Domus's control ABI, for privileged domains: hypercall 55 with its version; see [`abi::control`].

use abi::control::{MachineInfo, MmioPermit, MsiBind, OP_MACHINE_INFO, OP_MMIO_PERMIT, OP_MSI_BIND, OP_VERSION, VERSION};
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

/// What the machine is.
///
/// # Errors
/// As for [`op`].
pub fn machine_info() -> Result<MachineInfo> {
    let mut info = MachineInfo::default();
    // SAFETY: the structure of the operation, which names no memory.
    unsafe { op(OP_MACHINE_INFO, &mut info) }?;
    Ok(info)
}

/// Lets this domain map `frames` frames of device memory from machine frame `first_frame` on ([`crate::memory::map_device`]), until
/// [`mmio_withdraw`].
///
/// # Errors
/// -EPERM for memory, the hypervisor's own devices and frames that hold an MSI-X table; -ENOSPC for too many ranges; -EINVAL for none.
pub fn mmio_permit(first_frame: u64, frames: u64) -> Result<()> {
    mmio(first_frame, frames, 1)
}

/// Withdraws that.
///
/// # Errors
/// -EBUSY while frames of a range that has some of these are mapped.
pub fn mmio_withdraw(first_frame: u64, frames: u64) -> Result<()> {
    mmio(first_frame, frames, 0)
}

fn mmio(first_frame: u64, frames: u64, allow: u32) -> Result<()> {
    // SAFETY: the structure of the operation, which names no memory. What is permitted is not mapped by it.
    unsafe { op(OP_MMIO_PERMIT, &mut MmioPermit { first_frame, frames, allow, _pad: 0 }) }?;
    Ok(())
}

/// Binds an entry of a PCI function's MSI-X table to a new port, which [`crate::events::bind_msi`] gives a handler, too. `devfn` has the device in
/// bits 7-3 and the function in bits 2-0.
///
/// # Errors
/// -ENODEV without such a function or without a table, -EINVAL without such an entry, -EEXIST if it is bound, -ENOSPC.
pub fn msi_bind(segment: u16, bus: u8, devfn: u8, entry: u32) -> Result<u32> {
    let mut request = MsiBind { segment, bus, devfn, entry, port: 0, _pad: 0 };
    // SAFETY: the structure of the operation, which names no memory.
    unsafe { op(OP_MSI_BIND, &mut request) }?;
    Ok(request.port)
}

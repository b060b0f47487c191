//! The control hypercall. Its structures hold plain numbers; those that name a buffer have functions of their own.

use alloc::format;
use alloc::string::String;

use abi::Errno;
use abi::context::VcpuGuestContext;
use abi::control::{self, LogRead, OP_LOG_READ, OP_VCPU_CONTEXT, VcpuContext};
use pv_guest_sdk::hypercall;

/// Room for the extra version (`xen_extraversion_t` of `version.h`).
const EXTRAVERSION_BYTES: usize = 16;

/// Any operation whose structure names no buffer.
///
/// # Panics
/// If the structure is another operation's.
pub fn op<T: Plain>(operation: u32, argument: &mut T) -> Result<(), Errno> {
    assert!(T::OPERATIONS.contains(&operation), "the structure of the operation");
    // SAFETY: it is the operation's structure (asserted), and those below hold no addresses: the operation reads and writes it alone.
    unsafe { pv_guest_sdk::control::op(operation, argument) }.map(|_| ())
}

/// A structure of the control ABI that names no buffer. Only here can a structure become one.
pub trait Plain: plain::Sealed {
    /// The operations that it belongs to.
    const OPERATIONS: &'static [u32];
}

mod plain {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($structure:ident: $($operation:ident),+;)+) => {$(
        impl plain::Sealed for control::$structure {}
        impl Plain for control::$structure {
            const OPERATIONS: &'static [u32] = &[$(control::$operation),+];
        }
    )+};
}

plain! {
    MachineInfo: OP_MACHINE_INFO;
    DomainCreate: OP_DOMAIN_CREATE;
    Domain: OP_DOMAIN_DESTROY, OP_DOMAIN_PAUSE, OP_DOMAIN_UNPAUSE;
    DomainInfo: OP_DOMAIN_INFO;
    DomainLimits: OP_DOMAIN_LIMITS;
    Power: OP_POWER;
}

/// Reads the hypervisor's log from byte `sequence` on; (bytes read, where to go on).
pub fn read_log(sequence: u64, into: &mut [u8]) -> Result<(usize, u64), Errno> {
    let length = into.len().min(abi::control::LOG_READ_MAX as usize) as u32;
    let mut request = LogRead { buffer: into.as_mut_ptr() as u64, length, written: 0, sequence };
    // SAFETY: the buffer is valid for writes of `length` bytes.
    unsafe { pv_guest_sdk::control::op(OP_LOG_READ, &mut request) }?;
    Ok((request.written as usize, request.sequence))
}

/// Gives a vCPU of another domain its first state.
pub fn set_context(domid: u32, vcpu: u32, context: &mut VcpuGuestContext) -> Result<(), Errno> {
    let mut request = VcpuContext { domid, vcpu, set: 1, _pad: 0, context: core::ptr::from_mut(context) as u64 };
    // SAFETY: the context is valid for the duration of the call.
    unsafe { pv_guest_sdk::control::op(OP_VCPU_CONTEXT, &mut request) }.map(|_| ())
}

/// The hypervisor's version, as it names itself to guests.
pub fn hypervisor_version() -> String {
    let mut extra = [0u8; EXTRAVERSION_BYTES];
    let number = hypercall::xen_version().unwrap_or(0);
    // SAFETY: the operation writes at most these bytes.
    let told = unsafe { hypercall::op(abi::hypercall::XEN_VERSION, abi::version::OP_EXTRAVERSION, &mut extra) };
    let end = extra.iter().position(|&byte| byte == 0).unwrap_or(extra.len());
    let text = if told.is_ok() { str::from_utf8(&extra[..end]).unwrap_or_default() } else { "" };
    format!("{}.{}{text}", number >> 16, number & 0xffff)
}

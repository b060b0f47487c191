//! Getting ports: for virtual interrupts, for ourselves, for other domains.

use abi::event as ev;

use super::{Handler, Port, close, start};
use crate::hypercall::{self, Result};

/// Binds a new port to a virtual interrupt of vCPU 0 and unmasks it.
///
/// # Errors
/// -EEXIST if it is bound already; -EPERM if it is not ours to have.
pub fn bind_virq(virq: u32, handler: Handler) -> Result<Port> {
    let mut argument = ev::BindVirq { virq, ..Default::default() };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_VIRQ, &mut argument) }?;
    start(argument.port, handler)
}

/// Binds a new port to ourselves: sending to it makes it pending here.
///
/// # Errors
/// -ENOSPC if no port is free.
pub fn bind_ipi(handler: Handler) -> Result<Port> {
    let mut argument = ev::BindIpi::default();
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_IPI, &mut argument) }?;
    start(argument.port, handler)
}

/// Allocates a port that `remote` may bind to.
///
/// # Errors
/// -ENOSPC if no port is free; -ESRCH if there is no such domain.
pub fn alloc_unbound(remote: u16, handler: Handler) -> Result<Port> {
    start(alloc_unbound_for(abi::domid::SELF, remote)?, handler)
}

/// Allocates a port of domain `dom` that `remote` may bind to, for a toolstack.
///
/// # Errors
/// As for [`alloc_unbound`], and -EPERM.
pub fn alloc_unbound_for(dom: u16, remote: u16) -> Result<Port> {
    let mut argument = ev::AllocUnbound { dom, remote_dom: remote, ..Default::default() };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_ALLOC_UNBOUND, &mut argument) }?;
    Ok(argument.port)
}

/// Binds a new port to the unbound port of another domain. The new port starts pending.
///
/// # Errors
/// -EINVAL if that port is not waiting for us; -ESRCH if there is no such domain.
pub fn bind_interdomain(remote: u16, remote_port: Port, handler: Handler) -> Result<Port> {
    let mut argument = ev::BindInterdomain { remote_dom: remote, remote_port, ..Default::default() };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_INTERDOMAIN, &mut argument) }?;
    start(argument.local_port, handler)
}

/// Binds a new port to an entry of a PCI function's MSI-X table ([`crate::control::msi_bind`]) and unmasks it: for privileged domains of Domus.
/// [`close`] masks the entry.
///
/// # Errors
/// As for [`crate::control::msi_bind`].
pub fn bind_msi(segment: u16, bus: u8, devfn: u8, entry: u32, handler: Handler) -> Result<Port> {
    start(crate::control::msi_bind(segment, bus, devfn, entry)?, handler)
}

/// What a port of domain `dom` is bound to.
///
/// # Errors
/// -EINVAL for a port out of range; -EPERM for another's port.
pub fn status(dom: u16, port: Port) -> Result<ev::Status> {
    let mut argument = ev::Status { dom, port, ..Default::default() };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_STATUS, &mut argument) }?;
    Ok(argument)
}

/// Our own domain identifier, learnt from the status of a port that waits for ourselves.
///
/// # Errors
/// -ENOSPC if no port is free.
pub fn own_domid() -> Result<u16> {
    let port = alloc_unbound_for(abi::domid::SELF, abi::domid::SELF)?;
    let status = status(abi::domid::SELF, port);
    close(port)?;
    Ok(status?.u0 as u16)
}

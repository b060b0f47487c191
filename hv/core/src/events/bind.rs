//! Binding: giving a port something to be the end of.

use abi::Errno;

use super::deliver::set_pending;
use super::port::Binding;
use super::table::free_port;
use super::virq::{Kind, kind};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

fn domain<M: Machine>(hv: &mut Hypervisor<M>, id: DomId) -> Result<&mut Domain, Errno> {
    hv.domains.get_mut(id).ok_or(Errno::SRCH)
}

/// A vCPU number that a guest named, if the domain has that vCPU (else -ENOENT).
fn vcpu_of(domain: &Domain, vcpu: u32) -> Result<u8, Errno> {
    let number = u8::try_from(vcpu).map_err(|_| Errno::NOENT)?;
    domain.vcpu(u16::from(number)).map(|_| number).ok_or(Errno::NOENT)
}

/// Allocates a port of `owner` that `remote` may bind to (`EVTCHNOP_alloc_unbound`). Whether the caller may name `owner` is for the
/// caller to check; `remote` need not exist yet.
///
/// # Errors
/// -ESRCH, -EINVAL (dying), -ENOSPC (limit), -ENOMEM.
pub fn alloc_unbound<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, remote: DomId) -> Result<u32, Errno> {
    let port = free_port(hv, owner)?;
    domain(hv, owner)?.events.occupy(port, Binding::Unbound { remote }, 0);
    Ok(port)
}

/// Binds a new port of `owner` to a port of `remote` that waits for it (`EVTCHNOP_bind_interdomain`). The new port is pending at once,
/// because what the other side sent before is lost.
///
/// # Errors
/// -ESRCH without such a domain, -EINVAL if its port does not wait for `owner`, and those of [`alloc_unbound`].
pub fn bind_interdomain<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, remote: DomId, remote_port: u32) -> Result<u32, Errno> {
    let waiting = domain(hv, remote)?.events.port(remote_port).ok_or(Errno::INVAL)?.binding;
    if waiting != (Binding::Unbound { remote: owner }) {
        return Err(Errno::INVAL);
    }
    let local = free_port(hv, owner)?;
    let (far, near) = (port_number(remote_port)?, port_number(local)?);
    domain(hv, owner)?.events.occupy(local, Binding::Interdomain { remote, port: far }, 0);
    if let Some(peer) = domain(hv, remote)?.events.port_mut(remote_port) {
        peer.binding = Binding::Interdomain { remote: owner, port: near };
    }
    set_pending(hv, owner, local);
    Ok(local)
}

/// A port number as it is stored; every port of the table fits.
fn port_number(port: u32) -> Result<u16, Errno> {
    u16::try_from(port).map_err(|_| Errno::INVAL)
}

/// Binds a new port to a virtual interrupt (`EVTCHNOP_bind_virq`).
///
/// # Errors
/// -EINVAL if there is no such interrupt or it needs vCPU 0; -ENOENT without such a vCPU; -EBUSY if the interrupt belongs to the
/// privileged domain; -EEXIST if it is bound already; and those of [`alloc_unbound`].
pub fn bind_virq<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, virq: u32, vcpu: u32) -> Result<u32, Errno> {
    let kind = kind(virq).ok_or(Errno::INVAL)?;
    if kind != Kind::Vcpu && vcpu != 0 {
        return Err(Errno::INVAL);
    }
    let owned = domain(hv, owner)?;
    let notified = vcpu_of(owned, vcpu)?;
    if kind == Kind::Global && !owned.privileged {
        return Err(Errno::BUSY);
    }
    if virq_port(owned, notified, virq).is_none_or(|port| *port != 0) {
        return Err(Errno::EXIST);
    }
    let port = free_port(hv, owner)?;
    let number = port_number(port)?;
    let owned = domain(hv, owner)?;
    owned.events.occupy(port, Binding::Virq { virq: virq as u8 }, notified);
    if let Some(slot) = virq_port(owned, notified, virq) {
        *slot = number;
    }
    Ok(port)
}

/// Where a vCPU keeps the port of a virtual interrupt.
pub(super) fn virq_port(domain: &mut Domain, vcpu: u8, virq: u32) -> Option<&mut u16> {
    domain.vcpu_mut(u16::from(vcpu))?.events.virq_ports.get_mut(virq as usize)
}

/// Binds a new port to slot `slot` of [`crate::devices::msi`], which enters the port there; it notifies vCPU 0.
///
/// # Errors
/// Those of [`alloc_unbound`].
pub(crate) fn bind_message<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, slot: u8) -> Result<u32, Errno> {
    let port = free_port(hv, owner)?;
    domain(hv, owner)?.events.occupy(port, Binding::Message { slot }, 0);
    Ok(port)
}

/// Binds a new port to a vCPU, for interrupts between processors (`EVTCHNOP_bind_ipi`).
///
/// # Errors
/// -ENOENT without such a vCPU, and those of [`alloc_unbound`].
pub fn bind_ipi<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, vcpu: u32) -> Result<u32, Errno> {
    let notified = vcpu_of(domain(hv, owner)?, vcpu)?;
    let port = free_port(hv, owner)?;
    domain(hv, owner)?.events.occupy(port, Binding::Ipi, notified);
    Ok(port)
}

/// Chooses the vCPU that a port notifies (`EVTCHNOP_bind_vcpu`). What is pending already stays with the old one.
///
/// # Errors
/// -ENOENT without such a vCPU; -EINVAL if the port is not open, or is bound to a vCPU for good.
pub fn bind_vcpu<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, number: u32, vcpu: u32) -> Result<(), Errno> {
    let owned = domain(hv, owner)?;
    let notified = vcpu_of(owned, vcpu)?;
    let port = owned.events.port_mut(number).ok_or(Errno::INVAL)?;
    match port.binding {
        Binding::Unbound { .. } | Binding::Interdomain { .. } | Binding::Message { .. } => {}
        Binding::Virq { virq } if kind(u32::from(virq)) != Some(Kind::Vcpu) => {}
        Binding::Virq { .. } | Binding::Ipi | Binding::Free | Binding::Reserved => {
            return Err(Errno::INVAL);
        }
    }
    port.vcpu = notified;
    Ok(())
}

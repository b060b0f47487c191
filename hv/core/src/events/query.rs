//! Questions about ports, and the invariants of a domain's table.

use abi::Errno;
use abi::event::{NR_CHANNELS_2L, STATUS_CLOSED, STATUS_INTERDOMAIN, STATUS_IPI, STATUS_PIRQ, STATUS_UNBOUND, STATUS_VIRQ, Status};

use super::deliver::pending;
use super::port::Binding;
use super::virq::{Kind, kind};
use crate::devices::msi;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// Fills in what a port is bound to (`EVTCHNOP_status`); `dom` and `port` of the answer are left to the caller.
///
/// # Errors
/// -ESRCH without such a domain, -EINVAL if it never had such a port.
pub fn status<M: Machine>(hv: &Hypervisor<M>, owner: DomId, number: u32) -> Result<Status, Errno> {
    let domain = hv.domains.get(owner).ok_or(Errno::SRCH)?;
    let port = domain.events.known_port(number).ok_or(Errno::INVAL)?;
    let (status, u0, u1) = match port.binding {
        Binding::Free | Binding::Reserved => (STATUS_CLOSED, 0, 0),
        Binding::Unbound { remote } => (STATUS_UNBOUND, u32::from(remote), 0),
        Binding::Interdomain { remote, port } => (STATUS_INTERDOMAIN, u32::from(remote), u32::from(port)),
        Binding::Virq { virq } => (STATUS_VIRQ, u32::from(virq), 0),
        Binding::Message { slot } => (STATUS_PIRQ, u32::from(slot), 0),
        Binding::Ipi => (STATUS_IPI, 0, 0),
    };
    Ok(Status { status, vcpu: u32::from(port.vcpu), u0, u1, ..Status::default() })
}

/// True if an event of an open port is pending, masked or not (for `SCHEDOP_poll`).
///
/// # Errors
/// -EINVAL if the domain never had such a port.
pub fn is_pending<M: Machine>(hv: &Hypervisor<M>, owner: DomId, number: u32) -> Result<bool, Errno> {
    let domain = hv.domains.get(owner).ok_or(Errno::SRCH)?;
    let port = domain.events.known_port(number).ok_or(Errno::INVAL)?;
    let open = !matches!(port.binding, Binding::Free | Binding::Reserved);
    Ok(open && pending(&hv.machine, domain, number))
}

/// The invariants of a domain's ports, for tests: counts are what a walk finds, channels have two ends that name each other, and
/// virtual interrupts name the ports that are bound to them. Answers with what is wrong.
pub fn check<M: Machine>(hv: &Hypervisor<M>, owner: DomId) -> Result<(), &'static str> {
    let Some(domain) = hv.domains.get(owner) else {
        return Ok(());
    };
    let mut open = 0;
    for number in 0..NR_CHANNELS_2L {
        let Some(port) = domain.events.port(number) else {
            continue;
        };
        open += u32::from(!matches!(port.binding, Binding::Free | Binding::Reserved));
        match port.binding {
            Binding::Interdomain { remote, port: far } => {
                let peer = hv.domains.get(remote).and_then(|peer| peer.events.port(u32::from(far)));
                let back = Binding::Interdomain { remote: owner, port: number as u16 };
                if peer.is_none_or(|peer| peer.binding != back) {
                    return Err("the other end of a channel does not name this end");
                }
            }
            Binding::Virq { virq } => {
                let entered = if kind(u32::from(virq)) == Some(Kind::Vcpu) { port.vcpu } else { 0 };
                let vcpu = domain.vcpu(u16::from(entered));
                if vcpu.is_none_or(|vcpu| u32::from(vcpu.events.virq_ports[usize::from(virq)]) != number) {
                    return Err("a virtual interrupt does not name its port");
                }
            }
            Binding::Message { slot } if msi::bound_to(hv, slot) != Some((owner, number)) => {
                return Err("an interrupt of a device does not name its port");
            }
            Binding::Reserved if number != 0 => return Err("a port other than 0 is reserved"),
            Binding::Free if number == 0 => return Err("port 0 is free"),
            _ => {}
        }
    }
    if open != domain.events.open() {
        return Err("the count of open ports is wrong");
    }
    Ok(())
}

//! Sending: by a guest through a port, by the hypervisor through a virtual interrupt.

use abi::Errno;

use super::deliver::set_pending;
use super::port::Binding;
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, VcpuRef};
use crate::machine::Machine;

/// Sends an event through a port of `sender` (`EVTCHNOP_send`): to the other end, or to itself if it is bound to a vCPU. What is
/// sent before the other end is bound is dropped.
///
/// # Errors
/// -EINVAL if the port is bound to nothing that can receive.
#[inline]
pub fn send<M: Machine>(hv: &mut Hypervisor<M>, sender: DomId, number: u32) -> Result<(), Errno> {
    let domain = hv.domains.get(sender).ok_or(Errno::SRCH)?;
    let (owner, port) = match domain.events.port(number).ok_or(Errno::INVAL)?.binding {
        Binding::Interdomain { remote, port } => (remote, u32::from(port)),
        other => match other {
            Binding::Ipi => (sender, number),
            Binding::Unbound { .. } => return Ok(()),
            _ => return Err(Errno::INVAL),
        },
    };
    set_pending(hv, owner, port);
    Ok(())
}

/// Raises a virtual interrupt of a vCPU (`VIRQ_TIMER`, `VIRQ_DEBUG`), if the guest bound it.
#[inline]
pub fn send_virq<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, virq: u32) {
    let port = hv.vcpu(who).and_then(|vcpu| vcpu.events.virq_ports.get(virq as usize).copied());
    if let Some(port) = port.filter(|&port| port != 0) {
        set_pending(hv, who.domain, u32::from(port));
    }
}

/// Makes a port pending that is bound to an interrupt of a PCI function.
pub(crate) fn send_message<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, port: u32) {
    set_pending(hv, owner, port);
}

/// Raises a virtual interrupt of a whole domain (`VIRQ_CONSOLE`, `VIRQ_DOM_EXC`), if the guest bound it.
pub fn send_global_virq<M: Machine>(hv: &mut Hypervisor<M>, domain: DomId, virq: u32) {
    send_virq(hv, VcpuRef { domain, vcpu: 0 }, virq);
}

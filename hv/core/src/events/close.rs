//! Closing: one port at the guest's wish, all of them when it resets or dies.

use abi::Errno;

use super::bind::virq_port;
use super::deliver::clear_pending;
use super::port::Binding;
use super::table::free_buckets;
use super::virq::{Kind, kind};
use crate::devices::msi;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// How many ports are closed before others get their turn.
const SLICE: u32 = 64;

/// Closes a port (`EVTCHNOP_close`). The other end of an interdomain channel waits for this domain again.
///
/// # Errors
/// -EINVAL if the port is not open.
pub fn close<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, number: u32) -> Result<(), Errno> {
    let domain = hv.domains.get_mut(owner).ok_or(Errno::SRCH)?;
    let port = *domain.events.port(number).ok_or(Errno::INVAL)?;
    match port.binding {
        Binding::Free | Binding::Reserved => return Err(Errno::INVAL),
        Binding::Unbound { .. } | Binding::Ipi | Binding::Interdomain { .. } | Binding::Message { .. } => {}
        Binding::Virq { virq } => {
            let virq = u32::from(virq);
            // A port that moved to another vCPU is still entered in vCPU 0.
            let entered = if kind(virq) == Some(Kind::Vcpu) { port.vcpu } else { 0 };
            if let Some(slot) = virq_port(domain, entered, virq) {
                *slot = 0;
            }
        }
    }
    domain.events.release(number);
    clear_pending(&hv.machine, domain, number);
    if let Binding::Message { slot } = port.binding {
        msi::unbind(hv, slot);
    }
    if let Binding::Interdomain { remote, port: far } = port.binding {
        let peer = hv.domains.get_mut(remote).and_then(|peer| peer.events.port_mut(u32::from(far)));
        let peer = peer.expect("both ends of a channel exist until one is closed");
        peer.binding = Binding::Unbound { remote: owner };
    }
    Ok(())
}

/// Closes the ports of a domain, a slice at a time: false if some are still open (call again), true when all are closed and the
/// memory of its table is given back.
pub fn close_all<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> bool {
    let mut next = 0;
    for _ in 0..SLICE {
        let Some(domain) = hv.domains.get(owner) else {
            return true;
        };
        let Some(number) = domain.events.next_open(next) else {
            free_buckets(hv, owner);
            return true;
        };
        next = number + 1;
        close(hv, owner, number).expect("the port was found open");
    }
    false
}

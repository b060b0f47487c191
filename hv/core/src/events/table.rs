//! A domain's table of ports: finding, taking and giving back.

use abi::Errno;
use abi::event::{NR_CHANNELS_2L, NR_VIRQS};
use zerocopy::FromZeros;

use super::port::{Binding, Bucket, PORTS_PER_BUCKET, Port};
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// The highest port of a domain whose configuration does not say (`max_event_channels` of xl.cfg).
pub const PORT_LIMIT_DEFAULT: u32 = 1023;

/// How many ports a domain has from the beginning, as on Xen, where they are its first bucket.
const ALWAYS: u32 = 64;

/// How many buckets hold every port of the two-level ABI.
const BUCKETS: usize = NR_CHANNELS_2L as usize / PORTS_PER_BUCKET;

/// The event channels of a domain. All zero is a domain that may have none; [`DomainEvents::set_limit`] gives it some.
#[derive(FromZeros)]
#[repr(C)]
pub struct DomainEvents {
    /// The highest port number that may be allocated.
    limit: u32,
    /// How many ports are neither free nor reserved.
    open: u32,
    /// No port below this one is free.
    lowest_free: u32,
    /// The vCPUs that are blocked until a port is pending, masked or not, bit per vCPU: kept by the scheduler.
    pub pollers: u32,
    buckets: [Option<&'static mut Bucket>; BUCKETS],
}

/// The event channels of a vCPU.
#[derive(FromZeros)]
#[repr(C)]
pub struct VcpuEvents {
    /// The port that each virtual interrupt is bound to, or 0. Those of the whole domain stand in vCPU 0.
    pub virq_ports: [u16; NR_VIRQS as usize],
}

impl DomainEvents {
    /// Sets the highest port number that may be allocated; more than the ABI has is as many as it has.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.min(NR_CHANNELS_2L - 1);
        // Ports above a lowered limit may be open: they stay.
        self.lowest_free = 1;
    }

    /// The highest port number that may be allocated.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many ports are in use.
    pub fn open(&self) -> u32 {
        self.open
    }

    /// How many frames the table takes.
    pub fn frames(&self) -> u64 {
        self.buckets.iter().flatten().count() as u64
    }

    /// A port by number; `None` if its bucket was never needed. A number that any guest chose may be asked for.
    #[inline]
    pub fn port(&self, port: u32) -> Option<&Port> {
        let port = port as usize;
        let bucket = self.buckets.get(port / PORTS_PER_BUCKET)?.as_deref()?;
        bucket.ports.get(port % PORTS_PER_BUCKET)
    }

    /// A port by number, in use or not, as a guest may ask about it: the first [`ALWAYS`] are there even before their bucket is.
    pub fn known_port(&self, port: u32) -> Option<&Port> {
        const CLOSED: Port = Port { binding: Binding::Free, vcpu: 0 };
        self.port(port).or_else(|| (port < ALWAYS).then_some(&CLOSED))
    }

    /// A port by number.
    #[inline]
    pub(super) fn port_mut(&mut self, port: u32) -> Option<&mut Port> {
        let port = port as usize;
        let bucket = self.buckets.get_mut(port / PORTS_PER_BUCKET)?.as_deref_mut()?;
        bucket.ports.get_mut(port % PORTS_PER_BUCKET)
    }

    /// The first port at or after `start` that is in use.
    pub(super) fn next_open(&self, start: u32) -> Option<u32> {
        if self.open == 0 {
            return None;
        }
        (start..NR_CHANNELS_2L)
            .find(|&number| self.port(number).is_some_and(|port| !matches!(port.binding, Binding::Free | Binding::Reserved)))
    }

    /// Binds a free port.
    pub(super) fn occupy(&mut self, number: u32, binding: Binding, vcpu: u8) {
        let port = self.port_mut(number).expect("the port was found free");
        debug_assert!(port.binding == Binding::Free && binding != Binding::Free);
        *port = Port { binding, vcpu };
        self.open += 1;
        if number == self.lowest_free {
            self.lowest_free = number + 1;
        }
    }

    /// Gives a port back. Its vCPU is 0 again.
    pub(super) fn release(&mut self, number: u32) {
        let port = self.port_mut(number).expect("the port was open");
        debug_assert!(!matches!(port.binding, Binding::Free | Binding::Reserved));
        *port = Port::default();
        self.open -= 1;
        self.lowest_free = self.lowest_free.min(number);
    }

    /// The lowest free port, and whether its bucket is still to be made.
    fn find_free(&self) -> Result<(u32, bool), Errno> {
        for number in self.lowest_free.max(1)..=self.limit {
            match self.port(number) {
                None => return Ok((number, true)),
                Some(port) if port.binding == Binding::Free => return Ok((number, false)),
                Some(_) => {}
            }
        }
        Err(Errno::NOSPC)
    }

    fn insert_bucket(&mut self, number: u32, bucket: &'static mut Bucket) {
        let index = number as usize / PORTS_PER_BUCKET;
        if index == 0 {
            bucket.ports[0].binding = Binding::Reserved;
        }
        self.buckets[index] = Some(bucket);
    }

    fn take_bucket(&mut self) -> Option<&'static mut Bucket> {
        self.buckets.iter_mut().find_map(Option::take)
    }
}

/// Finds a free port of a domain and makes room for it.
///
/// # Errors
/// -EINVAL if the domain is dying, -ENOSPC at its limit, -ENOMEM without memory for another bucket.
pub(super) fn free_port<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Result<u32, Errno> {
    let domain = hv.domains.get(owner).ok_or(Errno::SRCH)?;
    if domain.dying {
        return Err(Errno::INVAL);
    }
    let (number, needs_bucket) = domain.events.find_free()?;
    if needs_bucket {
        let bucket = hv.new_object::<Bucket>(owner).ok_or(Errno::NOMEM)?;
        if let Some(domain) = hv.domains.get_mut(owner) {
            domain.events.insert_bucket(number, bucket);
        }
    }
    Ok(number)
}

/// Frees the buckets of a domain whose ports are all closed.
pub(super) fn free_buckets<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) {
    while let Some(bucket) = hv.domains.get_mut(owner).and_then(|domain| domain.events.take_bucket()) {
        hv.free_object(bucket);
    }
}

//! `event_channel_op` (32): decodes, says who may, and hands on to [`crate::events`].

use abi::Errno;
use abi::event::{
    AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, OP_ALLOC_UNBOUND, OP_BIND_INTERDOMAIN, OP_BIND_IPI, OP_BIND_PIRQ,
    OP_BIND_VCPU, OP_BIND_VIRQ, OP_CLOSE, OP_RESET, OP_SEND, OP_STATUS, OP_UNMASK, Port, Reset, Status,
};

use crate::call::{Call, DOMID_SELF, Outcome};
use crate::events;
use crate::ids::DomId;
use crate::machine::Machine;

/// How many numbers of physical interrupts a domain knows, as on Xen, where they are nobody's by default.
const PIRQS: u32 = 32;

/// `EVTCHNOP_*` in RDI, the address of its structure in RSI. The FIFO operations are refused, so that guests use the two-level ABI.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match args[0] as u32 {
        OP_SEND => send(call, args[1]).into(),
        _ => less_frequent(call, args),
    }
}

/// Apart, so that sending does not save registers for it.
#[inline(never)]
fn less_frequent<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [operation, address, ..] = args;
    match operation as u32 {
        OP_UNMASK => unmask(call, address).into(),
        OP_ALLOC_UNBOUND => alloc_unbound(call, address).into(),
        OP_BIND_INTERDOMAIN => bind_interdomain(call, address).into(),
        OP_BIND_VIRQ => bind_virq(call, address).into(),
        OP_BIND_IPI => bind_ipi(call, address).into(),
        OP_BIND_VCPU => bind_vcpu(call, address).into(),
        OP_CLOSE => close(call, address).into(),
        OP_STATUS => status(call, address).into(),
        OP_RESET => reset(call, args),
        OP_BIND_PIRQ => bind_pirq(call, address).into(),
        _ => Errno::NOSYS.into(),
    }
}

#[inline]
fn send<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let Port { port } = call.read(address)?;
    events::send(call.hv, call.who.domain, port)
}

#[inline]
fn unmask<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let Port { port } = call.read(address)?;
    events::unmask(call.hv, call.who.domain, port)
}

fn close<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let Port { port } = call.read(address)?;
    events::close(call.hv, call.who.domain, port)
}

fn alloc_unbound<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: AllocUnbound = call.read(address)?;
    let owner = call.target(request.dom)?;
    let remote = self_or(call, request.remote_dom);
    request.port = events::alloc_unbound(call.hv, owner, remote)?;
    answer(call, address, &request, owner, request.port)
}

fn bind_interdomain<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: BindInterdomain = call.read(address)?;
    let owner = call.who.domain;
    let remote = self_or(call, request.remote_dom);
    request.local_port = events::bind_interdomain(call.hv, owner, remote, request.remote_port)?;
    answer(call, address, &request, owner, request.local_port)
}

fn bind_virq<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: BindVirq = call.read(address)?;
    let owner = call.who.domain;
    request.port = events::bind_virq(call.hv, owner, request.virq, request.vcpu)?;
    answer(call, address, &request, owner, request.port)
}

fn bind_ipi<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: BindIpi = call.read(address)?;
    let owner = call.who.domain;
    request.port = events::bind_ipi(call.hv, owner, request.vcpu)?;
    answer(call, address, &request, owner, request.port)
}

/// No domain may have a physical interrupt by number.
fn bind_pirq<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let BindPirq { pirq, .. } = call.read(address)?;
    Err(if pirq < PIRQS { Errno::PERM } else { Errno::INVAL })
}

fn bind_vcpu<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: BindVcpu = call.read(address)?;
    events::bind_vcpu(call.hv, call.who.domain, request.port, request.vcpu)
}

fn status<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: Status = call.read(address)?;
    let owner = call.target(request.dom)?;
    let found = events::status(call.hv, owner, request.port)?;
    call.write(address, &Status { dom: request.dom, port: request.port, ..found })?;
    Ok(())
}

fn reset<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let done = reset_slice(call, args[1]);
    match done {
        Ok(true) => Outcome::Done(0),
        Ok(false) => Outcome::Again(args),
        Err(error) => error.into(),
    }
}

fn reset_slice<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<bool, Errno> {
    let Reset { dom } = call.read(address)?;
    let owner = call.target(dom)?;
    if owner != call.who.domain && !call.hv.domain(owner).is_some_and(|domain| domain.paused) {
        return Err(Errno::INVAL);
    }
    Ok(events::close_all(call.hv, owner))
}

/// The domain that an argument names, without a claim that it exists.
fn self_or<M: Machine>(call: &Call<'_, M>, domid: DomId) -> DomId {
    if domid == DOMID_SELF { call.who.domain } else { domid }
}

/// Writes the answer that names a new port; closes the port if the guest cannot be told of it.
fn answer<M: Machine, T>(call: &mut Call<'_, M>, address: u64, answer: &T, owner: DomId, port: u32) -> Result<(), Errno>
where
    T: zerocopy::IntoBytes + zerocopy::Immutable,
{
    if call.write(address, answer).is_err() {
        events::close(call.hv, owner, port)?;
        return Err(Errno::FAULT);
    }
    Ok(())
}

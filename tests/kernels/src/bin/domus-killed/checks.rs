//! What the victims hold when they are killed.

use domus_test_kernels::report::{Check, Complaint, Outcome};
use domus_test_kernels::{fail, holds, same};
use pv_guest_sdk::abi::control::{FLAG_DYING, OP_DOMAIN_PAUSE, OP_DOMAIN_UNPAUSE};
use pv_guest_sdk::abi::event::{self, AllocUnbound, BindInterdomain, BindIpi, BindVirq};
use pv_guest_sdk::abi::grant::{GNTMAP_HOST_MAP, MapGrantRef, OP_MAP_GRANT_REF};
use pv_guest_sdk::abi::hypercall::{EVENT_CHANNEL_OP, GRANT_TABLE_OP};
use pv_guest_sdk::abi::{Errno, domid};
use pv_guest_sdk::{events, grants, memory, time};

use crate::books::{Books, info};
use crate::victim::{HOLE, SPARE, Victim, read, write};

pub const CHECKS: &[Check] = &[
    // What the first use of something makes and stays is none of the victim's: page tables of our window area, our table of mapped grants.
    ("one that never ran leaves nothing behind", || never_ran().and_then(|()| with_books(never_ran))),
    ("one that ran and holds nothing but its own leaves nothing behind", || with_books(ran)),
    ("one that has bound ports: its peers learn of it", || with_books(ports)),
    ("one that has our grant mapped: the grant is ours again", || with_books(grant_of_ours)),
    ("one in the middle of a multicall", || with_books(multicall)),
    ("one whose pages and page table we have mapped goes when we let go", || with_books(foreign)),
    ("one whose grant we have mapped goes when we let go", || grant_of_its().and_then(|()| with_books(grant_of_its))),
    ("two that have each other's pages mapped, the giver first", || with_books(|| pair(true))),
    ("two that have each other's pages mapped, the holder first", || with_books(|| pair(false))),
    ("all of that at once, twenty times", || with_books(|| (0..20).try_for_each(|_| everything()))),
];

/// The counters after a check are those before it, once dead domains that somebody held have been seen to be free.
fn with_books(check: impl FnOnce() -> Outcome) -> Outcome {
    let books = Books::read().map_err(unexpected)?;
    check()?;
    books.compare()
}

fn unexpected(error: Errno) -> Complaint {
    Complaint::new(format_args!("unexpected error {error}"))
}

fn quiet(_: events::Port) {}

/// Waits until a domain is gone.
fn gone(victim: &Victim) -> Outcome {
    let _ = victim.kill();
    match info(victim.domid) {
        None => Ok(()),
        Some(info) => fail!("domain {} is still there: {} frames, {} held", victim.domid, info.frames, info.frames_held_by_others),
    }
}

fn never_ran() -> Outcome {
    let victim = Victim::new().map_err(unexpected)?;
    let told = info(victim.domid).ok_or_else(|| Complaint::new(format_args!("no such domain")))?;
    same!((told.page_table_frames, told.pinned_tables), (4, 1), "tables and pinned tables");
    same!(victim.kill(), Ok(()));
    gone(&victim)
}

fn ran() -> Outcome {
    let victim = Victim::new().map_err(unexpected)?;
    victim.run(false).map_err(unexpected)?;
    same!(victim.kill(), Ok(()));
    gone(&victim)
}

fn ports() -> Outcome {
    let mut victim = Victim::new().map_err(unexpected)?;
    let (bound, waiting) = (events::alloc_unbound(victim.domid, quiet), events::alloc_unbound(victim.domid, quiet));
    let (bound, waiting) = (bound.map_err(unexpected)?, waiting.map_err(unexpected)?);
    will_bind(&mut victim, bound).map_err(unexpected)?;
    victim.run(false).map_err(unexpected)?;
    has_bound(&victim, 0)?;
    same!(events::status(domid::SELF, bound).map(|status| status.status), Ok(event::STATUS_INTERDOMAIN));
    same!(info(victim.domid).map(|info| info.bound_ports), Some(4), "ports of the victim");
    same!(victim.kill(), Ok(()));
    same!(events::status(domid::SELF, bound).map(|status| status.status), Ok(event::STATUS_UNBOUND));
    same!(events::close(bound), Ok(()));
    same!(events::close(waiting), Ok(()));
    gone(&victim)
}

/// Ports of all kinds: to us, for us, to itself, and a virtual interrupt.
fn will_bind(victim: &mut Victim, ours: events::Port) -> Result<(), Errno> {
    victim.will_call(EVENT_CHANNEL_OP, event::OP_BIND_INTERDOMAIN, BindInterdomain { remote_port: ours, ..Default::default() })?;
    victim.will_call(EVENT_CHANNEL_OP, event::OP_ALLOC_UNBOUND, AllocUnbound { dom: domid::SELF, ..Default::default() })?;
    victim.will_call(EVENT_CHANNEL_OP, event::OP_BIND_IPI, BindIpi::default())?;
    victim.will_call(EVENT_CHANNEL_OP, event::OP_BIND_VIRQ, BindVirq { virq: event::VIRQ_TIMER, ..Default::default() })
}

fn has_bound(victim: &Victim, first: usize) -> Outcome {
    for call in first..first + 4 {
        same!(victim.has_called::<u64>(call).map(|(result, _)| result), Ok(0), "a call about ports");
    }
    Ok(())
}

fn will_map(victim: &mut Victim, from: u16, reference: u32) -> Result<(), Errno> {
    let map = MapGrantRef { host_addr: HOLE, flags: GNTMAP_HOST_MAP, grant_ref: reference, dom: from, ..Default::default() };
    victim.will_call(GRANT_TABLE_OP, OP_MAP_GRANT_REF, map)
}

fn has_mapped(victim: &Victim, call: usize) -> Outcome {
    same!(victim.has_called::<MapGrantRef>(call).map(|(result, map)| (result, map.status)), Ok((0, 0)), "its call to map");
    same!(info(victim.domid).map(|info| info.mapped_grants), Some(1), "grants that it has mapped");
    Ok(())
}

fn grant_of_ours() -> Outcome {
    let page = memory::alloc_page().expect("a page");
    let mut victim = Victim::new().map_err(unexpected)?;
    // SAFETY: nobody here touches the page before the grant is revoked.
    let reference = unsafe { grants::grant(victim.domid, page, true) }.map_err(unexpected)?;
    will_map(&mut victim, 0, reference).map_err(unexpected)?;
    victim.run(false).map_err(unexpected)?;
    has_mapped(&victim, 0)?;
    same!(grants::revoke(reference), Err(Errno::BUSY));
    same!(victim.kill(), Ok(()));
    same!(grants::revoke(reference), Ok(()));
    // SAFETY: the grant is revoked.
    unsafe { memory::free_page(page) };
    gone(&victim)
}

fn multicall() -> Outcome {
    let victim = Victim::new().map_err(unexpected)?;
    victim.run(true).map_err(unexpected)?;
    hold_within_multicall(&victim)?;
    same!(victim.kill(), Ok(()));
    gone(&victim)
}

/// Pauses it at a moment when its multicall is to be continued.
fn hold_within_multicall(victim: &Victim) -> Outcome {
    for _ in 0..1000 {
        victim.named(OP_DOMAIN_PAUSE).map_err(unexpected)?;
        if victim.is_within_multicall().map_err(unexpected)? {
            return Ok(());
        }
        victim.named(OP_DOMAIN_UNPAUSE).map_err(unexpected)?;
        time::sleep(700_000);
    }
    fail!("it was never seen in the middle of its multicall")
}

fn foreign() -> Outcome {
    let victim = Victim::new().map_err(unexpected)?;
    victim.run(false).map_err(unexpected)?;
    let page = victim.map(SPARE, 1, true).map_err(unexpected)?;
    let table = victim.map(0, 1, false).map_err(unexpected)?;
    write(&page, 0, 0, 7);
    same!(victim.kill(), Ok(()));
    held(&victim, 2)?;
    same!(read(&page, 0), 7, "its page, which is ours as long as we have it mapped");
    drop(page);
    held(&victim, 1)?;
    drop(table);
    gone(&victim)
}

/// It is dead, and not gone: so many of its frames are mapped by us.
fn held(victim: &Victim, frames: u64) -> Outcome {
    let Some(info) = info(victim.domid) else { fail!("it is gone while its pages are mapped") };
    same!((info.flags & FLAG_DYING, info.frames), (FLAG_DYING, frames), "flag and frames of the dead");
    Ok(())
}

fn grant_of_its() -> Outcome {
    let victim = Victim::new().map_err(unexpected)?;
    victim.grants(9, 0, SPARE).map_err(unexpected)?;
    victim.run(false).map_err(unexpected)?;
    let mapping = grants::map(victim.domid, 9, true).map_err(unexpected)?;
    same!(victim.kill(), Ok(()));
    holds!(info(victim.domid).is_some_and(|info| info.flags & FLAG_DYING != 0));
    // SAFETY: the page stays while it is mapped.
    unsafe { mapping.as_ptr().as_ptr().write_volatile(1) };
    drop(mapping);
    gone(&victim)
}

fn pair(giver_first: bool) -> Outcome {
    let (mut one, mut other) = (Victim::new().map_err(unexpected)?, Victim::new().map_err(unexpected)?);
    one.grants(8, other.domid, SPARE).map_err(unexpected)?;
    other.grants(8, one.domid, SPARE).map_err(unexpected)?;
    will_map(&mut one, other.domid, 8).map_err(unexpected)?;
    will_map(&mut other, one.domid, 8).map_err(unexpected)?;
    one.run(false).map_err(unexpected)?;
    has_mapped(&one, 0)?;
    other.run(true).map_err(unexpected)?;
    has_mapped(&other, 0)?;
    let (first, second) = if giver_first { (&one, &other) } else { (&other, &one) };
    same!(first.kill(), Ok(()));
    holds!(info(first.domid).is_some_and(|info| info.flags & FLAG_DYING != 0));
    same!(second.kill(), Ok(()));
    gone(first)?;
    gone(second)
}

fn everything() -> Outcome {
    let page = memory::alloc_page().expect("a page");
    let mut victim = Victim::new().map_err(unexpected)?;
    let port = events::alloc_unbound(victim.domid, quiet).map_err(unexpected)?;
    // SAFETY: nobody here touches the page before the grant is revoked.
    let reference = unsafe { grants::grant(victim.domid, page, true) }.map_err(unexpected)?;
    victim.grants(9, 0, SPARE).map_err(unexpected)?;
    will_bind(&mut victim, port).map_err(unexpected)?;
    will_map(&mut victim, 0, reference).map_err(unexpected)?;
    victim.run(true).map_err(unexpected)?;
    has_bound(&victim, 0)?;
    has_mapped(&victim, 4)?;
    let mapping = grants::map(victim.domid, 9, false).map_err(unexpected)?;
    let window = victim.map(SPARE, 1, true).map_err(unexpected)?;
    hold_within_multicall(&victim)?;
    same!(victim.kill(), Ok(()));
    holds!(info(victim.domid).is_some_and(|info| info.flags & FLAG_DYING != 0));
    drop(window);
    drop(mapping);
    same!(grants::revoke(reference), Ok(()));
    // SAFETY: the grant is revoked.
    unsafe { memory::free_page(page) };
    same!(events::close(port), Ok(()));
    gone(&victim)
}

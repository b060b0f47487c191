//! What `mmu_update` and `mmuext_op` have in common: a list of requests, done one by one, with a count of those done and a way to go on later.

use abi::domid::IO;
use abi::errno::Errno;
use abi::mmu::UPDATE_PREEMPTED;
use zerocopy::{FromBytes, IntoBytes};

use crate::call::{Call, DOMID_SELF, Outcome};
use crate::ids::DomId;
use crate::machine::Machine;
use crate::mm::Stop;

/// How many requests go between two looks for an interrupt.
const SLICE: u32 = 16;

/// Carries out `step` on the address of each request of `size` bytes. `args` are the list, its length, where to report how many are
/// done (or 0), and what the steps know already. The tables that steps let go belong to `owners`.
#[inline]
pub(super) fn run<M: Machine>(
    call: &mut Call<'_, M>,
    args: [u64; 5],
    size: usize,
    owners: [DomId; 2],
    mut step: impl FnMut(&mut Call<'_, M>, u64) -> Result<(), Stop>,
) -> Outcome {
    let [list, count, report, ..] = args;
    let count = count as u32;
    let resumed = count & UPDATE_PREEMPTED != 0;
    let count = count & !UPDATE_PREEMPTED;
    let mut done = 0;
    let result = loop {
        if !settle(call, owners) {
            break Err(Stop::Preempted);
        }
        if done == count {
            break Ok(());
        }
        if done % SLICE == SLICE - 1 && call.hv.machine.interrupt_pending() {
            break Err(Stop::Preempted);
        }
        let result = match Call::<M>::element(list, done.into(), size) {
            Ok(address) => step(call, address),
            Err(fault) => Err(fault.into()),
        };
        if result.is_err() {
            break result;
        }
        done += 1;
    };
    if report != 0 {
        tell(call, report, done, resumed);
    }
    match result {
        Ok(()) => Outcome::Done(0),
        Err(Stop::Error(error)) => error.into(),
        Err(Stop::Preempted) => {
            settle(call, owners);
            let list = list.wrapping_add(u64::from(done) * size as u64);
            Outcome::Again([list, u64::from((count - done) | UPDATE_PREEMPTED), report, args[3], args[4]])
        }
    }
}

/// The request of a list of one that is about the caller alone and finds nothing unsettled: most lists are like that, and need none of what
/// [`run`] does.
#[inline]
pub(super) fn single<M: Machine, T: FromBytes + IntoBytes>(call: &Call<'_, M>, args: [u64; 5]) -> Option<T> {
    let [list, count, _, foreign, _] = args;
    let simple = count as u32 == 1 && foreign as u32 == u32::from(DOMID_SELF);
    if !simple || call.hv.frames.has_work(call.who.domain) {
        return None;
    }
    call.read(list).ok()
}

/// What such a request came to.
#[inline]
pub(super) fn finish<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5], result: Result<(), Stop>) -> Outcome {
    let own = call.who.domain;
    // What it let go may stay for the next call, if an interrupt waits.
    call.hv.mm().settle(own);
    if result == Err(Stop::Preempted) {
        return Outcome::Again(args);
    }
    if args[2] != 0 {
        // Whether the guest can be told or not, the request is done.
        let _ = call.write(args[2], &u32::from(result.is_ok()));
    }
    match result {
        Ok(()) => Outcome::Done(0),
        Err(stop) => stop.errno().into(),
    }
}

/// Takes apart what steps let go.
#[inline]
fn settle<M: Machine>(call: &mut Call<'_, M>, owners: [DomId; 2]) -> bool {
    let mut mm = call.hv.mm();
    mm.settle(owners[0]) && (owners[0] == owners[1] || mm.settle(owners[1]))
}

/// Adds to the guest's count, if it can be written: the requests are done either way.
fn tell<M: Machine>(call: &mut Call<'_, M>, report: u64, done: u32, resumed: bool) {
    let before: u32 = if resumed { call.read(report).unwrap_or(0) } else { 0 };
    let _ = call.write(report, &before.wrapping_add(done));
}

/// Whose frames an argument lets entries name: a domain's, or (for privileged domains) no domain's: device memory, `DOMID_IO`.
///
/// # Errors
/// Those of [`Call::target`].
#[inline]
pub(super) fn frame_owner<M: Machine>(call: &mut Call<'_, M>, domid: DomId) -> Result<DomId, Errno> {
    if domid == IO && call.domain().privileged { Ok(IO) } else { call.target(domid) }
}

/// The domain that an argument names and that is not being destroyed.
///
/// # Errors
/// Those of [`Call::target`]; -ESRCH for a dying one.
#[inline]
pub(super) fn living<M: Machine>(call: &mut Call<'_, M>, domid: DomId) -> Result<DomId, Errno> {
    let domain = call.target(domid)?;
    if domain != call.who.domain && call.hv.domain(domain).is_none_or(|domain| domain.dying) {
        return Err(Errno::SRCH);
    }
    Ok(domain)
}

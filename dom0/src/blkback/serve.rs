//! A queue's task: takes turns while there is something to do, runs the jobs of the slow way side by side, and sleeps otherwise.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};

use dom0_core::blkback::ends::Corrupt;
use dom0_core::blkback::features::MAX_INDIRECT_SEGMENTS;
use dom0_core::blkback::job::{Job, Work};
use dom0_core::blkback::queue::Queue;
use dom0_core::blkback::request::Limits;
use dom0_core::blkback::state::Wanted;
use dom0_core::block::quick::Completions;
use embassy_futures::yield_now;
use futures_util::stream::{FuturesUnordered, StreamExt};
use pv_guest_sdk::time;

use super::connection::Ends;
use super::device::{Device, QueueCell};
use crate::hal::{tasks, timer};

type Doing = Pin<Box<dyn Future<Output = ()>>>;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Serves a queue until it is to stop, or the front end damages its ring.
pub async fn run(device: Rc<Device>, cell: Rc<QueueCell>, ends: Ends, persistent: bool) {
    tasks::named("block queue", serve(&device, &cell, ends, persistent)).await;
    cell.done.set(true);
    device.bell.ring();
}

async fn serve(device: &Rc<Device>, cell: &QueueCell, mut ends: Ends, persistent: bool) {
    let mut queue = Queue::new(ends.ring.size() as u16, persistent);
    let completions = queue.completions().clone();
    let mut waits = Waits { jobs: FuturesUnordered::new(), room: None };
    let mut damaged = false;
    loop {
        let take = !damaged && !cell.stop.get();
        // What it was rung for until now, this turn sees.
        cell.door.clear();
        let next = turn(device, cell, &mut queue, &mut ends, take).unwrap_or_else(|Corrupt| {
            damaged = true;
            device.fail("the ring is damaged: it claims more requests than it has room for".into());
            Next::Turn
        });
        queue.jobs.drain(..).for_each(|job| waits.jobs.push(start(device, &completions, job)));
        cell.stats.set(queue.stats);
        cell.now.set((queue.in_flight(), queue.kept_pages()));
        match next {
            Next::End => break,
            Next::Event if waits.prepare(device, &mut queue) => {
                poll_fn(|context| waits.poll(context, cell, take, &completions)).await;
            }
            Next::Event | Next::Turn => {
                // Jobs go on although the front end always asks for more: others may be behind them in a disk's line, or in an image.
                poll_fn(|context| Poll::Ready(waits.go_on(context))).await;
                yield_now().await;
            }
        }
    }
    cell.now.set((0, 0));
}

/// What comes after a turn.
enum Next {
    /// Another.
    Turn,
    /// Something has to happen first.
    Event,
    /// Nothing.
    End,
}

/// One turn.
fn turn(device: &Device, cell: &QueueCell, queue: &mut Queue, ends: &mut Ends, take: bool) -> Result<Next, Corrupt> {
    let mut limits = Limits::new(&device.info(), device.spec.read_only, MAX_INDIRECT_SEGMENTS);
    limits.discard &= device.spec.discard != Some(false);
    let dice = &mut *device.dice.borrow_mut();
    let turn = queue.turn(&mut ends.ring, &mut ends.pages, &device.below, (&limits, dice), take)?;
    if turn.answered && ends.ring.publish() {
        cell.door.ring();
    }
    if turn.over {
        return Ok(Next::End);
    }
    // Not to be told of what would not be taken anyway: what is under way ends first.
    let more = turn.more || (take && queue.takes_requests() && ends.ring.arm());
    Ok(if more { Next::Turn } else { Next::Event })
}

/// Starts a job; its end is told to the queue.
fn start(device: &Rc<Device>, completions: &Rc<Completions>, job: Job) -> Doing {
    let (device, completions) = (device.clone(), completions.clone());
    let disk = device.below.shared_disk();
    Box::pin(async move {
        if let Work::Sleep(ms) = job.work {
            slow(&device, u64::from(ms) * MILLISECOND).await;
        }
        completions.push(job.token.into(), job.work.run(&*disk).await);
    })
}

/// Lets so many nanoseconds pass, or fewer: whoever takes the disk away waits for a second at most.
async fn slow(device: &Device, nanoseconds: u64) {
    let end = time::now() + nanoseconds;
    while time::now() < end && device.wanted() < Wanted::Taken {
        timer::sleep_until(end.min(time::now() + 1000 * MILLISECOND)).await;
    }
}

/// What a queue waits for, besides its front end.
struct Waits {
    jobs: FuturesUnordered<Doing>,
    room: Option<Doing>,
}

impl Waits {
    /// Begins to wait for room on a disk that is full. False if the queue need not wait after all.
    fn prepare(&mut self, device: &Device, queue: &mut Queue) -> bool {
        if queue.is_stalled() && self.room.is_none() {
            let Some((number, pieces)) = queue.waits_for(&device.below) else { return false };
            let Some(disk) = device.below.shared_device(number) else { return false };
            self.room = Some(Box::pin(async move { disk.room(pieces).await }));
        }
        true
    }

    /// Lets jobs go on; whether there is room now that was waited for.
    fn go_on(&mut self, context: &mut Context<'_>) -> bool {
        if !self.jobs.is_empty() {
            while let Poll::Ready(Some(())) = self.jobs.poll_next_unpin(context) {}
        }
        let roomy = self.room.as_mut().is_some_and(|room| room.as_mut().poll(context).is_ready());
        if roomy {
            self.room = None;
        }
        roomy
    }

    /// Ready when there is something to do.
    fn poll(&mut self, context: &mut Context<'_>, cell: &QueueCell, take: bool, done: &Completions) -> Poll<()> {
        let roomy = self.go_on(context);
        done.register(context.waker());
        cell.waker.set(Some(context.waker().clone()));
        let rung = cell.door.poll(context.waker());
        let told_to_stop = take && cell.stop.get();
        if rung || roomy || told_to_stop || done.any() { Poll::Ready(()) } else { Poll::Pending }
    }
}

//! Interrupts of disks: handlers note which disk they were for, and one task serves those disks.

use core::future::poll_fn;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::task::Poll;

use abi::Errno;
use abi::event::NR_CHANNELS_2L;
use dom0_core::pci::Address;
use embassy_sync::waitqueue::AtomicWaker;
use pv_guest_sdk::events::{self, Port};

use super::{MOST_DISKS, disks};
use crate::hal::bell::Bell;
use crate::hal::tasks;
use crate::log::log;

/// Rung when the size of a disk has changed.
pub static SIZES_CHANGED: Bell = Bell::new();

/// The disks, as bits, whose queues or configuration have something new.
static QUEUES: AtomicU64 = AtomicU64::new(0);
static CONFIGURATIONS: AtomicU64 = AtomicU64::new(0);
static WAKER: AtomicWaker = AtomicWaker::new();

/// Which disk a port is for.
static DISK_OF: [AtomicU8; NR_CHANNELS_2L as usize] = [const { AtomicU8::new(0) }; NR_CHANNELS_2L as usize];

const _: () = assert!(MOST_DISKS <= u64::BITS as usize);

/// What an interrupt tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Queues.
    Queues,
    /// The configuration.
    Configuration,
    /// Both: the device has one interrupt.
    Both,
}

/// Binds an entry of a function's MSI-X table for disk `disk`.
///
/// # Errors
/// What the hypervisor returns.
pub fn bind(at: Address, entry: u16, disk: usize, source: Source) -> Result<Port, Errno> {
    let handler = match source {
        Source::Queues => on_queues,
        Source::Configuration => on_configuration,
        Source::Both => on_both,
    };
    let port = events::bind_msi(at.segment, at.bus, at.devfn, entry.into(), handler)?;
    if let Some(of) = DISK_OF.get(port as usize) {
        of.store(disk as u8, Ordering::Relaxed);
    }
    // One that came before the port had a disk was noted for another.
    note(&QUEUES, port);
    Ok(port)
}

fn note(words: &AtomicU64, port: Port) {
    let disk = DISK_OF.get(port as usize).map_or(0, |of| of.load(Ordering::Relaxed));
    words.fetch_or(1 << disk, Ordering::AcqRel);
    WAKER.wake();
}

fn on_queues(port: Port) {
    note(&QUEUES, port);
}

fn on_configuration(port: Port) {
    note(&CONFIGURATIONS, port);
}

fn on_both(port: Port) {
    on_queues(port);
    on_configuration(port);
}

/// Serves the disks that interrupted.
#[embassy_executor::task]
pub async fn run() {
    tasks::named("disks", serve()).await
}

async fn serve() {
    loop {
        let (queues, configurations) = poll_fn(|context| {
            WAKER.register(context.waker());
            let bits = (QUEUES.swap(0, Ordering::AcqRel), CONFIGURATIONS.swap(0, Ordering::AcqRel));
            if bits == (0, 0) { Poll::Pending } else { Poll::Ready(bits) }
        })
        .await;
        for (index, disk) in disks().iter().enumerate() {
            if queues >> index & 1 != 0 {
                disk.driven.serve();
            }
            if configurations >> index & 1 != 0 && disk.driven.configuration_changed() {
                log!("{}: it has {} bytes now", disk.name, disk.quick().info().bytes);
                SIZES_CHANGED.ring();
            }
        }
    }
}

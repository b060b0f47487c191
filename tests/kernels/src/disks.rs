//! What the kernels for disks share: which disk the command line names, and how it is to be opened.

use pv_guest_sdk::block::{Disk, Error, Options, vdev};
use pv_guest_sdk::{BootInfo, println};

/// The number that the command line gives, or another.
pub fn number(info: &BootInfo, key: &str, otherwise: u64) -> u64 {
    info.argument(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Options from `queues=`, `order=`, `segments=`, `persistent=`, `pool=`.
pub fn options(info: &BootInfo) -> Options {
    let usual = Options::default();
    let number = |key, otherwise: u64| number(info, key, otherwise);
    Options {
        queues: number("queues", usual.queues.into()) as u32,
        ring_order: number("order", usual.ring_order.into()) as u32,
        segments: number("segments", usual.segments.into()) as u16,
        persistent: number("persistent", usual.persistent.into()) != 0,
        pool: number("pool", usual.pool as u64) as usize,
    }
}

/// Opens the disk that `disk=` names (`xvda`, or a number), or else the first one, and says what it is.
///
/// # Errors
/// As for [`Disk::open`].
pub async fn open(info: &BootInfo, options: Options) -> Result<Disk, Error> {
    let disk = match info.argument("disk").map(|name| vdev(name).ok_or(Error::NoDevice)) {
        Some(vdev) => Disk::open(vdev?, options).await?,
        None => Disk::open_nth(0, options).await?,
    };
    let (about, (queues, pages, step)) = (disk.info(), disk.shape());
    println!(
        "disk {}: {} sectors of {}, {}{queues} queues of {pages} pages, {step} segments, persistent {}",
        disk.vdev(),
        about.sectors,
        about.sector_size,
        if about.read_only { "read-only, " } else { "" },
        about.persistent,
    );
    Ok(disk)
}

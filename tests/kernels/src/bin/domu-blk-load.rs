//! Loads a disk: writes a pattern everywhere, reads it back and compares, with `depth=` requests at a time (32) over `queues=` rings, in sizes from a
//! sector to `most=` sectors (256); `rounds=` times (1), each with another pattern, over the first `mib=` MiB (all of the disk). `lend=1` uses buffers in
//! place. It then times requests of 4 KiB (or of the sizes in `bytes=`, as `4096,65536`), at depth 1 and 32 (or one of them, `timed=`), in ticks of the TSC: under
//! `-icount shift=0` these are instructions of guest, hypervisor and back end together.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::x86_64::_rdtsc;
use core::cell::Cell;

use domus_test_kernels::crew::{self, Task};
use domus_test_kernels::disks::{self, number};
use pv_guest_sdk::block::{Buffer, Disk, Error};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, println, time};

entry!(main);

fn main(info: &'static BootInfo) {
    match run(info) {
        Ok(()) => println!("domus-test: success"),
        Err(failure) => println!("domus-test: failure {failure:?}"),
    }
}

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "they are printed")]
enum Failure {
    Disk(Error),
    /// What was read at a sector is not what was written there.
    Wrong {
        sector: u64,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Disk(error)
    }
}

fn run(info: &BootInfo) -> Result<(), Failure> {
    let disk = block_on(disks::open(info, disks::options(info)))?;
    let load = Load {
        disk: &disk,
        sectors: (number(info, "mib", u64::MAX >> 11) << 11).min(disk.info().sectors),
        depth: number(info, "depth", 32),
        most: number(info, "most", 256).max(disk.info().block()),
        lend: number(info, "lend", 0) != 0,
    };
    for round in 1..=number(info, "rounds", 1) {
        let before = time::now();
        let written = load.everywhere(round, true)?;
        block_on(disk.flush())?;
        let middle = time::now();
        let read = load.everywhere(round, false)?;
        println!("round {round}: {written} writes and {read} reads agree");
        let rate = |ns: u64| load.sectors * 512 * 1000 / ns.max(1);
        println!("#round {round}: {} MB/s written, {} MB/s read", rate(middle - before), rate(time::now() - middle));
    }
    let timed = number(info, "timed", 0);
    let sizes = info.argument("bytes").unwrap_or("4096").split(',').filter_map(|size| size.parse().ok());
    for bytes in sizes.filter(|bytes| (512..=load.sectors << 9).contains(bytes)) {
        for depth in [1, 32].into_iter().filter(|&depth| timed == 0 || depth == timed) {
            for write in [false, true] {
                load.time(bytes, depth, write, number(info, "requests", 2000))?;
            }
        }
    }
    if disk.info().discard.is_some() {
        block_on(disk.discard(0, load.sectors, false))?;
        println!("discarded");
    }
    block_on(disk.close())?;
    Ok(())
}

struct Load<'a> {
    disk: &'a Disk,
    sectors: u64,
    depth: u64,
    most: u64,
    lend: bool,
}

impl Load<'_> {
    /// Writes all of the disk, or reads and compares it, in pieces of many sizes; how many requests were made.
    fn everywhere(&self, round: u64, write: bool) -> Result<u64, Failure> {
        let (next, count, failed) = (Cell::new(0), Cell::new(0), Cell::new(None));
        let block = self.disk.info().block();
        let task = |_| -> Task<'_> {
            let (next, count, failed) = (&next, &count, &failed);
            Box::pin(async move {
                while next.get() < self.sectors && failed.get().is_none() {
                    let sector = next.get();
                    let wanted = (mix(sector ^ round) % self.most + 1).next_multiple_of(block);
                    let sectors = wanted.min(self.sectors - sector);
                    next.set(sector + sectors);
                    count.set(count.get() + 1);
                    let result = if write { self.write(round, sector, sectors).await } else { self.compare(round, sector, sectors).await };
                    if let Err(failure) = result {
                        failed.set(Some(failure));
                    }
                }
            })
        };
        crew::run((0..self.depth).map(task).collect());
        failed.get().map_or(Ok(count.get()), Err)
    }

    async fn write(&self, round: u64, sector: u64, sectors: u64) -> Result<(), Failure> {
        let bytes = sectors as usize * 512;
        if self.lend {
            let mut buffer = Buffer::new(bytes.div_ceil(4096)).ok_or(Error::Memory)?;
            fill(round, sector, &mut buffer[..bytes]);
            self.disk.write_buffer(sector, buffer, bytes).await.map_err(|error| error.error)?;
        } else {
            let mut data = vec![0; bytes];
            fill(round, sector, &mut data);
            self.disk.write(sector, &data).await?;
        }
        Ok(())
    }

    async fn compare(&self, round: u64, sector: u64, sectors: u64) -> Result<(), Failure> {
        let bytes = sectors as usize * 512;
        let (mut wanted, mut data) = (vec![0; bytes], Vec::new());
        fill(round, sector, &mut wanted);
        let same = if self.lend {
            let buffer = Buffer::new(bytes.div_ceil(4096)).ok_or(Error::Memory)?;
            self.disk.read_buffer(sector, buffer, bytes).await.map_err(|error| error.error)?[..bytes] == wanted[..]
        } else {
            data.resize(bytes, 0);
            self.disk.read(sector, &mut data).await?;
            data == wanted
        };
        if same { Ok(()) } else { Err(Failure::Wrong { sector }) }
    }

    /// What a request of so many bytes takes, at so many at a time.
    fn time(&self, bytes: u64, depth: u64, write: bool, requests: u64) -> Result<(), Failure> {
        let failed = Cell::new(None);
        let (each, end) = (bytes / 512, self.sectors - self.sectors % (bytes / 512));
        // Once to warm up: pages are granted and mapped, lists have grown.
        for count in [4 * depth, requests] {
            let task = |first: u64| -> Task<'_> {
                let failed = &failed;
                Box::pin(async move {
                    let mut data = vec![first as u8; each as usize * 512];
                    for index in (first..count).step_by(depth as usize) {
                        let sector = index * each % end;
                        let result = if write { self.disk.write(sector, &data).await } else { self.disk.read(sector, &mut data).await };
                        if let Err(error) = result {
                            failed.set(Some(error));
                        }
                    }
                })
            };
            let (ns, tsc) = (time::now(), tsc());
            crew::run((0..depth).map(task).collect());
            let (tsc, ns) = (self::tsc() - tsc, time::now() - ns);
            if count == requests {
                let what = if write { "write" } else { "read" };
                println!("#time: {what} of {bytes} bytes at depth {depth}: {} ticks of the TSC, {} ns", tsc / count, ns / count);
            }
        }
        failed.get().map_or(Ok(()), |error| Err(Failure::Disk(error)))
    }
}

fn tsc() -> u64 {
    // SAFETY: it reads a counter.
    unsafe { _rdtsc() }
}

/// Bytes that follow from round and place.
fn fill(round: u64, sector: u64, data: &mut [u8]) {
    for (sector, piece) in (sector..).zip(data.chunks_mut(512)) {
        let mut word = mix(sector << 8 ^ round);
        for eight in piece.chunks_mut(8) {
            eight.copy_from_slice(&word.to_le_bytes()[..eight.len()]);
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
    }
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

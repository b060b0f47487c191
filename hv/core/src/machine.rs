//! The seam between rules and hardware: all that the rules may ask of a machine.
//!
//! It is a generic, never `dyn`: the calls vanish into the instructions that they stand for. Every method is safe to call with any
//! argument that came from this crate's own bookkeeping; guest-chosen numbers are checked against the frame table first.

use core::sync::atomic::AtomicU64;

use zerocopy::{FromZeros, IntoBytes};

use crate::frames::FrameRun;
use crate::ids::{CpuId, CpuMask, Mfn};
use crate::vcpu::Vcpu;

/// A guest address could not be read or written: not mapped, not permitted, not canonical, or in the hypervisor's range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestFault;

impl From<GuestFault> for abi::errno::Errno {
    fn from(_: GuestFault) -> Self {
        abi::errno::Errno::FAULT
    }
}

/// What of a translation cache to drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// Every translation that is not the hypervisor's own.
    All,
    /// The translations of one page, by linear address.
    Page(u64),
}

/// The hardware, as the rules see it. Words are 64-bit, little-endian, 512 to a frame.
pub trait Machine: 'static {
    // Memory by machine frame

    /// One aligned word of a frame of RAM. `index` is below 512. Guests may change it at any time, so it is atomic.
    fn word(&self, mfn: Mfn, index: usize) -> &AtomicU64;
    /// Fills a frame with zeros.
    fn zero_frame(&self, mfn: Mfn);
    /// Copies a frame.
    fn copy_frame(&self, to: Mfn, from: Mfn);
    /// Copies bytes out of a frame; `offset + into.len()` is at most 4096.
    fn read_frame(&self, mfn: Mfn, offset: usize, into: &mut [u8]);
    /// Copies bytes into a frame; `offset + from.len()` is at most 4096.
    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]);
    /// Copies bytes from one frame to another; neither range crosses its frame's end.
    fn copy_bytes(&self, to: Mfn, to_offset: usize, from: Mfn, from_offset: usize, length: usize);

    /// Turns frames that belong to nobody else into an object of the hypervisor, zeroed.
    fn object<T: FromZeros>(&self, run: FrameRun) -> &'static mut T;
    /// Ends an object's life and tells its first frame, for the allocator.
    fn reclaim<T>(&self, object: &'static mut T) -> Mfn;

    // Memory by the current guest's linear address

    /// Copies from the running guest's address space, with the rights of its kernel.
    fn copy_from_guest(&self, address: u64, into: &mut [u8]) -> Result<(), GuestFault>;
    /// Copies to the running guest's address space; a read-only page is a fault.
    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault>;

    /// Reads `N` words from the running guest's address space: [`Machine::copy_from_guest`] for the short frames of the hot paths.
    #[inline]
    fn read_words<const N: usize>(&self, address: u64) -> Result<[u64; N], GuestFault> {
        let mut words = [0; N];
        self.copy_from_guest(address, words.as_mut_bytes())?;
        Ok(words)
    }
    /// Writes `N` words likewise.
    #[inline]
    fn write_words<const N: usize>(&self, address: u64, words: [u64; N]) -> Result<(), GuestFault> {
        self.copy_to_guest(address, words.as_bytes())
    }

    // Translation

    /// Makes `root` this CPU's top page table. Drops every translation of a guest.
    fn load_page_table(&self, root: Mfn);
    /// Writes the hypervisor's own entries (slots 256-271) into a top-level table, without the machine-to-physical table.
    fn fill_hypervisor_slots(&self, root: Mfn);
    /// Shows the machine-to-physical table (slot 256) in a top-level table, or hides it.
    fn show_m2p(&self, root: Mfn, shown: bool);
    /// Sets an entry of the machine-to-physical table that guests can read.
    fn set_m2p(&self, mfn: Mfn, pfn: u64);
    /// An entry of the machine-to-physical table.
    fn m2p(&self, mfn: Mfn) -> u64;
    /// Drops translations on the CPUs in `cpus` (this one included if it is in the mask), and waits until they are gone.
    fn flush(&self, cpus: CpuMask, what: Flush);

    // The running vCPU's hardware state

    /// Saves into `from` what the hardware holds of the vCPU that ran here: segment selectors and bases, FPU, debug status.
    fn save_vcpu(&self, from: &mut Vcpu);
    /// Loads the hardware with a vCPU's state: page table, segments, descriptor tables, FPU, debug registers, kernel stack flags.
    fn load_vcpu(&self, to: &Vcpu);
    /// The vCPU that runs here changed its descriptor tables: load them anew from `vcpu`.
    fn reload_descriptors(&self, vcpu: &Vcpu);
    /// Which page of the LDT (0-15) the processor wanted, if `address` lies where it reads the running vCPU's LDT.
    fn ldt_page(&self, address: u64) -> Option<usize>;
    /// Sets the FS base.
    fn set_fs_base(&self, base: u64);
    /// The active GS base.
    fn set_gs_base(&self, base: u64);
    /// The GS base that the next mode switch of the guest brings in.
    fn set_shadow_gs_base(&self, base: u64);
    /// Reads back (FS base, active GS base, shadow GS base): guests may change them without a trap where FSGSBASE is on.
    fn segment_bases(&self) -> (u64, u64, u64);
    /// Exchanges the active and the shadow GS base (SWAPGS).
    fn swap_gs(&self);
    /// Loads a user GS selector, keeping the kernel's base.
    fn load_user_gs_selector(&self, selector: u16);
    /// Sets or clears CR0.TS.
    fn set_task_switched(&self, set: bool);
    /// Sets the bits of CR4 that are the running guest's own: TSD, DE, FSGSBASE.
    fn set_guest_cr4(&self, bits: u64);
    /// Loads one debug register (0-3, 6, 7), already checked.
    fn set_debug_register(&self, number: usize, value: u64);

    // Time

    /// Nanoseconds since boot.
    fn now(&self) -> u64;
    /// How a guest computes that from the TSC: a consistent set for `vcpu_time_info`.
    fn clock(&self) -> ClockParameters;
    /// Nanoseconds since 1970 at the moment when [`Machine::now`] was 0.
    fn boot_wallclock(&self) -> u64;
    /// Asks for an interrupt on this CPU at `deadline` (ns since boot), or none.
    fn set_timer(&self, deadline: Option<u64>);

    // CPUs, processor, devices

    /// The CPU that asks.
    fn this_cpu(&self) -> CpuId;
    /// Makes another CPU look at its work.
    fn kick(&self, cpu: CpuId);
    /// CPUID as the processor answers.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
    /// A model-specific register of the processor; none if it has no such register.
    fn read_msr(&self, number: u32) -> Option<u64>;
    /// Reads a device's register of 32 bits at a physical address, uncached. The address is a multiple of 4 and no RAM.
    fn mmio_read32(&self, address: u64) -> u32;
    /// Writes one.
    fn mmio_write32(&self, address: u64, value: u32);
    /// The message (address, data) by which a device raises interrupt `slot` of [`crate::devices::msi`] on this CPU.
    fn message(&self, slot: usize) -> (u64, u32);
    /// True if an interrupt waits for this CPU: long work should pause.
    fn interrupt_pending(&self) -> bool;
    /// Writes to the first domain's console (COM1).
    fn console_write(&self, bytes: &[u8]);
    /// Copies from the log's ring what was written from byte `sequence` on; (where the copy begins, its length).
    fn log_read(&self, sequence: u64, into: &mut [u8]) -> (u64, usize);
    /// Bytes written to the log since boot.
    fn log_end(&self) -> u64;
    /// Writes to the hypervisor's log (its ring and COM2), as one or more whole lines.
    fn log(&self, level: Level, line: core::fmt::Arguments<'_>);
}

/// How important a log line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// The hypervisor cannot go on as it should.
    Error,
    /// Something an operator should know.
    Warning,
    /// The normal course of events.
    Info,
    /// What a guest does wrong; rate-limited.
    Guest,
}

/// A consistent reading of the clock, as `vcpu_time_info` wants it (`xen.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockParameters {
    /// The TSC at the reading.
    pub tsc_timestamp: u64,
    /// Nanoseconds since boot at the reading.
    pub system_time: u64,
    /// ns = ((tsc - tsc_timestamp) << shift) * mul >> 32
    pub tsc_to_system_mul: u32,
    /// Shift left if positive, right if negative.
    pub tsc_shift: i8,
    /// True if the TSC ticks at one rate in every state of the processor.
    pub stable: bool,
    /// The TSC's frequency in kHz.
    pub tsc_khz: u32,
}

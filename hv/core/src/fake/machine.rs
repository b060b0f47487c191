//! [`Machine`] on the host.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use abi::layout::{ENTRIES, FIRST_HYPERVISOR_SLOT, HYPERVISOR_SLOTS, PAGE_SIZE};
use zerocopy::FromZeros;

use super::memory::Memory;
use super::mmu::{Mmu, Refused};
use crate::frames::FrameRun;
use crate::ids::{CpuId, CpuMask, MAX_CPUS, Mfn};
use crate::machine::{ClockParameters, Flush, GuestFault, Level, Machine};
use crate::vcpu::Vcpu;

/// Linear addresses from here on reach a buffer of the test instead of the guest's tables, in the hypervisor's copies only: a test can pass
/// requests whatever state the guest's address space is in.
pub const WINDOW: u64 = 0x0000_5000_0000_0000;
const WINDOW_SIZE: usize = 1 << 16;

/// A machine on the host. Time stands still until the test moves it.
pub struct FakeMachine {
    /// RAM.
    pub memory: Memory,
    /// Address translation and its caches.
    pub mmu: Mmu,
    /// The CPU that executes.
    pub cpu: Cell<CpuId>,
    /// Each CPU's top-level table.
    pub roots: RefCell<[Mfn; MAX_CPUS]>,
    /// Every flush asked for.
    pub flushes: RefCell<Vec<(CpuMask, Flush)>>,
    /// Nanoseconds since boot.
    pub time: Cell<u64>,
    /// The deadline that was set last.
    pub timer: Cell<Option<u64>>,
    /// What the first domain printed.
    pub console: RefCell<Vec<u8>>,
    /// The hypervisor's log.
    pub log: RefCell<Vec<(Level, String)>>,
    /// CPUs that were kicked.
    pub kicks: RefCell<Vec<CpuId>>,
    /// FS base, active GS base, shadow GS base.
    pub bases: Cell<(u64, u64, u64)>,
    /// CR0.TS.
    pub task_switched: Cell<bool>,
    /// Debug registers.
    pub debug: Cell<[u64; 8]>,
    /// How often descriptor tables were loaded anew.
    pub reloads: Cell<u32>,
    /// Registers of devices: those that are there, by physical address.
    pub registers: RefCell<BTreeMap<u64, u32>>,
    /// An interrupt is seen as waiting at every n-th look; 0 is never.
    pub interrupt_every: Cell<u32>,
    looks: Cell<u32>,
    objects: RefCell<BTreeMap<usize, Mfn>>,
    window: RefCell<Vec<u8>>,
}

impl FakeMachine {
    /// A machine with `frames` frames of RAM.
    pub fn new(frames: usize) -> Self {
        FakeMachine {
            memory: Memory::new(frames),
            mmu: Mmu::default(),
            cpu: Cell::new(0),
            roots: RefCell::new([Mfn::NONE; MAX_CPUS]),
            flushes: RefCell::default(),
            time: Cell::new(0),
            timer: Cell::new(None),
            console: RefCell::default(),
            log: RefCell::default(),
            kicks: RefCell::default(),
            bases: Cell::default(),
            task_switched: Cell::new(false),
            debug: Cell::default(),
            reloads: Cell::new(0),
            registers: RefCell::default(),
            interrupt_every: Cell::new(0),
            looks: Cell::new(0),
            objects: RefCell::default(),
            window: RefCell::new(std::vec![0; WINDOW_SIZE]),
        }
    }

    /// The table that the executing CPU has loaded.
    pub fn root(&self) -> Mfn {
        self.roots.borrow()[self.cpu.get()]
    }

    /// The guest reads a word at its linear address, as its own instruction would.
    ///
    /// # Errors
    /// The access faults.
    pub fn guest_read(&self, address: u64) -> Result<u64, Refused> {
        let mfn = self.mmu.translate(&self.memory, self.cpu.get(), self.root(), address, false)?;
        if self.memory.is_device(mfn) {
            return Ok(0);
        }
        Ok(self.memory.word(mfn, (address as usize & 0xfff) >> 3).load(Relaxed))
    }

    /// The guest writes a word at its linear address, as its own instruction would.
    ///
    /// # Errors
    /// The access faults.
    pub fn guest_write(&self, address: u64, value: u64) -> Result<(), Refused> {
        let mfn = self.mmu.translate(&self.memory, self.cpu.get(), self.root(), address, true)?;
        if self.memory.is_device(mfn) {
            return Ok(());
        }
        self.memory.word(mfn, (address as usize & 0xfff) >> 3).store(value, Relaxed);
        Ok(())
    }

    /// Puts bytes into the test's window, at an offset.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        self.window.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Takes bytes out of the test's window.
    pub fn take(&self, offset: usize, length: usize) -> Vec<u8> {
        self.window.borrow()[offset..offset + length].to_vec()
    }

    /// The hypervisor's entry in a slot of every top-level table: for ring 0 only.
    pub fn hypervisor_entry(slot: usize) -> u64 {
        (slot as u64) << 12 | abi::mmu::pte::PRESENT | abi::mmu::pte::RW
    }

    /// The whole log, a line each.
    pub fn log_text(&self) -> String {
        self.log.borrow().iter().map(|(_, line)| std::format!("{line}\n")).collect()
    }

    /// CPUID tells of 36 bits of address: a page-table entry beyond faults in the hypervisor.
    fn assert_register(&self, address: u64) {
        let device = address < 1 << 36 && self.memory.is_device(Mfn::containing(address));
        assert!(address.is_multiple_of(4) && device, "{address:#x} is no register");
    }

    fn in_window(&self, address: u64, length: usize) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(WINDOW)?).ok()?;
        (offset.checked_add(length)? <= WINDOW_SIZE).then_some(offset)
    }

    /// Calls `piece` with the frame and the range of each page that a copy touches.
    fn pieces(
        &self,
        address: u64,
        length: usize,
        write: bool,
        mut piece: impl FnMut(Mfn, usize, core::ops::Range<usize>),
    ) -> Result<(), GuestFault> {
        let mut done = 0;
        while done < length {
            let at = address.checked_add(done as u64).ok_or(GuestFault)?;
            if !crate::mm::walk::is_guest_address(at) {
                return Err(GuestFault);
            }
            let offset = at as usize & (PAGE_SIZE - 1);
            let count = (length - done).min(PAGE_SIZE - offset);
            let mfn = self.mmu.translate(&self.memory, self.cpu.get(), self.root(), at, write).map_err(|_| GuestFault)?;
            // What a device answers does not matter here.
            if !self.memory.is_device(mfn) {
                piece(mfn, offset, done..done + count);
            }
            done += count;
        }
        Ok(())
    }
}

impl Machine for FakeMachine {
    fn word(&self, mfn: Mfn, index: usize) -> &AtomicU64 {
        self.memory.word(mfn, index)
    }

    fn zero_frame(&self, mfn: Mfn) {
        for index in 0..ENTRIES {
            self.memory.word(mfn, index).store(0, Relaxed);
        }
    }

    fn copy_frame(&self, to: Mfn, from: Mfn) {
        self.copy_bytes(to, 0, from, 0, PAGE_SIZE);
    }

    fn read_frame(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        self.memory.read(mfn, offset, into);
    }

    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        self.memory.write(mfn, offset, from);
    }

    fn copy_bytes(&self, to: Mfn, to_offset: usize, from: Mfn, from_offset: usize, length: usize) {
        let mut bytes = std::vec![0; length];
        self.memory.read(from, from_offset, &mut bytes);
        self.memory.write(to, to_offset, &bytes);
    }

    fn object<T: FromZeros>(&self, run: FrameRun) -> &'static mut T {
        assert!(size_of::<T>() <= run.count() as usize * PAGE_SIZE, "the run is too short for the object");
        let object = Box::leak(T::new_box_zeroed().expect("memory of the host"));
        self.objects.borrow_mut().insert(core::ptr::from_ref(object).addr(), run.first());
        object
    }

    fn reclaim<T>(&self, object: &'static mut T) -> Mfn {
        let address = core::ptr::from_ref(object).addr();
        self.objects.borrow_mut().remove(&address).expect("an object of this machine")
    }

    fn copy_from_guest(&self, address: u64, into: &mut [u8]) -> Result<(), GuestFault> {
        if let Some(offset) = self.in_window(address, into.len()) {
            into.copy_from_slice(&self.window.borrow()[offset..offset + into.len()]);
            return Ok(());
        }
        self.pieces(address, into.len(), false, |mfn, offset, range| self.memory.read(mfn, offset, &mut into[range]))
    }

    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        if let Some(offset) = self.in_window(address, from.len()) {
            self.put(offset, from);
            return Ok(());
        }
        self.pieces(address, from.len(), true, |mfn, offset, range| self.memory.write(mfn, offset, &from[range]))
    }

    fn load_page_table(&self, root: Mfn) {
        self.roots.borrow_mut()[self.cpu.get()] = root;
        self.mmu.flush(self.cpu.get());
    }

    fn fill_hypervisor_slots(&self, root: Mfn) {
        for slot in HYPERVISOR_SLOTS {
            self.memory.word(root, slot).store(Self::hypervisor_entry(slot), Relaxed);
        }
        self.show_m2p(root, false);
    }

    fn show_m2p(&self, root: Mfn, shown: bool) {
        let entry = if shown { Self::hypervisor_entry(FIRST_HYPERVISOR_SLOT) } else { 0 };
        self.memory.word(root, FIRST_HYPERVISOR_SLOT).store(entry, Relaxed);
    }

    fn set_m2p(&self, mfn: Mfn, pfn: u64) {
        self.memory.m2p(mfn).store(pfn, Relaxed);
    }

    fn m2p(&self, mfn: Mfn) -> u64 {
        self.memory.m2p(mfn).load(Relaxed)
    }

    fn flush(&self, cpus: CpuMask, what: Flush) {
        self.flushes.borrow_mut().push((cpus, what));
        for cpu in (0..MAX_CPUS).filter(|cpu| cpus.0 >> cpu & 1 != 0) {
            match what {
                Flush::All => self.mmu.flush(cpu),
                Flush::Page(address) => self.mmu.flush_page(cpu, address),
            }
        }
    }

    fn save_vcpu(&self, from: &mut Vcpu) {
        let (fs, active, shadow) = self.bases.get();
        from.fs_base = fs;
        (from.gs_base_kernel, from.gs_base_user) = if from.in_kernel { (active, shadow) } else { (shadow, active) };
    }

    fn load_vcpu(&self, to: &Vcpu) {
        let (active, shadow) = if to.in_kernel { (to.gs_base_kernel, to.gs_base_user) } else { (to.gs_base_user, to.gs_base_kernel) };
        self.bases.set((to.fs_base, active, shadow));
        self.load_page_table(to.active_table());
    }

    fn reload_descriptors(&self, _: &Vcpu) {
        self.reloads.set(self.reloads.get() + 1);
    }

    fn ldt_page(&self, _: u64) -> Option<usize> {
        None
    }

    fn set_fs_base(&self, base: u64) {
        let (_, active, shadow) = self.bases.get();
        self.bases.set((base, active, shadow));
    }

    fn set_gs_base(&self, base: u64) {
        let (fs, _, shadow) = self.bases.get();
        self.bases.set((fs, base, shadow));
    }

    fn set_shadow_gs_base(&self, base: u64) {
        let (fs, active, _) = self.bases.get();
        self.bases.set((fs, active, base));
    }

    fn segment_bases(&self) -> (u64, u64, u64) {
        self.bases.get()
    }

    fn swap_gs(&self) {
        let (fs, active, shadow) = self.bases.get();
        self.bases.set((fs, shadow, active));
    }

    fn load_user_gs_selector(&self, _: u16) {}

    fn set_task_switched(&self, set: bool) {
        self.task_switched.set(set);
    }

    fn set_guest_cr4(&self, _: u64) {}

    fn set_debug_register(&self, number: usize, value: u64) {
        let mut debug = self.debug.get();
        debug[number] = value;
        self.debug.set(debug);
    }

    fn now(&self) -> u64 {
        self.time.get()
    }

    fn clock(&self) -> ClockParameters {
        ClockParameters {
            tsc_timestamp: self.time.get(),
            system_time: self.time.get(),
            // One tick a nanosecond.
            tsc_to_system_mul: 1 << 31,
            tsc_shift: 1,
            stable: true,
            tsc_khz: 1_000_000,
        }
    }

    fn boot_wallclock(&self) -> u64 {
        1_767_225_600_000_000_000
    }

    fn set_timer(&self, deadline: Option<u64>) {
        self.timer.set(deadline);
    }

    fn this_cpu(&self) -> CpuId {
        0
    }

    fn kick(&self, cpu: CpuId) {
        self.kicks.borrow_mut().push(cpu);
    }

    fn cpuid(&self, _: u32, _: u32) -> [u32; 4] {
        [0; 4]
    }

    fn read_msr(&self, _: u32) -> Option<u64> {
        None
    }

    fn mmio_read32(&self, address: u64) -> u32 {
        self.assert_register(address);
        // As on a bus where nobody answers.
        self.registers.borrow().get(&address).copied().unwrap_or(u32::MAX)
    }

    fn mmio_write32(&self, address: u64, value: u32) {
        self.assert_register(address);
        if let Some(register) = self.registers.borrow_mut().get_mut(&address) {
            *register = value;
        }
    }

    fn message(&self, slot: usize) -> (u64, u32) {
        (0xfee0_0000, 0x50 + slot as u32)
    }

    fn interrupt_pending(&self) -> bool {
        let every = self.interrupt_every.get();
        self.looks.set(self.looks.get().wrapping_add(1));
        every != 0 && self.looks.get().is_multiple_of(every)
    }

    fn console_write(&self, bytes: &[u8]) {
        self.console.borrow_mut().extend_from_slice(bytes);
    }

    fn log_read(&self, sequence: u64, into: &mut [u8]) -> (u64, usize) {
        let text = self.log_text();
        let rest = text.as_bytes().get(sequence as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        (sequence, count)
    }

    fn log_end(&self) -> u64 {
        self.log_text().len() as u64
    }

    fn log(&self, level: Level, line: core::fmt::Arguments<'_>) {
        self.log.borrow_mut().push((level, std::format!("{line}")));
    }
}

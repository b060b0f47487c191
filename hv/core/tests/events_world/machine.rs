//! A machine with memory, page tables that are walked, and a translation cache.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::collections::HashMap;

use abi::mmu::pte;
use domus_hv_core::frames::FrameRun;
use domus_hv_core::ids::{CpuId, CpuMask, Mfn};
use domus_hv_core::machine::{ClockParameters, Flush, GuestFault, Level, Machine};
use domus_hv_core::vcpu::Vcpu;
use zerocopy::FromZeros;

/// What a translation gives: frame, may be written.
pub type Translation = (Mfn, bool);

/// The machine.
pub struct TestMachine {
    memory: Vec<AtomicU64>,
    objects: RefCell<HashMap<usize, Mfn>>,
    root: Cell<Mfn>,
    /// By linear page.
    cache: RefCell<HashMap<u64, Translation>>,
    /// How often all translations were dropped.
    pub flushes: Cell<u64>,
    /// Whether an interrupt waits.
    pub interrupt: Cell<bool>,
}

impl TestMachine {
    pub fn new(frames: usize) -> TestMachine {
        TestMachine {
            memory: (0..frames * 512).map(|_| AtomicU64::new(0)).collect(),
            objects: RefCell::default(),
            root: Cell::new(Mfn::NONE),
            cache: RefCell::default(),
            flushes: Cell::new(0),
            interrupt: Cell::new(false),
        }
    }

    /// A word of memory.
    pub fn memory(&self, mfn: Mfn, index: usize) -> &AtomicU64 {
        assert!(mfn.is_some() && index < 512);
        &self.memory[mfn.0 as usize * 512 + index]
    }

    fn walk(&self, root: Mfn, address: u64) -> Option<Translation> {
        let (mut table, mut writable) = (root, true);
        for shift in [39, 30, 21, 12] {
            let entry = self.memory(table, (address >> shift) as usize & 511).load(SeqCst);
            if entry & pte::PRESENT == 0 || entry & pte::USER == 0 {
                return None;
            }
            writable &= entry & pte::RW != 0;
            table = Mfn((entry & pte::ADDR_MASK) >> 12);
        }
        Some((table, writable))
    }

    /// Translates as the processor does: what is cached need not be in the tables any more.
    pub fn translate(&self, address: u64) -> Option<Translation> {
        if address >= 1 << 47 {
            return None;
        }
        if let Some(&cached) = self.cache.borrow().get(&(address >> 12)) {
            return Some(cached);
        }
        let found = self.walk(self.root.get(), address)?;
        self.cache.borrow_mut().insert(address >> 12, found);
        Some(found)
    }

    /// Everything that the running guest can reach among the first 512 pages, by tables or by cache.
    pub fn reachable(&self) -> Vec<Translation> {
        let cached = self.cache.borrow().values().copied().collect::<Vec<_>>();
        self.reachable_from(self.root.get()).into_iter().chain(cached).collect()
    }

    /// What page tables alone make reachable of those pages.
    pub fn reachable_from(&self, root: Mfn) -> Vec<Translation> {
        (0..512).filter_map(|page| self.walk(root, page << 12)).collect()
    }

    fn byte(&self, mfn: Mfn, offset: usize) -> u8 {
        self.memory(mfn, offset / 8).load(SeqCst).to_le_bytes()[offset % 8]
    }

    fn set_byte(&self, mfn: Mfn, offset: usize, byte: u8) {
        let word = self.memory(mfn, offset / 8);
        let mut bytes = word.load(SeqCst).to_le_bytes();
        bytes[offset % 8] = byte;
        word.store(u64::from_le_bytes(bytes), SeqCst);
    }
}

impl Machine for TestMachine {
    fn word(&self, mfn: Mfn, index: usize) -> &AtomicU64 {
        self.memory(mfn, index)
    }
    fn zero_frame(&self, mfn: Mfn) {
        (0..512).for_each(|index| self.memory(mfn, index).store(0, SeqCst));
    }
    fn copy_frame(&self, to: Mfn, from: Mfn) {
        self.copy_bytes(to, 0, from, 0, 4096);
    }
    fn read_frame(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        (offset..).zip(into).for_each(|(at, byte)| *byte = self.byte(mfn, at));
    }
    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        (offset..).zip(from).for_each(|(at, byte)| self.set_byte(mfn, at, *byte));
    }
    fn copy_bytes(&self, to: Mfn, to_offset: usize, from: Mfn, from_offset: usize, length: usize) {
        assert!(to_offset + length <= 4096 && from_offset + length <= 4096);
        let bytes: Vec<u8> = (0..length).map(|at| self.byte(from, from_offset + at)).collect();
        self.write_frame(to, to_offset, &bytes);
    }
    fn object<T: FromZeros>(&self, run: FrameRun) -> &'static mut T {
        let object = Box::leak(Box::new(T::new_zeroed()));
        self.objects.borrow_mut().insert(core::ptr::from_ref(object).addr(), run.first());
        object
    }
    fn reclaim<T>(&self, object: &'static mut T) -> Mfn {
        let address = core::ptr::from_ref(object).addr();
        self.objects.borrow_mut().remove(&address).expect("an object of this machine, once")
    }
    fn copy_from_guest(&self, address: u64, into: &mut [u8]) -> Result<(), GuestFault> {
        for (offset, byte) in (0..).zip(into) {
            let at = address.checked_add(offset).ok_or(GuestFault)?;
            let (mfn, _) = self.translate(at).ok_or(GuestFault)?;
            *byte = self.byte(mfn, at as usize & 4095);
        }
        Ok(())
    }
    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        for (offset, byte) in (0..).zip(from) {
            let at = address.checked_add(offset).ok_or(GuestFault)?;
            let (mfn, writable) = self.translate(at).ok_or(GuestFault)?;
            if !writable {
                return Err(GuestFault);
            }
            self.set_byte(mfn, at as usize & 4095, *byte);
        }
        Ok(())
    }
    fn load_page_table(&self, root: Mfn) {
        self.root.set(root);
        self.cache.borrow_mut().clear();
    }
    fn flush(&self, cpus: CpuMask, what: Flush) {
        assert!(cpus.0 != 0);
        match what {
            Flush::All => self.cache.borrow_mut().clear(),
            Flush::Page(address) => drop(self.cache.borrow_mut().remove(&(address >> 12))),
        }
        self.flushes.set(self.flushes.get() + 1);
    }
    fn interrupt_pending(&self) -> bool {
        self.interrupt.get()
    }
    fn now(&self) -> u64 {
        0
    }
    fn clock(&self) -> ClockParameters {
        ClockParameters::default()
    }
    fn boot_wallclock(&self) -> u64 {
        0
    }
    // What events and grants have no use for
    fn fill_hypervisor_slots(&self, _root: Mfn) {}
    fn set_m2p(&self, _mfn: Mfn, _pfn: u64) {}
    fn m2p(&self, _mfn: Mfn) -> u64 {
        0
    }
    fn save_vcpu(&self, _from: &mut Vcpu) {}
    fn load_vcpu(&self, _to: &Vcpu) {}
    fn reload_descriptors(&self, _vcpu: &Vcpu) {}
    fn ldt_page(&self, _address: u64) -> Option<usize> {
        None
    }
    fn set_fs_base(&self, _base: u64) {}
    fn set_gs_base(&self, _base: u64) {}
    fn set_shadow_gs_base(&self, _base: u64) {}
    fn segment_bases(&self) -> (u64, u64, u64) {
        (0, 0, 0)
    }
    fn swap_gs(&self) {}
    fn load_user_gs_selector(&self, _selector: u16) {}
    fn set_task_switched(&self, _set: bool) {}
    fn set_guest_cr4(&self, _bits: u64) {}
    fn set_debug_register(&self, _number: usize, _value: u64) {}
    fn set_timer(&self, _deadline: Option<u64>) {}
    fn kick(&self, _cpu: CpuId) {}
    fn cpuid(&self, _leaf: u32, _subleaf: u32) -> [u32; 4] {
        [0; 4]
    }
    fn read_msr(&self, _number: u32) -> Option<u64> {
        None
    }
    fn console_write(&self, _bytes: &[u8]) {}
    fn log_read(&self, sequence: u64, _into: &mut [u8]) -> (u64, usize) {
        (sequence, 0)
    }
    fn log_end(&self) -> u64 {
        0
    }
    fn log(&self, _level: Level, _line: core::fmt::Arguments<'_>) {}
}

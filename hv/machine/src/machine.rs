//! [`X86`]: the seam of `hv-core`, implemented by the modules of this crate.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use abi::context::CpuUserRegs;
use hv_core::frames::{Frame, FrameRun};
use hv_core::ids::{CpuId, CpuMask, Mfn};
use hv_core::machine::{ClockParameters, Flush, GuestFault, Level, Machine};
use hv_core::vcpu::Vcpu;
use zerocopy::FromZeros;

use crate::layout::direct_frame;
use crate::paging::BootMemory;
use crate::pvh::Region;
use crate::{apic, clock, descriptors, log, msr, paging, percpu, processor, serial, tlb, uaccess};

/// This machine. It has no data: the hardware is the state.
pub struct X86;

/// Pages of a guest's GDT, the last two of which are ours, and of an LDT.
const GDT_PAGES: usize = 14;
const LDT_PAGES: usize = 16;
/// Where in a CPU's window the LDT begins, in pages.
const LDT_WINDOW: usize = 16;
const ENTRIES_PER_PAGE: usize = 512;
/// For each CPU how many pages of its windows may be in use: of the GDT's in the upper byte, of the LDT's in the lower. At first all.
static WINDOWS_USED: [AtomicUsize; percpu::RUNNING_CPUS] = [const { AtomicUsize::new(GDT_PAGES << 8 | LDT_PAGES) }; percpu::RUNNING_CPUS];

/// Physical address of the machine-to-physical table.
static M2P_TABLE: AtomicU64 = AtomicU64::new(0);
/// First frame number behind all RAM.
static FRAME_LIMIT: AtomicU64 = AtomicU64::new(0);

/// Tells where the machine-to-physical table is and how many entries it has.
pub fn set_m2p_table(physical: u64, entries: u64) {
    M2P_TABLE.store(physical, Ordering::Relaxed);
    FRAME_LIMIT.store(entries, Ordering::Relaxed);
}

/// The frame table, an entry for each of `count` frames, taken from boot memory.
pub fn frame_table(count: u64, memory: &mut BootMemory) -> &'static [Frame] {
    let bytes = count * size_of::<Frame>() as u64;
    let physical = memory.take(bytes, 4096);
    // SAFETY: the memory was just taken and is zero, which is a valid `Frame` (zerocopy's `FromZeros` says so); it is never given back.
    unsafe { core::slice::from_raw_parts(crate::layout::direct(physical) as *const Frame, count as usize) }
}

/// Lets `work` read the module. Its frames are reserved and belong to nobody until `work` hands them over.
pub fn with_module<R>(module: Region, work: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: the loader put the module into RAM, which the direct map shows; it was never handed out, and the first domain, which
    // gets its frames, does not run before `work` has ended.
    work(unsafe { core::slice::from_raw_parts(crate::layout::direct(module.start) as *const u8, (module.end - module.start) as usize) })
}

#[inline(always)]
fn bytes(mfn: Mfn, offset: usize, length: usize) -> *mut u8 {
    assert!(offset <= 4096 && length <= 4096 - offset && mfn.0 < FRAME_LIMIT.load(Ordering::Relaxed), "a frame access out of bounds");
    (direct_frame(mfn) + offset as u64) as *mut u8
}

fn m2p_entry(mfn: Mfn) -> Option<&'static AtomicU64> {
    if mfn.0 >= FRAME_LIMIT.load(Ordering::Relaxed) {
        return None;
    }
    let address = crate::layout::direct(M2P_TABLE.load(Ordering::Relaxed)) + mfn.0 * 8;
    // SAFETY: the table was taken at boot with an entry for every frame below the limit, and is only accessed by atomics.
    Some(unsafe { &*(address as *const AtomicU64) })
}

impl Machine for X86 {
    #[inline(always)]
    fn word(&self, mfn: Mfn, index: usize) -> &AtomicU64 {
        debug_assert!(mfn.0 < FRAME_LIMIT.load(Ordering::Relaxed));
        // SAFETY: *Direct map*: the frame number comes from the frame table; the index is masked to the frame; guests' memory is only
        // accessed atomically.
        unsafe { &*((direct_frame(mfn) + (index as u64 & 511) * 8) as *const AtomicU64) }
    }

    fn zero_frame(&self, mfn: Mfn) {
        // SAFETY: *Direct map*; a guest that still writes the frame races with itself alone, word by word.
        unsafe {
            core::arch::asm!("rep stosq", inout("rcx") 512u64 => _, inout("rdi") bytes(mfn, 0, 4096) => _, in("rax") 0, options(nostack, preserves_flags));
        }
    }

    fn copy_frame(&self, to: Mfn, from: Mfn) {
        self.copy_bytes(to, 0, from, 0, 4096);
    }

    fn read_frame(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        // SAFETY: *Direct map*, bounds checked by `bytes`; volatile-like string copy of memory that a guest may change meanwhile.
        unsafe { copy(into.as_mut_ptr(), bytes(mfn, offset, into.len()), into.len()) }
    }

    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        // SAFETY: as in `read_frame`.
        unsafe { copy(bytes(mfn, offset, from.len()), from.as_ptr(), from.len()) }
    }

    fn copy_bytes(&self, to: Mfn, to_offset: usize, from: Mfn, from_offset: usize, length: usize) {
        // SAFETY: as in `read_frame`, both sides.
        unsafe { copy(bytes(to, to_offset, length), bytes(from, from_offset, length), length) }
    }

    fn object<T: FromZeros>(&self, run: FrameRun) -> &'static mut T {
        assert!(size_of::<T>() as u64 <= run.count() * 4096 && align_of::<T>() <= 4096, "an object larger than its frames");
        for index in 0..run.count() {
            self.zero_frame(Mfn(run.first().0 + index));
        }
        // SAFETY: a `FrameRun` is made by the allocator alone and consumed here, so nobody else uses these frames; they are zero, which
        // is a valid T, and stay mapped for ever.
        unsafe { &mut *(direct_frame(run.first()) as *mut T) }
    }

    fn reclaim<T>(&self, object: &'static mut T) -> Mfn {
        Mfn::containing(object as *mut T as u64 - crate::layout::DIRECT_MAP)
    }

    #[inline]
    fn copy_from_guest(&self, address: u64, into: &mut [u8]) -> Result<(), GuestFault> {
        uaccess::copy_from_guest(address, into)
    }

    #[inline]
    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        uaccess::copy_to_guest(address, from)
    }

    #[inline(always)]
    fn read_words<const N: usize>(&self, address: u64) -> Result<[u64; N], GuestFault> {
        uaccess::read_words(address)
    }

    #[inline(always)]
    fn write_words<const N: usize>(&self, address: u64, words: [u64; N]) -> Result<(), GuestFault> {
        uaccess::write_words(address, words)
    }

    #[inline]
    fn load_page_table(&self, root: Mfn) {
        paging::load(root);
    }

    fn fill_hypervisor_slots(&self, root: Mfn) {
        paging::fill_slots(root);
    }

    #[inline]
    fn show_m2p(&self, root: Mfn, shown: bool) {
        paging::show_m2p(root, shown);
    }

    fn set_m2p(&self, mfn: Mfn, pfn: u64) {
        if let Some(entry) = m2p_entry(mfn) {
            entry.store(pfn, Ordering::Relaxed);
        }
    }

    fn m2p(&self, mfn: Mfn) -> u64 {
        m2p_entry(mfn).map_or(u64::MAX, |entry| entry.load(Ordering::Relaxed))
    }

    #[inline]
    fn flush(&self, cpus: CpuMask, what: Flush) {
        tlb::flush(cpus, what);
    }

    fn save_vcpu(&self, from: &mut Vcpu) {
        processor::save_fpu(&mut from.fpu);
        let (fs, active, shadow) = self.segment_bases();
        from.fs_base = fs;
        (from.gs_base_kernel, from.gs_base_user) = if from.in_kernel { (active, shadow) } else { (shadow, active) };
        save_selectors(&mut from.regs);
    }

    fn load_vcpu(&self, to: &Vcpu) {
        let cpu = percpu::id();
        set_windows(cpu, to);
        // This drops the windows' old translations, too.
        paging::load(to.active_table());
        descriptors::load_ldt(cpu, to.ldt_entries);
        load_selectors(&to.regs);
        self.set_fs_base(to.fs_base);
        let (active, shadow) = if to.in_kernel { (to.gs_base_kernel, to.gs_base_user) } else { (to.gs_base_user, to.gs_base_kernel) };
        self.set_gs_base(active);
        self.set_shadow_gs_base(shadow);
        processor::load_fpu(&to.fpu);
        processor::set_guest_cr4(to.cr4);
        if to.task_switched {
            processor::set_task_switched(true);
        }
        load_debug_registers(&to.debug);
    }

    fn reload_descriptors(&self, vcpu: &Vcpu) {
        let cpu = percpu::id();
        set_windows(cpu, vcpu);
        // The windows' entries are not global: this drops the old ones.
        tlb::local(Flush::All);
        descriptors::load_ldt(cpu, vcpu.ldt_entries);
    }

    fn set_fs_base(&self, base: u64) {
        // SAFETY: the hypervisor does not use FS; the base was checked to be canonical.
        unsafe { msr::write(msr::FS_BASE, base) }
    }

    fn set_gs_base(&self, base: u64) {
        // SAFETY: the hypervisor does not use GS; the base was checked to be canonical.
        unsafe { msr::write(msr::GS_BASE, base) }
    }

    fn set_shadow_gs_base(&self, base: u64) {
        // SAFETY: as in `set_gs_base`.
        unsafe { msr::write(msr::KERNEL_GS_BASE, base) }
    }

    fn segment_bases(&self) -> (u64, u64, u64) {
        (msr::read(msr::FS_BASE), msr::read(msr::GS_BASE), msr::read(msr::KERNEL_GS_BASE))
    }

    #[inline(always)]
    fn swap_gs(&self) {
        // SAFETY: the hypervisor does not use GS.
        unsafe { core::arch::asm!("swapgs", options(nomem, nostack, preserves_flags)) }
    }

    fn load_user_gs_selector(&self, selector: u16) {
        // Loading GS overwrites the active base, so load it as the shadow one: swap, load, swap back.
        self.swap_gs();
        load_gs(selector);
        self.swap_gs();
    }

    fn set_task_switched(&self, set: bool) {
        processor::set_task_switched(set);
    }

    fn set_debug_register(&self, number: usize, value: u64) {
        processor::set_debug_register(number, value);
    }

    #[inline]
    fn now(&self) -> u64 {
        clock::now()
    }

    fn clock(&self) -> ClockParameters {
        clock::parameters()
    }

    fn boot_wallclock(&self) -> u64 {
        clock::boot_wallclock()
    }

    fn set_timer(&self, deadline: Option<u64>) {
        apic::set_timer(deadline);
    }

    fn this_cpu(&self) -> CpuId {
        percpu::id()
    }

    fn kick(&self, cpu: CpuId) {
        if cpu != percpu::id() && percpu::online() & (1 << cpu) != 0 {
            apic::kick(cpu);
        }
    }

    fn ldt_page(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(crate::layout::ldt_window(percpu::id()))?;
        (offset < 16 * 4096).then_some(offset as usize / 4096)
    }

    fn set_guest_cr4(&self, bits: u64) {
        processor::set_guest_cr4(bits);
    }

    fn read_msr(&self, number: u32) -> Option<u64> {
        msr::try_read(number)
    }

    fn log_read(&self, sequence: u64, into: &mut [u8]) -> (u64, usize) {
        log::LOG.lock().read(sequence, into)
    }

    fn log_end(&self) -> u64 {
        log::LOG.lock().written()
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        processor::cpuid(leaf, subleaf)
    }

    fn mmio_read32(&self, address: u64) -> u32 {
        let register = paging::device_page(percpu::id(), address & !3) as *const u32;
        // SAFETY: *Device page*: just mapped, uncached, aligned; the address is no RAM, so reading it touches no object of ours.
        unsafe { register.read_volatile() }
    }

    fn mmio_write32(&self, address: u64, value: u32) {
        let register = paging::device_page(percpu::id(), address & !3) as *mut u32;
        // SAFETY: *Device page*, as in `mmio_read32`.
        unsafe { register.write_volatile(value) }
    }

    fn message(&self, slot: usize) -> (u64, u32) {
        apic::message(slot)
    }

    fn interrupt_pending(&self) -> bool {
        apic::interrupt_pending()
    }

    fn console_write(&self, bytes: &[u8]) {
        serial::CONSOLE.write(bytes);
    }

    fn log(&self, level: Level, line: core::fmt::Arguments<'_>) {
        log::write(level, line);
    }
}

/// Copies bytes that a guest may change meanwhile.
///
/// # Safety
/// Both ranges are mapped, and one of them belongs to the hypervisor alone or both are guests' frames.
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller's promise; a string copy makes no assumption about the bytes.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov ecx, {tail:e}",
            "rep movsb",
            tail = in(reg) length & 7,
            inout("rcx") length / 8 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Points a CPU's windows at a vCPU's descriptor tables. Most have one page: pages that neither it nor whoever was there before has are left
/// alone. The caller drops the old translations.
fn set_windows(cpu: usize, vcpu: &Vcpu) {
    // A GDT's frames stand without a gap; those of an LDT come as they are needed.
    let gdt = vcpu.gdt_frames.iter().position(|&frame| frame == 0).unwrap_or(GDT_PAGES).min(GDT_PAGES);
    let ldt = (vcpu.ldt_entries as usize).div_ceil(ENTRIES_PER_PAGE).min(LDT_PAGES);
    let before = WINDOWS_USED[cpu].swap(gdt << 8 | ldt, Ordering::Relaxed);
    for (page, &frame) in vcpu.gdt_frames.iter().enumerate().take(gdt.max(before >> 8)) {
        paging::set_window(cpu, page, Some(if frame == 0 { descriptors::zero_frame() } else { Mfn(frame) }));
    }
    for (page, &frame) in vcpu.ldt_frames.iter().enumerate().take(ldt.max(before & 0xff)) {
        paging::set_window(cpu, LDT_WINDOW + page, (frame != 0).then_some(Mfn(frame)));
    }
}

fn save_selectors(regs: &mut CpuUserRegs) {
    // SAFETY: reading selectors has no effect.
    unsafe {
        core::arch::asm!("mov {:x}, ds", out(reg) regs.ds, options(nomem, nostack, preserves_flags));
        core::arch::asm!("mov {:x}, es", out(reg) regs.es, options(nomem, nostack, preserves_flags));
        core::arch::asm!("mov {:x}, fs", out(reg) regs.fs, options(nomem, nostack, preserves_flags));
        core::arch::asm!("mov {:x}, gs", out(reg) regs.gs, options(nomem, nostack, preserves_flags));
    }
}

macro_rules! load_selector {
    ($register:literal, $selector:expr) => {
        // SAFETY: a data selector that the guest's tables do not have faults; the exception table then loads null instead. The
        // hypervisor uses none of these segments.
        unsafe {
            core::arch::asm!(
                concat!("2: mov ", $register, ", {0:e}"),
                "jmp 4f",
                "3: xor {0:e}, {0:e}",
                concat!("mov ", $register, ", {0:e}"),
                "4:",
                ".pushsection .ex_table, \"a\"",
                ".long 2b - ., 3b - .",
                ".popsection",
                inout(reg) u32::from($selector) => _,
                options(nostack),
            );
        }
    };
}

fn load_gs(selector: u16) {
    load_selector!("gs", selector);
}

fn load_selectors(regs: &CpuUserRegs) {
    load_selector!("ds", regs.ds);
    load_selector!("es", regs.es);
    load_selector!("fs", regs.fs);
    load_selector!("gs", regs.gs);
}

/// Debug registers are loaded only where breakpoints are armed, now or before.
fn load_debug_registers(debug: &[u64; 8]) {
    let armed = debug[7] & 0xff != 0;
    if armed {
        for (number, &address) in debug[..4].iter().enumerate() {
            processor::set_debug_register(number, address);
        }
        processor::set_debug_register(6, debug[6]);
    }
    if armed || processor::has_breakpoints() {
        processor::set_debug_register(7, if armed { debug[7] } else { 0x400 });
    }
}

//! The processor's descriptor tables: each CPU's page 14 of its GDT, its TSS with the interrupt stacks, and the one IDT.
//!
//! A guest owns GDT entries below 7168 (pages 0 to 13); the selectors of page 14 are fixed by the ABI (`FLAT_RING3_*`,
//! `arch-x86/xen-x86_64.h`): 0xe008 is the hypervisor's code, 0xe023/0xe02b/0xe033 are what flat guests run with. Their order is the
//! one that SYSCALL and SYSRET demand.

use core::arch::asm;

use crate::layout::{gdt_window, ldt_window};
use crate::percpu::{self, PerCpu, RUNNING_CPUS};

/// Ring-0 code.
pub const HV_CODE: u16 = 0xe008;
/// Ring-0 stack.
pub const HV_DATA: u16 = 0xe010;
/// The selector base that SYSRET adds to.
pub const SYSRET_BASE: u16 = 0xe023;
const TSS_SELECTOR: u16 = 0xe040;
const LDT_SELECTOR: u16 = 0xe050;
/// The page of the GDT that is the hypervisor's.
const RESERVED_PAGE: usize = 14;
/// Bytes of the GDT that the processor may read: 15 pages.
const GDT_LIMIT: u16 = (15 * 4096 - 1) as u16;

#[repr(C, align(4096))]
struct Page([u64; 512]);

/// Task state segment, 64-bit (SDM 3, figure 8-11).
#[repr(C, packed(4))]
struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// A stack for one vector of one CPU. Its last words tell where the CPU's own stack begins, for [`crate::entry`].
#[repr(C, align(16))]
struct InterruptStack {
    room: [u8; 8192],
    entry_stack: u64,
    _align: u64,
}

const EMPTY_STACK: InterruptStack = InterruptStack { room: [0; 8192], entry_stack: 0, _align: 0 };

#[repr(C, align(16))]
struct Gate {
    low: u64,
    high: u64,
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

const EMPTY_TSS: Tss =
    Tss { reserved0: 0, rsp: [0; 3], reserved1: 0, ist: [0; 7], reserved2: 0, reserved3: 0, io_map: size_of::<Tss>() as u16 };

static PAGES: [PerCpu<Page>; RUNNING_CPUS] = [const { PerCpu::new(Page([0; 512])) }; RUNNING_CPUS];
static TSS: [PerCpu<Tss>; RUNNING_CPUS] = [const { PerCpu::new(EMPTY_TSS) }; RUNNING_CPUS];
static INTERRUPT_STACKS: [[PerCpu<InterruptStack>; 4]; RUNNING_CPUS] = [const { [const { PerCpu::new(EMPTY_STACK) }; 4] }; RUNNING_CPUS];
static ZERO_PAGE: Page = Page([0; 512]);
static IDT: PerCpu<[Gate; 256]> = PerCpu::new([const { Gate { low: 0, high: 0 } }; 256]);

/// A frame of zeros: what a guest's GDT shows where it has no entries.
pub fn zero_frame() -> hv_core::ids::Mfn {
    image_frame(&raw const ZERO_PAGE as u64)
}

fn image_frame(address: u64) -> hv_core::ids::Mfn {
    hv_core::ids::Mfn::containing(address - crate::layout::IMAGE_OFFSET)
}

/// Loads GDT, TSS and IDT on this CPU.
pub fn init(cpu: usize) {
    fill_page(cpu);
    for page in 0..15 {
        crate::paging::set_window(cpu, page, Some(if page == RESERVED_PAGE { image_frame(PAGES[cpu].get() as u64) } else { zero_frame() }));
    }
    fill_idt();
    let gdt = Pointer { limit: GDT_LIMIT, base: gdt_window(cpu) };
    let idt = Pointer { limit: 4095, base: IDT.get() as u64 };
    // SAFETY: the window shows the page that `fill_page` wrote; its code and stack descriptors are flat ring-0 segments, so execution
    // goes on where it is; the TSS and the IDT are statics that live for ever.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "push {code}",
            "lea {tmp}, [rip + 2f]",
            "push {tmp}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "ltr {tss:x}",
            "lidt [{idt}]",
            gdt = in(reg) &raw const gdt,
            idt = in(reg) &raw const idt,
            code = in(reg) u64::from(HV_CODE),
            data = in(reg) u64::from(HV_DATA),
            tss = in(reg) TSS_SELECTOR,
            tmp = out(reg) _,
        );
    }
}

fn fill_page(cpu: usize) {
    let tss = TSS[cpu].get() as u64;
    // SAFETY: runs once on each CPU before its tables are loaded: nobody else refers to this CPU's TSS, stacks and page.
    unsafe {
        (*TSS[cpu].get()).rsp[0] = percpu::entry_stack(cpu);
        for (index, stack) in INTERRUPT_STACKS[cpu].iter().enumerate() {
            (*stack.get()).entry_stack = percpu::entry_stack(cpu);
            (*TSS[cpu].get()).ist[index] = &raw const (*stack.get()).entry_stack as u64;
        }
        let page = &mut (*PAGES[cpu].get()).0;
        page[1] = 0x00af_9b00_0000_ffff; // 0xe008: code, 64-bit, ring 0
        page[2] = 0x00cf_9300_0000_ffff; // 0xe010: data, ring 0
        page[4] = 0x00cf_fb00_0000_ffff; // 0xe023: code, 32-bit, ring 3
        page[5] = 0x00cf_f300_0000_ffff; // 0xe02b: data, ring 3
        page[6] = 0x00af_fb00_0000_ffff; // 0xe033: code, 64-bit, ring 3
        let [low, high] = system(tss, size_of::<Tss>() as u64 - 1, 9);
        (page[8], page[9]) = (low, high);
    }
}

/// A 16-byte system descriptor (SDM 3, figure 8-4).
fn system(base: u64, limit: u64, kind: u64) -> [u64; 2] {
    let low = limit & 0xffff | (base & 0xff_ffff) << 16 | (0x80 | kind) << 40 | (limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// Makes the LDT window, or nothing, this CPU's LDT.
pub fn load_ldt(cpu: usize, entries: u32) {
    let selector = if entries == 0 { 0 } else { LDT_SELECTOR };
    // SAFETY: only this CPU reads its page; the descriptor points into this CPU's window, whose pages are frames typed as descriptor
    // tables or absent.
    unsafe {
        let page = &mut (*PAGES[cpu].get()).0;
        let [low, high] = system(ldt_window(cpu), (u64::from(entries) * 8).saturating_sub(1), 2);
        (page[10], page[11]) = (low, high);
        asm!("lldt {:x}", in(reg) selector, options(nostack, preserves_flags));
    }
}

/// Which IST stack a vector uses; 0 is none. These can arrive while the guest's RSP is still loaded, just after SYSCALL.
fn interrupt_stack(vector: usize) -> u64 {
    match vector {
        1 => 1,  // #DB
        2 => 2,  // NMI
        8 => 3,  // #DF
        18 => 4, // #MC
        _ => 0,
    }
}

/// Vectors that a guest may raise by instruction: INT3, INTO. INT n arrives as #GP and is decoded.
fn privilege(vector: usize) -> u64 {
    if vector == 3 || vector == 4 { 3 } else { 0 }
}

fn fill_idt() {
    for vector in 0..256 {
        let target = crate::entry::gate(vector);
        let low = target & 0xffff
            | u64::from(HV_CODE) << 16
            | interrupt_stack(vector) << 32
            | (0x8e | privilege(vector) << 5) << 40
            | (target >> 16 & 0xffff) << 48;
        // SAFETY: runs before the IDT is loaded on this CPU; on a later CPU it writes the same values again.
        unsafe { (*IDT.get())[vector] = Gate { low, high: target >> 32 } };
    }
}

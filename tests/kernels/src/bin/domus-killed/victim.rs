//! A victim: a domain of a few pages whose program is a list of hypercalls. It makes them as one multicall, says that it has, and then makes
//! another multicall again and again.

use core::arch::global_asm;
use core::mem::size_of;

use pv_guest_sdk::abi::context::{CpuUserRegs, VGCF_IN_KERNEL, VGCF_ONLINE, VcpuGuestContext};
use pv_guest_sdk::abi::control::{self as ctl, DOMID_ANY, Domain, DomainCreate, VcpuContext};
use pv_guest_sdk::abi::grant::{EntryV1, GTF_PERMIT_ACCESS, OP_SETUP_TABLE, SetupTable};
use pv_guest_sdk::abi::hypercall::{MULTICALL, SCHED_OP, XEN_VERSION};
use pv_guest_sdk::abi::memory::{OP_POPULATE_PHYSMAP, Reservation};
use pv_guest_sdk::abi::mmu::{EXT_PIN_L4_TABLE, MmuextOp, pte};
use pv_guest_sdk::abi::multicall::MulticallEntry;
use pv_guest_sdk::abi::{Errno, segment};
use pv_guest_sdk::hypercall::{self, Result};
use pv_guest_sdk::memory::{self, Window};
use pv_guest_sdk::{control, grants, time};

/// Pages of a victim.
pub const PAGES: usize = 24;
/// The first are its page tables, from the top-level table down.
const TABLES: usize = 4;
const CODE: usize = 4;
const CALLS: usize = 5;
const ARGUMENTS: usize = 6;
/// A page that it uses for nothing: to be granted, or mapped.
pub const SPARE: usize = 7;
const ENDLESS: usize = 8;
/// Calls of the endless multicall: many more than are made at a time.
const ENDLESS_CALLS: usize = (PAGES - ENDLESS) * 4096 / size_of::<MulticallEntry>();

/// Where it has page 0 mapped, or would have: its tables are mapped nowhere.
const BASE: u64 = 0x40_0000;
/// An address that its tables can map and do not.
pub const HOLE: u64 = address(40);

/// Where a victim has one of its pages.
const fn address(page: usize) -> u64 {
    BASE + page as u64 * 4096
}

global_asm!(
    ".pushsection .rodata.killed, \"a\"",
    ".balign 16",
    ".globl killed_start",
    "killed_start:",
    "    mov eax, {multicall}",
    "    mov rdi, {calls}",
    "    mov rsi, [rip + killed_count]",
    "    syscall",
    "    mov qword ptr [rip + killed_done], 1",
    "2:  mov eax, {multicall}",
    "    mov rdi, {endless}",
    "    mov rsi, [rip + killed_endless]",
    "    test rsi, rsi",
    "    jz 3f",
    "    syscall",
    "    jmp 2b",
    "3:  mov eax, {sched}",
    "    xor edi, edi",
    "    xor esi, esi",
    "    syscall",
    "    jmp 3b",
    ".balign 8",
    ".globl killed_count",
    "killed_count: .quad 0",
    ".globl killed_endless",
    "killed_endless: .quad 0",
    ".globl killed_done",
    "killed_done: .quad 0",
    ".globl killed_end",
    "killed_end:",
    ".popsection",
    multicall = const MULTICALL,
    sched = const SCHED_OP,
    calls = const address(CALLS),
    endless = const address(ENDLESS),
);

unsafe extern "C" {
    static killed_start: u8;
    static killed_count: u8;
    static killed_endless: u8;
    static killed_done: u8;
    static killed_end: u8;
}

/// Where a word lies in the page of the program.
fn offset(symbol: *const u8) -> usize {
    symbol.addr() - (&raw const killed_start).addr()
}

/// A victim, and its pages mapped here until it is told to run.
pub struct Victim {
    /// Its number.
    pub domid: u16,
    /// Its frames.
    pub frames: [u64; PAGES],
    calls: usize,
}

impl Victim {
    /// A domain with memory and tables, paused, that has not run yet.
    pub fn new() -> Result<Victim> {
        let mut request = DomainCreate {
            domid: DOMID_ANY,
            max_vcpus: 1,
            max_frames: 64,
            max_event_channels: 127,
            max_grant_frames: 4,
            max_maptrack_frames: 4,
            ..Default::default()
        };
        // SAFETY: the structure of the operation; it names no buffer.
        unsafe { control::op(ctl::OP_DOMAIN_CREATE, &mut request) }?;
        let mut victim = Victim { domid: request.domid as u16, frames: [0; PAGES], calls: 0 };
        victim.populate()?;
        victim.fill()?;
        let pin = MmuextOp { cmd: EXT_PIN_L4_TABLE, arg1: victim.frames[0], ..Default::default() };
        // SAFETY: another domain's table, of which nothing is mapped writable any more.
        unsafe { hypercall::mmuext_op_for(&[pin], victim.domid) }?;
        victim.give_context()?;
        Ok(victim)
    }

    fn populate(&mut self) -> Result<()> {
        let mut extents: [u64; PAGES] = core::array::from_fn(|page| page as u64);
        let mut request =
            Reservation { extent_start: extents.as_mut_ptr() as u64, nr_extents: PAGES as u64, domid: self.domid, ..Default::default() };
        // SAFETY: the structure of the operation; its list is as long as it says.
        let given = unsafe { hypercall::memory_op(OP_POPULATE_PHYSMAP, &mut request) }?;
        self.frames = extents;
        if given == PAGES as u64 { Ok(()) } else { Err(Errno::NOMEM) }
    }

    /// Tables that map all pages but themselves, and the program.
    fn fill(&self) -> Result<()> {
        let all = self.map(0, PAGES, true)?;
        let table = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY;
        let slot = |level: usize, address: u64| (address >> (12 + 9 * (TABLES - 1 - level)) & 511) as usize;
        for level in 0..TABLES - 1 {
            write(&all, level, slot(level, BASE), self.frames[level + 1] << 12 | table);
        }
        for page in TABLES..PAGES {
            write(&all, TABLES - 1, slot(TABLES - 1, address(page)), self.frames[page] << 12 | table);
        }
        for index in 0..ENDLESS_CALLS {
            write(&all, ENDLESS, index * size_of::<MulticallEntry>() / 8, XEN_VERSION);
        }
        let bytes = offset(&raw const killed_end);
        // SAFETY: the program's bytes, and a page of the window, which is larger.
        unsafe { all.page(CODE).copy_from_nonoverlapping(&raw const killed_start, bytes) };
        Ok(())
    }

    fn give_context(&self) -> Result<()> {
        let user_regs = CpuUserRegs {
            rip: address(CODE),
            cs: segment::FLAT_KERNEL_CS,
            ss: segment::FLAT_KERNEL_SS,
            rsp: address(SPARE + 1),
            rflags: 0x202,
            ..Default::default()
        };
        let mut context = VcpuGuestContext {
            flags: VGCF_IN_KERNEL | VGCF_ONLINE,
            user_regs,
            kernel_ss: segment::FLAT_KERNEL_SS.into(),
            kernel_sp: address(SPARE + 1),
            ctrlreg: [0, 0, 0, self.frames[0] << 12, 0, 0, 0, 0],
            debugreg: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            ..Default::default()
        };
        self.context(&mut context, true)
    }

    fn context(&self, context: &mut VcpuGuestContext, set: bool) -> Result<()> {
        let mut request =
            VcpuContext { domid: self.domid.into(), set: set.into(), context: context as *mut _ as u64, ..Default::default() };
        // SAFETY: the context lives as long as the call.
        unsafe { control::op(ctl::OP_VCPU_CONTEXT, &mut request) }.map(|_| ())
    }

    /// Maps some of its pages here.
    pub fn map(&self, first: usize, count: usize, writable: bool) -> Result<Window> {
        // SAFETY: all accesses are volatile, or made while it does not run.
        unsafe { memory::map_foreign(self.domid, &self.frames[first..first + count], writable) }
    }

    /// Adds a call with one structure to its program, which it will make when it runs.
    pub fn will_call<T>(&mut self, number: u64, op: u32, argument: T) -> Result<()> {
        let window = self.map(CALLS, 2, true)?;
        let at = 64 * self.calls;
        let entry = MulticallEntry { op: number, args: [op.into(), address(ARGUMENTS) + at as u64, 1, 0, 0, 0], ..Default::default() };
        assert!(size_of::<T>() <= 64 && at < 4096, "room in the page");
        // SAFETY: both lie within their pages (asserted), at multiples of 64.
        unsafe {
            window.page(0).add(at).cast::<MulticallEntry>().write_volatile(entry);
            window.page(1).add(at).cast::<T>().write_volatile(argument);
        }
        self.calls += 1;
        Ok(())
    }

    /// The structure of a call that it has made, and the call's result.
    pub fn has_called<T>(&self, call: usize) -> Result<(i64, T)> {
        let window = self.map(CALLS, 2, false)?;
        // SAFETY: as in `will_call`.
        let (entry, argument) = unsafe {
            let entry = window.page(0).add(64 * call).cast::<MulticallEntry>().read_volatile();
            (entry, window.page(1).add(64 * call).cast::<T>().read_volatile())
        };
        Ok((entry.result as i64, argument))
    }

    /// Lets it run until it has made its calls; then it yields for ever, or makes multicalls without end.
    pub fn run(&self, endless: bool) -> Result<()> {
        let window = self.map(CODE, 1, true)?;
        write(&window, 0, offset(&raw const killed_count) / 8, self.calls as u64);
        write(&window, 0, offset(&raw const killed_endless) / 8, if endless { ENDLESS_CALLS as u64 } else { 0 });
        self.named(ctl::OP_DOMAIN_UNPAUSE)?;
        let deadline = time::now() + 20_000_000_000;
        while read(&window, offset(&raw const killed_done) / 8) == 0 {
            if time::now() > deadline {
                return Err(Errno::TIMEDOUT);
            }
            time::sleep(200_000);
        }
        Ok(())
    }

    /// Whether it is in the middle of its endless multicall: it was taken from the processor behind some calls and before others.
    pub fn is_within_multicall(&self) -> Result<bool> {
        let mut context = VcpuGuestContext::default();
        self.context(&mut context, false)?;
        let regs = &context.user_regs;
        let first = address(ENDLESS);
        let part = first + 1..first + (ENDLESS_CALLS * size_of::<MulticallEntry>()) as u64;
        Ok(regs.rax == MULTICALL && part.contains(&regs.rdi))
    }

    /// Any operation that only names a domain.
    pub fn named(&self, operation: u32) -> Result<()> {
        let mut request = Domain { domid: self.domid.into(), ..Default::default() };
        // SAFETY: the structure of the operations that are asked for here; it names no buffer.
        unsafe { control::op(operation, &mut request) }.map(|_| ())
    }

    /// Kills it.
    pub fn kill(&self) -> Result<()> {
        self.named(ctl::OP_DOMAIN_DESTROY)
    }

    /// Enters a grant of one of its pages to another domain into its table.
    pub fn grants(&self, reference: u32, to: u16, page: usize) -> Result<()> {
        let mut frame = 0u64;
        let mut setup = SetupTable { dom: self.domid, nr_frames: 1, frame_list: (&raw mut frame) as u64, ..Default::default() };
        // SAFETY: the structure of the operation; its list has room for one frame.
        unsafe { hypercall::grant_table_op(OP_SETUP_TABLE, core::slice::from_mut(&mut setup)) }?;
        if setup.status != 0 {
            return Err(grants::status_errno(setup.status));
        }
        // SAFETY: it does not run, so the table is ours to write.
        let window = unsafe { memory::map_foreign(self.domid, &[frame], true) }?;
        let entry = EntryV1 { flags: GTF_PERMIT_ACCESS, domid: to, frame: self.frames[page] as u32 };
        assert!(reference < 512, "within the page");
        // SAFETY: within the page (asserted).
        unsafe { window.as_ptr().cast::<EntryV1>().add(reference as usize).write_volatile(entry) };
        Ok(())
    }
}

/// Writes a word of mapped pages, counted from the first byte of `page`.
pub fn write(window: &Window, page: usize, word: usize, value: u64) {
    assert!(page * 512 + word < window.pages() * 512);
    // SAFETY: within the window (asserted), which is another domain's memory: nothing here refers into it.
    unsafe { window.as_ptr().cast::<u64>().add(page * 512 + word).write_volatile(value) }
}

/// Reads a word of mapped pages.
pub fn read(window: &Window, word: usize) -> u64 {
    assert!(word < window.pages() * 512);
    // SAFETY: as in `write`.
    unsafe { window.as_ptr().cast::<u64>().add(word).read_volatile() }
}

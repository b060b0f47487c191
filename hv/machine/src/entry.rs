//! The doors: system calls, exceptions and interrupts, from assembly to the three handlers that `hv` provides, and back.
//!
//! Each door builds an [`CpuUserRegs`] on the stack. From ring 3 that is the one at the top of the CPU's stack, and the way back
//! restores it as the handler left it, so a handler switches vCPUs by exchanging its contents. From ring 0 (a fault in a guest
//! copy, or an interrupt in the idle halt) it is a plain interrupt frame.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::context::CpuUserRegs;

use crate::msr;
use crate::percpu::{ENTRY_WORDS, EntryWords};

macro_rules! save_registers {
    () => {
        "push rdi\n push rsi\n push rdx\n push rcx\n push rax\n push r8\n push r9\n push r10\n push r11\n push rbx\n push rbp\n push r12\n push r13\n push r14\n push r15\n"
    };
}

macro_rules! restore_registers {
    () => {
        "pop r15\n pop r14\n pop r13\n pop r12\n pop rbp\n pop rbx\n pop r11\n pop r10\n pop r9\n pop r8\n pop rax\n pop rcx\n pop rdx\n pop rsi\n pop rdi\n"
    };
}

unsafe extern "C" {
    fn domus_system_call(regs: &mut CpuUserRegs);
    fn domus_exception(regs: &mut CpuUserRegs);
    fn domus_interrupt(regs: &mut CpuUserRegs);
}

/// Exports the shell's three handlers and its boot function under the names that the entry code calls.
///
/// `boot: fn(BootInfo) -> !`, the others `fn(&mut CpuUserRegs)`, called with interrupts off on the CPU's stack.
#[macro_export]
macro_rules! handlers {
    (boot: $boot:path, system_call: $call:path, exception: $exception:path, interrupt: $interrupt:path $(,)?) => {
        #[unsafe(no_mangle)]
        fn domus_boot(info: &'static $crate::pvh::BootInfo) -> ! {
            $boot(info)
        }
        #[unsafe(no_mangle)]
        extern "C" fn domus_system_call(regs: &mut $crate::CpuUserRegs) {
            $call(regs)
        }
        #[unsafe(no_mangle)]
        extern "C" fn domus_exception(regs: &mut $crate::CpuUserRegs) {
            $exception(regs)
        }
        #[unsafe(no_mangle)]
        extern "C" fn domus_interrupt(regs: &mut $crate::CpuUserRegs) {
            $interrupt(regs)
        }
    };
}

macro_rules! stub {
    ($target:literal) => {
        concat!(
            ".balign 32\n",
            "mov [rip + {words} + cpu * {size}], rsp\n",
            "mov rsp, [rip + {words} + cpu * {size} + 8]\n",
            "push 0xe02b\n",
            "push qword ptr [rip + {words} + cpu * {size}]\n",
            "jmp {",
            $target,
            "}\n",
        )
    };
}

/// Where SYSCALL lands: two stubs for each CPU, 32 bytes apart, for 64-bit code and for compatibility mode, for CPU 0 first. They
/// differ in the code selector that they assume, since SYSCALL does not save it.
#[unsafe(naked)]
unsafe extern "C" fn system_call_stubs() {
    naked_asm!(
        ".set cpu, 0",
        ".rept {cpus}",
        stub!("wide"),
        stub!("compat"),
        ".set cpu, cpu + 1",
        ".endr",
        cpus = const hv_core::ids::MAX_CPUS,
        words = sym ENTRY_WORDS,
        size = const size_of::<EntryWords>(),
        wide = sym system_call_wide,
        compat = sym system_call_compat,
    )
}

macro_rules! system_call_entry {
    ($name:ident, $selector:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push r11",
                concat!("push ", $selector),
                "push rcx",
                "push 0",
                save_registers!(),
                "mov rdi, rsp",
                "sub rsp, 8",
                "call {handler}",
                "jmp {resume}",
                handler = sym domus_system_call,
                resume = sym resume,
            )
        }
    };
}

system_call_entry!(system_call_wide, "0xe033");
system_call_entry!(system_call_compat, "0xe023");

/// Back to the guest, whose registers are on the stack behind one word of padding.
#[unsafe(naked)]
unsafe extern "C" fn resume() {
    naked_asm!(
        "add rsp, 8",
        restore_registers!(),
        "add rsp, 8",
        "2: iretq",
        ".pushsection .ex_table, \"a\"",
        ".long 2b - ., {bad} - .",
        ".popsection",
        bad = sym bad_return,
    )
}

/// IRET refused the guest's frame (a selector that is no code or stack segment, say). The frame is still on the stack: tell the
/// shell as an exception of the guest with vector [`BAD_RETURN`], and try again with what it makes of it.
#[unsafe(naked)]
unsafe extern "C" fn bad_return() {
    naked_asm!(
        "push 0",
        "mov dword ptr [rsp + 4], {vector}",
        save_registers!(),
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {handler}",
        "jmp {resume}",
        vector = const BAD_RETURN,
        handler = sym domus_exception,
        resume = sym resume,
    )
}

/// `entry_vector` when the way back to the guest failed.
pub const BAD_RETURN: u32 = 0x101;

/// The exception that IRET raised on each CPU when it refused a guest's frame: its vector in the upper half, its error code in the lower.
static REFUSALS: [AtomicU64; crate::percpu::RUNNING_CPUS] = [const { AtomicU64::new(0) }; crate::percpu::RUNNING_CPUS];

/// Vector and error code of the exception that made [`BAD_RETURN`] on this CPU.
pub fn refusal() -> (u32, u32) {
    let refusal = REFUSALS[crate::percpu::id()].load(Ordering::Relaxed);
    ((refusal >> 32) as u32, refusal as u32)
}

/// The 256 gates, 16 bytes apart: each pushes an error code where the processor does not, and its vector.
#[unsafe(naked)]
unsafe extern "C" fn gates() {
    naked_asm!(
        ".set vector, 0",
        ".rept 256",
        ".balign 16",
        // Vectors 8, 10-14, 17, 21, 29, 30 come with an error code.
        ".if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)",
        ".else",
        "push 0",
        ".endif",
        "mov dword ptr [rsp + 4], vector",
        ".byte 0xe9",
        // #DB, NMI, #DF and #MC come on stacks of their own.
        ".if (vector == 1) || (vector == 2) || (vector == 8) || (vector == 18)",
        ".long {own_stack} - (. + 4)",
        ".else",
        ".long {common} - (. + 4)",
        ".endif",
        ".set vector, vector + 1",
        ".endr",
        common = sym gate_common,
        own_stack = sym gate_own_stack,
    )
}

/// Where the IDT's gate for `vector` points.
pub fn gate(vector: usize) -> u64 {
    gates as *const () as u64 + vector as u64 * 16
}

#[unsafe(naked)]
unsafe extern "C" fn gate_common() {
    naked_asm!(
        "cld",
        save_registers!(),
        "test byte ptr [rsp + {cs}], 3",
        "jz {from_inside}",
        "jmp {from_guest}",
        cs = const core::mem::offset_of!(CpuUserRegs, cs),
        from_inside = sym gate_from_inside,
        from_guest = sym gate_from_guest,
    )
}

/// A vector with a stack of its own. What came from a guest moves to the CPU's stack, where its registers belong: the word above the
/// frame tells where that is ([`crate::descriptors`]).
#[unsafe(naked)]
unsafe extern "C" fn gate_own_stack() {
    naked_asm!(
        "cld",
        save_registers!(),
        "test byte ptr [rsp + {cs}], 3",
        "jz {from_inside}",
        "mov rsi, rsp",
        "mov rdi, [rsp + {frame}]",
        "sub rdi, {frame}",
        "mov rsp, rdi",
        "mov ecx, {frame} / 8",
        "rep movsq",
        "jmp {from_guest}",
        cs = const core::mem::offset_of!(CpuUserRegs, cs),
        frame = const core::mem::offset_of!(CpuUserRegs, ss) + 8,
        from_inside = sym gate_from_inside,
        from_guest = sym gate_from_guest,
    )
}

/// The registers are at RSP, on the CPU's stack. A guest may have set AC, which would lift SMAP.
#[unsafe(naked)]
unsafe extern "C" fn gate_from_guest() {
    naked_asm!(
        "cmp byte ptr [rip + {smap}], 0",
        "je 4f",
        "clac",
        "4: mov rdi, rsp",
        "sub rsp, 8",
        "cmp dword ptr [rdi + {vector}], 32",
        "jae 2f",
        "call {exception}",
        "jmp {resume}",
        "2: call {interrupt}",
        "jmp {resume}",
        smap = sym crate::uaccess::SMAP,
        vector = const core::mem::offset_of!(CpuUserRegs, entry_vector),
        exception = sym domus_exception,
        interrupt = sym domus_interrupt,
        resume = sym resume,
    )
}

/// From ring 0, on whatever stack, with any alignment.
#[unsafe(naked)]
unsafe extern "C" fn gate_from_inside() {
    naked_asm!(
        "mov rdi, rsp",
        "mov rbp, rsp",
        "and rsp, -16",
        "call {inside}",
        "mov rsp, rbp",
        restore_registers!(),
        "add rsp, 8",
        "iretq",
        inside = sym inside,
    )
}

/// An exception or interrupt in the hypervisor itself.
extern "C" fn inside(regs: &mut CpuUserRegs) {
    if regs.entry_vector >= 32 {
        // Only the idle halt has interrupts on, and it holds no lock.
        // SAFETY: `hv` exports this function through `handlers!`, with this signature.
        return unsafe { domus_interrupt(regs) };
    }
    if regs.entry_vector == 2 {
        return; // NMI: nothing here asks for one; QEMU's monitor can send it.
    }
    if regs.entry_vector == 1 {
        // A guest's breakpoint on its own memory, which the hypervisor touched for it; or one that its load of SS put off until behind
        // SYSCALL or INT3. It is not told of either (nor is it on Xen).
        crate::processor::take_debug_status();
        return;
    }
    match crate::uaccess::fixup(regs.rip) {
        Some(to) => {
            if to == bad_return as *const () as u64 {
                let refusal = u64::from(regs.entry_vector) << 32 | u64::from(regs.error_code);
                REFUSALS[crate::percpu::id()].store(refusal, Ordering::Relaxed);
            }
            regs.rip = to;
        }
        None => crate::panic_exception(regs),
    }
}

/// Sets up SYSCALL on this CPU.
pub fn init(cpu: usize) {
    let stub = system_call_stubs as *const () as u64 + cpu as u64 * 64;
    let star = u64::from(crate::descriptors::SYSRET_BASE) << 48 | u64::from(crate::descriptors::HV_CODE) << 32;
    // SAFETY: the registers exist on every x86-64 processor; the stub saves the guest's state and takes this CPU's stack. The mask
    // clears TF, IF, DF, IOPL, NT, RF, VM, AC: the handler starts in a known state.
    unsafe {
        msr::write(msr::STAR, star);
        msr::write(msr::LSTAR, stub);
        msr::write(msr::CSTAR, stub + 32);
        msr::write(msr::FMASK, 0x0007_7700);
    }
}

/// Enters a guest for the first time on this CPU, with the registers at the top of its stack as the shell has set them.
pub fn enter(cpu: usize) -> ! {
    let regs = crate::percpu::stack_top(cpu) as u64 + core::mem::offset_of!(crate::percpu::StackTop, regs) as u64;
    // SAFETY: the frame at the top of this CPU's stack is complete; the boot stack is left for ever.
    unsafe { asm!("mov rsp, {0}", "sub rsp, 8", "jmp {1}", in(reg) regs, sym resume, options(noreturn)) }
}

/// The registers at the top of this CPU's stack, for the shell to fill before [`enter`]. Hands them out once.
///
/// # Panics
/// If asked again: from then on the entry code hands them out.
pub fn boot_registers(cpu: usize) -> &'static mut CpuUserRegs {
    static TAKEN: [AtomicBool; crate::percpu::RUNNING_CPUS] = [const { AtomicBool::new(false) }; crate::percpu::RUNNING_CPUS];
    assert!(!TAKEN[cpu].swap(true, Ordering::Relaxed), "the boot registers are taken once");
    // SAFETY: taken once, on the boot stack, before the first guest runs on this CPU: nobody else uses its entry stack yet, and the
    // reference is gone when `enter` leaves the boot stack.
    unsafe { &mut (*crate::percpu::stack_top(cpu)).regs }
}

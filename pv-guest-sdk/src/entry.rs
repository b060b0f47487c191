//! The first instructions and the ELF notes by which a loader finds them.

use core::arch::global_asm;

use abi::start_info::StartInfo;

use crate::{BootInfo, events, memory, shared, shutdown, time, traps};

// The notes say where the image is linked and where it starts. There is no hypercall page: calls are `syscall` instructions. The
// stack of the loader is left at once for our own, which lies above an unmapped page.
global_asm!(
    r#"
    .macro NOTE_WORD type, value
        .pushsection .note.xen, "a", @note
        .balign 4
        .long 4, 8, \type
        .asciz "Xen"
        .quad \value
        .popsection
    .endm
    .macro NOTE_TEXT type, text
        .pushsection .note.xen, "a", @note
        .balign 4
        .long 4, 772f - 771f, \type
        .asciz "Xen"
    771: .asciz "\text"
    772: .balign 4
        .popsection
    .endm

    NOTE_WORD {ENTRY}, _start
    NOTE_WORD {VIRT_BASE}, {virt_base}
    NOTE_WORD {PADDR_OFFSET}, 0
    NOTE_TEXT {XEN_VERSION}, "xen-3.0"
    NOTE_TEXT {GUEST_OS}, "domus-sdk"
    NOTE_TEXT {GUEST_VERSION}, "0.1"
    NOTE_TEXT {LOADER}, "generic"

    .pushsection .text._start, "ax", @progbits
    .global _start
    _start:
        cld
        xor ebp, ebp
        lea rsp, [rip + __stack_top]
        mov rdi, rsi
        call {start}
        ud2
    .popsection
    "#,
    ENTRY = const abi::elfnote::ENTRY,
    VIRT_BASE = const abi::elfnote::VIRT_BASE,
    PADDR_OFFSET = const abi::elfnote::PADDR_OFFSET,
    XEN_VERSION = const abi::elfnote::XEN_VERSION,
    GUEST_OS = const abi::elfnote::GUEST_OS,
    GUEST_VERSION = const abi::elfnote::GUEST_VERSION,
    LOADER = const abi::elfnote::LOADER,
    virt_base = const memory::LINEAR_BASE,
    start = sym start,
);

unsafe extern "Rust" {
    /// What [`entry!`] defines.
    safe fn __pv_guest_main(info: &'static BootInfo);
}

/// Brings up what every kernel needs, in the order of dependence, and calls the kernel's `main`.
extern "C" fn start(start_info: *const StartInfo) -> ! {
    // SAFETY: the ABI passes the mapped and aligned start info in rsi, `_start` hands it on unchanged, and nobody writes to it later.
    let info = BootInfo::set(unsafe { &*start_info });
    shared::map(info.start_info().shared_info);
    traps::init();
    memory::init(info);
    events::init();
    time::init();
    crate::console::init(info);
    events::unmask_upcalls();
    __pv_guest_main(info);
    shutdown::exit()
}

/// Declares the kernel's main function: `fn(&'static BootInfo)`. If it returns, the domain powers off.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn __pv_guest_main(info: &'static $crate::BootInfo) {
            $main(info)
        }
    };
}

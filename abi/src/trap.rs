//! The virtual IDT (`arch-x86/xen.h`) and the frames that a guest sees when a trap is delivered.

/// Bits of `flags`: from which privilege level software may raise it.
pub const FLAGS_DPL_MASK: u8 = 3;
/// Bit of `flags`: delivery masks events.
pub const FLAGS_MASK_EVENTS: u8 = 1 << 2;
/// Vectors.
pub const VECTORS: usize = 256;

/// Divide error.
pub const DIVIDE_ERROR: u8 = 0;
/// Debug.
pub const DEBUG: u8 = 1;
/// Non-maskable interrupt.
pub const NMI: u8 = 2;
/// Breakpoint.
pub const BREAKPOINT: u8 = 3;
/// Overflow.
pub const OVERFLOW: u8 = 4;
/// Bound range exceeded.
pub const BOUNDS: u8 = 5;
/// Invalid opcode.
pub const INVALID_OPCODE: u8 = 6;
/// No FPU.
pub const NO_DEVICE: u8 = 7;
/// Double fault.
pub const DOUBLE_FAULT: u8 = 8;
/// Invalid TSS.
pub const INVALID_TSS: u8 = 10;
/// Segment not present.
pub const NO_SEGMENT: u8 = 11;
/// Stack fault.
pub const STACK_FAULT: u8 = 12;
/// General protection.
pub const GENERAL_PROTECTION: u8 = 13;
/// Page fault.
pub const PAGE_FAULT: u8 = 14;
/// x87 error.
pub const COPROCESSOR_ERROR: u8 = 16;
/// Alignment check.
pub const ALIGNMENT_CHECK: u8 = 17;
/// Machine check.
pub const MACHINE_CHECK: u8 = 18;
/// SIMD error.
pub const SIMD_ERROR: u8 = 19;

/// Vectors whose frame has an error code, one bit each: 8, 10 to 14, 17, 21.
pub const HAS_ERROR_CODE: u32 = 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21;

layout! {
    /// One entry of `set_trap_table`; the list ends with address 0.
    TrapInfo [16] {
        /// Which vector.
        @0 vector: u8,
        /// Privilege level and [`FLAGS_MASK_EVENTS`].
        @1 flags: u8,
        /// Code selector.
        @2 cs: u16,
        /// Padding.
        @4 _pad: u32,
        /// Handler.
        @8 address: u64,
    }

    /// The frame of a delivered trap without error code, events and syscalls included, as it lies at the handler's rsp.
    BounceFrame [56] {
        /// rcx, which the way in clobbers.
        @0 rcx: u64,
        /// r11, likewise.
        @8 r11: u64,
        /// Interrupted instruction.
        @16 rip: u64,
        /// Selector in the low 16 bits (RPL 0 if from kernel mode), the saved upcall mask in bits 32 to 39.
        @24 cs: u64,
        /// Flags; IF is the inverse of the saved upcall mask.
        @32 rflags: u64,
        /// Interrupted stack.
        @40 rsp: u64,
        /// Its selector.
        @48 ss: u64,
    }

    /// The same with an error code.
    BounceFrameError [64] {
        /// rcx.
        @0 rcx: u64,
        /// r11.
        @8 r11: u64,
        /// Error code.
        @16 error_code: u64,
        /// Interrupted instruction.
        @24 rip: u64,
        /// Selector and saved upcall mask.
        @32 cs: u64,
        /// Flags.
        @40 rflags: u64,
        /// Interrupted stack.
        @48 rsp: u64,
        /// Its selector.
        @56 ss: u64,
    }
}

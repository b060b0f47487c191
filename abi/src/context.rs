//! The state of a vCPU as `vcpu_op` initialise and the control ABI carry it, and the frame of `iret` (`arch-x86/xen*.h`).

/// `flags`: the FPU state is valid.
pub const VGCF_I387_VALID: u64 = 1 << 0;
/// `flags`: starts in kernel mode.
pub const VGCF_IN_KERNEL: u64 = 1 << 2;
/// `flags`: the failsafe callback masks events.
pub const VGCF_FAILSAFE_DISABLES_EVENTS: u64 = 1 << 3;
/// `flags`: the syscall callback masks events.
pub const VGCF_SYSCALL_DISABLES_EVENTS: u64 = 1 << 4;
/// `flags`: starts at once.
pub const VGCF_ONLINE: u64 = 1 << 5;
/// `flags` of [`IretContext`]: return by SYSRET, rcx and r11 need not be restored.
pub const VGCF_IN_SYSCALL: u64 = 1 << 8;

layout! {
    /// `cpu_user_regs`.
    CpuUserRegs [200] {
        /// r15.
        @0 r15: u64,
        /// r14.
        @8 r14: u64,
        /// r13.
        @16 r13: u64,
        /// r12.
        @24 r12: u64,
        /// rbp.
        @32 rbp: u64,
        /// rbx.
        @40 rbx: u64,
        /// r11.
        @48 r11: u64,
        /// r10.
        @56 r10: u64,
        /// r9.
        @64 r9: u64,
        /// r8.
        @72 r8: u64,
        /// rax.
        @80 rax: u64,
        /// rcx.
        @88 rcx: u64,
        /// rdx.
        @96 rdx: u64,
        /// rsi.
        @104 rsi: u64,
        /// rdi.
        @112 rdi: u64,
        /// Of the trap that was taken; internal.
        @120 error_code: u32,
        /// Likewise.
        @124 entry_vector: u32,
        /// rip.
        @128 rip: u64,
        /// Code selector.
        @136 cs: u16,
        /// Padding.
        @138 _pad0: u16,
        /// Upcall mask at the trap.
        @140 saved_upcall_mask: u8,
        /// Padding.
        @141 _pad1: [u8; 3],
        /// Flags.
        @144 rflags: u64,
        /// rsp.
        @152 rsp: u64,
        /// Stack selector.
        @160 ss: u16,
        /// Padding.
        @162 _pad2: [u16; 3],
        /// ES.
        @168 es: u16,
        /// Padding.
        @170 _pad3: [u16; 3],
        /// DS.
        @176 ds: u16,
        /// Padding.
        @178 _pad4: [u16; 3],
        /// FS.
        @184 fs: u16,
        /// Padding.
        @186 _pad5: [u16; 3],
        /// GS.
        @192 gs: u16,
        /// Padding.
        @194 _pad6: [u16; 3],
    }

    /// `vcpu_guest_context`.
    VcpuGuestContext [5168] {
        /// FXSAVE image.
        @0 fpu_ctxt: [u8; 512],
        /// `VGCF_*`.
        @512 flags: u64,
        /// Registers.
        @520 user_regs: CpuUserRegs,
        /// Virtual IDT.
        @720 trap_ctxt: [crate::trap::TrapInfo; 256],
        /// LDT address.
        @4816 ldt_base: u64,
        /// LDT entries.
        @4824 ldt_ents: u64,
        /// Frames of the GDT.
        @4832 gdt_frames: [u64; 16],
        /// GDT entries.
        @4960 gdt_ents: u64,
        /// Kernel stack for entries from user mode.
        @4968 kernel_ss: u64,
        /// Likewise.
        @4976 kernel_sp: u64,
        /// Control registers; 1 holds the user page table (bit 0: valid), 3 the kernel's.
        @4984 ctrlreg: [u64; 8],
        /// Debug registers.
        @5048 debugreg: [u64; 8],
        /// Event upcall.
        @5112 event_callback_eip: u64,
        /// Failsafe callback.
        @5120 failsafe_callback_eip: u64,
        /// Syscall callback.
        @5128 syscall_callback_eip: u64,
        /// Assists, one bit each.
        @5136 vm_assist: u64,
        /// FS base.
        @5144 fs_base: u64,
        /// GS base of kernel mode.
        @5152 gs_base_kernel: u64,
        /// GS base of user mode.
        @5160 gs_base_user: u64,
    }

    /// What lies at rsp when `iret` is called.
    IretContext [72] {
        /// rax.
        @0 rax: u64,
        /// r11.
        @8 r11: u64,
        /// rcx.
        @16 rcx: u64,
        /// [`VGCF_IN_SYSCALL`] or 0.
        @24 flags: u64,
        /// rip.
        @32 rip: u64,
        /// Code selector; RPL 3 means user mode.
        @40 cs: u64,
        /// Flags; IF clear masks events.
        @48 rflags: u64,
        /// rsp.
        @56 rsp: u64,
        /// Stack selector.
        @64 ss: u64,
    }
}

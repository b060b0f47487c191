//! A virtual CPU: the state of one thread of a guest, running or not.
//!
//! While a vCPU runs, its general registers are on the CPU's entry stack (the `regs` of [`crate::call::Call`]) and its segment
//! bases and FPU in the hardware; the copies here are stale until [`crate::machine::Machine::save_vcpu`].

use abi::context::CpuUserRegs;
use abi::trap::TrapInfo;
use zerocopy::FromZeros;

use crate::events::VcpuEvents;
use crate::ids::{DomId, Mfn, VcpuRef};
use crate::sched::VcpuSched;
use crate::time::VcpuTime;

/// One vCPU. Lies in whole frames; all zero is a vCPU that was never initialised.
#[derive(FromZeros)]
#[repr(C)]
pub struct Vcpu {
    /// FXSAVE image. First, so that it has the 16-byte alignment of the frame.
    pub fpu: [u8; 512],
    /// General registers, RIP, RSP, RFLAGS and selectors.
    pub regs: CpuUserRegs,
    /// Its domain.
    pub domain: DomId,
    /// Its number in the domain.
    pub id: u16,
    /// True once it has a context (`VCPUOP_initialise`, or built as the first).
    pub initialised: bool,
    /// True in guest-kernel mode, false in guest-user mode.
    pub in_kernel: bool,
    /// CR0.TS as the guest sees it.
    pub task_switched: bool,
    /// Frames show the virtual IOPL and `iret` loads it (the assist architectural_iopl).
    pub shows_iopl: bool,
    /// Virtual IOPL (0, 1 or 3), shifted to bits 12-13 of RFLAGS.
    pub iopl: u16,
    /// Top page table in kernel mode.
    pub kernel_table: Mfn_,
    /// Top page table in user mode, or 0.
    pub user_table: Mfn_,
    /// Guest kernel stack for traps from user mode.
    pub kernel_sp: u64,
    /// Its selector.
    pub kernel_ss: u64,
    /// FS base.
    pub fs_base: u64,
    /// GS base in kernel mode.
    pub gs_base_kernel: u64,
    /// GS base in user mode.
    pub gs_base_user: u64,
    /// The CR4 that the guest believes it has.
    pub cr4: u64,
    /// The CR2 of the last page fault that was delivered is in `vcpu_info`; this is what `mov cr2` set.
    pub debug: [u64; 8],
    /// Virtual IDT.
    pub traps: [TrapInfo; 256],
    /// Entry points for events, failsafe, system calls.
    pub callbacks: [Callback; 8],
    /// Frames of the guest's GDT; the first `gdt_frames_used` are typed as descriptor tables.
    pub gdt_frames: [u64; 16],
    /// How many GDT entries there are.
    pub gdt_entries: u32,
    /// How many LDT entries there are (0: none).
    pub ldt_entries: u32,
    /// Linear address of the LDT.
    pub ldt_base: u64,
    /// Frames of the LDT mapped so far, 0 where none.
    pub ldt_frames: [u64; 16],
    /// Frame of its `vcpu_info`.
    pub info_mfn: Mfn_,
    /// Byte offset of its `vcpu_info` in that frame (a multiple of 8; the 64 bytes do not cross the frame).
    pub info_offset: u32,
    /// The guest moved its `vcpu_info` to that frame, which is held as writable.
    pub info_registered: bool,
    /// Event-channel state.
    pub events: VcpuEvents,
    /// Run state, pauses, accounting.
    pub sched: VcpuSched,
    /// Timers and registered time areas.
    pub time: VcpuTime,
}

/// The FXSAVE image of a processor after FNINIT, with all SSE exceptions masked (FCW 0x37f, MXCSR 0x1f80).
pub const RESET_FPU: [u8; 512] = {
    let mut image = [0; 512];
    (image[0], image[1]) = (0x7f, 0x03);
    (image[24], image[25]) = (0x80, 0x1f);
    image
};

/// A frame number in a structure that must be all-zero-able: 0 is none.
pub type Mfn_ = u64;

/// A guest entry point (`CALLBACKTYPE_*`).
#[derive(FromZeros, Clone, Copy, Default)]
#[repr(C)]
pub struct Callback {
    /// Where; 0 is none.
    pub address: u64,
    /// `CALLBACKF_mask_events`.
    pub flags: u64,
}

impl Vcpu {
    /// Its name in the scheduler and elsewhere.
    pub fn reference(&self) -> VcpuRef {
        VcpuRef { domain: self.domain, vcpu: self.id }
    }

    /// The table that translates for it now.
    pub fn active_table(&self) -> Mfn {
        Mfn(if self.in_kernel { self.kernel_table } else { self.user_table })
    }
}

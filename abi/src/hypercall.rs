//! Hypercall numbers (`xen.h`): the value of `rax` at the `syscall` instruction.
//!
//! Arguments go in rdi, rsi, rdx, r10, r8; the result comes back in rax; rcx and r11 are lost.

macro_rules! numbers {
    ($( $name:ident = $value:literal, $text:literal, $doc:literal; )*) => {
        $( #[doc = $doc] pub const $name: u64 = $value; )*

        /// The name of a hypercall in the spelling of `xen.h`, or `None` for a number that has none.
        pub const fn name(number: u64) -> Option<&'static str> {
            match number {
                $( $value => Some($text), )*
                _ => None,
            }
        }
    };
}

numbers! {
    SET_TRAP_TABLE = 0, "set_trap_table", "Installs the virtual IDT.";
    MMU_UPDATE = 1, "mmu_update", "Updates page-table entries and the machine-to-physical table.";
    SET_GDT = 2, "set_gdt", "Sets the frames of the descriptor table.";
    STACK_SWITCH = 3, "stack_switch", "Sets the kernel stack for entries from user mode.";
    SET_CALLBACKS = 4, "set_callbacks", "Sets event, failsafe and syscall callbacks at once.";
    FPU_TASKSWITCH = 5, "fpu_taskswitch", "Sets or clears CR0.TS.";
    SCHED_OP_COMPAT = 6, "sched_op_compat", "The scheduler call of old guests, and of those that do not say which interface they are for.";
    PLATFORM_OP = 7, "platform_op", "Machine operations of a privileged domain.";
    SET_DEBUGREG = 8, "set_debugreg", "Sets a debug register.";
    GET_DEBUGREG = 9, "get_debugreg", "Reads a debug register.";
    UPDATE_DESCRIPTOR = 10, "update_descriptor", "Updates one descriptor of a GDT or LDT.";
    MEMORY_OP = 12, "memory_op", "Reservations, maps, machine-to-physical ranges.";
    MULTICALL = 13, "multicall", "A batch of hypercalls.";
    UPDATE_VA_MAPPING = 14, "update_va_mapping", "Updates the entry that maps an address, and flushes.";
    SET_TIMER_OP = 15, "set_timer_op", "Sets the one-shot timer of the calling vCPU.";
    EVENT_CHANNEL_OP_COMPAT = 16, "event_channel_op_compat", "The event-channel call of old guests.";
    XEN_VERSION = 17, "xen_version", "Identity and features of the hypervisor.";
    CONSOLE_IO = 18, "console_io", "The hypervisor's console.";
    PHYSDEV_OP_COMPAT = 19, "physdev_op_compat", "The device call of old guests.";
    GRANT_TABLE_OP = 20, "grant_table_op", "Grant tables.";
    VM_ASSIST = 21, "vm_assist", "Switches assists on and off.";
    UPDATE_VA_MAPPING_OTHERDOMAIN = 22, "update_va_mapping_otherdomain", "update_va_mapping with another domain's frame.";
    IRET = 23, "iret", "Returns from a trap.";
    VCPU_OP = 24, "vcpu_op", "Operations on vCPUs.";
    SET_SEGMENT_BASE = 25, "set_segment_base", "Sets FS and GS bases.";
    MMUEXT_OP = 26, "mmuext_op", "Pins, base pointers, flushes.";
    XSM_OP = 27, "xsm_op", "Security modules.";
    NMI_OP = 28, "nmi_op", "NMI callback.";
    SCHED_OP = 29, "sched_op", "Yield, block, poll, shut down.";
    CALLBACK_OP = 30, "callback_op", "Registers callbacks.";
    XENOPROF_OP = 31, "xenoprof_op", "Profiling.";
    EVENT_CHANNEL_OP = 32, "event_channel_op", "Event channels.";
    PHYSDEV_OP = 33, "physdev_op", "Physical devices.";
    HVM_OP = 34, "hvm_op", "Operations on hardware virtual machines.";
    SYSCTL = 35, "sysctl", "System control of Xen's tools.";
    DOMCTL = 36, "domctl", "Domain control of Xen's tools.";
    KEXEC_OP = 37, "kexec_op", "Crash kernels.";
    TMEM_OP = 38, "tmem_op", "Transcendent memory.";
    ARGO_OP = 39, "argo_op", "Messages between domains.";
    XENPMU_OP = 40, "xenpmu_op", "Performance counters.";
    DM_OP = 41, "dm_op", "Device models.";
    HYPFS_OP = 42, "hypfs_op", "The hypervisor's file tree.";
    MCA = 48, "mca", "Machine checks (arch_0).";
    PAGING_DOMCTL_CONT = 49, "paging_domctl_cont", "Internal to Xen (arch_1).";
    CONTROL = 55, "control", "Domus's control ABI (arch_7); see [`crate::control`].";
}

/// How many numbers there are room for: every valid number is below this.
pub const COUNT: usize = 64;

//! `vm_assist`: behaviours that a guest switches on (`xen.h`).

/// Switch on.
pub const CMD_ENABLE: u32 = 0;
/// Switch off.
pub const CMD_DISABLE: u32 = 1;

/// 32-bit guests only.
pub const TYPE_4GB_SEGMENTS: u32 = 0;
/// 32-bit guests only.
pub const TYPE_4GB_SEGMENTS_NOTIFY: u32 = 1;
/// Writes to read-only L1 tables are emulated.
pub const TYPE_WRITABLE_PAGETABLES: u32 = 2;
/// 32-bit guests only.
pub const TYPE_PAE_EXTENDED_CR3: u32 = 3;
/// `physdev_op` set_iopl works as the processor's IOPL would.
pub const TYPE_ARCHITECTURAL_IOPL: u32 = 4;
/// Runstate areas carry [`crate::vcpu::RUNSTATE_UPDATE`] while they are written.
pub const TYPE_RUNSTATE_UPDATE_FLAG: u32 = 5;
/// The machine-to-physical table is absent from user page tables.
pub const TYPE_M2P_STRICT: u32 = 32;

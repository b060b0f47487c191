//! `callback_op`: entry points that are no trap vectors (`callback.h`).

/// [`Register`].
pub const OP_REGISTER: u32 = 0;
/// [`Unregister`].
pub const OP_UNREGISTER: u32 = 1;

/// Event upcall.
pub const TYPE_EVENT: u16 = 0;
/// A selector could not be loaded.
pub const TYPE_FAILSAFE: u16 = 1;
/// `syscall` from 64-bit user mode.
pub const TYPE_SYSCALL: u16 = 2;
/// Old number of sysenter.
pub const TYPE_SYSENTER_DEPRECATED: u16 = 3;
/// NMI.
pub const TYPE_NMI: u16 = 4;
/// `sysenter` from user mode.
pub const TYPE_SYSENTER: u16 = 5;
/// `syscall` from 32-bit user mode.
pub const TYPE_SYSCALL32: u16 = 7;

/// Delivery masks events.
pub const FLAG_MASK_EVENTS: u16 = 1;

layout! {
    /// Registers an entry point.
    Register [16] {
        /// `TYPE_*`.
        @0 kind: u16,
        /// [`FLAG_MASK_EVENTS`] or 0.
        @2 flags: u16,
        /// Padding.
        @4 _pad: u32,
        /// Where.
        @8 address: u64,
    }

    /// Removes an entry point.
    Unregister [4] {
        /// `TYPE_*`.
        @0 kind: u16,
        /// Unused.
        @2 _unused: u16,
    }
}

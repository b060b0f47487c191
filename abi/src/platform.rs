//! `platform_op`: numbers only, so that a refused call can be named in the log (`platform.h`).

/// `interface_version` of the calls.
pub const INTERFACE_VERSION: u32 = 0x0300_0000;
/// Set the wall clock (old form).
pub const OP_SETTIME32: u32 = 17;
/// Set the wall clock.
pub const OP_SETTIME64: u32 = 62;
/// Firmware information.
pub const OP_FIRMWARE_INFO: u32 = 50;
/// Enter a sleep state.
pub const OP_ENTER_ACPI_SLEEP: u32 = 51;

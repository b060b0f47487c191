//! Starts a machine in QEMU, watches it, and says honestly how it ended.
//!
//! A status that comes from the wrong place is worse than none: QEMU exits with 0 when its machine is switched off by a triple
//! fault, and a hypervisor that never booted leaves no trace at all. So this crate reads the verdict from what the machine *wrote*
//! (the last line of the hypervisor's log, the verdict lines of a test kernel, the first domain's console on a real Xen), and calls
//! everything else an error. It knows nothing about how things are built: that is `xtask`'s side of the fence.

#![forbid(unsafe_code)]

pub mod capture;
pub mod console;
pub mod disk;
pub mod domus;
pub mod log;
pub mod machine;
pub mod supervise;
pub mod verdict;
pub mod xen;

/// The exit status of a run that cannot tell how it ended: no `domus-exit` line, a hypervisor panic, a timeout. 125 is what
/// `timeout`, `xargs` and `docker run` use for "the tool itself failed", and leaves 1..=124 to the commands that ran.
pub const STATUS_UNKNOWN: u8 = 125;

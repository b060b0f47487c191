//! The hypervisor's own console as domains see it (`console_io`): what was typed for the first domain, and what other domains say.
//!
//! The first domain owns COM1 and writes to it raw. What any other domain writes goes to the log by whole lines, each behind the
//! domain's number, with a limit on how many a second: a guest may fill neither the log nor a serial line that others need.

pub mod guest_lines;
pub mod input;

pub use guest_lines::DomainConsole;
pub use input::ConsoleInput;

//! Dom0's own log (`dmesg`): what it did that no command printed. Kept in memory, the last lines of it.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::fmt;

use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::time;

/// Lines that are kept.
const LINES: usize = 512;
/// A longer line is cut, in bytes.
const LONGEST: usize = 256;

static LOG: IrqMutex<VecDeque<String>> = IrqMutex::new(VecDeque::new());

/// Adds a line, with the time since boot in front, as Linux does.
pub fn write(line: fmt::Arguments<'_>) {
    let now = time::now() / 1000;
    let mut text = format!("[{:5}.{:06}] {line}", now / 1_000_000, now % 1_000_000);
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    let mut log = LOG.lock();
    if log.len() == LINES {
        log.pop_front();
    }
    log.push_back(text);
}

/// The log as text.
pub fn read() -> String {
    LOG.lock().iter().fold(String::new(), |text, line| text + line + "\n")
}

/// Adds a line to Dom0's log.
macro_rules! log {
    ($($arg:tt)*) => { $crate::log::write(format_args!($($arg)*)) };
}
pub(crate) use log;

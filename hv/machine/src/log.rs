//! The hypervisor's log: COM2 and a ring in memory that the control domain reads (`dom dmesg`).

use core::fmt::{self, Write};

use hv_core::machine::Level;

use crate::lock::{self, Lock};
use crate::serial;

/// Bytes of log that are kept.
pub const RING: usize = 65536;

/// The ring.
pub struct Log {
    ring: [u8; RING],
    /// Bytes written since boot.
    written: u64,
}

/// The log.
pub static LOG: Lock<{ lock::LOG }, Log> = Lock::new(Log { ring: [0; RING], written: 0 });

impl Log {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.ring[(self.written % RING as u64) as usize] = byte;
            self.written += 1;
        }
        serial::LOG.write(bytes);
    }

    /// Bytes written since boot.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Copies what was written from byte `sequence` on; returns (where the copy begins, how many bytes it has).
    pub fn read(&self, sequence: u64, into: &mut [u8]) -> (u64, usize) {
        let start = sequence.clamp(self.written.saturating_sub(RING as u64), self.written);
        let count = (self.written - start).min(into.len() as u64) as usize;
        for (offset, byte) in into[..count].iter_mut().enumerate() {
            *byte = self.ring[((start + offset as u64) % RING as u64) as usize];
        }
        (start, count)
    }
}

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(end) = rest.find('\n') {
            self.put(&rest.as_bytes()[..end]);
            self.put(b"\r\n");
            rest = &rest[end + 1..];
        }
        self.put(rest.as_bytes());
        Ok(())
    }
}

/// Writes one line.
pub fn write(level: Level, line: fmt::Arguments<'_>) {
    let prefix = match level {
        Level::Error => "error: ",
        Level::Warning => "warning: ",
        Level::Info | Level::Guest => "",
    };
    // Formatting to a locked ring cannot fail.
    let _ = writeln!(LOG.lock(), "{prefix}{line}");
}

/// Writes one line even if the log is held: for the panic path.
pub fn write_anyway(line: fmt::Arguments<'_>) {
    struct Raw;
    impl Write for Raw {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            serial::LOG.write(text.as_bytes());
            Ok(())
        }
    }
    match LOG.try_lock() {
        Some(mut log) => drop(writeln!(log, "{line}")),
        // Whoever holds it may be in the middle of a line, a guest's even: this must not look like its rest.
        None => drop(write!(Raw, "\r\n{line}\r\n")),
    }
}

/// Writes a line of information.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log::write($crate::Level::Info, format_args!($($arg)*)) };
}

/// Writes a warning.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log::write($crate::Level::Warning, format_args!($($arg)*)) };
}

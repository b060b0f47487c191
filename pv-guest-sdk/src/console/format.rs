//! Formatting: `print!`, `println!`, and text in a buffer.

use core::fmt::{self, Write};

use super::write;

/// Collects what `format_args!` yields, so that a line is one write.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn flush(&mut self) {
        write(&self.bytes[..self.len]);
        self.len = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[doc(hidden)]
pub fn __print(arguments: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 256], len: 0 };
    let _ = line.write_fmt(arguments);
    line.flush();
}

/// Formats into a buffer, for kernels without a heap; what does not fit is cut off.
pub fn format<'a>(buffer: &'a mut [u8], arguments: fmt::Arguments<'_>) -> &'a str {
    struct Cursor<'a> {
        buffer: &'a mut [u8],
        len: usize,
    }
    impl Write for Cursor<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = (self.buffer.len() - self.len).min(text.len());
            let count = (0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            self.buffer[self.len..self.len + count].copy_from_slice(&text.as_bytes()[..count]);
            self.len += count;
            if count == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut cursor = Cursor { buffer, len: 0 };
    let _ = cursor.write_fmt(arguments);
    let len = cursor.len;
    str::from_utf8(&buffer[..len]).unwrap_or_default()
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::__print(format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::console::__print(format_args!("{}\n", format_args!($($argument)*))) };
}

//! Short texts without a heap: paths and values.

use core::fmt::{self, Write};
use core::ops::Deref;

use abi::Errno;

use crate::hypercall::Result;

/// A text of at most `N` bytes.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

/// A path in xenstore, as long as a device's get.
pub type Path = Text<160>;

impl<const N: usize> Text<N> {
    /// From what `format_args!` makes.
    ///
    /// # Errors
    /// -E2BIG if it does not fit.
    pub fn new(arguments: fmt::Arguments<'_>) -> Result<Self> {
        let mut text = Text { bytes: [0; N], len: 0 };
        text.write_fmt(arguments).map_err(|_| Errno::TOOBIG)?;
        Ok(text)
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + piece.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(piece.as_bytes());
        self.len += piece.len();
        Ok(())
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        // Whole strings go in, so what is there is UTF-8.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

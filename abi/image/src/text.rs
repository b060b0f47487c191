//! A short name copied out of an image. Nothing here allocates, so names have a fixed room; what does not fit is cut off.

use core::fmt;

/// Up to 32 bytes of printable ASCII; other characters of the image became `?`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; 32],
    length: usize,
}

impl Text {
    /// Copies `raw` up to its first NUL, if it has one.
    pub fn new(raw: &[u8]) -> Self {
        let mut text = Self::default();
        for (room, &byte) in text.bytes.iter_mut().zip(until_nul(raw)) {
            *room = if byte.is_ascii_graphic() || byte == b' ' { byte } else { b'?' };
            text.length += 1;
        }
        text
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `raw` without its first NUL and what follows.
pub(crate) fn until_nul(raw: &[u8]) -> &[u8] {
    raw.split(|&byte| byte == 0).next().unwrap_or(raw)
}

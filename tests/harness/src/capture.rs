//! Keeps what a machine printed, within bounds: a guest that floods its console must not take the test runner with it.

/// The most that is kept, in bytes.
const LIMIT: usize = 16 << 20;

/// Collected output. Bytes beyond the limit are dropped, and it says so.
#[derive(Debug, Default)]
pub struct Capture {
    bytes: Vec<u8>,
    /// Whether something was dropped.
    pub truncated: bool,
}

impl Capture {
    /// Adds bytes, as far as there is room.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = LIMIT - self.bytes.len();
        self.truncated |= bytes.len() > room;
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
    }

    /// What was collected, as text; what is not UTF-8 shows as replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The last `count` bytes, or fewer.
    pub fn tail(&self, count: usize) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(count)..]
    }
}

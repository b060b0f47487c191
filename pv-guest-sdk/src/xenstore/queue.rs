//! Watch events that arrived while somebody waited for a reply.

/// Bytes of all waiting events.
const CAPACITY: usize = 4096;

/// A queue of byte strings, each with its length in two bytes before it.
pub(super) struct Queue {
    bytes: [u8; CAPACITY],
    used: usize,
    lost: u64,
}

impl Queue {
    pub(super) const fn new() -> Queue {
        Queue { bytes: [0; CAPACITY], used: 0, lost: 0 }
    }

    /// Adds an event, or counts it as lost if there is no room.
    pub(super) fn push(&mut self, event: &[u8]) {
        let end = self.used + 2 + event.len();
        match (self.bytes.get_mut(self.used..end), u16::try_from(event.len())) {
            (Some(room), Ok(len)) => {
                room[..2].copy_from_slice(&len.to_le_bytes());
                room[2..].copy_from_slice(event);
                self.used = end;
            }
            _ => self.lost += 1,
        }
    }

    /// Moves the oldest event to `buffer`, cut to its length; returns the bytes there.
    pub(super) fn pop(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.used == 0 {
            return None;
        }
        let len = usize::from(u16::from_le_bytes([self.bytes[0], self.bytes[1]]));
        let count = len.min(buffer.len());
        buffer[..count].copy_from_slice(&self.bytes[2..2 + count]);
        self.bytes.copy_within(2 + len..self.used, 0);
        self.used -= 2 + len;
        Some(count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

//! Bytes that were typed on COM1 and that the first domain has not read yet.

/// How many bytes wait at most.
pub const CAPACITY: usize = 1024;

/// A byte queue in fixed memory. All zero is an empty one.
pub struct ConsoleInput {
    bytes: [u8; CAPACITY],
    /// Index of the oldest byte.
    first: usize,
    len: usize,
}

impl ConsoleInput {
    /// An empty queue.
    pub const fn new() -> Self {
        ConsoleInput { bytes: [0; CAPACITY], first: 0, len: 0 }
    }

    /// Adds a byte at the end; false, and no effect, if there is no room: what is typed into a full queue is lost.
    pub fn push(&mut self, byte: u8) -> bool {
        let room = self.len < CAPACITY;
        if room {
            self.bytes[(self.first + self.len) % CAPACITY] = byte;
            self.len += 1;
        }
        room
    }

    /// The oldest bytes, as many as lie together and at most `most`; [`ConsoleInput::consume`] removes them.
    pub fn front(&self, most: usize) -> &[u8] {
        let together = self.len.min(CAPACITY - self.first).min(most);
        &self.bytes[self.first..self.first + together]
    }

    /// Removes the `count` oldest bytes; more than there are is all.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        self.first = (self.first + count) % CAPACITY;
        self.len -= count;
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for ConsoleInput {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn bytes_come_out_in_order_and_a_full_queue_refuses() {
        let mut queue = ConsoleInput::new();
        let (mut sent, mut received) = (0u32, Vec::new());
        for round in 0..50 {
            while queue.push(sent as u8) {
                sent += 1;
            }
            assert_eq!(queue.len(), CAPACITY);
            for _ in 0..=round % 3 {
                let taken = queue.front(100 + round).len();
                received.extend_from_slice(queue.front(100 + round));
                queue.consume(taken);
            }
        }
        assert!(received.iter().enumerate().all(|(index, &byte)| byte == index as u8));
        queue.consume(usize::MAX);
        assert!(queue.is_empty() && queue.front(9).is_empty());
    }
}

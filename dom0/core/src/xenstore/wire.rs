//! Messages as bytes: a header of 16 bytes, then at most 4096 of payload.
//!
//! The bytes of a message come in pieces as small as the client likes. An [`Inbox`] gathers them in a buffer that never holds more than
//! one message of full size, whatever the header claims.

use abi::xenstore::{Header, PAYLOAD_MAX, msg};
use abi::zerocopy::{FromBytes, IntoBytes};
use alloc::vec::Vec;

/// Bytes of a header.
pub const HEADER: usize = size_of::<Header>();
/// Bytes of the longest message.
pub const MESSAGE_MAX: usize = HEADER + PAYLOAD_MAX;

/// A message that has arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One of [`abi::xenstore::msg`].
    pub kind: u32,
    /// The client's number for it.
    pub req_id: u32,
    /// Its transaction, 0 if none.
    pub tx_id: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Message {
    /// Whether it asks for a change of nodes, or of what is kept for the client: its watches and transactions.
    pub fn is_change(&self) -> bool {
        let nodes = matches!(self.kind, msg::WRITE | msg::MKDIR | msg::RM | msg::SET_PERMS);
        let watches = matches!(self.kind, msg::WATCH | msg::UNWATCH | msg::RESET_WATCHES);
        nodes || watches || matches!(self.kind, msg::TRANSACTION_START | msg::TRANSACTION_END)
    }
}

/// The other end claimed a payload longer than the protocol allows. The stream is lost from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolViolation;

/// Encodes a message; the payload must not exceed [`PAYLOAD_MAX`].
pub fn encode(kind: u32, req_id: u32, tx_id: u32, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= PAYLOAD_MAX);
    let header = Header { kind, req_id, tx_id, len: payload.len() as u32 };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Gathers bytes until a message is whole.
#[derive(Debug, Default)]
pub struct Inbox(Vec<u8>);

impl Inbox {
    /// Takes as many bytes as there is room for and returns their number.
    pub fn accept(&mut self, bytes: &[u8]) -> usize {
        let room = MESSAGE_MAX.saturating_sub(self.0.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.0.extend_from_slice(taken);
        taken.len()
    }

    /// Bytes that would be taken now.
    pub fn room(&self) -> usize {
        MESSAGE_MAX.saturating_sub(self.0.len())
    }

    /// Whether [`Inbox::take`] has something to say.
    pub fn is_ready(&self) -> bool {
        self.header().is_some_and(|h| h.len as usize > PAYLOAD_MAX || self.0.len() >= HEADER + h.len as usize)
    }

    /// Takes the next message if it is whole.
    pub fn take(&mut self) -> Result<Option<Message>, ProtocolViolation> {
        let Some(header) = self.header() else {
            return Ok(None);
        };
        let len = header.len as usize;
        if len > PAYLOAD_MAX {
            return Err(ProtocolViolation);
        }
        let Some(payload) = self.0.get(HEADER..HEADER + len).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.0.drain(..HEADER + len);
        Ok(Some(Message { kind: header.kind, req_id: header.req_id, tx_id: header.tx_id, payload }))
    }

    fn header(&self) -> Option<Header> {
        Header::read_from_prefix(&self.0).ok().map(|(header, _)| header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_oversized_claim_is_a_violation_not_an_allocation() {
        let mut inbox = Inbox::default();
        inbox.accept(Header { kind: 2, req_id: 0, tx_id: 0, len: PAYLOAD_MAX as u32 + 1 }.as_bytes());
        assert!(inbox.is_ready());
        assert_eq!(inbox.take(), Err(ProtocolViolation));
    }

    proptest! {
        #[test]
        fn messages_survive_any_fragmentation(
            messages in prop::collection::vec((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            cuts in prop::collection::vec(1usize..400, 1..20),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|(kind, id, payload)| encode(*kind, *id, 7, payload)).collect();
            let (mut inbox, mut rest, mut got) = (Inbox::default(), &stream[..], Vec::new());
            for cut in cuts.iter().cycle() {
                let (now, _) = rest.split_at(rest.len().min(*cut));
                rest = &rest[inbox.accept(now)..];
                while let Some(m) = inbox.take().unwrap() {
                    got.push((m.kind, m.req_id, m.payload));
                }
                if rest.is_empty() { break }
            }
            prop_assert_eq!(got, messages);
        }
    }
}

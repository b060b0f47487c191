//! The payloads of successful replies.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use super::perms::Permissions;

/// A successful reply.
#[derive(Debug)]
pub struct Answer {
    /// What follows the header.
    pub payload: Vec<u8>,
    /// The event with which a new watch begins: path and token.
    pub initial_event: Option<(String, Box<[u8]>)>,
}

impl Answer {
    pub(super) fn bytes(payload: Vec<u8>) -> Self {
        Self { payload, initial_event: None }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::bytes(nul_terminated(text))
    }

    pub(super) fn ok() -> Self {
        Self::text("OK")
    }
}

pub(super) fn perms_answer(perms: &Permissions) -> Answer {
    Answer::bytes(joined(perms.format()))
}

pub(super) fn joined(names: impl IntoIterator<Item = String>) -> Vec<u8> {
    names.into_iter().flat_map(|name| nul_terminated(&name)).collect()
}

/// The generation, then as many whole names as fit; an empty name marks the end of the list.
pub(super) fn directory_part(names: &[u8], offset: usize, generation: u64) -> Answer {
    let mut payload = nul_terminated(&format!("{generation}"));
    let rest = names.get(offset..).unwrap_or_default();
    let room = abi::xenstore::PAYLOAD_MAX - payload.len() - 1;
    if rest.len() <= room {
        payload.extend_from_slice(rest);
        payload.push(0);
    } else {
        let end = rest.get(..room).and_then(|fits| memchr::memrchr(0, fits)).map_or(0, |nul| nul + 1);
        payload.extend_from_slice(rest.get(..end).unwrap_or_default());
    }
    Answer::bytes(payload)
}

/// A string as the protocol has it.
pub(super) fn nul_terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

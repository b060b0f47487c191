//! One request at a time, matched to its reply by its number.

use abi::Errno;
use abi::xenstore::{ERRORS, Header, PAYLOAD_MAX, msg};
use abi::zerocopy::IntoBytes;
use spin::Mutex;

use super::Transaction;
use super::queue::Queue;
use super::signal;
use super::wire::Wire;
use crate::hypercall::Result;
use crate::{BootInfo, memory};

pub(super) struct Client {
    pub(super) wire: Option<Wire>,
    last_id: u32,
    payload: [u8; PAYLOAD_MAX],
    pub(super) watches: Queue,
}

pub(super) static CLIENT: Mutex<Client> = Mutex::new(Client { wire: None, last_id: 0, payload: [0; PAYLOAD_MAX], watches: Queue::new() });

impl Client {
    pub(super) fn wire(&mut self) -> Result<Wire> {
        if let Some(wire) = self.wire {
            return Ok(wire);
        }
        let info = BootInfo::get().filter(|info| info.has_xenstore()).ok_or(Errno::NODEV)?.start_info();
        let pfn = memory::mfn_to_pfn(info.store_mfn).ok_or(Errno::NODEV)?;
        let wire = Wire::new(memory::pfn_to_virt(pfn), info.store_evtchn)?;
        self.wire = Some(wire);
        Ok(wire)
    }

    pub(super) fn request(&mut self, kind: u32, transaction: Transaction, parts: &[&[u8]], reply: &mut [u8]) -> Result<usize> {
        let wire = self.wire()?;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > PAYLOAD_MAX {
            return Err(Errno::TOOBIG);
        }
        self.last_id = self.last_id.wrapping_add(1);
        let header = Header { kind, req_id: self.last_id, tx_id: transaction.0, len: len as u32 };
        wire.send(header.as_bytes())?;
        for part in parts {
            wire.send(part)?;
        }
        loop {
            let header = self.receive(wire)?;
            let payload = &self.payload[..header.len as usize];
            match header.kind {
                msg::WATCH_EVENT => file(&mut self.watches, payload),
                _ if header.req_id != self.last_id => return Err(Errno::IO),
                msg::ERROR => return Err(error(payload)),
                reply_kind if reply_kind == kind => {
                    reply.get_mut(..payload.len()).ok_or(Errno::TOOBIG)?.copy_from_slice(payload);
                    return Ok(payload.len());
                }
                _ => return Err(Errno::IO),
            }
        }
    }

    /// Receives a message; its payload is in `self.payload`.
    fn receive(&mut self, wire: Wire) -> Result<Header> {
        let mut header = Header::default();
        wire.receive(header.as_mut_bytes())?;
        let payload = self.payload.get_mut(..header.len as usize).ok_or(Errno::IO)?;
        wire.receive(payload)?;
        Ok(header)
    }

    /// Moves watch events that have come to their queue. No request is open, so nothing else may come.
    pub(super) fn drain(&mut self) -> Result<()> {
        let wire = self.wire()?;
        while wire.has_data() {
            let header = self.receive(wire)?;
            if header.kind != msg::WATCH_EVENT {
                return Err(Errno::IO);
            }
            file(&mut self.watches, &self.payload[..header.len as usize]);
        }
        Ok(())
    }
}

/// Keeps a watch event: as a flag if it is a signal's, in the queue otherwise.
fn file(watches: &mut Queue, event: &[u8]) {
    if !signal::deliver(event) {
        watches.push(event);
    }
}

/// The error that a daemon's answer names.
fn error(payload: &[u8]) -> Errno {
    let name = payload.split(|&byte| byte == 0).next().unwrap_or_default();
    ERRORS.iter().find(|(text, _)| text.as_bytes() == name).map_or(Errno::IO, |&(_, errno)| errno)
}

//! Looking at a console: what a domain has printed and prints, in order, whoever else looks.

use alloc::string::String;
use alloc::vec::Vec;

use abi::DomId;
use dom0_core::commands::DomainRef;
use dom0_core::console::{Follower, Seen};

use super::consoles::{self, OUTPUT, Service};
use super::error::{Error, Result};
use super::{notices, table};

/// Bytes that one look takes at most.
const LOOK_MAX: usize = 4096;

/// A look at the console of a name. It survives the domain, and goes on with a domain that is started again.
pub struct ConsoleHandle {
    name: String,
    next: u64,
    beginning: u64,
}

/// What [`ConsoleHandle::read`] has come upon.
pub enum Output {
    /// Bytes that the domain printed.
    Bytes(Vec<u8>),
    /// So many bytes are gone because nobody looked for too long.
    Lost(u64),
    /// The domain has ended and nothing more comes; how it ended.
    Ended(String),
}

/// Opens the console of a domain, or of a name whose domain is gone.
pub fn open(domain: &DomainRef) -> Result<ConsoleHandle> {
    let name = match domain {
        DomainRef::Name(name) => name.clone(),
        DomainRef::Id(id) => name_of(*id, domain)?,
    };
    let beginning = consoles::with(|service| service.consoles.get(&name).map(|_| service.beginning(&name)));
    match beginning {
        Some(beginning) => Ok(ConsoleHandle { name, next: 0, beginning }),
        None if name == table::DOM0_NAME => Err(Error::new("this is dom0's console")),
        None => Err(Error::about(&name, "no such domain, and none of that name has printed anything; `dom list` shows those that exist")),
    }
}

fn name_of(id: DomId, domain: &DomainRef) -> Result<String> {
    table::resolve(domain)?;
    table::name(id).ok_or_else(|| Error::new("the domain has no name"))
}

impl ConsoleHandle {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A follower that finds `text` in what comes after now.
    pub fn follow_from_now(&self, text: &str) -> Follower {
        consoles::with(|service| match service.consoles.get(&self.name) {
            Some(console) => Follower::from_now(console, text),
            None => Follower::from_first(text),
        })
    }

    /// Queues input for the domain.
    pub fn send(&self, bytes: &[u8]) -> Result {
        consoles::send(&self.name, bytes)
    }

    /// Waits for what the domain prints next, beginning with the first byte that is kept.
    pub async fn read(&mut self) -> Output {
        OUTPUT.wait_for(|| consoles::with(|service| self.look(service))).await
    }

    fn look(&mut self, service: &mut Service) -> Option<Output> {
        let Some(console) = service.consoles.get(&self.name) else {
            return Some(self.ended());
        };
        let beginning = service.beginning(&self.name);
        if beginning != self.beginning {
            (self.beginning, self.next) = (beginning, 0);
        }
        let lost = console.start().saturating_sub(self.next);
        if lost > 0 {
            self.next = console.start();
            return Some(Output::Lost(lost));
        }
        let bytes = console.read(self.next, LOOK_MAX);
        if !bytes.is_empty() {
            self.next += bytes.len() as u64;
            return Some(Output::Bytes(bytes));
        }
        service.consoles.has_ended(&self.name).then(|| self.ended())
    }

    fn ended(&self) -> Output {
        Output::Ended(notices::get(&self.name).unwrap_or_default())
    }

    /// Waits until a follower, which looks for `text`, sees something; none if the domain has ended and there is nothing more to see. In a
    /// domain that is started again it looks from the first byte on.
    pub async fn follow(&mut self, follower: &mut Follower, text: &str) -> Option<Seen> {
        let (name, known) = (&self.name, &mut self.beginning);
        let mut look = |service: &mut Service| {
            let Some(console) = service.consoles.get(name) else { return Some(None) };
            let beginning = service.beginning(name);
            if core::mem::replace(known, beginning) != beginning {
                *follower = Follower::from_first(text);
            }
            let seen = follower.look(console);
            let news = seen.found || seen.lost > 0 || !seen.bytes.is_empty();
            let over = service.consoles.has_ended(name);
            if news { Some(Some(seen)) } else { over.then_some(None) }
        };
        OUTPUT.wait_for(|| consoles::with(&mut look)).await
    }
}

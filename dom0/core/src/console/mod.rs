//! Consoles of domains: what each has printed, and what it has still to read.
//!
//! A console belongs to a name, not to a domain: what a crashed guest printed last is what one wants to see, so it stays until the name is
//! used again. It keeps the last [`SCROLLBACK`] bytes, more than a stock Linux prints while it boots, and grows to that only if the guest
//! prints as much; a guest that floods loses its own oldest output. Consoles of ended domains are kept for the last [`ENDED_MAX`] names.

mod follower;
mod ring;

#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, string::String};

use crate::map::Map;

pub use follower::{Follower, Seen};
pub use ring::{Console, INPUT_MAX, InputFull, SCROLLBACK};

/// Ended domains whose consoles are kept.
pub const ENDED_MAX: usize = 32;

/// The consoles of all names.
#[derive(Debug, Default)]
pub struct Consoles {
    by_name: Map<String, Console>,
    ended: VecDeque<String>,
}

impl Consoles {
    /// Begins a console for a new domain; what an earlier one of the name had printed goes.
    pub fn open(&mut self, name: &str) -> &mut Console {
        self.ended.retain(|n| n != name);
        let console = self.by_name.entry(name.into()).or_default();
        *console = Console::default();
        console
    }

    /// Notes that the domain of a name has ended: its output stays, input that it has not read goes.
    pub fn close(&mut self, name: &str) {
        let Some(console) = self.by_name.get_mut(name) else {
            return;
        };
        console.input.clear();
        self.ended.retain(|n| n != name);
        self.ended.push_back(name.into());
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }

    /// Whether the domain of the name has ended.
    pub fn has_ended(&self, name: &str) -> bool {
        self.ended.iter().any(|n| n == name)
    }

    /// The console of a name.
    pub fn get(&self, name: &str) -> Option<&Console> {
        self.by_name.get(name)
    }

    /// The same, to print or to queue input.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Console> {
        self.by_name.get_mut(name)
    }
}

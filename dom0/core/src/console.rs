//! Consoles of domains: what each has printed, and what it has still to read.
//!
//! A console belongs to a name, not to a domain: what a crashed guest printed last is what one wants to see, so it stays until the name is
//! used again. It keeps the last [`SCROLLBACK`] bytes, three times what a booting Linux prints, and grows to that only if the guest
//! prints as much; a guest that floods loses its own oldest output. Consoles of ended domains are kept for the last [`ENDED_MAX`] names.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};
use core::fmt;

/// Bytes of output that are kept.
pub const SCROLLBACK: usize = 128 * 1024;
/// Bytes of input that wait for the guest.
pub const INPUT_MAX: usize = 16 * 1024;
/// Ended domains whose consoles are kept.
pub const ENDED_MAX: usize = 32;

/// The guest does not read; nothing of the line was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputFull;

impl fmt::Display for InputFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{INPUT_MAX} bytes of input wait already and the guest reads none; is it running? `dom list` shows"
        )
    }
}

impl core::error::Error for InputFull {}

/// One console.
#[derive(Debug, Default)]
pub struct Console {
    output: VecDeque<u8>,
    written: u64,
    input: VecDeque<u8>,
}

impl Console {
    /// Adds what the guest has printed.
    pub fn print(&mut self, bytes: &[u8]) {
        self.written = self.written.saturating_add(bytes.len() as u64);
        let kept = bytes
            .get(bytes.len().saturating_sub(SCROLLBACK)..)
            .unwrap_or(bytes);
        let excess = (self.output.len() + kept.len()).saturating_sub(SCROLLBACK);
        self.output.drain(..excess);
        self.output.extend(kept);
    }

    /// Number of bytes ever printed; the position of the next one.
    pub fn end(&self) -> u64 {
        self.written
    }

    /// The position of the oldest byte that is kept.
    pub fn start(&self) -> u64 {
        self.written.saturating_sub(self.output.len() as u64)
    }

    /// Bytes from a position on, as far as they are kept, at most `max` of them.
    pub fn read(&self, from: u64, max: usize) -> Vec<u8> {
        let skip = usize::try_from(from.saturating_sub(self.start()))
            .unwrap_or(usize::MAX)
            .min(self.output.len());
        self.output.range(skip..).take(max).copied().collect()
    }

    /// Queues input behind what waits already.
    pub fn queue_input(&mut self, bytes: &[u8]) -> Result<(), InputFull> {
        if self.input.len().saturating_add(bytes.len()) > INPUT_MAX {
            return Err(InputFull);
        }
        self.input.extend(bytes);
        Ok(())
    }

    /// The input that waits, in at most two pieces; the first comes first.
    pub fn input(&self) -> (&[u8], &[u8]) {
        self.input.as_slices()
    }

    /// Tells that the guest's ring has taken bytes of the input.
    pub fn input_taken(&mut self, bytes: usize) {
        self.input.drain(..bytes.min(self.input.len()));
    }
}

/// Follows a console until a text appears.
#[derive(Clone, Debug)]
pub struct Follower {
    next: u64,
    until: Vec<u8>,
    recent: Vec<u8>,
}

/// What a [`Follower`] has come upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What to print; ends with the text if it was found.
    pub bytes: Vec<u8>,
    /// Whether the text was found.
    pub found: bool,
    /// Bytes that were lost because the guest printed faster than it was followed.
    pub lost: u64,
}

/// Bytes that one look at a console copies at most.
const LOOK_MAX: usize = 4096;

impl Follower {
    /// Follows from the domain's first byte, as far as it is kept.
    pub fn from_first(until: &str) -> Self {
        Self {
            next: 0,
            until: until.into(),
            recent: Vec::new(),
        }
    }

    /// Follows what is printed from now on. To be made before the line is sent that is to be answered.
    pub fn from_now(console: &Console, until: &str) -> Self {
        Self {
            next: console.end(),
            ..Self::from_first(until)
        }
    }

    /// Looks at what is new, in bounded pieces: call it again until it sees nothing. A text that stretches over pieces is found.
    pub fn look(&mut self, console: &Console) -> Seen {
        let lost = console.start().saturating_sub(self.next);
        if lost > 0 {
            self.next = console.start();
            self.recent.clear();
        }
        let bytes = console.read(self.next, LOOK_MAX);
        let before = self.recent.len();
        self.recent.extend_from_slice(&bytes);
        let end = memchr::memmem::find(&self.recent, &self.until)
            .map(|at| (at + self.until.len()).saturating_sub(before));
        let shown = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(&bytes);
        self.next = self.next.saturating_add(shown.len() as u64);
        let keep = self.until.len().saturating_sub(1);
        self.recent.drain(..self.recent.len().saturating_sub(keep));
        Seen {
            bytes: shown.to_vec(),
            found: end.is_some(),
            lost,
        }
    }
}

/// The consoles of all names.
#[derive(Debug, Default)]
pub struct Consoles {
    by_name: BTreeMap<String, Console>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};
    use proptest::prelude::*;

    fn follow(follower: &mut Follower, console: &Console) -> (String, bool) {
        let mut text = Vec::new();
        loop {
            let seen = follower.look(console);
            text.extend_from_slice(&seen.bytes);
            if seen.found || seen.bytes.is_empty() {
                return (String::from_utf8(text).unwrap(), seen.found);
            }
        }
    }

    #[test]
    fn the_newest_output_is_kept() {
        let mut console = Console::default();
        for n in 0..20_000 {
            console.print(format!("line {n}\n").as_bytes());
        }
        assert_eq!(console.output.len(), SCROLLBACK);
        assert!(console.output.capacity() <= 2 * SCROLLBACK);
        assert!(console.read(0, usize::MAX).ends_with(b"line 19999\n"));
        assert_eq!(console.end() - console.start(), SCROLLBACK as u64);
        console.print(&alloc::vec![b'x'; 3 * SCROLLBACK]);
        assert_eq!(console.read(0, usize::MAX), alloc::vec![b'x'; SCROLLBACK]);
    }

    #[test]
    fn until_searches_from_the_first_byte_or_from_now() {
        let mut console = Console::default();
        console.print(b"boot 42 done\n");
        assert_eq!(
            follow(&mut Follower::from_first("42"), &console),
            ("boot 42".into(), true)
        );
        let mut now = Follower::from_now(&console, "42");
        assert_eq!(follow(&mut now, &console), ("".into(), false));
        console.print(b"answer: 4");
        assert_eq!(
            follow(&mut now, &console),
            ("answer: 4".into(), false),
            "what comes is shown at once"
        );
        console.print(b"2!");
        assert_eq!(follow(&mut now, &console), ("2".into(), true));
    }

    #[test]
    fn lost_output_is_told() {
        let mut console = Console::default();
        let mut follower = Follower::from_first("end");
        console.print(&alloc::vec![b'.'; SCROLLBACK + 10]);
        assert_eq!(follower.look(&console).lost, 10);
        console.print(b"end");
        assert!(follow(&mut follower, &console).1);
    }

    #[test]
    fn input_waits_in_order_and_is_bounded() {
        let mut console = Console::default();
        console.queue_input(b"one\n").unwrap();
        console.queue_input(b"two\n").unwrap();
        console.input_taken(2);
        let (first, second) = console.input();
        assert_eq!([first, second].concat(), b"e\ntwo\n");
        assert_eq!(console.queue_input(&[0; INPUT_MAX]), Err(InputFull));
        console.input_taken(usize::MAX);
        console.queue_input(&[0; INPUT_MAX]).unwrap();
        assert!(InputFull.to_string().contains("dom list"));
    }

    #[test]
    fn a_console_outlives_its_domain_until_the_name_is_used_again() {
        let mut consoles = Consoles::default();
        consoles.open("a").print(b"last words");
        consoles
            .get_mut("a")
            .unwrap()
            .queue_input(b"unread")
            .unwrap();
        consoles.close("a");
        assert!(consoles.has_ended("a"));
        assert_eq!(consoles.get("a").unwrap().read(0, 100), b"last words");
        assert_eq!(consoles.get("a").unwrap().input().0, b"");
        consoles.open("a");
        assert_eq!(consoles.get("a").unwrap().end(), 0);
        assert!(!consoles.has_ended("a"));
        for n in 0..2 * ENDED_MAX {
            consoles.open(&format!("d{n}"));
            consoles.close(&format!("d{n}"));
        }
        assert_eq!(consoles.by_name.len(), ENDED_MAX + 1);
        assert!(consoles.get("a").is_some(), "a runs and stays");
    }

    proptest! {
        #[test]
        fn a_text_is_found_however_the_output_is_cut(before in "[ab]{0,40}", cuts in prop::collection::vec(1usize..7, 1..40)) {
            let whole = format!("{before}aab{before}");
            let expected = whole.find("aab").unwrap() + 3;
            let (mut console, mut follower, mut shown) = (Console::default(), Follower::from_first("aab"), String::new());
            let (mut rest, mut found) = (whole.as_bytes(), false);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*cut));
                console.print(now);
                rest = later;
                let (text, hit) = follow(&mut follower, &console);
                shown.push_str(&text);
                found = hit;
                if hit || rest.is_empty() { break }
            }
            prop_assert!(found);
            prop_assert_eq!(shown, &whole[..expected]);
        }
    }
}

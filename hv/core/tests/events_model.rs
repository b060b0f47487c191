//! No event is lost: the hypervisor's own delivery code, run against every interleaving with a guest that takes, masks and unmasks events.
//!
//! The guest is a machine of atomic steps, as Linux performs them. Before each atomic operation of the hypervisor the explorer tries every
//! number of guest steps. At the end, when both have nothing more to do, no port may be pending and unmasked, and each event must have
//! been handled after it was sent unless its port is masked.

use core::cell::{Cell, RefCell};

use domus_hv_core::events::shared::{Raised, SharedWord, Words};

/// Tries every sequence of choices, by running the same story again and again.
#[derive(Default)]
struct Choices {
    path: Vec<(usize, usize)>,
    depth: usize,
}

impl Choices {
    fn choose(&mut self, options: usize) -> usize {
        if self.depth == self.path.len() {
            self.path.push((0, options));
        }
        let (chosen, known) = self.path[self.depth];
        assert_eq!(known, options, "the story is not deterministic");
        self.depth += 1;
        chosen
    }

    /// Prepares the next run; false if all were had.
    fn next(&mut self) -> bool {
        self.depth = 0;
        while let Some((chosen, options)) = self.path.pop() {
            if chosen + 1 < options {
                self.path.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}

/// The ports of the model: two in one word, one in another.
const PORTS: [u32; 3] = [1, 2, 65];

/// What the guest's program does, besides handling upcalls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Mask(u32),
    /// As Linux does on the CPU that the port notifies.
    Unmask(u32),
}

/// What is left of an action under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    ClearMask(u32),
    TestPending(u32),
    SetSelector(u32),
    SetUpcall,
}

#[derive(Default)]
struct Guest {
    program: Vec<Action>,
    under_way: Option<Step>,
    /// What the upcall handler has still to do, if it runs.
    handler: Option<Handler>,
    /// When each port was last handled.
    handled: [u64; 3],
    /// It sleeps until the hypervisor says that it was woken.
    blocked: bool,
}

#[derive(Clone, Copy)]
enum Handler {
    ClearUpcall,
    TakeSelector,
    /// The words that the selector named and are still to be looked at.
    ScanWord(u64),
    /// Bits of word `.0` to handle; then the words `.2`.
    Handle(usize, u64, u64),
}

#[derive(Default)]
struct World {
    pending: [Cell<u64>; 2],
    mask: [Cell<u64>; 2],
    selector: Cell<u64>,
    upcall: Cell<u64>,
    guest: RefCell<Guest>,
    choices: RefCell<Choices>,
    clock: Cell<u64>,
}

impl World {
    fn now(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn bit(words: &[Cell<u64>; 2], port: u32) -> bool {
        words[port as usize / 64].get() & (1 << (port % 64)) != 0
    }

    /// True if the guest has something to do now.
    fn guest_can_step(&self) -> bool {
        let guest = self.guest.borrow();
        !guest.blocked && (guest.handler.is_some() || guest.under_way.is_some() || !guest.program.is_empty() || self.upcall.get() != 0)
    }

    /// One atomic step of the guest. Where an upcall is due and may come now or later, both are tried.
    fn guest_step(&self) {
        let now = self.now();
        let mut guest = self.guest.borrow_mut();
        if let Some(handler) = guest.handler {
            guest.handler = self.handle(handler, &mut guest.handled, now);
            return;
        }
        let idle = guest.under_way.is_none() && guest.program.is_empty();
        let interrupts = self.upcall.get() != 0 && (idle || self.choices.borrow_mut().choose(2) == 1);
        if interrupts {
            guest.handler = self.handle(Handler::ClearUpcall, &mut guest.handled, now);
            return;
        }
        guest.under_way = match guest.under_way.take() {
            Some(step) => self.program_step(step),
            None => match guest.program.remove(0) {
                Action::Mask(port) => {
                    let word = &self.mask[port as usize / 64];
                    word.set(word.get() | 1 << (port % 64));
                    None
                }
                Action::Unmask(port) => self.program_step(Step::ClearMask(port)),
            },
        };
    }

    fn program_step(&self, step: Step) -> Option<Step> {
        match step {
            Step::ClearMask(port) => {
                let word = &self.mask[port as usize / 64];
                word.set(word.get() & !(1 << (port % 64)));
                Some(Step::TestPending(port))
            }
            Step::TestPending(port) => Self::bit(&self.pending, port).then_some(Step::SetSelector(port)),
            Step::SetSelector(port) => {
                let old = self.selector.get();
                self.selector.set(old | 1 << (port / 64));
                (old & 1 << (port / 64) == 0).then_some(Step::SetUpcall)
            }
            Step::SetUpcall => {
                self.upcall.set(1);
                None
            }
        }
    }

    fn handle(&self, step: Handler, handled: &mut [u64; 3], now: u64) -> Option<Handler> {
        match step {
            Handler::ClearUpcall => {
                self.upcall.set(0);
                Some(Handler::TakeSelector)
            }
            Handler::TakeSelector => Self::words_left(self.selector.replace(0)),
            Handler::ScanWord(words) => {
                let word = words.trailing_zeros() as usize;
                let rest = words & (words - 1);
                let active = self.pending[word].get() & !self.mask[word].get();
                if active == 0 { Self::words_left(rest) } else { Some(Handler::Handle(word, active, rest)) }
            }
            Handler::Handle(word, bits, rest) => {
                let bit = bits.trailing_zeros();
                self.pending[word].set(self.pending[word].get() & !(1 << bit));
                let port = word as u32 * 64 + bit;
                let index = PORTS.iter().position(|&known| known == port).expect("only known ports are sent");
                handled[index] = now;
                let left = bits & (bits - 1);
                if left == 0 { Self::words_left(rest) } else { Some(Handler::Handle(word, left, rest)) }
            }
        }
    }

    fn words_left(words: u64) -> Option<Handler> {
        (words != 0).then_some(Handler::ScanWord(words))
    }

    /// Any number of guest steps may come here.
    fn interleave(&self) {
        while self.guest_can_step() {
            let go_on = self.choices.borrow_mut().choose(2) == 1;
            if !go_on {
                break;
            }
            self.guest_step();
        }
    }
}

/// A word as the hypervisor sees it: the guest may act before each of its operations.
struct Shared<'a> {
    world: &'a World,
    bits: &'a Cell<u64>,
}

impl SharedWord for Shared<'_> {
    fn set(&self, bit: u32) -> bool {
        self.world.interleave();
        let old = self.bits.get();
        self.bits.set(old | 1 << (bit % 64));
        old & 1 << (bit % 64) != 0
    }

    fn clear(&self, bit: u32) -> bool {
        self.world.interleave();
        let old = self.bits.get();
        self.bits.set(old & !(1 << (bit % 64)));
        old & 1 << (bit % 64) != 0
    }

    fn test(&self, bit: u32) -> bool {
        self.world.interleave();
        self.bits.get() & 1 << (bit % 64) != 0
    }
}

/// What the hypervisor does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Send(u32),
    /// `EVTCHNOP_unmask`.
    Unmask(u32),
}

/// The steps of a delivery under test: true if a sleeping vCPU is to be woken.
type Deliver = fn(&Words<'_, Shared<'_>>) -> bool;

fn real(words: &Words<'_, Shared<'_>>) -> bool {
    words.raise() == Raised::Upcall
}

struct Story {
    masked: &'static [u32],
    program: &'static [Action],
    deeds: &'static [Deed],
    /// The guest sleeps at first, if it may.
    blocked: bool,
}

/// Runs a story in every interleaving. The first loss is the answer, or how many interleavings there were.
fn explore(story: &Story, deliver: Deliver) -> Result<u64, String> {
    let mut choices = Choices::default();
    let mut runs = 0;
    loop {
        let world = World { choices: RefCell::new(choices), ..World::default() };
        run(story, &world, deliver)?;
        runs += 1;
        choices = world.choices.into_inner();
        if !choices.next() {
            return Ok(runs);
        }
    }
}

fn run(story: &Story, world: &World, deliver: Deliver) -> Result<(), String> {
    for &port in story.masked {
        let word = &world.mask[port as usize / 64];
        word.set(word.get() | 1 << (port % 64));
    }
    {
        let mut guest = world.guest.borrow_mut();
        guest.program = story.program.to_vec();
        guest.blocked = story.blocked;
    }
    let shared = |bits| Shared { world, bits };
    let mut sent = [0; 3];
    for &deed in story.deeds {
        let (Deed::Send(port) | Deed::Unmask(port)) = deed;
        let index = port as usize / 64;
        let (pending, mask) = (shared(&world.pending[index]), shared(&world.mask[index]));
        let (selector, upcall) = (shared(&world.selector), shared(&world.upcall));
        let words = Words { port, pending: &pending, mask: &mask, selector: &selector, upcall: &upcall };
        let wakes = match deed {
            Deed::Send(_) => {
                sent[PORTS.iter().position(|&known| known == port).expect("a known port")] = world.now();
                deliver(&words)
            }
            Deed::Unmask(_) => words.unmask(),
        };
        if wakes {
            world.guest.borrow_mut().blocked = false;
        }
    }
    while world.guest_can_step() {
        world.guest_step();
    }
    judge(story, world, &sent)
}

fn judge(story: &Story, world: &World, sent: &[u64; 3]) -> Result<(), String> {
    let guest = world.guest.borrow();
    for (index, &port) in PORTS.iter().enumerate() {
        let (pending, masked) = (World::bit(&world.pending, port), World::bit(&world.mask, port));
        if pending && !masked {
            return Err(format!("port {port} stays pending: {:?} {:?}", story.program, story.deeds));
        }
        if sent[index] > guest.handled[index] && !pending {
            return Err(format!("an event of port {port} vanished: {:?} {:?}", story.program, story.deeds));
        }
    }
    Ok(())
}

use Action::{Mask, Unmask};
use Deed::Send;

const STORIES: &[Story] = &[
    Story { masked: &[], program: &[], deeds: &[Send(1)], blocked: false },
    Story { masked: &[], program: &[], deeds: &[Send(1)], blocked: true },
    Story { masked: &[], program: &[], deeds: &[Send(1), Send(1)], blocked: false },
    Story { masked: &[], program: &[], deeds: &[Send(1), Send(2)], blocked: true },
    Story { masked: &[], program: &[], deeds: &[Send(1), Send(65)], blocked: true },
    Story { masked: &[], program: &[], deeds: &[Send(1), Send(65), Send(1)], blocked: false },
    Story { masked: &[1], program: &[Unmask(1)], deeds: &[Send(1)], blocked: false },
    Story { masked: &[1], program: &[Unmask(1)], deeds: &[Send(1), Send(2)], blocked: false },
    Story { masked: &[1, 65], program: &[Unmask(65)], deeds: &[Send(65), Send(1)], blocked: false },
    Story { masked: &[], program: &[Mask(1), Unmask(1)], deeds: &[Send(1)], blocked: false },
    Story { masked: &[], program: &[Mask(1), Unmask(1)], deeds: &[Send(1), Send(1)], blocked: false },
    Story { masked: &[], program: &[Mask(1)], deeds: &[Send(1)], blocked: false },
    Story { masked: &[1], program: &[], deeds: &[Send(1), Deed::Unmask(1)], blocked: true },
    Story { masked: &[1], program: &[], deeds: &[Deed::Unmask(1), Send(1)], blocked: true },
    Story { masked: &[1], program: &[], deeds: &[Send(2), Send(1), Deed::Unmask(1)], blocked: false },
    Story { masked: &[1], program: &[Mask(2), Unmask(2)], deeds: &[Send(1), Deed::Unmask(1), Send(2)], blocked: false },
];

#[test]
fn no_event_is_lost_in_any_interleaving() {
    let mut total = 0;
    for story in STORIES {
        total += explore(story, real).unwrap_or_else(|loss| panic!("{loss}"));
    }
    assert!(total > 10_000, "only {total} interleavings were tried");
}

/// The explorer itself is tested: each wrong order is found out.
#[test]
fn wrong_orders_are_found() {
    let wrong: [(&str, Deliver); 5] = [
        ("the mask is looked at before the pending bit is set", |words| {
            let masked = words.mask.test(words.port);
            !words.pending.set(words.port) && !masked && !words.selector.set(words.port / 64) && !words.upcall.set(0)
        }),
        ("the upcall is raised before the selector", |words| {
            if words.pending.set(words.port) || words.mask.test(words.port) {
                return false;
            }
            let due = words.upcall.set(0);
            !words.selector.set(words.port / 64) && !due
        }),
        ("the selector is left out", |words| !words.pending.set(words.port) && !words.mask.test(words.port) && !words.upcall.set(0)),
        ("the sleeper is not woken", |words| {
            words.raise();
            false
        }),
        ("the pending bit is left out", |words| {
            !words.mask.test(words.port) && !words.selector.set(words.port / 64) && !words.upcall.set(0)
        }),
    ];
    for (what, deliver) in wrong {
        assert!(STORIES.iter().any(|story| explore(story, deliver).is_err()), "not found: {what}");
    }
}

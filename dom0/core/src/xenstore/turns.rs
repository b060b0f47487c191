//! Whose request is served next: the client's who has used the least of the server's time.
//!
//! Each client has an account of the time that its requests have taken, and the smallest goes first. Who begins to wait has used no less than
//! who was served last, so nobody gains by having been idle, and a request waits for at most one of each other client. But while one floods
//! with requests that cost much, another that asks for little is served several times for each of them.
//!
//! Changes count as several times their time: they make watchers run and spoil others' transactions, so most of what they cost comes later.
//! So do watches and transactions, which every later change has to look at. (Xen's xenstored limits the rate of writes of a domain for the same reason.)

use alloc::collections::BTreeSet;

use super::ConnId;

/// How many times its time a request counts that changes the store, or what it keeps for a client.
const CHANGE: u64 = 4;

/// What a client has used of the server's time, in nanoseconds, and as much more as it would have used if it had always asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used(u64);

impl Used {
    /// Books the time of a request, which is never free, and whether it was to change something.
    pub fn charge(&mut self, ns: u64, change: bool) {
        let weight = if change { CHANGE } else { 1 };
        self.0 = self.0.saturating_add(ns.max(1).saturating_mul(weight));
    }
}

/// Who waits for a turn.
#[derive(Debug, Default)]
pub struct Turns {
    /// By what they have used; of equals, who came first is first.
    waiting: BTreeSet<(Used, u64, ConnId)>,
    /// How many have come.
    came: u64,
    /// What the client had used that was chosen last; never goes back.
    floor: Used,
}

impl Turns {
    /// A client begins to wait. It must not wait already.
    pub fn join(&mut self, conn: ConnId, used: &mut Used) {
        *used = (*used).max(self.floor);
        self.came += 1;
        self.waiting.insert((*used, self.came, conn));
    }

    /// Chooses the next; none if nobody waits.
    pub fn next(&mut self) -> Option<ConnId> {
        let (used, _, conn) = self.waiting.pop_first()?;
        self.floor = self.floor.max(used);
        Some(conn)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    /// Lets clients with requests of these costs ask again and again; how often each was served.
    fn served(costs: &[u64], rounds: usize) -> Vec<usize> {
        let (mut turns, mut used, mut count) = (Turns::default(), vec![Used::default(); costs.len()], vec![0; costs.len()]);
        (0..costs.len()).for_each(|client| turns.join(ConnId(client as u32), &mut used[client]));
        for _ in 0..rounds {
            let client = turns.next().unwrap().0 as usize;
            count[client] += 1;
            used[client].charge(costs[client], false);
            turns.join(ConnId(client as u32), &mut used[client]);
        }
        count
    }

    #[test]
    fn equal_requests_take_turns() {
        assert_eq!(served(&[5, 5, 5], 300), [100, 100, 100]);
        assert_eq!(served(&[0, 0], 10), [5, 5], "as if each took a nanosecond");
    }

    #[test]
    fn time_is_shared_and_not_the_number_of_requests() {
        assert_eq!(served(&[1000, 3000], 400), [300, 100]);
    }

    #[test]
    fn changes_count_more() {
        let (mut read, mut write) = (Used::default(), Used::default());
        read.charge(400, false);
        write.charge(100, true);
        assert_eq!(read, write);
    }

    #[test]
    fn who_was_idle_has_saved_nothing() {
        let (mut turns, mut busy, mut late) = (Turns::default(), Used::default(), Used::default());
        for _ in 0..1000 {
            turns.join(ConnId(1), &mut busy);
            assert_eq!(turns.next(), Some(ConnId(1)));
            busy.charge(10, false);
        }
        turns.join(ConnId(1), &mut busy);
        turns.join(ConnId(2), &mut late);
        assert_eq!(turns.next(), Some(ConnId(2)), "it has used less");
        late.charge(10, false);
        turns.join(ConnId(2), &mut late);
        assert_eq!(turns.next(), Some(ConnId(1)), "and is not ahead by more than that");
    }
}

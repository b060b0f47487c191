//! A priority queue over small numbers, in fixed memory: the scheduler orders domains by virtual time with it, the timers by deadline.
//!
//! The members are the numbers below `N`; each has a key, also while it is not queued. Every operation takes at most log2(N) steps, and
//! none can fail for want of memory. Keys are compared going round (as TCP compares sequence numbers), so a clock may wrap: two
//! queued keys must lie less than 2^63 apart. All zero is a heap without members.

/// A binary min-heap of numbers below `N`, with the position of each, so that any can be moved or taken out.
pub struct KeyedHeap<const N: usize> {
    keys: [u64; N],
    /// Where in `order` a number stands, plus one; 0 if it is not queued.
    places: [u16; N],
    order: [u16; N],
    len: usize,
}

/// True if key `a` comes before key `b`.
#[inline]
pub const fn before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

/// The later of two keys.
#[inline]
pub const fn later(a: u64, b: u64) -> u64 {
    if before(a, b) { b } else { a }
}

impl<const N: usize> KeyedHeap<N> {
    /// A heap without members; all keys are 0.
    pub const fn new() -> Self {
        KeyedHeap { keys: [0; N], places: [0; N], order: [0; N], len: 0 }
    }

    /// How many are queued.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none is queued.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key of a number, queued or not.
    #[inline]
    pub fn key(&self, id: u16) -> u64 {
        self.keys[usize::from(id)]
    }

    /// True if the number is queued.
    #[inline]
    pub fn contains(&self, id: u16) -> bool {
        self.places[usize::from(id)] != 0
    }

    /// The queued number with the earliest key.
    #[inline]
    pub fn first(&self) -> Option<u16> {
        (self.len != 0).then(|| self.order[0])
    }

    /// Gives a number a key, and its new place if it is queued.
    pub fn set_key(&mut self, id: u16, key: u64) {
        self.keys[usize::from(id)] = key;
        if let Some(place) = usize::from(self.places[usize::from(id)]).checked_sub(1) {
            self.settle(place);
        }
    }

    /// Queues a number by its key; no effect if it is queued.
    pub fn insert(&mut self, id: u16) {
        if self.contains(id) {
            return;
        }
        let place = self.len;
        self.len += 1;
        self.put(place, id);
        self.rise(place);
    }

    /// Takes a number out of the queue; no effect if it is not queued.
    pub fn remove(&mut self, id: u16) {
        let Some(place) = usize::from(self.places[usize::from(id)]).checked_sub(1) else {
            return;
        };
        self.places[usize::from(id)] = 0;
        self.len -= 1;
        if place != self.len {
            self.put(place, self.order[self.len]);
            self.settle(place);
        }
    }

    fn put(&mut self, place: usize, id: u16) {
        self.order[place] = id;
        self.places[usize::from(id)] = place as u16 + 1;
    }

    fn key_at(&self, place: usize) -> u64 {
        self.keys[usize::from(self.order[place])]
    }

    fn settle(&mut self, place: usize) {
        self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) {
        while place != 0 {
            let parent = (place - 1) / 2;
            if !before(self.key_at(place), self.key_at(parent)) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let right = left + 1;
            let mut least = place;
            if left < self.len && before(self.key_at(left), self.key_at(least)) {
                least = left;
            }
            if right < self.len && before(self.key_at(right), self.key_at(least)) {
                least = right;
            }
            if least == place {
                break;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (at_a, at_b) = (self.order[a], self.order[b]);
        self.put(a, at_b);
        self.put(b, at_a);
    }
}

impl<const N: usize> Default for KeyedHeap<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few pseudo-random numbers (xorshift), so that a failure repeats.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn check<const N: usize>(heap: &KeyedHeap<N>) {
        let queued = (0..N).filter(|&id| heap.places[id] != 0).count();
        assert_eq!(queued, heap.len);
        for place in 0..heap.len {
            assert_eq!(usize::from(heap.places[usize::from(heap.order[place])]), place + 1);
            assert!(place == 0 || !before(heap.key_at(place), heap.key_at((place - 1) / 2)));
        }
    }

    #[test]
    fn agrees_with_a_plain_list_under_random_operations() {
        for start in [0, u64::MAX - 40] {
            let mut heap = KeyedHeap::<19>::new();
            let mut list = [None::<u64>; 19];
            let mut state = 0x9e37_79b9_7f4a_7c15;
            for _ in 0..20_000 {
                let id = (next(&mut state) % 19) as u16;
                let key = start.wrapping_add(next(&mut state) % 97);
                match next(&mut state) % 4 {
                    0 => {
                        heap.remove(id);
                        list[usize::from(id)] = None;
                    }
                    1 if !heap.contains(id) => {
                        heap.set_key(id, key);
                        heap.insert(id);
                        list[usize::from(id)] = Some(key);
                    }
                    _ => {
                        heap.set_key(id, key);
                        list[usize::from(id)] = list[usize::from(id)].map(|_| key);
                    }
                }
                check(&heap);
                let least = list.iter().flatten().map(|key| key.wrapping_sub(start)).min();
                assert_eq!(heap.first().map(|id| heap.key(id).wrapping_sub(start)), least);
                assert_eq!(heap.len(), list.iter().flatten().count());
            }
        }
    }

    #[test]
    fn keys_compare_going_round() {
        assert!(before(u64::MAX, 3) && !before(3, u64::MAX) && !before(5, 5));
        assert_eq!(later(u64::MAX, 3), 3);
    }
}

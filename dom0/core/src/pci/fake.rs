//! Configuration space in a table, for tests: registers keep what is written to them where a device would.

use alloc::collections::BTreeMap;

use super::{Address, ConfigSpace, register};

/// Functions by address, each its 64 words.
#[derive(Default)]
pub struct FakeSpace {
    functions: BTreeMap<Address, FakeFunction>,
}

/// One function of the table.
#[derive(Clone)]
pub struct FakeFunction {
    words: [u32; 64],
    /// Of the six base address registers, the bits that can be changed.
    sizes: [u32; 6],
}

impl FakeFunction {
    /// A function with these first words.
    pub fn new(vendor: u16, device: u16, class: u32, revision: u8) -> Self {
        let mut words = [0; 64];
        words[0] = u32::from(device) << 16 | u32::from(vendor);
        words[2] = class << 8 | u32::from(revision);
        Self { words, sizes: [0; 6] }
    }

    /// Sets the word at a byte offset.
    #[must_use]
    pub fn with(mut self, register: u8, value: u32) -> Self {
        self.words[usize::from(register / 4)] = value;
        self
    }

    /// Sets a base address register, and which of its bits can be changed.
    #[must_use]
    pub fn with_bar(mut self, index: u8, value: u32, changeable: u32) -> Self {
        self.sizes[usize::from(index)] = changeable;
        self.with(register::BAR0 + 4 * index, value)
    }

    /// Adds a capability: its words, the identifier and its next in the first.
    #[must_use]
    pub fn with_words(self, register: u8, words: &[u32]) -> Self {
        (register..).step_by(4).zip(words).fold(self, |function, (register, word)| function.with(register, *word))
    }
}

impl FakeSpace {
    /// Puts a function at an address.
    pub fn put(&mut self, at: Address, function: FakeFunction) {
        self.functions.insert(at, function);
    }
}

impl ConfigSpace for FakeSpace {
    fn read(&self, at: Address, register: u8) -> u32 {
        self.functions.get(&at).map_or(!0, |function| function.words[usize::from(register / 4)])
    }

    fn write(&mut self, at: Address, register: u8, value: u32) {
        let Some(function) = self.functions.get_mut(&at) else { return };
        let word = &mut function.words[usize::from(register / 4)];
        let bar = register.checked_sub(register::BAR0).map(|offset| usize::from(offset / 4));
        match bar.and_then(|index| function.sizes.get(index)) {
            Some(changeable) => *word = *word & !changeable | value & changeable,
            // Bits of status are not set by writing them.
            None if register == register::COMMAND => *word = *word & 0xffff_0000 | value & 0xffff,
            None => *word = value,
        }
    }
}

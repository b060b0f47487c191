//! What is truly in use of a grant: the hypervisor's own record beside each shared entry, which the guest cannot reach.

use zerocopy::FromZeros;

use crate::ids::DomId;

/// One grant's use. All zero is one that nobody uses.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Active {
    /// The frame, as the entry named it when it was first used.
    pub frame: u32,
    /// Who uses it.
    pub user: DomId,
    /// How many uses are for reading only.
    pub readers: u8,
    /// How many uses are for writing.
    pub writers: u8,
}

impl Active {
    /// True if anybody uses it.
    #[inline]
    pub const fn in_use(&self) -> bool {
        self.readers != 0 || self.writers != 0
    }

    /// The same with one use more; `None` if that cannot be counted.
    #[inline]
    pub fn more(mut self, write: bool) -> Option<Active> {
        let count = if write { &mut self.writers } else { &mut self.readers };
        *count = count.checked_add(1)?;
        Some(self)
    }

    /// The same with one use less; `None` if there is none.
    #[inline]
    pub fn less(mut self, write: bool) -> Option<Active> {
        let count = if write { &mut self.writers } else { &mut self.readers };
        *count = count.checked_sub(1)?;
        Some(self)
    }
}

/// The records of one frame of shared entries.
#[derive(FromZeros)]
#[repr(C)]
pub struct ActiveFrame {
    /// In the order of the entries.
    pub records: [Active; super::table::ENTRIES],
}

const _: () = assert!(size_of::<ActiveFrame>() == 4096);

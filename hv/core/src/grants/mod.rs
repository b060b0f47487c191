//! Grants: how one domain lets another map or copy single frames of its memory, and takes them back (`grant_table.h`, version 1).
//!
//! A domain writes what it grants into the entries of its grant table, frames that it shares with the hypervisor. Another domain
//! names an entry to map the frame into its own page tables, or to have bytes copied. While it does, the hypervisor keeps
//! `GTF_reading` and `GTF_writing` in the entry, and the granter must not reuse the frame before they are clear.
//!
//! Three tables belong together: the shared entries (guest memory, so an allegation), one [`active`] record for each (what is truly in
//! use, by whom), and each mapping domain's [`maptrack`] (which handle stands for which mapping). The rule is that no
//! page-table entry maps a frame whose grant is not marked in use.

mod active;
mod check;
mod copy;
pub mod entry;
mod map;
mod maptrack;
mod memory;
mod pin;
mod release;
mod table;

pub use check::check;
pub use copy::copy;
pub use map::{Mapped, Unmapped, finish_unmap, map, unmap};
pub use pin::Grant;
pub use release::{Teardown, close};
pub use table::{DomainGrants, GRANT_FRAMES_DEFAULT, MAPTRACK_FRAMES_DEFAULT, init, setup};

/// Why an operation on a grant was refused: a `GNTST_*` number below zero, for the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub i16);

impl Refused {
    /// The entry does not permit it, is in use by another, or changes under our hands.
    pub const GENERAL: Refused = Refused(abi::grant::GNTST_GENERAL_ERROR);
    /// There is no such domain.
    pub const BAD_DOMAIN: Refused = Refused(abi::grant::GNTST_BAD_DOMAIN);
    /// There is no such entry, or nothing was asked of it.
    pub const BAD_REFERENCE: Refused = Refused(abi::grant::GNTST_BAD_GNTREF);
    /// The handle stands for no mapping.
    pub const BAD_HANDLE: Refused = Refused(abi::grant::GNTST_BAD_HANDLE);
    /// There is no I/O MMU to map for.
    pub const NO_DEVICE_SPACE: Refused = Refused(abi::grant::GNTST_NO_DEVICE_SPACE);
    /// The caller may not.
    pub const PERMISSION: Refused = Refused(abi::grant::GNTST_PERMISSION_DENIED);
    /// The granted frame is not the granter's.
    pub const BAD_PAGE: Refused = Refused(abi::grant::GNTST_BAD_PAGE);
    /// A copy would cross the end of a page.
    pub const BAD_COPY: Refused = Refused(abi::grant::GNTST_BAD_COPY_ARG);
    /// A guest address cannot be written.
    pub const BAD_ADDRESS: Refused = Refused(abi::grant::GNTST_BAD_VIRT_ADDR);
    /// Not now; the guest may try again.
    pub const AGAIN: Refused = Refused(abi::grant::GNTST_EAGAIN);
    /// No handle is left.
    pub const NO_SPACE: Refused = Refused(abi::grant::GNTST_NO_SPACE);
}

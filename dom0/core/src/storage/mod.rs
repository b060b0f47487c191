//! What an operator calls a disk, and what lies behind the name: physical disks, their partitions, files on mounted volumes, images in any of these.
//!
//! [`Storage`] knows the physical disks and the mounted volumes. Everything else is found anew whenever a name is used, so that nothing here can be out of
//! date. Whoever uses a disk holds a claim on its bytes ([`claims`]): one who writes is alone with them, by whatever name he came.

mod claim;
pub mod claims;
mod error;
mod images;
mod layer;
mod letters;
mod list;
mod mount;
mod open;
mod read_only;
mod target;

use alloc::{
    rc::{Rc, Weak},
    string::{String, ToString},
    vec::Vec,
};
use core::cell::{Cell, RefCell};

use self::claims::{Claims, Range};
use self::mount::Mount;
use crate::block::{SharedDisk, SharedMemory};
use crate::qcow2::Image;

pub use claim::Claim;
pub use error::StorageError;
pub use images::ImageInfo;
pub use letters::letters;
pub use list::{Kind, Listed};
pub use mount::Mounted;
pub use open::Opened;
pub use read_only::ReadOnly;
pub use target::{DEVICES, Target};

type Result<T> = core::result::Result<T, StorageError>;

/// What a user of a disk may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

impl Access {
    /// Whether it includes writing.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write)
    }
}

/// A disk that the machine has.
#[derive(Clone)]
struct Physical {
    /// As in [`crate::block::Place::At`].
    number: u32,
    name: String,
    disk: SharedDisk,
}

/// All that Dom0 can give to a guest as a disk.
pub struct Storage {
    memory: SharedMemory,
    disks: RefCell<Vec<Physical>>,
    mounts: RefCell<Vec<Rc<Mount>>>,
    /// Mounts so far.
    mounted: Cell<u32>,
    claims: Rc<RefCell<Claims>>,
    /// Images that are being written, by what holds them: whoever else works on one works through it.
    images: RefCell<Vec<(Range, Weak<Image>)>>,
}

impl Storage {
    /// No disks yet. Metadata are read through `memory`.
    pub fn new(memory: SharedMemory) -> Self {
        Self {
            memory,
            disks: RefCell::default(),
            mounts: RefCell::default(),
            mounted: Cell::new(0),
            claims: Rc::default(),
            images: RefCell::default(),
        }
    }

    /// A disk has appeared: `name` is what stands behind `/dev/`, `number` what [`crate::block::Place::At`] calls it.
    pub fn add(&self, number: u32, name: &str, disk: SharedDisk) {
        self.disks.borrow_mut().push(Physical { number, name: name.to_string(), disk });
    }

    /// A disk is gone. Who uses it will see errors.
    pub fn remove(&self, number: u32) {
        self.disks.borrow_mut().retain(|disk| disk.number != number);
    }

    fn physical(&self) -> Vec<Physical> {
        self.disks.borrow().clone()
    }

    fn remember(&self, range: Range, image: &Rc<Image>) {
        let mut images = self.images.borrow_mut();
        images.retain(|(_, image)| image.strong_count() != 0);
        images.push((range, Rc::downgrade(image)));
    }

    /// The image that somebody is writing there.
    fn written(&self, range: Range) -> Option<Rc<Image>> {
        self.images.borrow().iter().find(|(known, _)| *known == range)?.1.upgrade()
    }
}

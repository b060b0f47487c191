//! An open image's state, shared by requests and by the work that changes metadata.
//!
//! No borrow of it lives across an `.await`; only carried work changes it (see [`super::carrier`]).

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::at_once::AtOnce;
use super::carrier::Carrier;
use super::entry::{Entry, OFFSET};
use super::error::ImageError;
use super::geometry::Geometry;
use super::header::Header;
use super::slices::Slices;
use super::space::Space;
use super::store::Store;
use super::write::Busy;
use crate::block::{DiskError, SharedDisk, SharedMemory, Traffic};

/// Requests that fill clusters at once at most, with up to 64 KiB of buffers each; and that unpack, with up to three clusters each.
const MOST_FILLING: usize = 16;
const MOST_UNPACKING: usize = 4;

/// Whether an image may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is only looked at.
    ReadOnly,
    /// It is written, and nobody else has it open.
    ReadWrite,
}

pub(super) struct Inner {
    pub store: Store,
    pub backing: Option<SharedDisk>,
    pub access: Access,
    pub geometry: Geometry,
    /// The unit of the guest's requests, in bytes.
    pub block: u64,
    /// Bytes of what lies below, as far as they are used: looked up once, as every request needs them.
    pub below_bytes: Cell<u64>,
    pub header: RefCell<Header>,
    /// What lies below may be another header: a change of it failed.
    pub unsure: Cell<bool>,
    pub slices: RefCell<Slices>,
    pub l1: RefCell<Vec<u64>>,
    /// Blocks of the L1 table that are to be written, by index.
    pub l1_changed: RefCell<BTreeSet<usize>>,
    /// L2 tables that no durable L1 table refers to.
    pub new_tables: RefCell<BTreeSet<u64>>,
    pub space: Space,
    pub busy: Busy,
    /// The last packed cluster that was read, by the offset of its data: guests read a cluster in several requests.
    pub unpacked: RefCell<Option<(u64, Rc<[u8]>)>>,
    /// Those who fill clusters, and those who unpack some: both have buffers.
    pub filling: AtOnce,
    pub unpacking: AtOnce,
    pub carrier: Carrier,
    pub traffic: Rc<Traffic>,
    /// No places are told: something moves.
    pub closed: Cell<bool>,
    /// Its user has let go of it, and another may have it: see [`super::Image::shut`].
    pub shut: Cell<bool>,
}

impl Inner {
    pub async fn open(
        below: SharedDisk,
        memory: SharedMemory,
        backing: Option<SharedDisk>,
        access: Access,
    ) -> Result<Rc<Self>, ImageError> {
        let header = Header::read(&*below, &*memory).await?;
        let backing = match (&header.backing, backing) {
            (Some(named), None) => return Err(ImageError::NoBacking(named.name.clone())),
            (None, _) => None,
            (Some(_), backing) => backing,
        };
        let store = Store { below, memory };
        let geometry = header.geometry();
        let backing_block = backing.as_ref().map_or(0, |backing| backing.info().logical_block.into());
        if geometry.cluster() < store.block().max(backing_block) {
            return Err(ImageError::CannotHere(
                "the image's clusters are smaller than the blocks of the disks below: convert it with larger ones",
            ));
        }
        let l1 = read_table(&store, header.l1_offset, header.l1_entries as usize).await?;
        let inner = Rc::new(Self {
            block: store.block().max(backing_block),
            below_bytes: Cell::new(store.below.info().bytes),
            store,
            backing,
            access,
            geometry,
            header: RefCell::new(header),
            unsure: Cell::new(false),
            slices: RefCell::new(Slices::new(geometry.cluster())),
            l1: RefCell::new(l1),
            l1_changed: RefCell::default(),
            new_tables: RefCell::default(),
            space: Space::default(),
            busy: Busy::default(),
            unpacked: RefCell::default(),
            filling: AtOnce::new(MOST_FILLING),
            unpacking: AtOnce::new(MOST_UNPACKING),
            carrier: Carrier::default(),
            traffic: Traffic::new(),
            closed: Cell::new(false),
            shut: Cell::new(false),
        });
        inner.begin().await?;
        Ok(inner)
    }

    /// Reads what only writers and those who check need, and makes the image fit to be written.
    async fn begin(&self) -> Result<(), ImageError> {
        let header = self.header.borrow().clone();
        let entries = (u64::from(header.refcount_table_clusters) << header.cluster_bits) / 8;
        self.space.table.replace(read_table(&self.store, header.refcount_table_offset, entries as usize).await?);
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        if self.store.below.info().read_only {
            return Err(DiskError::ReadOnly.into());
        }
        if header.corrupt {
            return Err(ImageError::MarkedCorrupt);
        }
        if header.dirty {
            self.repair().await?;
        }
        if header.autoclear != 0 {
            // What others keep in the image beside the disk is not brought up to date here, and they have to know.
            self.patch(|header| header.autoclear = 0).await?;
        }
        Ok(())
    }

    /// Bytes of the guest's disk, in whole blocks.
    pub fn bytes(&self) -> u64 {
        (self.header.borrow().virtual_bytes + self.block - 1) & !(self.block - 1)
    }

    /// Has the carrier do work with the image.
    pub async fn carried<T: 'static, W: Future<Output = T> + 'static>(self: &Rc<Self>, work: impl FnOnce(Rc<Self>) -> W) -> T {
        self.carrier.run(work(self.clone())).await
    }

    pub fn version(&self) -> u32 {
        self.header.borrow().version
    }

    /// What an entry of an L2 table says, if it can be believed.
    pub fn entry(&self, raw: u64) -> Result<Entry, DiskError> {
        let entry = Entry::parse(raw, self.version(), self.geometry).ok_or(DiskError::Corrupt("an entry of an L2 table is nonsense"))?;
        if let Some((first, count)) = entry.clusters(self.geometry)
            && (first == 0 || first + count > self.geometry.clusters(self.below_bytes.get()))
        {
            return Err(DiskError::Corrupt("an entry of an L2 table points outside of the file"));
        }
        Ok(entry)
    }

    /// The offset of a table that an entry of the L1 table names.
    pub fn table_at(&self, raw: u64) -> Result<Option<u64>, DiskError> {
        let at = raw & OFFSET;
        let what = "an L2 table lies outside of the file";
        self.geometry.area(at, if at == 0 { 0 } else { self.geometry.cluster() }, self.below_bytes.get(), what)?;
        Ok((at != 0).then_some(at))
    }

    pub fn l1_index(&self, offset: u64) -> usize {
        self.geometry.l1_index(offset) as usize
    }

    /// Where an L2 table that lies at `table` has its entry for a byte of the guest's disk.
    pub fn entry_at(&self, table: u64, offset: u64) -> u64 {
        table + self.geometry.l2_index(offset) * 8
    }

    /// Makes sure that the slice is here in which a byte lies. Only for carried work.
    pub async fn load(&self, at: u64) -> Result<u64, DiskError> {
        let (start, bytes) = {
            let slices = self.slices.borrow();
            let start = slices.start(at);
            if slices.get(start).is_some() {
                return Ok(start);
            }
            (start, slices.slice_bytes())
        };
        let read = self.store.read(start, bytes as usize).await?;
        self.slices.borrow_mut().insert(start, read);
        Ok(start)
    }
}

/// A table of numbers of 64 bits.
pub(super) async fn read_table(store: &Store, offset: u64, entries: usize) -> Result<Vec<u64>, DiskError> {
    let bytes = store.read(offset, entries * 8).await?;
    let mut table = Vec::new();
    table.try_reserve_exact(entries).map_err(|_| DiskError::NoMemory)?;
    table.extend(bytes.as_chunks().0.iter().map(|entry| u64::from_be_bytes(*entry)));
    Ok(table)
}

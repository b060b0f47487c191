//! What the back end tells of a disk, checked once: a number that makes no sense is a breach, not a surprise later.

use super::{Breach, Error};

/// A disk's properties. A sector is 512 bytes here and everywhere on the ring, whatever the disk's own blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Length of the disk.
    pub sectors: u64,
    /// Bytes of a logical block: a power of two from 512 to 4096. Every access begins and ends on one.
    pub sector_size: u32,
    /// Bytes that the medium writes at once; a hint.
    pub physical_sector_size: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// It is a CD-ROM.
    pub cdrom: bool,
    /// The medium can be taken out.
    pub removable: bool,
    /// Flushes are offered.
    pub flush: bool,
    /// Barriers are offered; they serve as flushes where those are not.
    pub barrier: bool,
    /// Discards, if they are offered.
    pub discard: Option<Discard>,
    /// Pages stay mapped at the back end.
    pub persistent: bool,
    /// Segments of an indirect request at most; 0 if there are none.
    pub max_indirect: u16,
}

/// How a disk discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Bytes of the unit in which space is given back.
    pub granularity: u32,
    /// Bytes from the disk's beginning to the first such unit.
    pub alignment: u32,
    /// Discards that leave nothing readable are offered.
    pub secure: bool,
}

impl Info {
    /// Makes sense of the back end's nodes; `tells` has their numbers.
    ///
    /// # Errors
    /// [`Breach::Description`] if there is no length, or an impossible block; those of `tells`.
    pub fn read(mut tells: impl FnMut(&str) -> Result<Option<u64>, Error>) -> Result<Info, Error> {
        let wrong = Error::Breach(Breach::Description);
        let sectors = tells("sectors")?.filter(|&sectors| sectors <= u64::MAX / 512).ok_or(wrong)?;
        let block = |size: u64| u32::try_from(size).ok().filter(|size| size.is_power_of_two() && *size >= 512);
        let sector_size = block(tells("sector-size")?.unwrap_or(512)).filter(|&size| size <= 4096).ok_or(wrong)?;
        let physical = tells("physical-sector-size")?.and_then(block).unwrap_or(sector_size);
        let bits = tells("info")?.unwrap_or(0) as u32;
        let mut flag = |name| Ok::<_, Error>(tells(name)?.unwrap_or(0) != 0);
        let (flush, barrier, persistent) = (flag("feature-flush-cache")?, flag("feature-barrier")?, flag("feature-persistent")?);
        let discard = flag("feature-discard")?;
        let secure = flag("discard-secure")?;
        let mut number = |name| Ok::<_, Error>(tells(name)?.and_then(|value| u32::try_from(value).ok()));
        let granularity = number("discard-granularity")?.unwrap_or(sector_size);
        let alignment = number("discard-alignment")?.unwrap_or(0);
        let max_indirect = tells("feature-max-indirect-segments")?.unwrap_or(0);
        Ok(Info {
            sectors,
            sector_size,
            physical_sector_size: physical,
            read_only: bits & abi::blkif::INFO_READONLY != 0,
            cdrom: bits & abi::blkif::INFO_CDROM != 0,
            removable: bits & abi::blkif::INFO_REMOVABLE != 0,
            flush,
            barrier,
            discard: discard.then_some(Discard { granularity, alignment, secure }),
            persistent,
            max_indirect: u16::try_from(max_indirect).unwrap_or(u16::MAX),
        })
    }

    /// Sectors of a logical block.
    pub fn block(&self) -> u64 {
        u64::from(self.sector_size) / 512
    }

    /// Checks that sectors are there and on blocks.
    ///
    /// # Errors
    /// [`Error::Range`], [`Error::Misaligned`].
    pub fn check(&self, sector: u64, sectors: u64) -> Result<(), Error> {
        if sectors == 0 || sector.checked_add(sectors).is_none_or(|end| end > self.sectors) {
            return Err(Error::Range);
        }
        if (sector | sectors) & (self.block() - 1) == 0 { Ok(()) } else { Err(Error::Misaligned) }
    }

    /// Checks the length of a buffer as well.
    ///
    /// # Errors
    /// As for [`Self::check`].
    pub fn check_bytes(&self, sector: u64, bytes: usize) -> Result<(), Error> {
        if !bytes.is_multiple_of(512) {
            return Err(Error::Misaligned);
        }
        self.check(sector, bytes as u64 / 512)
    }
}

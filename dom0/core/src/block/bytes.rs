//! Small reads of what lies anywhere on a disk, for whoever looks at metadata.

use alloc::vec::Vec;

use super::{Disk, DiskError, Memory, SECTOR};

/// The most that one request of these moves, in bytes: a multiple of every logical block.
const CHUNK: u64 = 64 << 10;

/// Reads bytes from anywhere on the disk; neither `offset` nor `bytes` need be a multiple of anything.
///
/// # Errors
/// [`DiskError::OutOfRange`] if they are not all there, [`DiskError::NoMemory`], and what the disk says.
pub async fn read_bytes(disk: &dyn Disk, memory: &dyn Memory, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
    let info = disk.info();
    let end = offset.checked_add(bytes as u64).filter(|end| *end <= info.bytes).ok_or(DiskError::OutOfRange)?;
    let mut result = Vec::new();
    result.try_reserve_exact(bytes).map_err(|_| DiskError::NoMemory)?;
    result.resize(bytes, 0);
    let block = u64::from(info.logical_block).max(SECTOR);
    let mut at = offset;
    while at < end {
        let first = at - at % block;
        let last = end.min(first + CHUNK).next_multiple_of(block);
        let buffer = memory.buffer((last - first) as usize)?;
        disk.read(first, buffer.pieces()).await?;
        let stop = last.min(end);
        let into = result.get_mut((at - offset) as usize..(stop - offset) as usize).ok_or(DiskError::OutOfRange)?;
        buffer.get((at - first) as usize, into);
        at = stop;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::fake::{FakeDisk, FakeMemory, block_on};

    #[test]
    fn any_bytes_can_be_read() {
        let memory = FakeMemory::new();
        let contents: Vec<u8> = (0..200 * 1024).map(|at| (at % 251) as u8).collect();
        let disk = FakeDisk::new(&memory, 0, contents.clone());
        for (from, bytes) in [(0, 1), (511, 2), (1000, 150_000), (200 * 1024 - 3, 3), (77, 0)] {
            let read = block_on(read_bytes(&*disk, &memory, from as u64, bytes)).unwrap();
            assert_eq!(read, contents[from..from + bytes], "{from} {bytes}");
        }
        assert_eq!(block_on(read_bytes(&*disk, &memory, 200 * 1024 - 3, 4)), Err(DiskError::OutOfRange));
        assert_eq!(block_on(read_bytes(&*disk, &memory, u64::MAX, 4)), Err(DiskError::OutOfRange));
    }
}

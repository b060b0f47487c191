//! The master boot record: four primary partitions, of which one may hold a chain of logical ones.

use alloc::{format, string::String, vec::Vec};

use gpt_disk_types::{MasterBootRecord, MbrPartitionRecord};

use super::{Partition, Scheme, Source, Table, TableError, check_apart, damaged};
use crate::block::DiskError;

/// The type of the record that says "look for a GPT".
const PROTECTIVE: u8 = 0xee;
/// Types of partitions that hold a chain of logical ones: DOS, LBA, Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Bytes of a record on disk, in the first of the block.
const BYTES: usize = 512;
/// The number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;
/// Logical partitions at most; Linux stops at 252.
const MOST_LOGICAL: u32 = 128;

/// The partitions of a boot record.
pub struct Record([MbrPartitionRecord; 4]);

impl Record {
    /// Whether it is there to tell old tools that the disk has a GPT.
    pub fn is_protective(&self) -> bool {
        self.0.iter().any(|record| record.os_indicator == PROTECTIVE)
    }
}

/// The record in a block; none if it is none. A boot sector with code (of a file system, say) has the same signature, so that the flags must fit as well.
pub async fn record(source: &Source<'_>, block: u64) -> Result<Option<Record>, DiskError> {
    let bytes = source.read(block, BYTES).await?;
    let Ok(record) = bytemuck::try_pod_read_unaligned::<MasterBootRecord>(&bytes) else {
        return Ok(None);
    };
    let plausible = record.partitions.iter().all(|record| matches!(record.boot_indicator, 0 | 0x80));
    Ok((record.signature == [0x55, 0xaa] && plausible).then_some(Record(record.partitions)))
}

/// The table that begins with this record; none if it names no partition.
pub async fn read(source: &Source<'_>, record: &Record) -> Result<Option<Table>, TableError> {
    let mut partitions = Vec::new();
    let mut extended = Vec::new();
    for (number, record) in (1..).zip(&record.0) {
        let Some((start, end)) = extent(record) else { continue };
        let partition = source.partition(number, start, end, String::new())?;
        if EXTENDED.contains(&record.os_indicator) {
            extended.push((start, end));
        }
        partitions.push(partition);
    }
    if partitions.is_empty() {
        return Ok(None);
    }
    let mut own = Vec::from([(0, source.block)]);
    // With the extended one among them, so that nothing else lies where it does.
    check_apart(&partitions, &own)?;
    match *extended.as_slice() {
        [] => {}
        [(start, end)] => {
            partitions.retain(|partition| partition.start != start * source.block);
            logical(source, start, end, &mut partitions, &mut own).await?;
            check_apart(&partitions, &own)?;
        }
        _ => return damaged("it has more than one extended partition"),
    }
    Ok(Some(Table { scheme: Scheme::Mbr, partitions, warning: None }))
}

/// The logical partitions, each behind a record of its own in the extended partition from block `base` to `limit`.
async fn logical(
    source: &Source<'_>,
    base: u64,
    limit: u64,
    partitions: &mut Vec<Partition>,
    own: &mut Vec<(u64, u64)>,
) -> Result<(), TableError> {
    let (mut at, mut number) = (base, FIRST_LOGICAL);
    loop {
        let Some(Record([first, next, ..])) = record(source, at).await? else {
            // An extended partition that was never used.
            return if at == base { Ok(()) } else { damaged(format!("the record of logical partition {number} is missing")) };
        };
        own.push((at * source.block, (at + 1) * source.block));
        if let Some((start, end)) = extent(&first) {
            let (start, end) = (at + start, at + end);
            if end > limit {
                return damaged(format!("logical partition {number} lies outside of the extended one"));
            }
            partitions.push(source.partition(number, start, end, String::new())?);
            number += 1;
        }
        let Some((start, _)) = extent(&next) else { return Ok(()) };
        at = base + start;
        if at >= limit {
            return damaged(format!("the record of logical partition {number} lies outside of the extended one"));
        }
        if own.len() > MOST_LOGICAL as usize {
            return damaged(format!("it has more than {MOST_LOGICAL} logical partitions, or they go in a circle"));
        }
    }
}

/// First block and the one after the last; none for an unused record.
fn extent(record: &MbrPartitionRecord) -> Option<(u64, u64)> {
    let (start, blocks) = (u64::from(record.starting_lba.to_u32()), u64::from(record.size_in_lba.to_u32()));
    (record.os_indicator != 0 && blocks != 0).then_some((start, start + blocks))
}

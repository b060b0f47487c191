//! The GUID partition table: a header behind the boot record, a second one in the last block, a list of entries for each.

use alloc::{string::String, vec::Vec};

use gpt_disk_types::{GptHeader, GptPartitionEntry};

use super::{Scheme, Source, Table, TableError, check_apart, damaged};

/// Bytes of the header that UEFI defines; more may follow.
const HEADER: usize = 92;
/// Bytes of an entry that UEFI defines; larger ones are doubled.
const ENTRY: usize = size_of::<GptPartitionEntry>();
/// The longest entry and the most entries that are read: 1 MiB together at most.
const MOST_ENTRY: usize = 1024;
const MOST_ENTRIES: usize = 1024;
/// Where the checksum stands in the header.
const CHECKSUM: core::ops::Range<usize> = 16..20;

/// Reads the table, or the copy of it at the disk's end if the first is damaged.
pub async fn read(source: &Source<'_>) -> Result<Option<Table>, TableError> {
    let first = match read_from(source, 1).await {
        Err(TableError::Damaged(what)) => what,
        other => return other.map(Some),
    };
    let second = read_from(source, source.blocks - 1).await;
    let warning = Some("the partition table is damaged, and its copy at the disk's end is used: repair it with sgdisk -e in a guest");
    match second {
        Ok(table) => Ok(Some(Table { warning, ..table })),
        Err(TableError::Damaged(_)) => damaged(first),
        Err(other) => Err(other),
    }
}

async fn read_from(source: &Source<'_>, at: u64) -> Result<Table, TableError> {
    let header = header(source, at).await?;
    let (count, bytes) = (header.number_of_partition_entries.to_u32() as usize, header.size_of_partition_entry.to_u32() as usize);
    if !(ENTRY..=MOST_ENTRY).contains(&bytes) || !bytes.is_power_of_two() || count > MOST_ENTRIES {
        return damaged("the number or the size of its entries is impossible");
    }
    let (first, last, list) = (lba(header.first_usable_lba), lba(header.last_usable_lba), lba(header.partition_entry_lba));
    let list_blocks = ((count * bytes) as u64).div_ceil(source.block);
    let list_end = list.checked_add(list_blocks).filter(|end| list >= 2 && *end <= source.blocks);
    let Some(list_end) = list_end else { return damaged("its entries lie outside of the disk") };
    if first > last || last >= source.blocks || first < 2 {
        return damaged("what it says about the disk's size does not fit the disk");
    }
    let entries = source.read(list, count * bytes).await?;
    if crc32fast::hash(&entries) != header.partition_entry_array_crc32.0.to_u32() {
        return damaged("the checksum of its entries is wrong");
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(bytes)) {
        let Some(Ok(entry)) = entry.get(..ENTRY).map(bytemuck::try_pod_read_unaligned::<GptPartitionEntry>) else {
            return damaged("its entries are cut short");
        };
        if entry.is_used() {
            let (start, end) = (lba(entry.starting_lba), lba(entry.ending_lba).saturating_add(1));
            let partition = source.partition(number, start, end, name(entry))?;
            if start < first || end > last + 1 {
                return damaged(alloc::format!("partition {number} lies outside of the part of the disk that is for partitions"));
            }
            partitions.push(partition);
        }
    }
    let bytes = |start: u64, end: u64| (start * source.block, end * source.block);
    let own = [bytes(0, 2), bytes(source.blocks - 1, source.blocks), bytes(at, at + 1), bytes(list, list_end)];
    check_apart(&partitions, &own)?;
    Ok(Table { scheme: Scheme::Gpt, partitions, warning: None })
}

/// The header in a block, checked.
async fn header(source: &Source<'_>, at: u64) -> Result<GptHeader, TableError> {
    let mut bytes = source.read(at, source.block as usize).await?;
    let header = bytes.get(..HEADER).and_then(|start| bytemuck::try_pod_read_unaligned::<GptHeader>(start).ok());
    let Some(header) = header.filter(GptHeader::is_signature_valid) else { return damaged("its header is missing") };
    let size = header.header_size.to_u32() as usize;
    if size < HEADER || size > bytes.len() {
        return damaged("the size of its header is impossible");
    }
    if let Some(checksum) = bytes.get_mut(CHECKSUM) {
        checksum.fill(0);
    }
    if bytes.get(..size).map(crc32fast::hash) != Some(header.header_crc32.0.to_u32()) {
        return damaged("the checksum of its header is wrong");
    }
    if lba(header.my_lba) != at {
        return damaged("its header was made for another place");
    }
    Ok(header)
}

fn lba(lba: gpt_disk_types::LbaLe) -> u64 {
    lba.to_u64()
}

/// The name without what has no place on an operator's screen.
fn name(entry: GptPartitionEntry) -> String {
    let name = entry.name;
    name.chars().take_while(|letter| *letter != '\0').filter(|letter| !letter.is_control()).collect()
}

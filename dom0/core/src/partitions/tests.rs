//! Tables as tools make them and as enemies would.

use alloc::{rc::Rc, string::ToString, vec, vec::Vec};

use gpt_disk_types::{Crc32, GptHeader, GptPartitionEntry, GptPartitionType, LbaLe, U32Le};

use super::*;
use crate::block::fake::{FakeDisk, FakeMemory, block_on};
use crate::block::{Buffer, Place};

const BLOCKS: usize = 4096;

fn table_of(contents: Vec<u8>) -> Result<Option<Table>, TableError> {
    let memory = FakeMemory::new();
    block_on(read(&*FakeDisk::new(&memory, 0, contents), &memory))
}

fn message(contents: Vec<u8>) -> String {
    table_of(contents).unwrap_err().to_string()
}

/// Sets a primary record, or one of an extended boot record, in the block at `at`.
fn set_record(contents: &mut [u8], at: usize, slot: usize, kind: u8, start: u32, blocks: u32) {
    let record = at * 512 + 446 + slot * 16;
    contents[record + 4] = kind;
    contents[record + 8..record + 12].copy_from_slice(&start.to_le_bytes());
    contents[record + 12..record + 16].copy_from_slice(&blocks.to_le_bytes());
    contents[at * 512 + 510..at * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
}

fn mbr(records: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut contents = vec![0; BLOCKS * 512];
    for (slot, (kind, start, blocks)) in records.iter().enumerate() {
        set_record(&mut contents, 0, slot, *kind, *start, *blocks);
    }
    contents
}

fn shape(table: &Table) -> Vec<(u32, u64, u64)> {
    table.partitions.iter().map(|p| (p.number, p.start / 512, p.bytes / 512)).collect()
}

#[test]
fn an_empty_disk_and_a_boot_sector_have_no_table() {
    assert_eq!(table_of(vec![0; BLOCKS * 512]), Ok(None));
    assert_eq!(table_of(vec![0; 512]), Ok(None));
    let mut boot_sector = mbr(&[(0x83, 64, 64)]);
    boot_sector[446] = 0x33;
    assert_eq!(table_of(boot_sector), Ok(None));
    assert_eq!(table_of(mbr(&[(0x83, 64, 0)])), Ok(None));
}

#[test]
fn primary_and_logical_partitions_of_an_mbr() {
    let mut contents = mbr(&[(0x83, 64, 100), (0x0f, 1000, 2000), (0, 0, 0), (0x82, 200, 8)]);
    set_record(&mut contents, 1000, 0, 0x83, 10, 90);
    set_record(&mut contents, 1000, 1, 0x05, 500, 300);
    set_record(&mut contents, 1500, 0, 0x83, 2, 298);
    let table = table_of(contents).unwrap().unwrap();
    assert_eq!(table.scheme, Scheme::Mbr);
    assert_eq!(shape(&table), [(1, 64, 100), (4, 200, 8), (5, 1010, 90), (6, 1502, 298)]);
}

#[test]
fn a_hostile_mbr_is_refused_with_one_message() {
    assert!(message(mbr(&[(0x83, 64, 100), (0x83, 163, 10)])).contains("partitions 1 and 2 overlap"));
    assert!(message(mbr(&[(0x83, 64, 100_000)])).contains("partition 1 lies beyond the end"));
    assert!(message(mbr(&[(0x83, 0, 100)])).contains("contains a part of the table"));
    assert!(message(mbr(&[(0x05, 64, 100), (0x0f, 200, 100)])).contains("more than one extended"));
    let mut circle = mbr(&[(0x05, 1000, 1000)]);
    set_record(&mut circle, 1000, 1, 0x05, 0, 10);
    set_record(&mut circle, 1000, 1, 0x05, 10, 10);
    set_record(&mut circle, 1010, 1, 0x05, 10, 10);
    assert!(message(circle).contains("circle"));
    let mut out = mbr(&[(0x05, 1000, 1000)]);
    set_record(&mut out, 1000, 0, 0x83, 10, 2000);
    assert!(message(out.clone()).contains("outside of the extended one"));
    set_record(&mut out, 1000, 0, 0x83, 10, 100);
    set_record(&mut out, 1000, 1, 0x05, 50, 100);
    set_record(&mut out, 1050, 0, 0x83, 100, 100);
    assert!(message(out).contains("partition 5 contains a part of the table"));
}

fn gpt(partitions: &[(u64, u64)]) -> Vec<u8> {
    let mut contents = mbr(&[(0xee, 1, BLOCKS as u32 - 1)]);
    let mut entries = vec![0; 128 * 128];
    for (slot, (start, end)) in partitions.iter().enumerate() {
        let mut entry = GptPartitionEntry {
            partition_type_guid: GptPartitionType::BASIC_DATA,
            starting_lba: LbaLe::from_u64(*start),
            ending_lba: LbaLe::from_u64(*end),
            ..GptPartitionEntry::default()
        };
        entry.name = "data\u{7}".parse().unwrap();
        entries[slot * 128..][..128].copy_from_slice(bytemuck::bytes_of(&entry));
    }
    let last = BLOCKS as u64 - 1;
    for (at, other, list) in [(1, last, 2), (last, 1, last - 32)] {
        let mut header = GptHeader {
            my_lba: LbaLe::from_u64(at),
            alternate_lba: LbaLe::from_u64(other),
            first_usable_lba: LbaLe::from_u64(34),
            last_usable_lba: LbaLe::from_u64(last - 33),
            partition_entry_lba: LbaLe::from_u64(list),
            number_of_partition_entries: U32Le::from_u32(128),
            size_of_partition_entry: U32Le::from_u32(128),
            partition_entry_array_crc32: Crc32(U32Le::from_u32(crc32fast::hash(&entries))),
            ..GptHeader::default()
        };
        header.update_header_crc32();
        contents[at as usize * 512..][..92].copy_from_slice(bytemuck::bytes_of(&header));
        contents[list as usize * 512..][..entries.len()].copy_from_slice(&entries);
    }
    contents
}

/// Changes the first header and makes its checksum right again.
fn forge(mut contents: Vec<u8>, change: impl FnOnce(&mut GptHeader)) -> Vec<u8> {
    let mut header: GptHeader = bytemuck::pod_read_unaligned(&contents[512..604]);
    change(&mut header);
    header.update_header_crc32();
    contents[512..604].copy_from_slice(bytemuck::bytes_of(&header));
    // The copy is no way out.
    contents[(BLOCKS - 1) * 512..][..8].fill(0);
    contents
}

#[test]
fn a_gpt_and_its_copy() {
    let contents = gpt(&[(34, 99), (100, 100)]);
    let table = table_of(contents.clone()).unwrap().unwrap();
    assert_eq!((table.scheme, table.warning, shape(&table)), (Scheme::Gpt, None, vec![(1, 34, 66), (2, 100, 1)]));
    assert_eq!(table.partitions[0].name, "data");
    for broken in [512 + 20, 1024 + 60] {
        let mut contents = contents.clone();
        contents[broken] ^= 1;
        let copy = table_of(contents).unwrap().unwrap();
        assert!(copy.warning.unwrap().contains("copy"));
        assert_eq!(copy.partitions, table.partitions);
    }
}

#[test]
fn a_hostile_gpt_is_refused_with_one_message() {
    assert!(message(gpt(&[(34, 99), (99, 120)])).contains("partitions 1 and 2 overlap"));
    assert!(message(gpt(&[(33, 99)])).contains("outside of the part"));
    assert!(message(gpt(&[(99, 98)])).contains("ends before it begins"));
    assert!(message(gpt(&[(99, u64::MAX)])).contains("beyond the end"));
    let good = || gpt(&[(34, 99)]);
    assert!(message(forge(good(), |h| h.number_of_partition_entries = U32Le::from_u32(u32::MAX))).contains("impossible"));
    assert!(message(forge(good(), |h| h.size_of_partition_entry = U32Le::from_u32(64))).contains("impossible"));
    assert!(message(forge(good(), |h| h.partition_entry_lba = LbaLe::from_u64(u64::MAX))).contains("outside of the disk"));
    assert!(message(forge(good(), |h| h.last_usable_lba = LbaLe::from_u64(1 << 40))).contains("does not fit"));
    assert!(message(forge(good(), |h| h.my_lba = LbaLe::from_u64(9))).contains("another place"));
    let tableless = forge(good(), |h| h.header_size = U32Le::from_u32(513));
    assert!(message(tableless).contains("size of its header"));
    assert!(message(mbr(&[(0xee, 1, 100)])).contains("header is missing"));
}

#[test]
fn no_damage_to_a_table_panics() {
    let whole = gpt(&[(34, 99), (100, 100)]);
    for at in (440..640).chain(1024..1200) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut contents = whole.clone();
            contents[at] = value;
            let _ = table_of(contents);
        }
    }
}

#[test]
fn a_slice_stays_in_its_bounds() {
    let memory = FakeMemory::new();
    let disk = FakeDisk::new(&memory, 7, vec![0; BLOCKS * 512]);
    let slice = Slice::new(disk.clone(), 100 * 512, 16 * 512).unwrap();
    let page = memory.take(4096);
    page.set(0, &[9; 4096]);
    block_on(slice.write(8 * 512, page.pieces())).unwrap();
    assert_eq!(disk.contents()[108 * 512..116 * 512], [9; 4096]);
    assert_eq!(block_on(slice.write(9 * 512, page.pieces())), Err(DiskError::OutOfRange));
    assert_eq!(block_on(slice.discard(u64::MAX - 511, 512)), Err(DiskError::OutOfRange));
    assert_eq!(slice.place(512, 1024, true), Place::At { device: 7, offset: 101 * 512, bytes: 1024 });
    assert_eq!(slice.place(15 * 512, 1024, true), Place::Unknown);
    assert_eq!(slice.info().bytes, 16 * 512);
    let below: Rc<dyn Disk> = disk;
    assert!(Slice::new(below, 4095 * 512, 1024).is_err());
}

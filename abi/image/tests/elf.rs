//! Good, bad and arbitrarily damaged ELF files: each bad one has its own error, and no damage makes the readers panic.

mod common;

use common::{Builder, linux_like, program_header};
use domus_image::error::ImageError;
use domus_image::{Elf, KernelInfo, Plan, Request, notes};
use proptest::prelude::*;

fn read(file: &[u8]) -> Result<KernelInfo, ImageError> {
    let elf = Elf::parse(file)?;
    elf.check_length(file.len() as u64)?;
    notes::read(&elf, &mut { file })
}

fn plain() -> Vec<u8> {
    Builder::new(0x10_0000).load(0x10_0000, vec![0; 0x1000], 0x1000).build()
}

/// `file` with `bytes` written at `offset`.
fn with(mut file: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    file
}

/// `plain()` with one field of its program header replaced; `field` is the byte offset in the header.
fn with_field(field: usize, value: u64) -> Vec<u8> {
    with(plain(), 64 + field, &value.to_le_bytes())
}

#[test]
fn the_extent_is_taken_from_physical_addresses() {
    let file = linux_like().build();
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.physical_extent(), (0x100_0000, 0x101_3000));
    assert_eq!(elf.loads().count(), 2);
}

#[test]
fn only_a_prefix_is_needed() {
    let file = linux_like().build();
    let elf = Elf::parse(&file[..64 + 3 * 56]).unwrap();
    assert_eq!(elf.loads().count(), 2);
    assert_eq!(Elf::parse(&file[..64 + 3 * 56 - 1]).unwrap_err(), ImageError::ProgramHeadersOutOfReach(64));
}

#[test]
fn each_fault_has_its_own_error() {
    let cases: [(Vec<u8>, ImageError); 15] = [
        (Vec::new(), ImageError::NotElf),
        (b"#!/bin/sh\n".to_vec(), ImageError::NotElf),
        (plain()[..20].to_vec(), ImageError::HeaderTruncated),
        (plain()[..63].to_vec(), ImageError::HeaderTruncated),
        (with(plain(), 4, &[1]), ImageError::Not64Bit),
        (with(plain(), 5, &[2]), ImageError::NotLittleEndian),
        (with(plain(), 16, &[1, 0]), ImageError::NotExecutable(1)),
        (with(plain(), 18, &[183, 0]), ImageError::WrongMachine(183)),
        (with(plain(), 54, &[32, 0]), ImageError::ProgramHeaderSize(32)),
        (with(plain(), 56, &[0xff, 0xff]), ImageError::TooManyProgramHeaders(0xffff)),
        (with(plain(), 56, &[0, 0]), ImageError::NothingToLoad),
        (with(plain(), 32, &u64::MAX.to_le_bytes()), ImageError::ProgramHeadersOutOfReach(u64::MAX)),
        (with_field(40, 0), ImageError::SegmentFileLargerThanMemory(0)),
        (with_field(24, u64::MAX - 0x100), ImageError::SegmentWraps(0)),
        (with_field(8, u64::MAX - 0x100), ImageError::SegmentWraps(0)),
    ];
    for (file, error) in cases {
        assert_eq!(read(&file).unwrap_err(), error);
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let file = plain();
    assert_eq!(read(&file[..64 + 56 + 0xfff]).unwrap_err(), ImageError::SegmentTruncated(0));
}

#[test]
fn overlapping_segments_are_refused() {
    let build = |second| Builder::new(0x1000).load(0x1000, vec![0; 16], 0x1000).load(second, vec![0; 16], 0).build();
    assert_eq!(read(&build(0x2000)).unwrap_err(), ImageError::SegmentsOverlap(0, 1));
    assert!(read(&build(0x2010)).is_ok());
    let around = Builder::new(0x1000).load(0x1000, vec![0; 16], 0).load(0, vec![0; 16], 0x10_0000).build();
    assert_eq!(read(&around).unwrap_err(), ImageError::SegmentsOverlap(0, 1));
}

#[test]
fn a_segment_as_large_as_the_address_space_does_not_fit_in_a_domain() {
    let kernel = read(&with_field(40, 1 << 47)).unwrap();
    let error = Plan::new(&kernel, &Request { nr_pages: 1 << 16, ..Request::default() }).unwrap_err();
    assert!(matches!(error, ImageError::AddressSpace { .. }), "{error}");
}

#[test]
fn messages_are_sentences_for_people() {
    assert_eq!(
        ImageError::TooLittleMemory { needed: 1024, available: 512 }.to_string(),
        "too little memory: the domain needs at least 4096 KiB to start and has 2048 KiB"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        in_headers in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
        as_section in any::<bool>(),
        nr_pages in 0u64..1 << 18,
    ) {
        let mut builder = linux_like();
        builder.loads[0].bytes.truncate(64);
        builder.loads[1].bytes.truncate(64);
        builder.as_section = as_section;
        let mut file = builder.build();
        let length = if in_headers { 64 + 3 * 56 } else { file.len() };
        for (index, value) in changes {
            let at = index.index(length);
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(kernel) = read(&file) {
            let request = Request { nr_pages, ramdisk_bytes: 12345, store: true, console: true, first_domain: false };
            if let Ok(plan) = Plan::new(&kernel, &request) {
                prop_assert!(plan.used <= nr_pages);
            }
        }
    }

    #[test]
    fn arbitrary_program_headers_never_panic(
        fields in prop::collection::vec((0u32..6, any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 1..8),
    ) {
        let mut file = plain();
        file.truncate(64);
        file[56] = fields.len() as u8;
        for (kind, offset, paddr, bytes, memory) in fields {
            file.extend(program_header(kind, offset >> 30, paddr >> 20, bytes >> 44, memory >> 40));
        }
        if let Ok(elf) = Elf::parse(&file) {
            let (start, end) = elf.physical_extent();
            prop_assert!(start < end);
            let _ = notes::read(&elf, &mut &file[..]);
        }
    }
}

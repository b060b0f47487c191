//! Kernels in every packing arrive whole where they belong; those that cannot, fail with a sentence and leave other memory alone.

mod image_support;

use domus_dom0_core::image::{KernelLoad, UnpackError};
use image::ImageError;
use image::kernel::NotesFrom;
use image_support::elf::{Builder, linux_like};
use image_support::{Memory, PACKERS, bzimage, code, gzip, load, lz4, plain_xz, xz, zstd};
use proptest::prelude::*;

/// A kernel of two segments at 1 MiB and 2 MiB, larger than some pieces, with Linux's notes behind them.
fn kernel() -> Builder {
    let mut builder = linux_like();
    builder.loads[0].paddr = 1 << 20;
    builder.loads[0].bytes = code(300_000, 1);
    builder.loads[1].paddr = 2 << 20;
    builder.loads[1].bytes = code(150_000, 2);
    builder.number(1, 0xffff_ffff_8010_0000)
}

/// What memory must hold once `builder`'s kernel is loaded, with `offset` subtracted from its addresses.
fn expected(builder: &Builder, offset: u64, bytes: usize) -> Memory {
    let mut memory = Memory::new(bytes);
    for load in &builder.loads {
        memory.0[(load.paddr - offset) as usize..][..load.bytes.len()].copy_from_slice(&load.bytes);
    }
    memory
}

#[test]
fn every_packing_alone_and_in_a_bzimage_arrives_whole() {
    let file = kernel().build();
    let wanted = expected(&kernel(), 0, 8 << 20);
    for (name, pack) in PACKERS {
        let packed = pack(&file);
        for file in [packed.clone(), bzimage(&packed, file.len() as u32)] {
            let mut memory = Memory::new(8 << 20);
            let (kernel, steps) = load(&file, &mut memory).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(memory.0 == wanted.0, "{name}: wrong contents");
            assert_eq!((kernel.entry, kernel.notes_from), (0xffff_ffff_8010_0000, NotesFrom::Segment), "{name}");
            assert!((8..12).contains(&steps), "{name}: {steps} steps, so not in pieces or more than once");
        }
    }
}

#[test]
fn an_lz4_kernel_may_have_many_blocks_and_repeated_magics() {
    let mut builder = kernel();
    builder.loads[1].bytes = code(17 << 20, 3);
    let file = builder.build();
    let mut packed = lz4(&file);
    let second = 8 + u32::from_le_bytes(packed[4..8].try_into().unwrap()) as usize;
    packed.splice(second..second, 0x184c_2102u32.to_le_bytes());
    let mut memory = Memory::new(32 << 20);
    load(&packed, &mut memory).unwrap();
    assert!(memory.0 == expected(&builder, 0, 32 << 20).0);
}

/// NetBSD's shape: physical addresses are virtual ones, and a note says by how much.
fn offset_kernel(base: u64) -> Builder {
    Builder::new(base + 0x10_0000).load(base + 0x10_0000, code(400_000, 5), 0x1000).number(3, base).number(4, base).note(5, b"xen-3.0\0")
}

#[test]
fn a_kernel_that_is_moved_by_its_notes_leaves_nothing_behind_where_it_stood_first() {
    // The second base lies inside the domain's memory, so that the first run writes to the wrong place.
    for base in [0xffff_ffff_8000_0000, 0x20_0000] {
        for (name, pack) in PACKERS {
            let mut memory = Memory::new(4 << 20);
            let (kernel, _) = load(&pack(&offset_kernel(base).build()), &mut memory).unwrap();
            assert_eq!((kernel.paddr_offset, kernel.phys_start), (base, 0x10_0000));
            assert!(memory.0 == expected(&offset_kernel(base), base, 4 << 20).0, "{name}");
        }
    }
}

#[test]
fn notes_in_sections_and_legacy_strings_are_found_in_packed_kernels_too() {
    let in_section = Builder { as_section: true, ..kernel() };
    let text = b"GUEST_OS=Mini-OS,XEN_VER=xen-3.0,VIRT_BASE=0,LOADER=generic\0".to_vec();
    let legacy = Builder { legacy: Some(text), ..Builder::new(0x10_0000).load(0x10_0000, code(500_000, 7), 0) };
    for (builder, from) in [(in_section, NotesFrom::Section), (legacy, NotesFrom::LegacyString)] {
        for (name, pack) in PACKERS {
            let mut memory = Memory::new(8 << 20);
            let (kernel, _) = load(&pack(&builder.build()), &mut memory).unwrap();
            assert_eq!(kernel.notes_from, from, "{name}");
            assert!(memory.0 == expected(&builder, 0, 8 << 20).0, "{name}");
        }
    }
}

#[test]
fn a_domain_too_small_for_the_kernel_is_told_how_much_it_needs() {
    for (name, pack) in PACKERS {
        let error = load(&pack(&kernel().build()), &mut Memory::new(2 << 20)).unwrap_err();
        let needed = ((2u64 << 20) + 150_000 + 0x2000).div_ceil(4096);
        assert_eq!(error, ImageError::TooLittleMemory { needed, available: 512 }.into(), "{name}");
    }
}

#[test]
fn what_unpacks_without_end_is_stopped_at_the_size_of_the_memory() {
    let bomb = Builder::new(0x1000).load(0x1000, vec![0; 64], 0).build();
    let mut bomb = bomb;
    bomb.resize(8 << 20, 0);
    for (name, pack) in &PACKERS[1..] {
        let packed = pack(&bomb);
        let mut load = KernelLoad::new(&packed, 1 << 20).unwrap();
        let mut memory = Memory::new(1 << 20);
        let error = (0..24).find_map(|_| load.step(&mut memory).err());
        assert_eq!(error, Some(UnpackError::LargerThanMemory { memory: 1 << 20 }), "{name}");
        assert!(load.step(&mut memory).is_err(), "{name}: an error does not go away");
    }
}

#[test]
fn files_that_are_no_kernels_are_named_for_what_they_are() {
    let message = |file: &[u8]| KernelLoad::new(file, 1 << 20).err().expect("an error").to_string();
    assert!(message(b"#!/bin/sh").ends_with("it begins with 23 21 2f 62"));
    assert!(message(b"").contains("the file is empty"));
    assert!(message(b"BZh91AY").contains("bzip2"));
    assert!(message(b"\x5d\0\0\x80\0").contains("lzma"));
    assert!(message(b"\x89LZO\0").contains("lzo"));
    assert!(message(b"\x04\x22\x4d\x18").contains("lz4 in frames"));
    let packed_lzo = bzimage(b"\x89LZO\0\0\0\0", 100);
    assert!(message(&packed_lzo).contains("lzo"));
    assert!(message(&bzimage(&[0; 100], 100)).contains("begins with 00 00 00 00"));
    let mut memory = Memory::new(1 << 20);
    let not_elf = load(&gzip(b"hello world"), &mut memory).unwrap_err();
    assert_eq!(not_elf, ImageError::NotElf.into());
}

#[test]
fn bzimages_that_point_outside_are_refused() {
    let good = bzimage(&gzip(&kernel().build()), 0);
    let error = |file: &[u8]| KernelLoad::new(file, 8 << 20).err();
    let with = |offset: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[offset..][..bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_eq!(error(&good), None);
    assert_eq!(error(&good[..good.len() - 101]), Some(UnpackError::PayloadOutside));
    assert_eq!(error(&good[..0x210]), Some(UnpackError::PayloadOutside));
    assert_eq!(error(&with(0x248, &[0xff; 4])), Some(UnpackError::PayloadOutside));
    assert_eq!(error(&with(0x24c, &[0xff; 4])), Some(UnpackError::PayloadOutside));
    assert_eq!(error(&with(0x24c, &[0; 4])), Some(UnpackError::NotAKernel([0; 4])));
    assert_eq!(error(&with(0x206, &[7, 2])), Some(UnpackError::OldBootProtocol(0x207)));
    // No signature: no bzImage.
    assert!(matches!(error(&with(0x202, b"XXXX")), Some(UnpackError::NotAKernel(_))));
}

#[test]
fn a_wrong_size_in_a_bzimage_is_noticed() {
    let file = kernel().build();
    for (name, pack) in &PACKERS[2..] {
        let error = load(&bzimage(&pack(&file), 5), &mut Memory::new(8 << 20)).unwrap_err();
        assert_eq!(error, UnpackError::WrongSize { announced: 5, unpacked: file.len() as u64 }, "{name}");
    }
}

#[test]
fn truncated_data_is_refused_wherever_it_ends() {
    let file = kernel().build();
    for (name, pack) in PACKERS {
        let packed = pack(&file);
        for cut in (1..12).map(|part| packed.len() * part / 12) {
            let error = load(&packed[..cut], &mut Memory::new(8 << 20)).expect_err(name);
            let told = matches!(error, UnpackError::Truncated(_) | UnpackError::Damaged(_) | UnpackError::Image(_));
            assert!(told, "{name} at {cut}: {error}");
        }
    }
}

#[test]
fn dictionaries_beyond_the_limit_are_refused_before_any_memory_is_taken() {
    // Code 40 stands for 4 GiB; it lies behind the size, the flags, and the two bytes that name the filter and count its properties.
    let mut huge = plain_xz(b"x");
    huge[12 + 4] = 40;
    let error = KernelLoad::heap_bytes(&huge).unwrap_err();
    assert!(matches!(error, UnpackError::DictionaryTooLarge { wanted, .. } if wanted >> 20 == 4096), "{error}");
    assert!(KernelLoad::new(&huge, 1 << 20).is_err());
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xf0, 0, 0, 0];
    assert!(matches!(KernelLoad::new(&window, 1 << 20).err(), Some(UnpackError::DictionaryTooLarge { .. })));
}

/// One byte changed in packed data, where a checksum covers all: the kernel either is refused or arrived whole.
#[test]
fn a_changed_byte_does_not_pass_a_checksum() {
    let file = kernel().build();
    let wanted = expected(&kernel(), 0, 8 << 20);
    let packers: [(&str, image_support::Packer); 3] = [("gzip", gzip), ("xz", xz), ("zstd", zstd)];
    for (name, pack) in packers {
        let packed = pack(&file);
        for part in 0..16 {
            let mut changed = packed.clone();
            changed[packed.len() * part / 16] ^= 0x10;
            let mut memory = Memory::new(8 << 20);
            if load(&changed, &mut memory).is_ok() {
                assert!(memory.0 == wanted.0, "{name}: damage at {part}/16 went unnoticed");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// `Memory` panics at a write outside of it, so that this also shows that no damage makes the loader write elsewhere.
    #[test]
    fn damage_never_panics_nor_writes_outside(
        packing in 0..PACKERS.len(),
        in_bzimage in any::<bool>(),
        early in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut builder = kernel();
        builder.loads[0].bytes.truncate(9000);
        builder.loads[1].bytes.truncate(9000);
        let file = builder.build();
        let mut packed = PACKERS[packing].1(&file);
        if in_bzimage {
            packed = bzimage(&packed, file.len() as u32);
        }
        let reach = if early { packed.len().min(600) } else { packed.len() };
        for (index, value) in changes {
            packed[index.index(reach)] = value;
        }
        if let Some(cut) = cut {
            packed.truncate(cut.index(packed.len()));
        }
        let _ = KernelLoad::heap_bytes(&packed);
        if let Ok((kernel, _)) = load(&packed, &mut Memory::new(4 << 20)) {
            prop_assert!(kernel.phys_end <= 4 << 20);
        }
    }
}

//! Ramdisks: placed as they are or unpacked, in the room that they were given and nowhere else.

mod image_support;

use domus_dom0_core::image::UnpackError;
use image_support::{Memory, code, gzip, load_ramdisk, xz};

const START: u64 = 0x10_0000;

fn check(file: &[u8], wanted: &[u8]) {
    let mut memory = Memory::new(4 << 20);
    assert_eq!(load_ramdisk(file, START, &mut memory).unwrap(), wanted.len() as u64);
    let (before, from) = memory.0.split_at(START as usize);
    let (found, behind) = from.split_at(wanted.len());
    assert!(found == wanted);
    assert!(before.iter().chain(behind).all(|byte| *byte == 0));
}

#[test]
fn what_is_not_gzip_is_placed_as_it_is() {
    let archive = code(400_000, 1);
    check(&archive, &archive);
    check(&xz(&archive), &xz(&archive));
    check(b"", b"");
    check(b"BZh, which would be refused in a kernel", b"BZh, which would be refused in a kernel");
}

#[test]
fn gzip_is_unpacked_with_all_its_members_and_what_follows_them() {
    let (first, second, last) = (code(400_000, 1), code(50_000, 2), code(10_000, 3));
    check(&gzip(&first), &first);
    check(&[gzip(&first), gzip(b""), gzip(&second)].concat(), &[&first[..], &second].concat());
    check(&[gzip(&first), last.clone()].concat(), &[&first[..], &last].concat());
}

#[test]
fn a_ramdisk_that_does_not_fit_is_told_the_room_there_is() {
    let archive = code(3 << 20, 1);
    for file in [gzip(&archive), [archive.clone(), vec![1]].concat()] {
        let error = load_ramdisk(&file, START, &mut Memory::new(4 << 20)).err();
        if file[0] == 0x1f {
            assert_eq!(error, None, "it fits exactly");
        } else {
            assert_eq!(error, Some(UnpackError::RamdiskTooLarge { available: 3 << 20 }));
        }
    }
    let bomb = gzip(&vec![0; 6 << 20]);
    let error = load_ramdisk(&bomb, START, &mut Memory::new(4 << 20)).unwrap_err();
    assert_eq!(error, UnpackError::RamdiskTooLarge { available: 3 << 20 });
    assert!(error.to_string().contains("3072 KiB"));
}

#[test]
fn damaged_gzip_is_refused() {
    let good = gzip(&code(100_000, 1));
    assert_eq!(load_ramdisk(&good[..good.len() / 2], START, &mut Memory::new(4 << 20)), Err(UnpackError::Truncated("gzip")));
    assert_eq!(load_ramdisk(&good[..20], START, &mut Memory::new(4 << 20)), Err(UnpackError::Truncated("gzip")));
    let mut wrong = good.clone();
    let checksum = good.len() - 8;
    wrong[checksum] ^= 1;
    assert_eq!(load_ramdisk(&wrong, START, &mut Memory::new(4 << 20)), Err(UnpackError::Damaged("gzip")));
}

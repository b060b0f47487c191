//! What is written here passes `qemu-img check` and reads as the same bytes there.

use std::rc::Rc;

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Disk, DiskError, SharedDisk};
use domus_dom0_core::qcow2::{Access, Header, Image, ImageError, New, Taken, create};

use crate::support::{Folder, Numbers, World, assert_same, contents};

fn new(virtual_bytes: u64, cluster_bits: u32) -> New {
    New { virtual_bytes, cluster_bits, backing: None }
}

fn made(world: &World, room: usize, new: &New) -> Rc<FakeDisk> {
    // What was there before must not show.
    let below = world.disk(contents(room, 99));
    let shared: SharedDisk = below.clone();
    block_on(create(&shared, &world.shared(), new)).unwrap();
    below
}

/// QEMU's opinion: no error, no leak, the same bytes.
#[track_caller]
fn approved(folder: &Folder, below: &FakeDisk, expected: &[u8]) {
    folder.write("image", &below.contents());
    let report = folder.run("qemu-img check -f qcow2 image");
    assert!(report.contains("No errors were found"), "{report}");
    assert_same(&folder.flat("image"), expected, "what QEMU reads");
}

#[track_caller]
fn clean(image: &Image) {
    let report = block_on(image.check()).unwrap();
    assert!(report.is_sound() && report.leaked == 0, "{report:?}");
}

/// Writes at random, in the image and in a copy.
fn scribble(world: &World, image: &dyn Disk, expected: &mut [u8], numbers: &mut Numbers, times: u64) {
    let sectors = expected.len() as u64 / 512;
    for _ in 0..times {
        let at = numbers.below(sectors);
        let most = 1 << numbers.below(9);
        let count = (1 + numbers.below(most)).min(sectors - at);
        let bytes = contents((count * 512) as usize, numbers.next());
        world.write(image, at * 512, &bytes).unwrap();
        expected[(at * 512) as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
}

/// What was discarded is zeroes or what was there before, sector by sector.
#[track_caller]
fn forgotten(world: &World, image: &Image, expected: &mut [u8], range: std::ops::Range<usize>) {
    let found = world.read(image, range.start as u64, range.len()).unwrap();
    for (found, expected) in found.chunks(512).zip(expected[range].chunks_mut(512)) {
        assert!(found == expected || found.iter().all(|&byte| byte == 0));
        expected.copy_from_slice(found);
    }
}

#[test]
fn new_images_of_every_cluster_size() {
    let folder = Folder::new("create");
    for (bits, bytes, room) in [(9, 1 << 20, 3 << 20), (12, 2 << 20, 4 << 20), (16, 3 << 20, 5 << 20), (21, 5 << 20, 24 << 20)] {
        let world = World::new();
        let below = made(&world, room, &new(bytes, bits));
        let mut expected = vec![0; bytes as usize];
        approved(&folder, &below, &expected);
        let image = world.open(&below, None, Access::ReadWrite).unwrap();
        scribble(&world, &*image, &mut expected, &mut Numbers(u64::from(bits)), 30);
        assert_same(&world.read_all(&*image), &expected, "before the flush");
        block_on(image.flush()).unwrap();
        approved(&folder, &below, &expected);
        clean(&image);
        let again = world.open(&below, None, Access::ReadOnly).unwrap();
        assert_same(&world.read_all(&*again), &expected, "opened again");
    }
}

#[test]
fn images_of_others_are_written() {
    let folder = Folder::new("others");
    let base = contents(2 << 20, 3);
    folder.write("base", &base);
    for (number, options) in
        ["compat=0.10", "cluster_size=512", "refcount_bits=1,cluster_size=4k", "lazy_refcounts=on", "preallocation=metadata"]
            .iter()
            .enumerate()
    {
        let backing = if options.contains("preallocation") { "" } else { "-b base -F raw" };
        folder.run(&format!("qemu-img create -q -f qcow2 -o {options} {backing} image 2M"));
        let world = World::new();
        let mut file = folder.read("image");
        file.resize(5 << 20, 0xaa);
        let below = world.disk(file);
        let image = world.open(&below, Some(world.disk(base.clone())), Access::ReadWrite).unwrap();
        let mut expected = if backing.is_empty() { vec![0; base.len()] } else { base.clone() };
        scribble(&world, &*image, &mut expected, &mut Numbers(number as u64), 25);
        block_on(image.discard(512 << 10, 256 << 10)).unwrap();
        forgotten(&world, &image, &mut expected, 512 << 10..768 << 10);
        block_on(image.flush()).unwrap();
        clean(&image);
        approved(&folder, &below, &expected);
    }
}

#[test]
fn packed_clusters_are_replaced_when_they_are_written() {
    let folder = Folder::new("repack");
    let mut expected = contents(2 << 20, 8);
    folder.write("flat", &expected);
    folder.run("qemu-img convert -c -O qcow2 flat image");
    let world = World::new();
    let mut file = folder.read("image");
    file.resize(5 << 20, 0);
    let below = world.disk(file);
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    scribble(&world, &*image, &mut expected, &mut Numbers(5), 20);
    block_on(image.flush()).unwrap();
    clean(&image);
    approved(&folder, &below, &expected);
}

#[test]
fn snapshots_are_qemus_snapshots() {
    let folder = Folder::new("snapshots");
    for compat in ["0.10", "1.1"] {
        folder.run(&format!("qemu-img create -q -f qcow2 -o compat={compat},cluster_size=4k image 1M"));
        let world = World::new();
        let mut file = folder.read("image");
        file.resize(6 << 20, 0);
        let below = world.disk(file);
        let image = world.open(&below, None, Access::ReadWrite).unwrap();
        let (mut expected, mut numbers) = (vec![0; 1 << 20], Numbers(17));
        let mut states = vec![];
        for name in ["one", "two", "three"] {
            scribble(&world, &*image, &mut expected, &mut numbers, 12);
            block_on(image.take_snapshot(name, Taken { seconds: 1_700_000_000, ..Taken::default() })).unwrap();
            states.push(expected.clone());
            approved(&folder, &below, &expected);
        }
        assert_eq!(block_on(image.take_snapshot("two", Taken::default())), Err(ImageError::SnapshotExists("two".into())));
        scribble(&world, &*image, &mut expected, &mut numbers, 12);
        block_on(image.flush()).unwrap();
        approved(&folder, &below, &expected);
        let listed = folder.run("qemu-img snapshot -l image");
        assert!(["one", "two", "three"].iter().all(|name| listed.contains(name)), "{listed}");
        // QEMU restores ours.
        folder.run("qemu-img snapshot -a two image");
        assert_same(&folder.flat("image"), &states[1], "restored by QEMU");
        folder.run("qemu-img snapshot -d one image");
        assert!(folder.run("qemu-img check image").contains("No errors"));
        // And we restore and delete ours.
        block_on(image.delete_snapshot("one")).unwrap();
        approved(&folder, &below, &expected);
        block_on(image.apply_snapshot("two")).unwrap();
        approved(&folder, &below, &states[1]);
        scribble(&world, &*image, &mut states[1], &mut numbers, 5);
        block_on(image.delete_snapshot("2")).unwrap();
        block_on(image.delete_snapshot("three")).unwrap();
        assert_eq!(block_on(image.delete_snapshot("three")), Err(ImageError::NoSnapshot("three".into())));
        block_on(image.flush()).unwrap();
        approved(&folder, &below, &states[1]);
        clean(&image);
    }
}

#[test]
fn snapshots_of_qemu_are_ours() {
    let folder = Folder::new("qemu-snapshots");
    folder.write("flat", &contents(1 << 20, 21));
    folder.run("qemu-img convert -O qcow2 flat image");
    folder.run("qemu-img snapshot -c first image");
    folder.try_args("qemu-io", &["-c", "write -P 7 100k 200k", "image"]).unwrap();
    let before = folder.flat("image");
    folder.run("qemu-img snapshot -c second image");
    folder.try_args("qemu-io", &["-c", "write -P 9 150k 500k", "image"]).unwrap();
    let world = World::new();
    let mut file = folder.read("image");
    file.resize(4 << 20, 0);
    let below = world.disk(file);
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    clean(&image);
    let names: Vec<String> = block_on(image.snapshots()).unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(names, ["first", "second"]);
    block_on(image.delete_snapshot("first")).unwrap();
    block_on(image.apply_snapshot("second")).unwrap();
    approved(&folder, &below, &before);
}

#[test]
fn growing_shows_zeroes() {
    let folder = Folder::new("grow");
    let base = contents(3 << 20, 31);
    folder.write("base", &base);
    for (compat, cluster) in [("0.10", "64k"), ("1.1", "64k"), ("1.1", "512")] {
        folder.run(&format!(
            "qemu-img create -q -f qcow2 -o compat={compat},cluster_size={cluster} -b base -F raw image {}",
            (1 << 20) + 512
        ));
        let world = World::new();
        let mut file = folder.read("image");
        file.resize(8 << 20, 0x77);
        let below = world.disk(file);
        let image = world.open(&below, Some(world.disk(base.clone())), Access::ReadWrite).unwrap();
        let mut expected = base[..(1 << 20) + 512].to_vec();
        scribble(&world, &*image, &mut expected, &mut Numbers(3), 5);
        block_on(image.grow(4 << 20)).unwrap();
        expected.resize(4 << 20, 0);
        assert_eq!(image.info().bytes, 4 << 20);
        scribble(&world, &*image, &mut expected, &mut Numbers(4), 5);
        block_on(image.flush()).unwrap();
        approved(&folder, &below, &expected);
        assert!(matches!(block_on(image.grow(1 << 20)), Err(ImageError::Shrink { .. })));
    }
}

#[test]
fn lazy_counts_are_made_right() {
    let folder = Folder::new("lazy");
    folder.run("qemu-img create -q -f qcow2 -o lazy_refcounts=on,cluster_size=4k image 2M");
    // Its process ends without closing the image.
    let _ = folder.try_args("qemu-io", &["-c", "write -P 5 0 300k", "-c", "write -P 6 700k 100k", "-c", "flush", "-c", "abort", "image"]);
    let world = World::new();
    let mut file = folder.read("image");
    file.resize(4 << 20, 0);
    let below = world.disk(file);
    assert!(block_on(Header::read(&*below, &world.memory)).unwrap().dirty);
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    let mut expected = vec![0; 2 << 20];
    expected[..300 << 10].fill(5);
    expected[700 << 10..800 << 10].fill(6);
    assert!(!image.header().dirty);
    clean(&image);
    scribble(&world, &*image, &mut expected, &mut Numbers(1), 10);
    block_on(image.flush()).unwrap();
    approved(&folder, &below, &expected);
}

#[test]
fn a_full_file_says_so_and_room_comes_back() {
    let folder = Folder::new("full");
    let world = World::new();
    let below = made(&world, 1 << 20, &new(4 << 20, 16));
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    let bytes = contents(64 << 10, 1);
    let mut expected = vec![0; 4 << 20];
    let mut written = 0;
    while written < 64 {
        match world.write(&*image, written * (64 << 10), &bytes) {
            Ok(()) => expected[(written as usize) << 16..][..bytes.len()].copy_from_slice(&bytes),
            Err(error) => {
                assert_eq!(error, DiskError::NoSpace);
                break;
            }
        }
        written += 1;
    }
    // Header, refcount table, refcount block, L1 table and L2 table take five of sixteen.
    assert_eq!(written, 11);
    // In place it still goes.
    world.write(&*image, 0, &[1; 512]).unwrap();
    expected[..512].fill(1);
    block_on(image.discard(2 << 16, 1 << 16)).unwrap();
    expected[2 << 16..3 << 16].fill(0);
    world.write(&*image, 20 << 16, &bytes).unwrap();
    expected[20 << 16..21 << 16].copy_from_slice(&bytes);
    block_on(image.flush()).unwrap();
    approved(&folder, &below, &expected);
    clean(&image);
}

#[test]
fn the_refcount_table_grows_with_the_file() {
    let folder = Folder::new("table");
    // One cluster of 512 bytes names 64 blocks that count 256 clusters each: 8 MiB.
    folder.run("qemu-img create -q -f qcow2 -o cluster_size=512 image 9M");
    let world = World::new();
    let mut file = folder.read("image");
    file.resize(12 << 20, 0);
    let below = world.disk(file);
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    let expected = contents(9 << 20, 12).iter().map(|byte| byte | 1).collect::<Vec<u8>>();
    for at in (0..expected.len()).step_by(1 << 20) {
        world.write(&*image, at as u64, &expected[at..at + (1 << 20)]).unwrap();
    }
    block_on(image.flush()).unwrap();
    approved(&folder, &below, &expected);
    clean(&image);
}

#[test]
fn what_cannot_be_made_says_why() {
    let world = World::new();
    let small: SharedDisk = world.disk(vec![0; 128 << 10]);
    let attempt = |new: &New| block_on(create(&small, &world.shared(), new)).unwrap_err();
    assert!(matches!(attempt(&new(1 << 30, 16)), ImageError::TooSmall { there: 131_072, needed: 262_144 }));
    assert!(matches!(attempt(&new(1 << 30, 8)), ImageError::Size(_)));
    assert!(matches!(attempt(&new(0, 16)), ImageError::Size(_)));
    let named = New { backing: Some(("x".repeat(500), "raw".into())), ..new(1 << 16, 9) };
    assert!(attempt(&named).to_string().contains("larger clusters"));
}

#[test]
fn a_new_image_names_its_backing_file() {
    let folder = Folder::new("named");
    let base = contents(1 << 20, 77);
    folder.write("base.raw", &base);
    let world = World::new();
    let below = made(&world, 3 << 20, &New { backing: Some(("base.raw".into(), "raw".into())), ..new(1 << 20, 16) });
    let image = world.open(&below, Some(world.disk(base.clone())), Access::ReadWrite).unwrap();
    let mut expected = base;
    approved(&folder, &below, &expected);
    scribble(&world, &*image, &mut expected, &mut Numbers(6), 10);
    block_on(image.flush()).unwrap();
    approved(&folder, &below, &expected);
    let info = folder.run("qemu-img info image");
    assert!(info.contains("backing file: base.raw") && info.contains("backing file format: raw"), "{info}");
}

/// A flag that says "ours alone" in a table that a snapshot shares is wrong, whoever set it.
#[test]
fn flags_in_shared_tables_are_not_believed() {
    let world = World::new();
    let below = made(&world, 2 << 20, &new(512 << 10, 16));
    let image = world.open(&below, None, Access::ReadWrite).unwrap();
    world.write(&*image, 0, &[1; 128 << 10]).unwrap();
    block_on(image.take_snapshot("one", Taken::default())).unwrap();
    let mut file = below.contents();
    let at = |file: &[u8], offset: usize| u64::from_be_bytes(file[offset..offset + 8].try_into().unwrap()) & 0x00ff_ffff_ffff_fe00;
    let l2 = at(&file, at(&file, 40) as usize) as usize;
    file[l2] |= 0x80;
    file[l2 + 8] |= 0x80;
    let image = world.open(&world.disk(file), None, Access::ReadWrite).unwrap();
    assert_eq!(block_on(image.check()).unwrap().false_flags, 2);
    // The first write copies the table, the second goes by the copy.
    world.write(&*image, 0, &[2; 4096]).unwrap();
    world.write(&*image, 64 << 10, &[3; 4096]).unwrap();
    block_on(image.flush()).unwrap();
    block_on(image.apply_snapshot("one")).unwrap();
    assert_eq!(world.read(&*image, 0, 128 << 10).unwrap(), vec![1; 128 << 10]);
}

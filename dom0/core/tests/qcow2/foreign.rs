//! What `qemu-img` makes opens here with the same bytes, or is refused by name.

use domus_dom0_core::block::{Disk, Place};
use domus_dom0_core::qcow2::{Access, ImageError};

use crate::support::{Folder, World, assert_same, contents};

const BYTES: usize = 3 << 20;

/// Converts contents with these arguments and reads them back.
fn converted(folder: &Folder, arguments: &str, bytes: usize) {
    let expected = contents(bytes, 1);
    folder.write("flat", &expected);
    folder.run(&format!("qemu-img convert -f raw -O qcow2 {arguments} flat image"));
    let world = World::new();
    let image = world.open(&world.disk(folder.read("image")), None, Access::ReadOnly).unwrap();
    assert_same(&world.read_all(&*image), &expected, arguments);
    // Now that the tables are here, the quick way leads to the same bytes.
    let below = folder.read("image");
    for offset in (0..bytes as u64).step_by(12 * 1024) {
        let expected = &expected[offset as usize..];
        match image.place(offset, 4096, false) {
            Place::At { offset, bytes, .. } => {
                assert_same(&below[offset as usize..][..bytes as usize], &expected[..bytes as usize], arguments);
            }
            Place::Zeroes { bytes } => assert!(expected[..bytes as usize].iter().all(|&byte| byte == 0)),
            Place::Unknown => assert!(arguments.contains("-c") || arguments.contains("cluster_size=512"), "{arguments}: {offset:#x}"),
        }
    }
}

#[test]
fn versions_and_cluster_sizes() {
    let folder = Folder::new("versions");
    for compat in ["0.10", "1.1"] {
        for cluster in ["512", "4k", "64k", "2M"] {
            let bytes = if cluster == "512" { BYTES / 4 } else { BYTES };
            converted(&folder, &format!("-o compat={compat},cluster_size={cluster}"), bytes);
        }
    }
}

#[test]
fn packed_clusters() {
    let folder = Folder::new("packed");
    for options in
        ["compat=0.10", "compat=1.1,cluster_size=512", "cluster_size=2M", "compression_type=zstd", "compression_type=zstd,cluster_size=2M"]
    {
        converted(&folder, &format!("-c -o {options}"), if options.contains("512") { BYTES / 4 } else { BYTES });
    }
}

#[test]
fn reference_counts_lazy_ones_and_room_beforehand() {
    let folder = Folder::new("options");
    for options in
        ["refcount_bits=1", "refcount_bits=64", "lazy_refcounts=on", "preallocation=metadata", "preallocation=falloc", "preallocation=full"]
    {
        converted(&folder, &format!("-o {options}"), BYTES);
    }
}

#[test]
fn backing_disks_shorter_and_longer() {
    let folder = Folder::new("backing");
    let base = contents(1 << 20, 5);
    folder.write("base", &base);
    for (size, compat) in [(512 << 10, "0.10"), (1 << 20, "1.1"), (3 << 20, "1.1")] {
        folder.run(&format!("qemu-img create -q -f qcow2 -o compat={compat} -b base -F raw image {size}"));
        folder.try_args("qemu-io", &["-c", "write -P 7 70k 1k", "-c", "write -P 8 300k 99k", "image"]).unwrap();
        if size > 2 << 20 {
            folder.try_args("qemu-io", &["-c", "write -P 9 2M 70k", "-c", "write -z 100k 300k", "image"]).unwrap();
        }
        let world = World::new();
        let below = world.disk(folder.read("image"));
        assert_eq!(world.open(&below, None, Access::ReadOnly).err().unwrap(), ImageError::NoBacking("base".into()));
        let image = world.open(&below, Some(world.disk(base.clone())), Access::ReadOnly).unwrap();
        let named = image.header().backing.unwrap();
        assert_eq!((named.name.as_str(), named.format.as_deref()), ("base", Some("raw")));
        assert_same(&world.read_all(&*image), &folder.flat("image"), "over a backing disk");
    }
}

#[test]
fn sizes_that_are_no_whole_clusters() {
    let folder = Folder::new("odd");
    converted(&folder, "-o cluster_size=64k", (1 << 20) + 512);
    converted(&folder, "-o cluster_size=2M", 5 * 512);
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    let folder = Folder::new("refused");
    let refusal = |options: &str| {
        folder.run(&format!("qemu-img create -q -f qcow2 -o {options} image 1M"));
        let world = World::new();
        world.open(&world.disk(folder.read("image")), None, Access::ReadOnly).err().unwrap()
    };
    assert_eq!(refusal("data_file=data"), ImageError::Feature("external data file".into()));
    assert_eq!(refusal("extended_l2=on"), ImageError::Feature("extended L2 entries".into()));
    let text = refusal("extended_l2=on").to_string();
    assert!(text.contains("qemu-img convert"), "{text}");
}

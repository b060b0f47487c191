//! Images that an enemy made: whatever their tables say, nothing panics, and nothing takes for ever.

use domus_dom0_core::block::Disk;
use domus_dom0_core::block::fake::block_on;
use domus_dom0_core::qcow2::{Access, Header, Taken};
use proptest::prelude::*;

use crate::support::{Folder, World, contents};

/// Small images with everything in them: snapshots, packed clusters, zero clusters.
fn samples() -> Vec<Vec<u8>> {
    let folder = Folder::new(&format!("hostile-{:?}", std::thread::current().id()));
    folder.write("flat", &contents(96 << 10, 4));
    let mut samples = vec![];
    for options in ["compat=0.10,cluster_size=512", "compat=1.1,cluster_size=4k", "compression_type=zstd,cluster_size=4k"] {
        folder.run(&format!("qemu-img convert -c -O qcow2 -o {options} flat image"));
        folder.run("qemu-img snapshot -c one image");
        folder.try_args("qemu-io", &["-c", "write -P 7 10k 20k", "-c", "discard 40k 8k", "image"]).unwrap();
        let mut file = folder.read("image");
        samples.push(file.clone());
        if file[7] == 3 {
            // Marked dirty, it is repaired when it is opened.
            file[79] |= 1;
            samples.push(file);
        }
    }
    samples
}

/// Does everything that can be done. Errors are right; so are wrong contents.
fn exercise(file: Vec<u8>) {
    let world = World::new();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let mut file = file.clone();
        file.resize(file.len().next_multiple_of(512) + (64 << 10), 0);
        let below = world.disk(file);
        let Ok(image) = world.open(&below, None, access) else {
            continue;
        };
        let bytes = image.info().bytes;
        for offset in (0..bytes.min(128 << 10)).step_by(8 << 10) {
            let _ = image.place(offset, 8 << 10, true);
            let _ = world.read(&*image, offset, (bytes - offset).min(8 << 10) as usize);
        }
        let _ = block_on(image.snapshots());
        if access == Access::ReadWrite {
            let _ = world.write(&*image, 0, &[1; 512]);
            let _ = world.write(&*image, bytes.saturating_sub(512), &[2; 512]);
            let _ = block_on(image.discard(0, bytes.min(32 << 10)));
            let _ = block_on(image.flush());
            let _ = block_on(image.take_snapshot("two", Taken::default()));
            let _ = block_on(image.delete_snapshot("one"));
            let _ = block_on(image.grow(bytes.saturating_add(64 << 10)));
            let _ = block_on(image.apply_snapshot("two"));
        }
        let _ = block_on(image.check());
    }
}

#[test]
fn damaged_images_do_no_harm() {
    let samples = samples();
    let interesting = [0u8, 1, 0x7f, 0x80, 0xff, 0x40, 0xc0];
    let runner = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let damage = proptest::collection::vec((0..4u8, any::<proptest::sample::Index>(), 0..interesting.len(), 0..8usize), 1..6);
    let strategy = (0..samples.len(), damage);
    proptest::test_runner::TestRunner::new(runner)
        .run(&strategy, |(sample, damage)| {
            let mut file = samples[sample].clone();
            for (kind, at, value, length) in damage {
                // The header is hit as often as everything else; tables lie in the first clusters.
                let at = match kind {
                    0 => at.index(104),
                    1 => at.index(16 << 10),
                    _ => at.index(file.len()),
                };
                let end = (at + length + 1).min(file.len());
                file[at..end].fill(interesting[value]);
            }
            exercise(file);
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_of_random_bytes(mut start in proptest::collection::vec(any::<u8>(), 104..600), version in 0..4u32, cluster_bits in 0..24u32) {
        start[..4].copy_from_slice(b"QFI\xfb");
        start[4..8].copy_from_slice(&version.to_be_bytes());
        start[20..24].copy_from_slice(&cluster_bits.to_be_bytes());
        // Small numbers get further.
        start[40] = 0;
        start[72..80].fill(0);
        let _ = Header::parse(&start, 1 << 30);
    }
}

/// An L1 table whose entries all name the same L2 table, whose entries all name the same cluster.
#[test]
fn tables_that_refer_to_the_same_do_not_multiply_work() {
    let folder = Folder::new("multiply");
    folder.run("qemu-img create -q -f qcow2 -o cluster_size=512 image 64M");
    folder.try_args("qemu-io", &["-c", "write 0 32k", "image"]).unwrap();
    let mut file = folder.read("image");
    let l1 = u64::from_be_bytes(file[40..48].try_into().unwrap()) as usize;
    let first: [u8; 8] = file[l1..l1 + 8].try_into().unwrap();
    file[l1..l1 + 2048 * 8].chunks_mut(8).for_each(|entry| entry.copy_from_slice(&first));
    file.resize(file.len().next_multiple_of(512), 0);
    let world = World::new();
    let image = world.open(&world.disk(file), None, Access::ReadOnly).unwrap();
    let text = block_on(image.check()).unwrap_err().to_string();
    assert!(text.contains("more tables than the file can hold"), "{text}");
}

/// A table of snapshots with names as long as they can be, which are no text.
#[test]
fn a_long_table_of_snapshots_is_refused() {
    let folder = Folder::new("names");
    folder.run("qemu-img create -q -f qcow2 image 1M");
    let mut file = folder.read("image");
    file.resize(file.len().next_multiple_of(64 << 10), 0);
    let table = file.len() as u64;
    for _ in 0..20 {
        let mut entry = vec![0; 40];
        entry[12..16].fill(0xff);
        entry.resize(40 + 2 * 0xffff, 0xff);
        entry.resize(entry.len().next_multiple_of(8), 0);
        file.extend(entry);
    }
    file[60..64].copy_from_slice(&20u32.to_be_bytes());
    file[64..72].copy_from_slice(&table.to_be_bytes());
    let world = World::new();
    let image = world.open(&world.disk(file), None, Access::ReadOnly).unwrap();
    let text = block_on(image.snapshots()).unwrap_err().to_string();
    assert!(text.contains("snapshot table has more than"), "{text}");
}

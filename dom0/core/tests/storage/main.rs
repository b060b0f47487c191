//! Names of disks, mounts and claims, on volumes that `mke2fs` made.

mod crossed;
mod held;
mod images;

use std::fs;
use std::process::Command;
use std::rc::Rc;

use domus_dom0_core::block::fake::{FakeDisk, FakeMemory, block_on};
use domus_dom0_core::block::{Buffer, DiskError, Place, read_bytes};
use domus_dom0_core::config::Format;
use domus_dom0_core::storage::{Access, Kind, Opened, Storage, Target};

const MIB: usize = 1 << 20;

/// An ext4 volume of 4 MiB with `/whole`, 64 KiB of sevens, and `/holes`.
fn volume() -> Vec<u8> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("domus-storage-{}-{number}", std::process::id()));
    fs::create_dir_all(folder.join("tree/images")).unwrap();
    fs::write(folder.join("tree/whole"), [7; 65536]).unwrap();
    fs::write(folder.join("tree/holes"), [0; 65536]).unwrap();
    let (tree, image) = (folder.join("tree"), folder.join("image"));
    let made = Command::new("/usr/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-L", "data", "-d", tree.to_str().unwrap(), image.to_str().unwrap(), "4M"])
        .status();
    assert!(made.expect("these tests need e2fsprogs").success());
    let contents = fs::read(image).unwrap();
    fs::remove_dir_all(folder).unwrap();
    contents
}

/// A disk with a volume as its first partition, and a second partition of 1 MiB.
fn disk() -> Vec<u8> {
    let mut contents = vec![0; MIB];
    for (slot, (start, blocks)) in [(2048u32, 8192u32), (10240, 2048)].into_iter().enumerate() {
        let record = &mut contents[446 + slot * 16..][..16];
        record[4] = 0x83;
        record[8..12].copy_from_slice(&start.to_le_bytes());
        record[12..].copy_from_slice(&blocks.to_le_bytes());
    }
    contents[510..512].copy_from_slice(&[0x55, 0xaa]);
    contents.extend(volume());
    contents.resize(7 * MIB, 0);
    contents
}

struct Machine {
    memory: Rc<FakeMemory>,
    storage: Storage,
    disks: Vec<Rc<FakeDisk>>,
}

impl Machine {
    fn new(contents: Vec<Vec<u8>>) -> Self {
        let memory = FakeMemory::new();
        let storage = Storage::new(Rc::new(memory.clone()));
        let disks: Vec<_> = (0..).zip(contents).map(|(number, contents)| FakeDisk::new(&memory, number, contents)).collect();
        for (number, disk) in (0..).zip(&disks) {
            storage.add(number, ["vda", "vdb", "vdc", "vdd", "vde", "vdf", "vdg"][number as usize], disk.clone());
        }
        Self { memory, storage, disks }
    }

    fn open(&self, target: &str, access: Access, holder: &str) -> Result<Opened, String> {
        let target = Target::parse(target, Format::Raw).map_err(String::from)?;
        block_on(self.storage.open(&target, access, holder)).map_err(String::from)
    }

    fn refusal(&self, target: &str, access: Access) -> String {
        self.open(target, access, "xvdz of z").err().expect("an error")
    }

    fn mount(&self, disk: &str, folder: &str, read_only: bool) -> Result<(), String> {
        block_on(self.storage.mount(disk, folder, read_only)).map(drop).map_err(String::from)
    }

    fn umount(&self, folder: &str) -> Result<(), String> {
        self.storage.umount(folder).map_err(String::from)
    }
}

#[test]
fn disks_partitions_and_what_they_hold_are_listed() {
    let machine = Machine::new(vec![disk(), volume(), vec![0; 512]]);
    machine.mount("/dev/vda1", "/mnt", false).unwrap();
    let _held = machine.open("/dev/vda2", Access::Write, "xvda of a").unwrap();
    let _file = machine.open("/mnt/whole", Access::Read, "xvdb of b").unwrap();
    let rows = block_on(machine.storage.list());
    let shape: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.kind, row.bytes, row.holds, row.label.as_str())).collect();
    assert_eq!(
        shape,
        [
            ("vda", Kind::Disk, 7 << 20, "dos", ""),
            ("vda1", Kind::Part, 4 << 20, "ext4", "data"),
            ("vda2", Kind::Part, 1 << 20, "", ""),
            ("vdb", Kind::Disk, 4 << 20, "ext4", "data"),
            ("vdc", Kind::Disk, 512, "", ""),
        ]
    );
    assert_eq!((rows[1].mounted.as_deref(), rows[1].users.join(",")), (Some("/mnt"), "xvdb of b (reads)".into()));
    assert_eq!((rows[0].users.join(","), rows[2].users.join(",")), ("xvda of a".into(), "xvda of a".into()));
    machine.storage.remove(0);
    assert_eq!(block_on(machine.storage.list()).len(), 2);
}

#[test]
fn one_writer_or_many_readers_by_whatever_name() {
    let machine = Machine::new(vec![disk()]);
    let part = machine.open("phy:/dev/vda2", Access::Write, "xvda of a").unwrap();
    assert_eq!(
        machine.refusal("phy:/dev/vda", Access::Read),
        "/dev/vda: xvda of a writes it; detach it there first, or give it to both read-only"
    );
    let one = machine.open("/dev/vda1", Access::Read, "xvda of b").unwrap();
    let two = machine.open("/dev/vda1", Access::Read, "xvda of c").unwrap();
    assert!(machine.refusal("/dev/vda1", Access::Write).contains("xvda of b reads it"));
    drop((part, one, two));
    machine.open("/dev/vda", Access::Write, "xvda of d").unwrap();
}

#[test]
fn a_partition_is_where_its_table_says_and_reading_is_only_that() {
    let machine = Machine::new(vec![disk()]);
    let part = machine.open("/dev/vda2", Access::Read, "a").unwrap();
    assert_eq!(part.devices(), [0]);
    assert_eq!(part.disk().place(512, 512, false), Place::At { device: 0, offset: (5 << 20) + 512, bytes: 512 });
    assert_eq!(part.disk().place(512, 512, true), Place::Unknown);
    let page = machine.memory.take(4096);
    assert_eq!(block_on(part.disk().write(0, page.pieces())), Err(DiskError::ReadOnly));
    machine.disks[0].set_read_only(true);
    assert!(machine.refusal("/dev/vda1", Access::Write).contains("/dev/vda1: it can only be read"));
}

#[test]
fn files_on_a_mounted_volume_are_disks() {
    let machine = Machine::new(vec![disk()]);
    machine.mount("/dev/vda1", "/mnt/", false).unwrap();
    let file = machine.open("file:/mnt/whole", Access::Write, "xvda of a").unwrap();
    let page = machine.memory.take(4096);
    block_on(file.disk().write(4096, page.pieces())).unwrap();
    assert!(machine.refusal("/mnt/images/../whole", Access::Read).contains("xvda of a writes it"));
    assert!(machine.refusal("/dev/vda1", Access::Read).contains("the mount at /mnt writes it"));
    assert!(machine.refusal("/dev/vda", Access::Write).contains("the mount at /mnt writes it"));
    assert!(machine.umount("/mnt").unwrap_err().contains("in use by xvda of a"));
    drop(file);
    let target = Target::new("/mnt/whole", Format::Raw);
    let (disk, bytes) = block_on(machine.storage.look(&target)).unwrap();
    let contents = block_on(read_bytes(&*disk, &machine.memory, 0, bytes as usize)).unwrap();
    assert!(contents[..4096] == [7; 4096] && contents[4096..8192] == [0; 4096] && contents.len() == 65536);
    machine.umount("/dev/vda1").unwrap();
    machine.open("/dev/vda1", Access::Write, "x").unwrap();
}

#[test]
fn mistakes_are_told_in_one_message() {
    let machine = Machine::new(vec![disk(), vec![0; MIB]]);
    machine.mount("/dev/vda1", "/mnt", false).unwrap();
    for (target, words) in [
        ("/dev/vdx", "there is no disk /dev/vdx: the machine has /dev/vda to /dev/vdb"),
        ("/dev/vda9", "/dev/vda9: /dev/vda has no partition 9"),
        ("/dev/vdb1", "/dev/vdb has no partition 1"),
        ("/images/a.raw", "/images/a.raw: not on a mounted volume"),
        ("/mntx/whole", "not on a mounted volume"),
        ("/mnt/none", "/mnt/none: no such file"),
        ("/mnt/images", "/mnt/images is a folder"),
        ("/mnt/holes", "/mnt/holes has blocks that were never written"),
        ("vda", "no path of a disk"),
    ] {
        let message = machine.refusal(target, Access::Write);
        assert!(message.contains(words), "{message}");
    }
    for (disk, folder, words) in [
        ("/dev/vdb", "/mnt", "/mnt: /dev/vda1 is mounted there already"),
        ("/dev/vdb", "/data", "/dev/vdb: there is no ext4 file system on it"),
        ("/dev/vda1", "/data", "/dev/vda1: the mount at /mnt writes it"),
        ("/dev/vda1", "/dev", "nothing can be mounted there"),
        ("/dev/vda1", "/", "nothing can be mounted there"),
        ("/mnt/whole", "/data", "only disks and partitions"),
        ("vdb", "/data", "no path of a disk"),
    ] {
        let message = machine.mount(disk, folder, false).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
    assert!(machine.umount("/data").unwrap_err().contains("nothing is mounted there"));
    assert!(Machine::new(vec![]).refusal("/dev/vda", Access::Read).contains("the machine has none that Dom0 drives"));
}

#[test]
fn a_volume_that_was_not_left_in_order_is_only_looked_at() {
    let mut contents = volume();
    contents[1024 + 0x60] |= 4;
    let machine = Machine::new(vec![contents]);
    let message = machine.mount("/dev/vda", "/mnt", false).unwrap_err();
    assert!(message.contains("its journal must be replayed") && message.contains("mount -r"), "{message}");
    machine.mount("/dev/vda", "/mnt", true).unwrap();
    assert!(machine.storage.mounts()[0].read_only);
    assert!(machine.refusal("/mnt/whole", Access::Write).contains("mounted read-only"));
    machine.open("/mnt/whole", Access::Read, "a").unwrap();
    machine.open("/dev/vda", Access::Read, "b").unwrap();
}

#[test]
fn the_innermost_mount_counts() {
    let machine = Machine::new(vec![volume(), volume()]);
    machine.mount("/dev/vda", "/mnt", false).unwrap();
    machine.mount("/dev/vdb", "/mnt/images", true).unwrap();
    assert_eq!(machine.storage.locate("/mnt/images/whole").unwrap().1, "/whole");
    assert_eq!(machine.open("/mnt/images/whole", Access::Read, "a").unwrap().devices(), [1]);
    assert_eq!(machine.open("/mnt/whole", Access::Read, "a").unwrap().devices(), [0]);
    assert!(machine.storage.locate("/mn").is_none());
}

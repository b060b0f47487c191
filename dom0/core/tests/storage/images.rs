//! Images by name: what they lie over, what operators do with them, and what `qemu-img` says of the result.

use std::process::Command;
use std::rc::Rc;

use domus_dom0_core::block::fake::block_on;
use domus_dom0_core::block::{Buffer, Disk, read_bytes};
use domus_dom0_core::config::Format;
use domus_dom0_core::qcow2::Taken;
use domus_dom0_core::render;
use domus_dom0_core::storage::{Access, Target};

use super::{MIB, Machine, disk};

fn image(path: &str) -> Target {
    Target::new(path, Format::Qcow2)
}

/// A disk of sevens, two that are empty.
fn machine() -> Machine {
    Machine::new(vec![vec![7; 4 * MIB], vec![0; 8 * MIB], vec![0; 8 * MIB]])
}

impl Machine {
    fn create(&self, path: &str, bytes: Option<u64>, backing: Option<(&str, Format)>) -> Result<(), String> {
        let backing = backing.map(|(name, format)| (name.to_owned(), format));
        block_on(self.storage.create_image(&image(path), bytes, backing, false)).map_err(String::from)
    }

    fn overwrite(&self, path: &str) -> Result<(), String> {
        block_on(self.storage.create_image(&image(path), Some(1 << 20), None, true)).map_err(String::from)
    }

    fn fill(&self, disk: &dyn Disk, offset: u64, value: u8) {
        let page = self.memory.take(4096);
        page.set(0, &[value; 4096]);
        block_on(disk.write(offset, page.pieces())).unwrap();
    }

    fn byte(&self, disk: &dyn Disk, offset: u64) -> u8 {
        block_on(read_bytes(disk, &self.memory, offset, 1)).unwrap()[0]
    }
}

/// What `qemu-img` says of disks that are named `vda`, `vdb` and `vdc` and refer to each other by these names.
fn qemu_img(machine: &Machine, arguments: &str) -> String {
    let folder = std::env::temp_dir().join(format!("domus-images-{}-{:p}", std::process::id(), &raw const *machine));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, disk) in ["vda", "vdb", "vdc"].iter().zip(&machine.disks) {
        std::fs::write(folder.join(name), disk.after_power_cut(|_| false)).unwrap();
    }
    let output = Command::new("qemu-img").args(arguments.split(' ')).current_dir(&folder).output().expect("these tests need qemu-utils");
    let _ = std::fs::remove_dir_all(folder);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {text}");
    text
}

#[test]
fn an_image_over_a_disk_keeps_what_is_written_to_itself() {
    let machine = machine();
    machine.create("/dev/vdb", None, Some(("vda", Format::Raw))).unwrap();
    machine.create("/dev/vdc", Some(6 << 20), Some(("/dev/vdb", Format::Qcow2))).unwrap();
    let opened = machine.open("qcow2:/dev/vdc", Access::Write, "xvda of a").unwrap();
    let disk = opened.disk().clone();
    assert_eq!((disk.info().bytes, opened.devices()), (6 << 20, &[0, 1, 2][..]));
    assert_eq!((machine.byte(&*disk, 0), machine.byte(&*disk, 5 << 20)), (7, 0));
    machine.fill(&*disk, 0, 9);
    assert_eq!((machine.byte(&*disk, 0), machine.byte(&*disk, 4096)), (9, 7));
    // What lies below is read, and may be read by others.
    for below in ["/dev/vda", "qcow2:/dev/vdb"] {
        let message = machine.refusal(below, Access::Write);
        assert!(message.contains("xvda of a reads it"), "{message}");
        machine.open(below, Access::Read, "xvdb of b").unwrap();
    }
    assert!(machine.refusal("/dev/vdc", Access::Read).contains("xvda of a writes it"));
    drop(disk);
    block_on(opened.close()).unwrap();
    assert!(machine.disks[0].contents() == vec![7; 4 * MIB]);
    assert!(qemu_img(&machine, "check -f qcow2 vdb").contains("No errors"));
    assert!(qemu_img(&machine, "info --output=json -U vdc").contains("\"virtual-size\": 6291456"));
    machine.open("/dev/vda", Access::Write, "x").unwrap();
}

#[test]
fn backings_that_are_missing_strange_or_circular_are_refused() {
    let machine = machine();
    machine.create("/dev/vdb", Some(1 << 20), None).unwrap();
    machine.create("/dev/vdc", None, Some(("/dev/vdb", Format::Qcow2))).unwrap();
    // Now let the lower one lie over the upper one.
    machine.overwrite("/dev/vdb").unwrap();
    let forge = |name: &str, format: &str| {
        let output = std::env::temp_dir().join(format!("domus-forged-{}-{}", std::process::id(), name.len() * 100 + format.len()));
        let made =
            Command::new("qemu-img").args(["create", "-q", "-u", "-f", "qcow2", "-b", name, "-F", format]).arg(&output).arg("1M").status();
        assert!(made.unwrap().success());
        let mut contents = std::fs::read(&output).unwrap();
        std::fs::remove_file(output).unwrap();
        contents.resize(8 * MIB, 0);
        contents
    };
    let refusal = |name: &str, format: &str| {
        let forged = Machine::new(vec![forge(name, format), machine.disks[2].contents()]);
        forged.refusal("qcow2:/dev/vda", Access::Read)
    };
    let circle = Machine::new(vec![vec![0; 512], forge("/dev/vdc", "qcow2"), machine.disks[2].contents()]);
    let message = circle.refusal("qcow2:/dev/vdc", Access::Write);
    assert!(message.starts_with("/dev/vdb: its backing file /dev/vdc: it lies over itself"), "{message}");
    for (name, format, words) in [
        ("base.raw", "raw", "/dev/vda: its backing file: there is no disk /dev/base.raw"),
        ("/images/b", "raw", "/dev/vda: its backing file: /images/b: not on a mounted volume"),
        ("nbd://host/x", "raw", "it is reached by `nbd`"),
        ("/dev/vdb", "vmdk", "it is said to be vmdk"),
        ("/dev/vda", "raw", "it lies over itself"),
    ] {
        let message = refusal(name, format);
        assert!(message.contains(words), "{name}: {message}");
    }
    let machine = Machine::new(vec![vec![1; MIB]]);
    let message = machine.refusal("qcow2:/dev/vda", Access::Write);
    assert!(message.starts_with("/dev/vda: this is no qcow2 image"), "{message}");
    let message = machine.create("/dev/vda", None, Some(("vda", Format::Raw))).unwrap_err();
    assert!(message.contains("cannot lie over what holds it"), "{message}");
}

#[test]
fn what_is_there_is_not_overwritten_unasked() {
    let at = |offset: usize, bytes: &[u8]| {
        let mut contents = vec![0; MIB];
        contents[offset..offset + bytes.len()].copy_from_slice(bytes);
        contents
    };
    let mut volume = at(1024 + 56, &[0x53, 0xef]);
    volume.resize(8 * MIB, 0);
    // Of swap, btrfs, and nothing that anybody knows.
    let signs = [at(4086, b"SWAPSPACE2"), at(65536 + 64, b"_BHRfS_M"), at(511, &[1])];
    let machine = Machine::new([vec![disk(), volume], signs.to_vec(), vec![vec![0; MIB], vec![0; 512]]].concat());
    for (name, what) in [
        ("vda", "a partition table"),
        ("vdb", "an ext4 volume"),
        ("vdc", "not recognised"),
        ("vdd", "not recognised"),
        ("vde", "not recognised"),
    ] {
        let path = format!("/dev/{name}");
        let before = machine.disks[usize::from(name.as_bytes()[2] - b'a')].contents();
        let message = machine.create(&path, Some(1 << 20), None).unwrap_err();
        assert!(message.starts_with(&format!("{path}: it holds ")) && message.contains(what) && message.contains("--force"), "{message}");
        assert!(machine.disks[usize::from(name.as_bytes()[2] - b'a')].contents() == before, "{name} is as it was");
        machine.overwrite(&path).unwrap();
        let message = machine.create(&path, Some(1 << 20), None).unwrap_err();
        assert!(message.contains("it holds a qcow2 image"), "{message}");
    }
    machine.create("/dev/vdf", Some(1 << 20), None).unwrap();
    assert!(!machine.create("/dev/vdg", Some(1 << 20), None).unwrap_err().contains("it holds"), "too small, but empty");
}

#[test]
fn what_is_in_use_is_not_overwritten_even_by_force() {
    let machine = Machine::new(vec![disk(), vec![0; MIB]]);
    let _guest = machine.open("/dev/vdb", Access::Read, "xvda of a").unwrap();
    assert!(machine.overwrite("/dev/vdb").unwrap_err().contains("xvda of a reads it"));
    machine.mount("/dev/vda1", "/mnt", true).unwrap();
    for path in ["/dev/vda1", "/dev/vda"] {
        let message = machine.overwrite(path).unwrap_err();
        assert!(message.contains("the mount at /mnt"), "{message}");
    }
}

#[test]
fn an_image_in_a_file_of_a_volume() {
    let machine = Machine::new(vec![disk(), vec![7; MIB]]);
    machine.mount("/dev/vda1", "/mnt", false).unwrap();
    assert!(machine.create("/mnt/new", Some(1 << 20), None).unwrap_err().contains("/mnt/new: no such file"));
    assert!(machine.create("/mnt/holes", Some(1 << 20), None).unwrap_err().contains("never written"));
    assert!(machine.create("/mnt/whole", Some(1 << 20), None).unwrap_err().starts_with("/mnt/whole: "), "64 KiB are too little");
}

#[test]
fn operators_work_on_an_image_that_a_guest_has() {
    let machine = machine();
    machine.create("/dev/vdb", Some(4 << 20), None).unwrap();
    let storage = &machine.storage;
    let opened = machine.open("qcow2:/dev/vdb", Access::Write, "xvda of a").unwrap();
    let disk: Rc<dyn Disk> = opened.disk().clone();
    machine.fill(&*disk, 0, 1);
    block_on(storage.take_snapshot(&image("/dev/vdb"), "one", Taken::default())).unwrap();
    machine.fill(&*disk, 0, 2);
    assert_eq!(block_on(storage.resize(&image("/dev/vdb"), 1 << 20, true)).unwrap(), 5 << 20);
    assert_eq!(disk.info().bytes, 5 << 20);
    let applied = block_on(storage.apply_snapshot(&image("/dev/vdb"), "one")).unwrap_err().to_string();
    assert!(applied.contains("it is in use"), "{applied}");
    let info = block_on(storage.image_info(&image("/dev/vdb"))).unwrap();
    let text = render::image_info(&info);
    for line in ["virtual size: 5M (5242880 bytes)", "used by:      xvda of a", "1   one     4M  1970-01-01 00:00:00"] {
        assert!(text.contains(line), "{text}");
    }
    let parsed: serde_json::Value = serde_json::from_str(&render::image_info_json(&info)).unwrap();
    assert_eq!((&parsed["virtual-size"], &parsed["snapshots"][0]["name"]), (&(5 << 20).into(), &"one".into()));
    drop(disk);
    block_on(opened.close()).unwrap();
    assert!(qemu_img(&machine, "check -f qcow2 vdb").contains("No errors"));
    // Nobody has it: now it can be applied, after which it has the size that it had.
    block_on(storage.apply_snapshot(&image("/dev/vdb"), "one")).unwrap();
    let opened = machine.open("qcow2:/dev/vdb", Access::Read, "x").unwrap();
    assert_eq!(machine.byte(&**opened.disk(), 0), 1);
    drop(opened);
    block_on(storage.delete_snapshot(&image("/dev/vdb"), "one")).unwrap();
    assert!(block_on(storage.snapshots(&image("/dev/vdb"))).unwrap().is_empty());
    assert!(qemu_img(&machine, "check -f qcow2 vdb").contains("No errors"));
    for (error, words) in [
        (block_on(storage.delete_snapshot(&image("/dev/vdb"), "one")).unwrap_err(), "/dev/vdb: there is no snapshot \"one\""),
        (block_on(storage.resize(&image("/dev/vdb"), 512, false)).unwrap_err(), "cannot shrink to 512"),
        (block_on(storage.resize(&image("/dev/vda"), 1 << 30, false)).unwrap_err(), "/dev/vda: this is no qcow2 image"),
        (block_on(storage.image_info(&image("/dev/vdx"))).unwrap_err(), "there is no disk /dev/vdx"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

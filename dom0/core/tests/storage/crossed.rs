//! A volume that somebody has damaged on purpose: two files have the same blocks.

use std::fs;
use std::process::Command;

use domus_dom0_core::storage::Access;

use super::{Machine, volume};

/// Has `/holes` be what `/whole` is, block by block.
fn crossed() -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("domus-crossed-{}", std::process::id()));
    fs::write(&path, volume()).unwrap();
    let output = Command::new("/usr/sbin/debugfs").args(["-w", "-R", "copy_inode whole holes", path.to_str().unwrap()]).output();
    assert!(output.expect("these tests need e2fsprogs").status.success());
    let contents = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    contents
}

#[test]
fn files_that_share_blocks_are_not_given_to_a_writer_and_another() {
    let machine = Machine::new(vec![crossed()]);
    machine.mount("/dev/vda", "/mnt", false).unwrap();
    let one = machine.open("/mnt/whole", Access::Write, "xvda of a").unwrap();
    for access in [Access::Write, Access::Read] {
        let refused = machine.refusal("/mnt/holes", access);
        assert!(refused.contains("xvda of a writes it"), "{refused}");
    }
    drop(one);
    let _one = machine.open("/mnt/whole", Access::Read, "xvda of a").unwrap();
    let _other = machine.open("/mnt/holes", Access::Read, "xvda of b").unwrap();
    assert!(machine.refusal("/mnt/holes", Access::Write).contains("reads it"));
}

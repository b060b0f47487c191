//! The file tree, from archives good and bad.

use domus_dom0_core::fs::{Kind, PathError, Tree, normalise};
use proptest::prelude::*;

fn entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let fields = [1, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    let mut bytes = b"070701".to_vec();
    fields.iter().for_each(|f| bytes.extend(format!("{f:08X}").bytes()));
    bytes.extend(name.bytes().chain([0]));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(|(n, m, d)| entry(n, *m, d)).collect();
    bytes.extend(entry("TRAILER!!!", 0, b""));
    bytes
}

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;

fn sample() -> Vec<u8> {
    archive(&[
        (".", FOLDER, b""),
        ("boot/dom0", FILE, b"elf"),
        ("./etc", FOLDER, b""),
        ("etc/exec", FILE, b"dom list\n"),
        ("guests/a.toml", FILE, b""),
        ("guests/a-b/x", FILE, b"12345"),
        ("dev/console", 0o020_600, b""),
    ])
}

#[test]
fn files_and_folders_are_found() {
    let bytes = sample();
    let tree = Tree::parse(&bytes).unwrap();
    assert_eq!(tree.read("/etc/exec").unwrap(), b"dom list\n");
    assert_eq!(tree.lookup("/guests"), Some(Kind::Directory));
    let names = |path| tree.list(path).unwrap().iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(names("/"), ["boot", "dev", "etc", "guests"]);
    assert_eq!(names("/guests"), ["a-b", "a.toml"]);
    assert!(matches!(tree.read("/guests"), Err(PathError::IsDirectory(_))));
    assert!(matches!(tree.read("/dev/console"), Err(PathError::Unreadable(_))));
    assert!(matches!(tree.list("/etc/exec"), Err(PathError::NotDirectory(_))));
    assert_eq!(tree.read("/nope").unwrap_err().to_string(), "/nope: no such file; `ls` shows what is there");
}

#[test]
fn contents_are_borrowed_from_the_archive() {
    let bytes = sample();
    let data = Tree::parse(&bytes).unwrap().read("/guests/a-b/x").unwrap();
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn paths_are_normalised() {
    for (base, path, expected) in [
        ("/", "a//b/./c/", "/a/b/c"),
        ("/guests", "linux.toml", "/guests/linux.toml"),
        ("/guests", "/etc", "/etc"),
        ("/guests/x", "../../..", "/"),
        ("/", "", "/"),
    ] {
        assert_eq!(normalise(base, path), expected);
    }
}

#[test]
fn damage_is_named() {
    let good = sample();
    assert!(Tree::parse(&good[..good.len() - 124]).unwrap_err().to_string().contains("without a trailer"));
    assert!(Tree::parse(b"").is_err());
    assert!(Tree::parse(&[0; 200]).unwrap_err().what.contains("newc"));
    assert!(Tree::parse(&archive(&[("a", FILE, b""), ("a/b", FILE, b"")])).is_err());
    assert!(Tree::parse(&archive(&[("a/b", FILE, b""), ("a", FILE, b"")])).is_err());
    let mut huge = entry("x", FILE, b"");
    huge[54..62].copy_from_slice(b"FFFFFFFF");
    assert!(Tree::parse(&huge).unwrap_err().what.contains("contents"));
    huge[94..102].copy_from_slice(b"FFFFFFFF");
    assert!(Tree::parse(&huge).unwrap_err().what.contains("name"));
    huge[94..102].copy_from_slice(b"+0000002");
    assert!(Tree::parse(&huge).unwrap_err().what.contains("hexadecimal"));
}

proptest! {
    #[test]
    fn damaged_archives_do_not_panic(at in 0usize..1000, byte in any::<u8>(), cut in 0usize..1200) {
        let mut bytes = sample();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut);
        if let Ok(tree) = Tree::parse(&bytes) {
            let _ = tree.list("/");
        }
    }

    #[test]
    fn normalised_paths_stay_so(base in "[a-z./]{0,20}", path in "[a-z./]{0,20}") {
        let once = normalise(&base, &path);
        prop_assert_eq!(normalise("/elsewhere", &once), once.clone());
        prop_assert!(once.starts_with('/') && !once.contains("//") && !once.split('/').any(|p| p == ".." || p == "."));
    }
}

//! ext4 volumes that `mke2fs` made, read and written here and looked at by `e2fsck` and `debugfs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use domus_dom0_core::block::fake::{FakeDisk, FakeMemory, block_on};
use domus_dom0_core::block::{Buffer, Disk, DiskError, Place, read_bytes};
use domus_dom0_core::ext4::{FileDisk, Kind, Volume, VolumeError};

/// A folder that becomes a volume.
struct Made {
    folder: PathBuf,
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(format!("/usr/sbin/{program}")).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; these tests need e2fsprogs"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    format!("{out}{err}")
}

/// Bytes without a block of zeroes, which `mke2fs -d` would leave out.
fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

impl Made {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("domus-ext4-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("tree")).unwrap();
        Self { folder }
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// The usual content.
    fn furnish(&self) {
        let tree = self.tree();
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join("many")).unwrap();
        fs::write(tree.join("small"), b"hello\n").unwrap();
        fs::write(tree.join("a/b/c/big"), noise(3_000_000, 1)).unwrap();
        fs::write(tree.join("whole"), noise(1 << 20, 2)).unwrap();
        let mut holes = vec![0; 1 << 20];
        holes[400_000..500_000].copy_from_slice(&noise(100_000, 3));
        fs::write(tree.join("holes"), holes).unwrap();
        (0..1500).for_each(|number| fs::write(tree.join(format!("many/a-rather-long-name-of-a-file-{number}")), []).unwrap());
        for (link, target) in [
            ("short", "a/b"),
            ("up", "a/b/../../small"),
            ("round", "round"),
            ("out", "/etc/passwd"),
            ("a/long", &*format!("{}b/c/big", "./".repeat(40))),
        ] {
            std::os::unix::fs::symlink(target, tree.join(link)).unwrap();
        }
    }

    fn make(&self, options: &[&str]) {
        let (tree, image) = (self.tree(), self.image());
        let end = ["-d", tree.to_str().unwrap(), image.to_str().unwrap(), "16M"];
        run("mke2fs", &[&["-q", "-F", "-t", "ext4", "-L", "volume"], options, &end].concat());
    }

    fn debugfs(&self, command: &str) -> String {
        run("debugfs", &["-w", "-R", command, self.image().to_str().unwrap()])
    }

    fn open(&self) -> Opened {
        Opened::new(fs::read(self.image()).unwrap()).unwrap()
    }
}

struct Opened {
    memory: Rc<FakeMemory>,
    disk: Rc<FakeDisk>,
    volume: Volume,
}

impl Opened {
    fn new(contents: Vec<u8>) -> Result<Self, VolumeError> {
        let memory = FakeMemory::new();
        let disk = FakeDisk::new(&memory, 3, contents);
        let volume = block_on(Volume::open(disk.clone(), Rc::new(memory.clone()), "/mnt"))?;
        Ok(Self { memory, disk, volume })
    }

    fn file(&self, path: &str, write: bool) -> Result<Rc<FileDisk>, VolumeError> {
        block_on(async { self.volume.file(path, &self.volume.find(path).await?, write).await })
    }

    fn contents(&self, path: &str) -> Vec<u8> {
        let bytes = block_on(self.volume.find(path)).unwrap().bytes as usize;
        block_on(read_bytes(&*self.file(path, false).unwrap(), &self.memory, 0, bytes)).unwrap()
    }

    fn message(&self, path: &str, write: bool) -> String {
        self.file(path, write).err().expect("an error").to_string()
    }
}

fn refusal(contents: Vec<u8>) -> String {
    Opened::new(contents).err().expect("an error").to_string()
}

#[test]
fn files_folders_and_links_of_volumes_of_all_shapes() {
    let made = Made::new("shapes");
    made.furnish();
    for options in [&[][..], &["-b", "1024"], &["-O", "^64bit,^metadata_csum,^flex_bg", "-I", "128"], &["-b", "4096", "-O", "^has_journal"]]
    {
        made.make(options);
        let opened = made.open();
        assert_eq!((opened.volume.superblock().label.as_str(), opened.volume.superblock().unclean), ("volume", None));
        for path in ["small", "a/b/c/big", "whole", "holes"] {
            assert!(opened.contents(path) == fs::read(made.tree().join(path)).unwrap(), "{path} {options:?}");
        }
        assert_eq!(opened.contents("/a/../up"), b"hello\n");
        assert_eq!(opened.contents("short/c/../../long").len(), 3_000_000);
        let names = |path: &str| block_on(opened.volume.list(path, false)).unwrap();
        let many = names("many");
        assert_eq!(many.len(), 1500, "{options:?}");
        assert_eq!((many[0].name.as_str(), many[0].kind), ("a-rather-long-name-of-a-file-0", Kind::Regular));
        assert_eq!(opened.contents("many/a-rather-long-name-of-a-file-1499"), b"");
        let root: Vec<_> = names("/").into_iter().map(|entry| entry.name).collect();
        assert_eq!(root, ["a", "holes", "lost+found", "many", "out", "round", "short", "small", "up", "whole"]);
        let long = block_on(opened.volume.list("a/b/c", true)).unwrap();
        assert_eq!((long[0].name.as_str(), long[0].bytes), ("big", Some(3_000_000)));
    }
}

#[test]
fn a_wrong_path_is_told_with_the_folder_that_the_operator_knows() {
    let made = Made::new("paths");
    made.furnish();
    made.make(&[]);
    let opened = made.open();
    assert_eq!(opened.message("a/x", false), "/mnt/a/x: no such file; `ls` shows what is there");
    assert_eq!(opened.message("small/x", false), "/mnt/small/x: no such file; `ls` shows what is there");
    assert!(opened.message("a/b", false).contains("/mnt/a/b is a folder"));
    assert!(opened.message("round", false).contains("in a circle"));
    assert!(opened.message("out", false).contains("/mnt/out is a link to /etc/passwd"));
    assert!(block_on(opened.volume.list("small", false)).unwrap_err().to_string().contains("/mnt/small is not a folder"));
}

#[test]
fn a_whole_file_is_a_disk_and_nothing_but_its_data_changes() {
    let made = Made::new("write");
    made.furnish();
    made.make(&["-b", "1024"]);
    let opened = made.open();
    let file = opened.file("whole", true).unwrap();
    assert!(!file.info().read_only);
    let new = noise(300 << 10, 9);
    let buffer = opened.memory.take(new.len());
    buffer.set(0, &new);
    block_on(file.write(512, buffer.pieces())).unwrap();
    assert_eq!(block_on(file.write((1 << 20) - 512, buffer.pieces())), Err(DiskError::OutOfRange));
    block_on(file.flush()).unwrap();
    let before = fs::read(made.image()).unwrap();
    let after = opened.disk.after_power_cut(|_| false);
    let Place::At { device: 3, offset, bytes } = file.place(0, 4096, true) else { panic!("it lies on the disk") };
    let first = fs::read(made.tree().join("whole")).unwrap();
    assert_eq!(before[offset as usize..][..bytes as usize], first[..bytes as usize]);
    fs::write(made.image(), &after).unwrap();
    run("e2fsck", &["-f", "-n", made.image().to_str().unwrap()]);
    let dumped = made.folder.join("dumped");
    made.debugfs(&format!("dump /whole {}", dumped.display()));
    let mut wanted = first;
    wanted[512..][..new.len()].copy_from_slice(&new);
    assert!(fs::read(dumped).unwrap() == wanted);
    let changed = before.iter().zip(&after).filter(|(one, other)| one != other).count();
    assert!(changed <= new.len(), "{changed} bytes");
}

#[test]
fn a_file_with_holes_or_unwritten_blocks_is_only_read() {
    let made = Made::new("holes");
    made.furnish();
    made.make(&[]);
    made.debugfs("fallocate /small 10 20");
    made.debugfs("sif /small size 86016");
    let opened = made.open();
    for path in ["holes", "small"] {
        let message = opened.message(path, true);
        assert!(
            message.starts_with(&format!("/mnt/{path} has blocks that were never written")) && message.contains("dd if=/dev/zero"),
            "{message}"
        );
    }
    let small = opened.contents("small");
    assert!(small.starts_with(b"hello\n") && small[6..].iter().all(|byte| *byte == 0) && small.len() == 86016);
    let file = opened.file("small", false).unwrap();
    assert_eq!(file.place(40960, 4096, false), Place::Zeroes { bytes: 4096 });
    assert_eq!(file.place(40960, 4096, true), Place::Unknown);
    let page = opened.memory.take(4096);
    assert_eq!(block_on(file.write(0, page.pieces())), Err(DiskError::ReadOnly));
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    let made = Made::new("features");
    made.furnish();
    for (feature, name) in [
        ("inline_data", "inline_data"),
        ("encrypt", "encrypt"),
        ("mmp", "mmp"),
        ("casefold", "casefold"),
        ("meta_bg,^resize_inode", "meta_bg"),
    ] {
        made.make(&["-O", feature]);
        let message = refusal(fs::read(made.image()).unwrap());
        assert!(message.contains(&format!("uses `{name}`")), "{message}");
    }
    made.make(&["-O", "^extent,^64bit"]);
    assert!(made.open().file("whole", false).err().unwrap().to_string().contains("by lists of blocks"));
    assert_eq!(refusal(vec![0; 4096]), VolumeError::NotExt4.to_string());
    assert_eq!(refusal(vec![0; 512]), VolumeError::NotExt4.to_string());
}

#[test]
fn a_volume_that_was_not_unmounted_says_so() {
    let made = Made::new("unclean");
    made.make(&[]);
    made.debugfs("feature needs_recovery");
    assert!(made.open().volume.superblock().unclean.unwrap().contains("journal"));
    made.make(&[]);
    made.debugfs("set_super_value state 2");
    assert!(made.open().volume.superblock().unclean.unwrap().contains("errors"));
}

/// Where the root of a file's tree of extents lies in the image.
fn root_of(image: &Path, path: &str) -> usize {
    let text = run("debugfs", &["-R", &format!("imap {path}"), image.to_str().unwrap()]);
    let number = |after: &str| {
        let rest = &text[text.find(after).unwrap() + after.len()..];
        rest.trim_start().split(|c: char| !c.is_ascii_hexdigit() && c != 'x').next().unwrap().to_owned()
    };
    let (block, offset) = (number("located at block"), number("offset"));
    let offset = usize::from_str_radix(offset.trim_start_matches("0x"), 16).unwrap();
    block.parse::<usize>().unwrap() * 4096 + offset + 0x28
}

#[test]
fn a_file_that_claims_metadata_is_not_written() {
    let made = Made::new("zones");
    made.furnish();
    made.make(&["-b", "4096"]);
    let root = root_of(&made.image(), "/whole");
    let whole = fs::read(made.image()).unwrap();
    // The first extent's first block: at the superblock, at a bitmap, in a table of inodes, outside.
    let tables = run("debugfs", &["-R", "stats", made.image().to_str().unwrap()]);
    let table: u32 = tables.split("inode table at ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    for (block, words) in
        [(1u32, "contains metadata"), (table, "contains metadata"), (table - 1, "contains metadata"), (4095, "does not lie in the volume")]
    {
        let mut contents = whole.clone();
        contents[root + 20..root + 24].copy_from_slice(&block.to_le_bytes());
        let message = Opened::new(contents).unwrap().message("whole", true);
        assert!(message.contains(words), "{block}: {message}");
    }
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let made = Made::new("damage");
    made.furnish();
    made.make(&["-b", "4096"]);
    let whole = fs::read(made.image()).unwrap();
    let roots: Vec<usize> = ["/whole", "/holes", "/a/long", "/many"].map(|path| root_of(&made.image(), path)).into();
    let inodes = roots.iter().flat_map(|root| root - 0x28..root + 60).step_by(7);
    let places = (1024..1024 + 0x180).step_by(3).chain(4096..4096 + 64).chain(inodes);
    for (at, value) in places.zip([0xff, 0x7f, 0x01, 0x80].into_iter().cycle()) {
        let mut contents = whole.clone();
        contents[at] ^= value;
        let Ok(opened) = Opened::new(contents) else { continue };
        for path in ["whole", "holes", "a/long", "many/x"] {
            if let Ok(file) = opened.file(path, true) {
                let _ = block_on(read_bytes(&*file, &opened.memory, 0, 4096));
            }
            let _ = opened.file(path, false);
        }
        let _ = block_on(opened.volume.list("/", true));
    }
}

/// What Dom0 lists it has in memory, and more than once.
#[test]
fn a_folder_with_very_many_long_names_is_not_listed() {
    let made = Made::new("names");
    let many = made.tree().join("many");
    fs::create_dir_all(&many).unwrap();
    fs::write(made.tree().join("file"), []).unwrap();
    for number in 0..4200 {
        fs::hard_link(made.tree().join("file"), many.join(format!("{number:0>255}"))).unwrap();
    }
    made.make(&[]);
    let memory = FakeMemory::new();
    let disk = FakeDisk::new(&memory, 0, fs::read(made.image()).unwrap());
    let volume = block_on(Volume::open(disk, Rc::new(memory), "/mnt")).unwrap();
    let error = block_on(volume.list("/many", false)).unwrap_err();
    assert!(matches!(error, VolumeError::Damaged(what) if what.contains("names")), "{error}");
}

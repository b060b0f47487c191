//! Images in memory, files for QEMU's tools, bytes to fill them with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use domus_dom0_core::block::fake::{FakeDisk, FakeMemory, block_on};
use domus_dom0_core::block::{Disk, DiskError, SharedDisk, SharedMemory};
use domus_dom0_core::qcow2::{Access, Image, ImageError};

/// A folder for one test, empty at first and removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("domus-qcow2-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs a program of qemu-utils here. What it prints on standard output, if it succeeds.
    pub fn try_run(&self, command: &str) -> Result<String, String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.try_args(words[0], &words[1..])
    }

    pub fn try_args(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| {
            panic!("{program}: {error}; install qemu-utils, or run these tests by `cargo xtask test host-tests`, which installs it")
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
    }

    pub fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// What `qemu-img` says is in an image.
    pub fn flat(&self, name: &str) -> Vec<u8> {
        self.run(&format!("qemu-img convert -O raw {name} {name}.flat"));
        self.read(&format!("{name}.flat"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// A machine's memory and the disks that understand it.
pub struct World {
    pub memory: Rc<FakeMemory>,
}

impl World {
    pub fn new() -> Self {
        Self { memory: FakeMemory::new() }
    }

    pub fn shared(&self) -> SharedMemory {
        Rc::new(self.memory.clone())
    }

    /// A disk of these contents, to the next sector.
    pub fn disk(&self, mut contents: Vec<u8>) -> Rc<FakeDisk> {
        contents.resize(contents.len().next_multiple_of(512), 0);
        FakeDisk::new(&self.memory, 0, contents)
    }

    pub fn open(&self, below: &Rc<FakeDisk>, backing: Option<SharedDisk>, access: Access) -> Result<Rc<Image>, ImageError> {
        block_on(Image::open(below.clone(), self.shared(), backing, access))
    }

    pub fn read(&self, disk: &dyn Disk, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        let buffer = domus_dom0_core::block::Memory::buffer(&self.memory, bytes)?;
        block_on(disk.read(offset, buffer.pieces()))?;
        let mut read = vec![0; bytes];
        buffer.get(0, &mut read);
        Ok(read)
    }

    pub fn write(&self, disk: &dyn Disk, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let buffer = domus_dom0_core::block::Memory::buffer(&self.memory, bytes.len())?;
        buffer.set(0, bytes);
        block_on(disk.write(offset, buffer.pieces()))
    }

    /// Everything, in requests of various lengths that do not fit clusters.
    pub fn read_all(&self, disk: &dyn Disk) -> Vec<u8> {
        let total = disk.info().bytes;
        let mut all = Vec::new();
        for bytes in [512, 4096, 123 * 512, 1000 * 512].into_iter().cycle() {
            let bytes = (total - all.len() as u64).min(bytes);
            if bytes == 0 {
                break;
            }
            all.extend(self.read(disk, all.len() as u64, bytes as usize).unwrap());
        }
        all
    }
}

/// Numbers that look random; the same for the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Contents with random parts, parts that pack well, and holes.
pub fn contents(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut result = vec![0; bytes];
    let mut at = 0;
    while at < bytes {
        let end = bytes.min(at + 512 * (1 + numbers.below(300) as usize));
        match numbers.below(3) {
            0 => {}
            1 => result[at..end].fill(numbers.next() as u8),
            _ => result[at..end].chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&numbers.next().to_le_bytes()[..chunk.len()])),
        }
        at = end;
    }
    result
}

/// Says where the first difference is, which a dump of megabytes does not.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    if let Some(at) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
        panic!("{what}: byte {at:#x} is {:#x} and should be {:#x}", found[at], expected[at]);
    }
}

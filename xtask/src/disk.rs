//! `--disk FILE[,ro][,new=SIZE]`: what a person may get wrong is said before anything is compiled, and by us rather than by QEMU.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};
use domus_harness::disk::{Disk, MOST_DISKS};
use serde::Deserialize;

use crate::{qcow2, size};

/// Disks are read and written in units of this many bytes.
const SECTOR: u64 = 512;

/// One disk, as it was asked for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct DiskOption {
    path: PathBuf,
    read_only: bool,
    new: Option<u64>,
}

impl FromStr for DiskOption {
    type Err = Error;

    /// Options are looked for from the end, so that a file may have commas in its name.
    fn from_str(text: &str) -> Result<Self> {
        let (mut path, mut read_only, mut new) = (text, false, None);
        while let Some((rest, option)) = path.rsplit_once(',') {
            if option == "ro" {
                read_only = true;
            } else if let Some(size) = option.strip_prefix("new=") {
                ensure!(new.is_none(), "new= is there twice");
                new = Some(sectors(size)?);
            } else {
                break;
            }
            path = rest;
        }
        ensure!(!path.is_empty(), "a disk needs a file");
        ensure!(!(read_only && new.is_some()), "a new disk that may only be read would stay empty: leave out ro or new=");
        Ok(Self { path: path.into(), read_only, new })
    }
}

impl TryFrom<String> for DiskOption {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// A size that a disk may have.
fn sectors(size: &str) -> Result<u64> {
    let bytes = size::parse(size)?;
    ensure!(bytes.is_multiple_of(SECTOR), "{size} is no multiple of {SECTOR} bytes, as a disk's size must be");
    Ok(bytes)
}

/// Looks at what was asked for and says what is wrong with it. Nothing is made.
///
/// # Errors
/// When a file is missing, is there although it should be new, or is nothing that can be a disk.
pub fn check(disks: &[DiskOption]) -> Result<()> {
    ensure!(disks.len() <= MOST_DISKS, "{} disks, and a machine can have {MOST_DISKS}", disks.len());
    for (index, disk) in disks.iter().enumerate() {
        disk.check()?;
        let same = |other: &&DiskOption| same_file(&other.path, &disk.path);
        if let Some(other) = disks[..index].iter().find(same) {
            // Two guests of one file that write it would destroy it. Both may read.
            ensure!(disk.read_only && other.read_only, "{} is there twice: that needs ,ro on both", disk.path.display());
        }
    }
    Ok(())
}

/// Makes the files that shall be new, each full of zeroes that take no room; gives qcow2 images that may be written room to grow;
/// and gives the disks in order.
///
/// # Errors
/// When a file cannot be made or lengthened.
pub fn prepare(disks: &[DiskOption]) -> Result<Vec<Disk>> {
    disks.iter().map(DiskOption::prepare).collect()
}

impl DiskOption {
    /// A file that may only be read.
    pub fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), read_only: true, new: None }
    }

    /// A file that may be written.
    pub fn writable(path: &Path) -> Self {
        Self { read_only: false, ..Self::read_only(path) }
    }

    /// The same with its file in `folder`, unless its path is absolute.
    pub fn within(&self, folder: &Path) -> Self {
        Self { path: folder.join(&self.path), ..self.clone() }
    }

    fn check(&self) -> Result<()> {
        let name = self.path.display();
        let metadata = match fs::metadata(&self.path) {
            Ok(_) if self.new.is_some() => bail!("{name} exists, and new= overwrites nothing: leave new= out, or name another file"),
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.check_absent(),
            Err(error) => return Err(error).with_context(|| format!("cannot use {name} as a disk")),
        };
        ensure!(!metadata.is_dir(), "{name} is a folder, and a disk is a file");
        let device = metadata.file_type().is_block_device();
        ensure!(metadata.is_file() || device, "{name} is neither a file nor a block device");
        let size = metadata.len();
        ensure!(device || size > 0, "{name} is empty: remove it and let new=SIZE make it");
        // qcow2 files end where their last cluster happens to end. Writable ones are lengthened; QEMU fills up the rest of a sector.
        ensure!(
            device || qcow2::room(&self.path)?.is_some() || size.is_multiple_of(SECTOR),
            "{name} has {size} bytes, which is no multiple of {SECTOR}, as a disk's size must be; `truncate -s %{SECTOR} FILE` rounds it up"
        );
        let opened = fs::OpenOptions::new().read(true).write(!self.read_only).open(&self.path);
        opened.map(drop).with_context(|| match self.read_only {
            true => format!("cannot read {name}"),
            false => format!("cannot write {name}; with ,ro it need only be read"),
        })
    }

    fn check_absent(&self) -> Result<()> {
        let name = self.path.display();
        ensure!(self.new.is_some(), "there is no file {name}: `--disk {name},new=1G` makes one of 1 GiB");
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ensure!(folder.is_dir(), "there is no folder {} to make a disk in", folder.display());
        Ok(())
    }

    fn prepare(&self) -> Result<Disk> {
        if let Some(size) = self.new {
            let made = fs::OpenOptions::new().write(true).create_new(true).open(&self.path).and_then(|file| file.set_len(size));
            made.with_context(|| format!("cannot make {} of {size} bytes", self.path.display()))?;
        } else if !self.read_only
            && let Some(room) = qcow2::room(&self.path)?
        {
            lengthen(&self.path, room).with_context(|| format!("cannot lengthen {} to {room} bytes", self.path.display()))?;
        }
        // QEMU takes what stands before a colon for a protocol, unless a slash comes first.
        Ok(Disk { path: std::path::absolute(&self.path)?, read_only: self.read_only, log: None })
    }
}

/// Makes a file at least `size` bytes long. What is added reads as zeroes and takes no room.
fn lengthen(path: &Path, size: u64) -> std::io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() < size { file.set_len(size) } else { Ok(()) }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => std::path::absolute(a).ok() == std::path::absolute(b).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> DiskOption {
        text.parse().unwrap()
    }

    fn complaint(texts: &[String]) -> String {
        let disks: Vec<_> = texts.iter().map(|text| disk(text)).collect();
        format!("{:#}", check(&disks).unwrap_err())
    }

    #[test]
    fn options_stand_at_the_end() {
        assert_eq!(disk("a.raw"), DiskOption { path: "a.raw".into(), read_only: false, new: None });
        assert_eq!(disk("a,b,ro"), DiskOption { path: "a,b".into(), read_only: true, new: None });
        assert_eq!(disk("a.raw,new=1M"), DiskOption { path: "a.raw".into(), read_only: false, new: Some(1 << 20) });
        assert_eq!(disk("a,rw").path, PathBuf::from("a,rw"), "a name may look like anything");
    }

    #[test]
    fn nonsense_is_refused_at_once() {
        for text in ["", ",ro", "a,new=", "a,new=100", "a,new=1k,new=1k", "a,ro,new=1M", "a,new=1M,ro", "a,new=0"] {
            assert!(text.parse::<DiskOption>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name).display().to_string();
        let file = |file: &str, size: usize| fs::write(name(file), vec![0; size]).map(|()| name(file)).unwrap();
        let good = file("good", 1024);
        assert!(complaint(&[name("absent")]).contains("absent,new=1G"));
        assert!(complaint(&[name("no/absent,new=1M")]).contains("there is no folder"));
        assert!(complaint(&[format!("{good},new=1M")]).contains("exists"));
        assert!(complaint(&[folder.path().display().to_string()]).contains("is a folder"));
        assert!(complaint(&[file("odd", 700)]).contains("700 bytes, which is no multiple of 512"));
        assert!(complaint(&[file("empty", 0)]).contains("is empty"));
        assert!(complaint(&["/dev/null".into()]).contains("neither a file nor a block device"));
        assert!(complaint(&[good.clone(), good.clone()]).contains("twice"));
        assert!(complaint(&[format!("{good},ro"), good.clone()]).contains("twice"));
        assert!(complaint(&[name("n,new=1k"), name("n,new=1k")]).contains("twice"));
        assert!(complaint(&vec![good.clone(); 27]).contains("27 disks"));
        check(&[disk(&format!("{good},ro")), disk(&format!("{good},ro"))]).unwrap();
    }

    #[test]
    fn an_image_gets_room_to_grow_unless_it_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.qcow2");
        let mut image = [b"QFI\xfb", &3u32.to_be_bytes()[..], &[0; 12], &16u32.to_be_bytes(), &(1u64 << 30).to_be_bytes()].concat();
        image.resize(700, 0);
        fs::write(&path, image).unwrap();
        let (writable, read_only) = (disk(&path.display().to_string()), disk(&format!("{},ro", path.display())));
        check(std::slice::from_ref(&read_only)).unwrap();
        prepare(&[read_only]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 700);
        check(std::slice::from_ref(&writable)).unwrap();
        prepare(&[writable]).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 2 << 30);
    }

    #[test]
    fn new_files_are_sparse_and_never_replace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let option = disk(&format!("{},new=1G", path.display()));
        check(std::slice::from_ref(&option)).unwrap();
        assert!(!path.exists(), "looking makes nothing");
        let made = prepare(std::slice::from_ref(&option)).unwrap();
        assert_eq!(made, [Disk { path: path.clone(), read_only: false, log: None }]);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), 1 << 30);
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 100);
        assert!(prepare(&[option]).is_err(), "it has appeared meanwhile");
    }
}

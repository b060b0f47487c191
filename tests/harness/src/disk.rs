//! A virtio disk of the machine, as options for QEMU. The guest sees the bytes of the file as they are: whatever image format they make up
//! is Dom0's business, and QEMU must not guess at it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::machine::escape_option;

/// The most disks that a machine can have: `/dev/vda` to `/dev/vdz`.
pub const MOST_DISKS: usize = 26;

/// The slot of the first disk on PCI bus 0; the others follow. Slot 0 is the host bridge, and 31 the south bridge.
const FIRST_SLOT: usize = 2;

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file with its bytes, in multiples of 512.
    pub path: PathBuf,
    /// Whether the machine may only read it.
    pub read_only: bool,
    /// A file for the log of all that the disk is told, in the format of Linux's dm-log-writes; it must exist, and is overwritten.
    pub log: Option<PathBuf>,
}

impl Disk {
    /// The options for the disk that is number `index`, from 0. Its PCI address follows from its number, so that the order is that of the
    /// command line, whatever else is plugged in.
    pub(crate) fn args(&self, index: usize) -> [OsString; 4] {
        let access = if self.read_only { ",readonly=on" } else { "" };
        let path = escape_option(&self.path);
        // Write-back, as disks with a volatile cache are: what was not flushed may be lost, and the guest knows.
        let file = match &self.log {
            None => format!("file={path},format=raw"),
            Some(log) => {
                let log = escape_option(log);
                format!("driver=blklogwrites,file.driver=file,file.filename={path},log.driver=file,log.filename={log}")
            }
        };
        let drive = format!("{file},if=none,id=disk{index},cache=writeback,discard=unmap{access}");
        let slot = FIRST_SLOT + index;
        let device = format!("virtio-blk-pci,drive=disk{index},addr={slot:#04x},disable-legacy=on,serial=disk{index}");
        ["-drive".into(), drive.into(), "-device".into(), device.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(path: &str, read_only: bool, index: usize) -> [String; 4] {
        Disk { path: path.into(), read_only, log: None }.args(index).map(|word| word.into_string().unwrap())
    }

    #[test]
    fn a_disk_is_its_bytes() {
        let [drive, what, device, which] = args("/a,b.qcow2", false, 0);
        assert_eq!((drive.as_str(), device.as_str()), ("-drive", "-device"));
        assert_eq!(what, "file=/a,,b.qcow2,format=raw,if=none,id=disk0,cache=writeback,discard=unmap");
        assert_eq!(which, "virtio-blk-pci,drive=disk0,addr=0x02,disable-legacy=on,serial=disk0");
    }

    #[test]
    fn a_log_lies_between_the_disk_and_its_file() {
        let [_, what, ..] =
            Disk { path: "/a".into(), read_only: false, log: Some("/l,og".into()) }.args(0).map(|word| word.into_string().unwrap());
        let file = "driver=blklogwrites,file.driver=file,file.filename=/a,log.driver=file,log.filename=/l,,og,if=none,";
        assert!(what.starts_with(file), "{what}");
    }

    #[test]
    fn each_has_its_own_slot() {
        let [_, what, _, which] = args("/b", true, MOST_DISKS - 1);
        assert!(what.ends_with(",readonly=on"));
        assert!(which.contains("drive=disk25,addr=0x1b,"), "{which}");
    }
}

//! What a guest knows a disk by: a name and a number, as Xen's xen-vbd-interface(7) has them.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

/// Major number of `xvd` in Linux.
const XVD: u32 = 202;
const SD: u32 = 8;
/// Major numbers of the first and of the second pair of IDE disks.
const HD: [u32; 2] = [3, 22];
/// The bit that says that disk and partition have more room.
const EXTENDED: u32 = 1 << 28;
/// Disks of the extended form: 20 bits.
const DISKS: u32 = 1 << 20;
/// Partitions of the extended form: 8 bits.
const PARTITIONS: u32 = 1 << 8;

/// A virtual device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vdev {
    /// Its name, as `xvda` or `xvda1`; the digits if the number has none.
    pub name: String,
    /// Its number in xenstore.
    pub number: u32,
}

/// How disks of one kind are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Xvd,
    Sd,
    Hd,
}

impl Vdev {
    /// Reads a name (`xvda`, `xvda1`, `sda`, `hda`, `d0p0`) or a number (decimal, 0x hexadecimal or 0 octal, as C has it).
    ///
    /// # Errors
    /// A sentence that says what is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("vdev `{text}` is no virtual device; give one such as xvda, xvda1 or xvdb (hda, sda, d0p0 and numbers are understood)")
        };
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return number_of(text).and_then(Self::from_number).ok_or_else(bad);
        }
        let (kind, disk, partition) = split(text).ok_or_else(bad)?;
        let number = encode(kind, disk, partition).ok_or_else(|| {
            format!("vdev `{text}` is beyond what has a number (xvd: 2^20 disks of 255 partitions, sd: 16 of 15, hd: 4 of 63); take another, such as xvda")
        })?;
        Ok(Self { name: name_of(kind, disk, partition), number })
    }

    /// The device of a number; `None` if it takes more than 29 bits.
    pub fn from_number(number: u32) -> Option<Self> {
        if number >= EXTENDED << 1 {
            return None;
        }
        let name = decode(number).map_or_else(|| number.to_string(), |(kind, disk, partition)| name_of(kind, disk, partition));
        Some(Self { name, number })
    }

    /// Whether two are one device, or one is a partition of the other, which no guest can have together.
    pub fn collides(&self, other: &Self) -> bool {
        match (decode(self.number), decode(other.number)) {
            _ if self.number == other.number => true,
            (Some((kind, disk, partition)), Some((other_kind, other_disk, other_partition))) => {
                kind == other_kind && disk == other_disk && (partition == other_partition || partition == 0 || other_partition == 0)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Vdev {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)
    }
}

fn number_of(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Kind, disk and partition of a name.
fn split(text: &str) -> Option<(Kind, u32, u32)> {
    let kinds = [("xvd", Kind::Xvd), ("sd", Kind::Sd), ("hd", Kind::Hd)];
    if let Some((kind, rest)) = kinds.iter().find_map(|(prefix, kind)| text.strip_prefix(prefix).map(|rest| (*kind, rest))) {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let letters = &rest[..rest.len() - digits.len()];
        return Some((kind, disk_of(letters)?, if digits.is_empty() { 0 } else { plain(digits).filter(|&n| n != 0)? }));
    }
    let (disk, partition) = text.strip_prefix('d')?.split_once('p')?;
    Some((Kind::Xvd, plain(disk)?, plain(partition)?))
}

/// Digits only: `parse` alone would take a sign.
fn plain(digits: &str) -> Option<u32> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// a is 0, z is 25, aa is 26.
fn disk_of(letters: &str) -> Option<u32> {
    let next = |disk: u32, letter: u8| disk.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1);
    letters.bytes().try_fold(0, next)?.checked_sub(1)
}

fn encode(kind: Kind, disk: u32, partition: u32) -> Option<u32> {
    match kind {
        Kind::Xvd if disk < 16 && partition < 16 => Some(XVD << 8 | disk << 4 | partition),
        Kind::Xvd if disk < DISKS && partition < PARTITIONS => Some(EXTENDED | disk << 8 | partition),
        Kind::Sd if disk < 16 && partition < 16 => Some(SD << 8 | disk << 4 | partition),
        Kind::Hd if disk < 4 && partition < 64 => Some(HD[disk as usize / 2] << 8 | (disk % 2) << 6 | partition),
        _ => None,
    }
}

fn decode(number: u32) -> Option<(Kind, u32, u32)> {
    if number & EXTENDED != 0 {
        return Some((Kind::Xvd, number >> 8 & (DISKS - 1), number & (PARTITIONS - 1)));
    }
    match number >> 8 {
        XVD => Some((Kind::Xvd, number >> 4 & 15, number & 15)),
        SD => Some((Kind::Sd, number >> 4 & 15, number & 15)),
        major if major == HD[0] && number & 0x80 == 0 => Some((Kind::Hd, number >> 6 & 1, number & 63)),
        major if major == HD[1] && number & 0x80 == 0 => Some((Kind::Hd, 2 + (number >> 6 & 1), number & 63)),
        _ => None,
    }
}

fn name_of(kind: Kind, disk: u32, partition: u32) -> String {
    let prefix = match kind {
        Kind::Xvd => "xvd",
        Kind::Sd => "sd",
        Kind::Hd => "hd",
    };
    let part = if partition == 0 { String::new() } else { partition.to_string() };
    format!("{prefix}{}{part}", crate::storage::letters(disk))
}

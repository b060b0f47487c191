//! Names of disks as Linux guests have them, and the numbers that xenstore has.

/// Xen's own disks: `xvda` and on.
const XVD_MAJOR: u32 = 202;
/// From the seventeenth disk or the sixteenth partition on, numbers are of another form.
const EXTENDED: u32 = 1 << 28;

/// The number of `xvda`, `xvdb2`, `xvdaa`, ...; also of a plain number. `None` for anything else.
pub fn vdev(name: &str) -> Option<u32> {
    let Some(rest) = name.strip_prefix("xvd") else { return name.parse().ok() };
    let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &rest[letters.len()..];
    if letters.is_empty() || letters.len() > 5 || !letters.bytes().all(|letter| letter.is_ascii_lowercase()) || digits.starts_with('0') {
        return None;
    }
    let disk = letters.bytes().fold(0, |number, letter| number * 26 + u32::from(letter - b'a') + 1) - 1;
    let partition: u32 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    match (disk, partition) {
        (0..16, 0..16) => Some(XVD_MAJOR << 8 | disk << 4 | partition),
        (_, 0..256) if disk < EXTENDED >> 8 => Some(EXTENDED | disk << 8 | partition),
        _ => None,
    }
}

/// What a number's disk is called, if it is one of Xen's own: the letters behind `xvd`, and the partition.
pub fn name(vdev: u32) -> Option<Name> {
    let (disk, partition) = match vdev {
        _ if vdev & EXTENDED != 0 && vdev >> 29 == 0 => ((vdev & (EXTENDED - 1)) >> 8, vdev & 0xff),
        _ if vdev >> 8 == XVD_MAJOR => (vdev >> 4 & 15, vdev & 15),
        _ => return None,
    };
    Some(Name { disk, partition })
}

/// A disk's name, for printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    disk: u32,
    partition: u32,
}

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (mut letters, mut at, mut rest) = ([0u8; 8], 8, self.disk + 1);
        while rest > 0 {
            at -= 1;
            letters[at] = b'a' + ((rest - 1) % 26) as u8;
            rest = (rest - 1) / 26;
        }
        write!(f, "xvd{}", str::from_utf8(&letters[at..]).unwrap_or_default())?;
        if self.partition == 0 { Ok(()) } else { write!(f, "{}", self.partition) }
    }
}

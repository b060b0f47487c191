//! Finding one file in the module, if that is a cpio "newc" archive (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Only names and sizes are looked at, in place: the archive becomes the control domain's file tree, which reads it with a library.
//! Twenty lines here spare the trusted base a crate.

/// The control domain's kernel in the archive.
pub const DOM0: &[u8] = b"boot/dom0";

const MAGIC: &[u8] = b"070701";
const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";

/// True if these bytes begin an archive.
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The contents of the file called `name`, as an offset and a length.
pub fn find(archive: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0usize;
    // Each round moves on by a header at least.
    loop {
        let header = archive.get(at..at.checked_add(HEADER)?)?;
        if !header.starts_with(MAGIC) {
            return None;
        }
        let (size, name_size) = (field(header, 54)?, field(header, 94)?);
        let name_at = at + HEADER;
        let file_name = archive.get(name_at..name_at.checked_add(name_size)?)?;
        let data = name_at.checked_add(name_size)?.checked_next_multiple_of(4)?;
        let file_name = file_name.strip_suffix(&[0]).unwrap_or(file_name);
        if file_name == TRAILER {
            return None;
        }
        let end = data.checked_add(size)?;
        if file_name.strip_prefix(b"./").unwrap_or(file_name) == name {
            archive.get(data..end)?;
            return Some((data, size));
        }
        at = end.checked_next_multiple_of(4)?;
    }
}

/// Eight hexadecimal digits.
fn field(header: &[u8], at: usize) -> Option<usize> {
    let text = core::str::from_utf8(header.get(at..at + 8)?).ok()?;
    usize::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        for index in 0..13 {
            let value = match index {
                6 => data.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            bytes.extend(format!("{value:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn archive() -> Vec<u8> {
        [entry("etc/exec", b"list"), entry("./boot/dom0", b"\x7fELF!"), entry("TRAILER!!!", b"")].concat()
    }

    #[test]
    fn finds_a_file() {
        let archive = archive();
        let (at, length) = find(&archive, DOM0).expect("it is there");
        assert_eq!(&archive[at..at + length], b"\x7fELF!");
        assert_eq!(find(&archive, b"boot/dom1"), None);
    }

    #[test]
    fn a_cut_archive_has_no_file_and_no_panic() {
        let archive = archive();
        let (at, length) = find(&archive, DOM0).expect("it is there");
        for end in 0..at + length {
            assert_eq!(find(&archive[..end], DOM0), None, "{end}");
        }
    }

    #[test]
    fn a_huge_size_is_refused() {
        let mut archive = archive();
        archive[54..62].copy_from_slice(b"ffffffff");
        assert_eq!(find(&archive, DOM0), None);
        archive[94..102].copy_from_slice(b"ffffffff");
        assert_eq!(find(&archive, DOM0), None);
    }
}

//! What an operator writes for a disk: `phy:/dev/vda2`, `qcow2:/mnt/a.qcow2`, `/mnt/b.raw`.

use alloc::{format, string::String};
use core::fmt;

use super::StorageError;
use crate::config::Format;
use crate::fs::normalise;

/// Where a path leads to devices.
pub const DEVICES: &str = "/dev/";

/// Words before the path, and what they say.
const PREFIXES: [(&str, Format); 4] = [("phy:", Format::Raw), ("file:", Format::Raw), ("raw:", Format::Raw), ("qcow2:", Format::Qcow2)];

/// A disk as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A device or a file: an absolute path without `.` and `..`.
    pub path: String,
    /// How the disk's bytes lie there.
    pub format: Format,
}

impl Target {
    /// A path and what lies there.
    pub fn new(path: &str, format: Format) -> Self {
        Self { path: normalise("/", path), format }
    }

    /// Reads what an operator wrote; `usual` is meant where no format is named.
    ///
    /// # Errors
    /// When it is no path.
    pub fn parse(text: &str, usual: Format) -> Result<Self, StorageError> {
        let named = PREFIXES.iter().find_map(|(prefix, format)| Some((text.strip_prefix(prefix)?, *format)));
        let (path, format) = named.unwrap_or((text, usual));
        if !path.starts_with('/') {
            return Err(StorageError::about(
                format!("`{text}`"),
                "no path of a disk; name it as /dev/vda, /dev/vda2, /mnt/FILE or qcow2:/mnt/FILE",
            ));
        }
        Ok(Self::new(path, format))
    }

    /// The name of the device, if it is one: `vda2`.
    pub fn device(&self) -> Option<&str> {
        self.path.strip_prefix(DEVICES)
    }

    /// The target that a name within the image at this target means: relative to the image's folder.
    pub fn beside(&self, name: &str, format: Format) -> Self {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self { path: normalise(folder, name), format }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn all_ways_to_write_it() {
        let parse = |text| Target::parse(text, Format::Raw).unwrap();
        for (text, path, format) in [
            ("phy:/dev/vda", "/dev/vda", Format::Raw),
            ("/dev/../dev//vda2", "/dev/vda2", Format::Raw),
            ("file:/mnt/x.raw", "/mnt/x.raw", Format::Raw),
            ("qcow2:/mnt/a", "/mnt/a", Format::Qcow2),
        ] {
            assert_eq!(parse(text), Target { path: path.into(), format });
        }
        assert_eq!(Target::parse("/mnt/a", Format::Qcow2).unwrap().format, Format::Qcow2);
        assert_eq!(parse("/dev/vda2").device(), Some("vda2"));
        for wrong in ["vda", "", "qcow2:", "nbd:/x", "phy:vda"] {
            assert!(Target::parse(wrong, Format::Raw).unwrap_err().to_string().contains("no path of a disk"), "{wrong}");
        }
    }

    #[test]
    fn names_in_an_image_are_relative_to_its_folder() {
        let image = Target::parse("qcow2:/mnt/images/a.qcow2", Format::Raw).unwrap();
        assert_eq!(image.beside("base.raw", Format::Raw).path, "/mnt/images/base.raw");
        assert_eq!(image.beside("../base.raw", Format::Raw).path, "/mnt/base.raw");
        assert_eq!(image.beside("/dev/vda", Format::Raw).path, "/dev/vda");
        assert_eq!(Target::parse("/dev/vdb", Format::Qcow2).unwrap().beside("vda", Format::Raw).path, "/dev/vda");
    }
}

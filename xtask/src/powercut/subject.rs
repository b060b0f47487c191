//! What power is cut under, by the names that a person gives.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::format::Format;

/// A guest and its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The kernel that writes a journal to a disk of this format.
    Journal(Format),
    /// Debian on an overlay.
    Debian,
}

impl Subject {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal(format) => format.name(),
            Self::Debian => "debian",
        }
    }
}

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        const { &[Self::Journal(Format::Raw), Self::Journal(Format::Qcow2), Self::Journal(Format::Qcow2Small), Self::Debian] }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Journal(Format::Raw) => "The guest's disk itself",
            Self::Journal(Format::Qcow2) => "A qcow2 image with clusters of 64 KiB, QEMU's default",
            Self::Journal(Format::Qcow2Small) => "A qcow2 image with clusters of 4 KiB",
            Self::Debian => "Debian with its root in a qcow2 image over a base; it is also booted from three of the cuts",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_name() {
        for format in Format::ALL {
            assert_eq!(Subject::from_str(format.name(), false), Ok(Subject::Journal(format)));
        }
        assert_eq!(Subject::from_str("debian", false), Ok(Subject::Debian));
    }
}

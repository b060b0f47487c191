//! A domain's disks: what xl-disk-configuration(5) allows as text, and the same as a TOML table.
//!
//! Three notations, one result. `'phy:/dev/vda,xvda,w'` is the one that most files have, `'/dev/vda,raw,xvda,rw'` the one that xl's manual
//! prefers, both with `key=value` between their commas; a table has the keys by name. The target is text here and nothing more: whether
//! there is such a disk is for [`crate::storage`] to say, when the domain is created.

mod draft;
mod text;
mod vdev;

#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use self::draft::Draft;
use super::{
    Message, Place,
    source::Source,
    value::{Item, Value},
};

pub use vdev::Vdev;

/// Disks of one domain at most. Xen's numbers leave room for more; Dom0's memory is bounded.
pub const DISKS_MAX: usize = 64;

/// How a disk's bytes are laid out in its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Raw,
    /// A qcow2 image.
    Qcow2,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Raw, Self::Qcow2];

    /// Its name, as xl and `qemu-img` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }

    /// The format of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// A disk that a domain is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// What holds its bytes: a device or a file in Dom0's tree; an absolute path.
    pub target: String,
    /// How they lie there.
    pub format: Format,
    /// What the guest knows it by.
    pub vdev: Vdev,
    /// The guest cannot write.
    pub read_only: bool,
    /// The guest is told that it is a CD-ROM; `read_only` is set, too.
    pub cdrom: bool,
    /// Whether the guest may discard; left to what the target can do if not said.
    pub discard: Option<bool>,
}

impl DiskSpec {
    /// Reads one of xl's notations, as `disk` has it in its list and `dom block-attach` on its line.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        text::read(text)?.finish()
    }

    /// The same in the notation that xl prefers: `target,format,vdev,access`.
    pub fn text(&self) -> String {
        let access = if self.read_only { "ro" } else { "rw" };
        let cdrom = if self.cdrom { ",cdrom" } else { "" };
        let discard = match self.discard {
            None => "",
            Some(true) => ",discard",
            Some(false) => ",no-discard",
        };
        // The target last, as a key: it may hold commas.
        format!("format={},vdev={},access={access}{cdrom}{discard},target={}", self.format, self.vdev.name, self.target)
    }

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Self::parse(text),
            Value::Table(table) => {
                let mut draft = Draft::default();
                table.iter().try_for_each(|(key, value)| draft.set_value(key, value))?;
                draft.finish()
            }
            other => Err(format!("{}: give text in quotes, such as '{EXAMPLE}', or a table", other.shown())),
        }
    }
}

/// A specification that is right, for messages.
const EXAMPLE: &str = "phy:/dev/vda,xvda,w";

/// All disks that a configuration names, in its order.
pub fn disks(source: &Source) -> Result<Vec<DiskSpec>, Message> {
    let Some((place, value)) = source.get("disk") else {
        return Ok(Vec::new());
    };
    let one;
    let items: &[Item] = match value {
        Value::List(items) => items,
        nothing if nothing.is_nothing() => &[],
        // One disk without the list's brackets.
        single => {
            one = [Item { line: None, value: single.clone() }];
            &one
        }
    };
    if items.len() > DISKS_MAX {
        return source.fail("disk", format!("disk has {} entries; a domain can have {DISKS_MAX}", items.len()));
    }
    let mut disks: Vec<DiskSpec> = Vec::new();
    for item in items {
        let made = DiskSpec::from_value(&item.value).and_then(|disk| not_twice(&disks, &disk).map(|()| disk));
        let place = if place == Place::CommandLine { place } else { item.line.map_or(place, Place::Line) };
        disks.push(made.map_err(|text| Message { place, text: format!("disk {}", text) })?);
    }
    Ok(disks)
}

/// Whether a guest could tell the disk from those that it has already.
fn not_twice(have: &[DiskSpec], disk: &DiskSpec) -> Result<(), String> {
    let Some(twin) = have.iter().find(|other| other.vdev.collides(&disk.vdev)) else {
        return Ok(());
    };
    let (new, old) = (&disk.vdev.name, &twin.vdev.name);
    let why = if new == old { "is given twice" } else { "and another are the same to a guest" };
    Err(format!("`{new}` {why} (`{old}` is {}); give each disk a device of its own, such as xvdb", twin.target))
}

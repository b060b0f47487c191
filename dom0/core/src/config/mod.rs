//! What a domain is to be: TOML with the key names of xl.cfg.
//!
//! Operators bring files from Xen, so its names are kept, and most of its files are valid TOML already. What we do not honour is said, never
//! passed over: a warning if the domain is the same without it, an error if it is not. Messages name the line, the key and the remedy.

mod build;
mod disk;
mod keys;
mod source;
mod value;

#[cfg(test)]
mod tests;

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::fmt;

pub use disk::{DISKS_MAX, DiskSpec, Format, Vdev};

use crate::toolstack::Action;

/// A domain's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// Its name; valid by [`crate::toolstack::check_name`].
    pub name: String,
    /// Its UUID, if the file names one.
    pub uuid: Option<[u8; 16]>,
    /// The kernel's path.
    pub kernel: String,
    /// The ramdisk's path.
    pub ramdisk: Option<String>,
    /// The command line, at most [`CMDLINE_MAX`] bytes.
    pub cmdline: String,
    /// Its disks, in the file's order, at most [`DISKS_MAX`]; no two that the guest would confuse.
    pub disks: Vec<DiskSpec>,
    /// Memory at start, in MiB.
    pub memory_mib: u64,
    /// Memory at most, in MiB; not less than `memory_mib`.
    pub maxmem_mib: u64,
    /// vCPUs online at start.
    pub vcpus: u32,
    /// vCPUs at most; not less than `vcpus`.
    pub maxvcpus: u32,
    /// Share of the CPU relative to other domains.
    pub cpu_weight: u32,
    /// Event channels at most.
    pub max_event_channels: u32,
    /// Frames of the grant table at most.
    pub max_grant_frames: u32,
    /// Frames for records of mapped grants at most.
    pub max_maptrack_frames: u32,
    /// What to do when it powers off.
    pub on_poweroff: Action,
    /// What to do when it reboots.
    pub on_reboot: Action,
    /// What to do when it crashes.
    pub on_crash: Action,
    /// What to do when its watchdog fires.
    pub on_watchdog: Action,
}

/// Longest command line in bytes: `start_info` has room for 1024 with the NUL.
pub const CMDLINE_MAX: usize = 1023;

/// A checked configuration and what the operator should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration.
    pub config: DomainConfig,
    /// Keys that are known and make no difference here, a message each.
    pub warnings: Vec<Message>,
    places: BTreeMap<&'static str, Place>,
}

impl Parsed {
    /// Something about the file that a key names (`kernel` or `ramdisk`): what the configuration cannot know of it.
    pub fn about(&self, key: &str, text: impl fmt::Display) -> Message {
        Message { place: self.places.get(key).copied().unwrap_or(Place::File), text: format!("{key}: {text}") }
    }
}

/// Keys that name files.
const FILES: [&str; 2] = ["kernel", "ramdisk"];

/// Something about a place in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub place: Place,
    /// What, and what to do.
    pub text: String,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line of it, counted from 1.
    Line(usize),
    /// KEY=VALUE on the command line.
    CommandLine,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::File => f.write_str(&self.text),
            Place::Line(line) => write!(f, "line {line}: {}", self.text),
            Place::CommandLine => write!(f, "on the command line: {}", self.text),
        }
    }
}

impl core::error::Error for Message {}

/// Parses a configuration file, with KEY=VALUE pairs that take precedence over it.
pub fn parse(text: &str, overrides: &[(String, String)]) -> Result<Parsed, Message> {
    let mut source = source::Source::read(text, overrides)?;
    let warnings = source.drop_unhonoured()?;
    let config = build::build(&mut source)?;
    let places = FILES.into_iter().filter_map(|key| Some((key, source.get(key)?.0))).collect();
    Ok(Parsed { config, warnings, places })
}

//! A disk while its keys are read, in whatever notation they come.

use alloc::{
    format,
    string::{String, ToString},
};

use super::{DiskSpec, EXAMPLE, Format, Vdev};
use crate::{config::value::Value, nearest::nearest};

/// Longest target in bytes.
const TARGET_MAX: usize = 1024;
const ACCESS: [&str; 4] = ["r", "ro", "w", "rw"];
const DEVTYPES: [&str; 2] = ["disk", "cdrom"];
/// xl's names for who serves a disk. Here it is always Dom0, and the guest sees no difference.
const BACKENDTYPES: [&str; 4] = ["phy", "tap", "qdisk", "standalone"];
const KEYS: [&str; 12] = [
    "target",
    "format",
    "vdev",
    "access",
    "read_only",
    "cdrom",
    "devtype",
    "discard",
    "no-discard",
    "backend",
    "backendtype",
    "direct-io-safe",
];
/// Formats that xl or `qemu-img` know and we do not.
const FOREIGN: [&str; 6] = ["qcow", "vhd", "vpc", "vdi", "vmdk", "qed"];

/// What is known so far.
#[derive(Debug, Default)]
pub struct Draft {
    target: Option<String>,
    format: Option<Format>,
    vdev: Option<Vdev>,
    read_only: Option<bool>,
    cdrom: Option<bool>,
    discard: Option<bool>,
}

impl Draft {
    /// Sets a key of a table.
    pub fn set_value(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match (key, value) {
            ("read_only", Value::Boolean(value)) => once(&mut self.read_only, *value, "access"),
            ("cdrom", Value::Boolean(value)) => once(&mut self.cdrom, *value, "cdrom"),
            ("discard", Value::Boolean(value)) => once(&mut self.discard, *value, "discard"),
            ("vdev", Value::Number(digits)) => self.set(key, digits),
            ("read_only" | "cdrom" | "discard", other) => Err(format!("{key} = {}: give true or false", other.shown())),
            ("no-discard" | "direct-io-safe", _) => Err(unknown(key)),
            (_, Value::Text(text)) => self.set(key, text),
            (_, other) if KEYS.contains(&key) => Err(format!("{key} = {}: give text in quotes", other.shown())),
            _ => Err(unknown(key)),
        }
    }

    /// Sets a key that is written as text.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        match key {
            "target" => self.set_target(text),
            "format" => once(&mut self.format, format_of(text)?, key),
            "vdev" => self.set_vdev(text),
            "access" => once(&mut self.read_only, is_read_only(text)?, key),
            "devtype" if DEVTYPES.contains(&text) => once(&mut self.cdrom, text == "cdrom", key),
            "devtype" => Err(of_these("devtype", text, &DEVTYPES)),
            "backendtype" if BACKENDTYPES.contains(&text) => Ok(()),
            "backendtype" => Err(of_these("backendtype", text, &BACKENDTYPES)),
            "backend" if matches!(text, "0" | "Domain-0") => Ok(()),
            "backend" => Err(format!("backend={text}: all disks are served by Dom0 here; remove it")),
            "script" => Err(String::from("script= is not supported: no scripts are run here; name the device or file itself")),
            _ => Err(unknown(key)),
        }
    }

    /// Sets what xl writes as a word without a value; whether the word is one of those.
    pub fn set_flag(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "cdrom" => once(&mut self.cdrom, true, word)?,
            "discard" => once(&mut self.discard, true, word)?,
            "no-discard" => once(&mut self.discard, false, "discard")?,
            "direct-io-safe" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_target(&mut self, text: &str) -> Result<(), String> {
        if text.len() > TARGET_MAX || text.contains(char::is_control) {
            return Err(format!("the target is longer than {TARGET_MAX} bytes, or has a control character in it"));
        }
        if !text.starts_with('/') {
            return Err(format!("target `{text}`: give the whole path, such as /dev/vda or /images/a.qcow2"));
        }
        once(&mut self.target, text.to_string(), "target")
    }

    /// With xl's old suffix, as in `hdc:cdrom`.
    fn set_vdev(&mut self, text: &str) -> Result<(), String> {
        let (name, devtype) = text.split_once(':').map_or((text, None), |(name, devtype)| (name, Some(devtype)));
        once(&mut self.vdev, Vdev::parse(name)?, "vdev")?;
        devtype.map_or(Ok(()), |devtype| self.set("devtype", devtype))
    }

    /// The disk, if nothing is missing.
    pub fn finish(self) -> Result<DiskSpec, String> {
        let missing = |what, example| format!("has no {what}; give one, such as {example}, as in '{EXAMPLE}'");
        let target = self.target.ok_or_else(|| missing("target", "/dev/vda"))?;
        let Some(vdev) = self.vdev else {
            return Err(format!("`{target}` {}", missing("device name for the guest (vdev)", "xvda")));
        };
        let cdrom = self.cdrom.unwrap_or(false);
        if cdrom && self.read_only == Some(false) {
            return Err(format!("`{target}` is a CD-ROM and writable; give access r, or leave out cdrom"));
        }
        Ok(DiskSpec {
            target,
            format: self.format.unwrap_or(Format::Raw),
            vdev,
            read_only: cdrom || self.read_only.unwrap_or(false),
            cdrom,
            discard: self.discard,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    match slot.replace(value) {
        Some(_) => Err(format!("gives `{key}` twice; keep one")),
        None => Ok(()),
    }
}

fn format_of(text: &str) -> Result<Format, String> {
    if let Some(format) = Format::from_name(text) {
        return Ok(format);
    }
    if FOREIGN.contains(&text) {
        return Err(format!("format {text}: images are raw or qcow2 here; make one by `qemu-img convert -O qcow2 IMAGE NEW`"));
    }
    if text == "empty" {
        return Err(String::from("format empty: there are no empty drives here; remove the disk"));
    }
    Err(of_these("format", text, &Format::ALL.map(Format::name)))
}

fn is_read_only(text: &str) -> Result<bool, String> {
    match text {
        "r" | "ro" => Ok(true),
        "w" | "rw" => Ok(false),
        "w!" => Err(String::from("access w!: a disk that is written has one user here; give it to one domain by w, or to all by r")),
        _ => Err(of_these("access", text, &ACCESS)),
    }
}

fn of_these(key: &str, text: &str, known: &[&'static str]) -> String {
    let near = nearest(text, known.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    format!("{key} `{text}` is not known; {near}give one of {}", known.join(", "))
}

fn unknown(key: &str) -> String {
    match nearest(key, KEYS) {
        Some(near) => format!("has an unknown key `{key}`; did you mean `{near}`?"),
        None => format!("has an unknown key `{key}`; the keys are target, format, vdev, access, read_only, cdrom, discard"),
    }
}

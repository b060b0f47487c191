//! `dom disk`: from sorted words to typed commands.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    disk::{DiskCommand, NewSize, SnapshotAction},
    matches::Matches,
    types::{Command, Dom},
};
use crate::config::Format;

type Built = Result<Command, String>;

/// Disks consist of sectors of so many bytes.
const SECTOR: u64 = 512;

fn built(command: DiskCommand) -> Built {
    Ok(Command::Dom(Dom::Disk(command)))
}

fn target(m: &Matches) -> String {
    m.argument(0).unwrap_or_default().to_string()
}

pub fn create(m: &Matches) -> Built {
    let format = m.values("--backing-format").next();
    let named = |name: &str| Format::from_name(name).ok_or_else(|| format!("-F {name}: the formats are raw and qcow2"));
    let backing = match (m.values("--backing").next(), format) {
        (Some(name), Some(format)) => Some((name.to_string(), named(format)?)),
        (Some(name), None) => {
            return Err(format!("-b {name}: say what it is as well, by -F raw or -F qcow2; a guest could forge the signs"));
        }
        (None, Some(_)) => return Err(String::from("-F has no meaning without -b")),
        (None, None) => None,
    };
    let bytes = m.argument(1).map(size).transpose()?;
    if backing.is_none() && bytes.is_none() {
        return Err(String::from("SIZE is missing; it can be left out if there is a backing (-b)"));
    }
    built(DiskCommand::Create { backing, target: target(m), bytes, force: m.has("--force") })
}

pub fn info(m: &Matches) -> Built {
    built(DiskCommand::Info { json: m.has("--json"), target: target(m) })
}

pub fn resize(m: &Matches) -> Built {
    let text = m.argument(1).unwrap_or_default();
    let size = match text.strip_prefix('+') {
        Some(more) => NewSize::By(size(more)?),
        None => NewSize::To(size(text)?),
    };
    built(DiskCommand::Resize { target: target(m), size })
}

pub fn snapshot(m: &Matches) -> Built {
    let named = |option: &'static str, action: fn(String) -> SnapshotAction| m.values(option).map(move |name| action(name.to_string()));
    let mut asked: Vec<SnapshotAction> = named("--create", SnapshotAction::Create)
        .chain(named("--apply", SnapshotAction::Apply))
        .chain(named("--delete", SnapshotAction::Delete))
        .collect();
    if m.has("--list") {
        asked.push(SnapshotAction::List);
    }
    if asked.len() > 1 {
        return Err(String::from("one thing at a time: -l, -c, -a or -d"));
    }
    built(DiskCommand::Snapshot { action: asked.pop().unwrap_or(SnapshotAction::List), target: target(m) })
}

/// Bytes: a number, with a unit if wanted.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let wrong = || format!("`{text}` is no size; give bytes, or a number with k, M, G or T, such as 8G");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes != 0).ok_or_else(wrong)?;
    if bytes.is_multiple_of(SECTOR) {
        Ok(bytes)
    } else {
        Err(format!("{text} is no multiple of {SECTOR} bytes, as the size of a disk must be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Invocation, parse};

    fn command(line: &str) -> Result<DiskCommand, String> {
        match parse(&format!("dom disk {line}")).map_err(|error| error.message)? {
            Some(Invocation::Run(Command::Dom(Dom::Disk(command)))) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_letters_of_qemu_img() {
        let backing = Some((String::from("base.raw"), Format::Raw));
        let target = || String::from("/dev/vdb");
        assert_eq!(
            command("create -b base.raw -F raw /dev/vdb 8G"),
            Ok(DiskCommand::Create { backing: backing.clone(), target: target(), bytes: Some(8 << 30), force: false })
        );
        assert_eq!(
            command("create --force -F raw -b base.raw /dev/vdb"),
            Ok(DiskCommand::Create { backing, target: target(), bytes: None, force: true })
        );
        assert_eq!(command("info --json /dev/vdb"), Ok(DiskCommand::Info { json: true, target: target() }));
        assert_eq!(command("resize /dev/vdb +512k"), Ok(DiskCommand::Resize { target: target(), size: NewSize::By(512 << 10) }));
        assert_eq!(command("resize /dev/vdb 1T"), Ok(DiskCommand::Resize { target: target(), size: NewSize::To(1 << 40) }));
        let snapshot = |action| Ok(DiskCommand::Snapshot { action, target: target() });
        assert_eq!(command("snapshot /dev/vdb"), snapshot(SnapshotAction::List));
        assert_eq!(command("snapshot -l /dev/vdb"), snapshot(SnapshotAction::List));
        assert_eq!(command("snapshot -c one /dev/vdb"), snapshot(SnapshotAction::Create("one".into())));
        assert_eq!(command("snapshot /dev/vdb -a one"), snapshot(SnapshotAction::Apply("one".into())));
        assert_eq!(command("snapshot -d one /dev/vdb"), snapshot(SnapshotAction::Delete("one".into())));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for (line, words) in [
            ("create /dev/vdb", "SIZE is missing"),
            ("create -b /dev/vda /dev/vdb", "say what it is as well"),
            ("create -F raw /dev/vdb 1M", "no meaning without -b"),
            ("create -b x -F vmdk /dev/vdb", "raw and qcow2"),
            ("create /dev/vdb 100", "no multiple of 512"),
            ("create /dev/vdb -1M", "no such option"),
            ("create /dev/vdb 18446744073709551615T", "no size"),
            ("create /dev/vdb 0", "no size"),
            ("create /dev/vdb 8é", "no size"),
            ("resize /dev/vdb", "SIZE is missing"),
            ("resize /dev/vdb ++1M", "no size"),
            ("snapshot -c a -d b /dev/vdb", "one thing at a time"),
        ] {
            let message = command(line).unwrap_err();
            assert!(message.contains(words), "{line}: {message}");
        }
    }
}

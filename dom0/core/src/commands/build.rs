//! From sorted words to typed commands. The table has seen to the number of arguments; here their values are checked.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    matches::Matches,
    types::{Command, Dom, DomainRef, Mount, Xenstore},
};

type Built = Result<Command, String>;

/// Longest `--timeout` in seconds, a day; more is a slip.
const TIMEOUT_MAX: u64 = 86_400;

/// For rows that the parser handles before it comes to this: those with subcommands, and `help`.
pub fn nothing(_: &Matches) -> Built {
    Err(String::from("name a command"))
}

pub fn ls(m: &Matches) -> Built {
    Ok(Command::Ls { long: m.has("--long"), path: m.argument(0).map(String::from) })
}

pub fn cat(m: &Matches) -> Built {
    Ok(Command::Cat(m.arguments.clone()))
}

pub fn echo(m: &Matches) -> Built {
    Ok(Command::Echo { no_newline: m.has("--no-newline"), words: m.arguments.clone() })
}

pub fn dmesg(_: &Matches) -> Built {
    Ok(Command::Dmesg)
}

pub fn ps(_: &Matches) -> Built {
    Ok(Command::Ps)
}

pub fn free(_: &Matches) -> Built {
    Ok(Command::Free)
}

pub fn lspci(m: &Matches) -> Built {
    Ok(Command::Lspci { verbose: m.has("--verbose"), json: m.has("--json") })
}

pub fn lsblk(m: &Matches) -> Built {
    Ok(Command::Lsblk { json: m.has("--json") })
}

pub fn mount(m: &Matches) -> Built {
    let read_only = m.has("--read-only");
    match m.arguments.as_slice() {
        [] if read_only => Err(String::from("-r has no meaning without DISK and FOLDER")),
        [] => Ok(Command::Mount(None)),
        [disk, folder] => Ok(Command::Mount(Some(Mount { disk: disk.clone(), folder: folder.clone(), read_only }))),
        _ => Err(String::from("FOLDER is missing: where the volume shall be seen, such as /mnt")),
    }
}

pub fn umount(m: &Matches) -> Built {
    text(m, 0).map(Command::Umount)
}

pub fn crc32(m: &Matches) -> Built {
    Ok(Command::Crc32(m.arguments.clone()))
}

pub fn poweroff(_: &Matches) -> Built {
    Ok(Command::Poweroff)
}

pub fn reboot(_: &Matches) -> Built {
    Ok(Command::Reboot)
}

pub fn create(m: &Matches) -> Built {
    let (file, rest) = m.arguments.split_first().ok_or("FILE is missing")?;
    let overrides = rest.iter().map(|word| key_value(word)).collect::<Result<Vec<_>, _>>()?;
    let file = file.clone();
    Ok(Command::Dom(Dom::Create { console: m.has("--console"), paused: m.has("--paused"), file, overrides }))
}

pub fn destroy(m: &Matches) -> Built {
    domain(m).map(Dom::Destroy).map(Command::Dom)
}

pub fn list(m: &Matches) -> Built {
    Ok(Command::Dom(Dom::List { json: m.has("--json") }))
}

pub fn info(m: &Matches) -> Built {
    let domain = m.argument(0).map(domain_ref).transpose()?;
    Ok(Command::Dom(Dom::Info { domain, json: m.has("--json") }))
}

pub fn console(m: &Matches) -> Built {
    let timeout = m.values("--timeout").next().map(seconds).transpose()?;
    let until = m.values("--until").next().map(String::from);
    if until.as_deref() == Some("") {
        return Err(String::from("--until needs some text to wait for"));
    }
    if timeout.is_some() && until.is_none() {
        return Err(String::from("--timeout has no meaning without --until"));
    }
    let send = m.values("--send").map(String::from).collect();
    Ok(Command::Dom(Dom::Console { domain: domain(m)?, send, until, timeout }))
}

pub fn pause(m: &Matches) -> Built {
    domain(m).map(Dom::Pause).map(Command::Dom)
}

pub fn unpause(m: &Matches) -> Built {
    domain(m).map(Dom::Unpause).map(Command::Dom)
}

pub fn shutdown(m: &Matches) -> Built {
    Ok(Command::Dom(Dom::Shutdown { domain: domain(m)?, wait: m.has("--wait") }))
}

pub fn reboot_domain(m: &Matches) -> Built {
    Ok(Command::Dom(Dom::Reboot { domain: domain(m)?, wait: m.has("--wait") }))
}

pub fn hypervisor_log(_: &Matches) -> Built {
    Ok(Command::Dom(Dom::Dmesg))
}

pub fn xenstore_ls(m: &Matches) -> Built {
    store(Xenstore::Ls(m.argument(0).unwrap_or("/").to_string()))
}

pub fn xenstore_read(m: &Matches) -> Built {
    store(Xenstore::Read(text(m, 0)?))
}

pub fn xenstore_write(m: &Matches) -> Built {
    store(Xenstore::Write(text(m, 0)?, text(m, 1)?))
}

fn store(command: Xenstore) -> Built {
    Ok(Command::Dom(Dom::Xenstore(command)))
}

fn text(m: &Matches, index: usize) -> Result<String, String> {
    m.argument(index).map(String::from).ok_or_else(|| String::from("an argument is missing"))
}

pub(super) fn domain(m: &Matches) -> Result<DomainRef, String> {
    domain_ref(m.argument(0).unwrap_or_default())
}

fn domain_ref(word: &str) -> Result<DomainRef, String> {
    if word.is_empty() {
        return Err(String::from("the domain's name is empty; `dom list` shows the names"));
    }
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(DomainRef::Name(word.into()));
    }
    match word.parse() {
        Ok(domid) if domid < abi::domid::FIRST_RESERVED => Ok(DomainRef::Id(domid)),
        _ => Err(format!("{word} is no domain number; `dom list` shows them")),
    }
}

fn key_value(word: &str) -> Result<(String, String), String> {
    let split = word.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    match split {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("`{word}` is not of the form KEY=VALUE, such as memory=512")),
    }
}

fn seconds(word: &str) -> Result<u64, String> {
    match word.parse() {
        Ok(number) if (1..=TIMEOUT_MAX).contains(&number) => Ok(number),
        _ => Err(format!("--timeout {word}: give whole seconds from 1 to {TIMEOUT_MAX}")),
    }
}

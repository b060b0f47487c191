//! From keys to a [`DomainConfig`]: types, ranges, defaults, and how keys depend on each other.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{CMDLINE_MAX, DomainConfig, Message, disk::disks, source::Source};
use crate::toolstack::{Action, check_name, parse_uuid};

/// Most memory of a domain in MiB, 16 TiB: what 44 bits of machine address reach.
const MEMORY_MAX: u64 = 16 << 20;
/// vCPUs that `shared_info` has room for.
const VCPUS_MAX: u32 = abi::shared_info::LEGACY_MAX_VCPUS as u32;
/// Event channels of the 2-level ABI.
const EVENT_CHANNELS_MAX: u32 = 4096;

/// Makes the configuration.
pub fn build(source: &mut Source) -> Result<DomainConfig, Message> {
    kind(source)?;
    let name = needed(source, "name", "name = \"linux\"")?;
    if let Err(error) = check_name(&name) {
        return source.fail("name", error.to_string());
    }
    let (memory_mib, maxmem_mib) = memory(source)?;
    let (vcpus, maxvcpus) = vcpus(source)?;
    Ok(DomainConfig {
        name,
        uuid: uuid(source)?,
        kernel: needed(source, "kernel", "kernel = \"/guests/vmlinuz\"")?,
        ramdisk: source.text("ramdisk")?.filter(|path| !path.is_empty()),
        cmdline: cmdline(source)?,
        disks: disks(source)?,
        memory_mib,
        maxmem_mib,
        vcpus,
        maxvcpus,
        cpu_weight: source.number("cpu_weight", "", 1..=65_535)?.unwrap_or(abi::control::WEIGHT_DEFAULT),
        max_event_channels: source.number("max_event_channels", "", 8..=EVENT_CHANNELS_MAX)?.unwrap_or(1023),
        max_grant_frames: source.number("max_grant_frames", "", 1..=1024)?.unwrap_or(64),
        max_maptrack_frames: source.number("max_maptrack_frames", "", 0..=4096)?.unwrap_or(1024),
        on_poweroff: action(source, "on_poweroff", Action::Destroy)?,
        on_reboot: action(source, "on_reboot", Action::Restart)?,
        on_crash: action(source, "on_crash", Action::Destroy)?,
        on_watchdog: action(source, "on_watchdog", Action::Destroy)?,
    })
}

/// There are only PV domains; a file for another kind would not boot.
fn kind(source: &Source) -> Result<(), Message> {
    match source.text("type")?.as_deref() {
        None | Some("pv") => {}
        Some(other) => {
            return source.fail("type", format!("type = \"{other}\": only \"pv\" exists here; the guest needs a PV kernel"));
        }
    }
    match source.text("builder")?.as_deref() {
        None | Some("generic" | "linux") => Ok(()),
        Some(other) => source.fail("builder", format!("builder = \"{other}\": only PV domains exist here; use type = \"pv\"")),
    }
}

fn needed(source: &Source, key: &str, example: &str) -> Result<String, Message> {
    match source.text(key)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => source.fail(key, format!("`{key}` is missing; add a line such as {example}")),
    }
}

fn memory(source: &Source) -> Result<(u64, u64), Message> {
    let at_start = source.number("memory", " of MiB", 1..=MEMORY_MAX)?;
    let at_most = source.number("maxmem", " of MiB", 1..=MEMORY_MAX)?;
    let Some(memory) = at_start.or(at_most) else {
        return source.fail("memory", "`memory` is missing; add a line such as memory = 256 (in MiB)");
    };
    let maxmem = at_most.unwrap_or(memory);
    if maxmem < memory {
        return source.fail("maxmem", format!("maxmem = {maxmem} is less than memory = {memory}; raise one or lower the other"));
    }
    Ok((memory, maxmem))
}

fn vcpus(source: &Source) -> Result<(u32, u32), Message> {
    let vcpus = source.number("vcpus", "", 1..=VCPUS_MAX)?;
    let maxvcpus = source.number("maxvcpus", "", 1..=VCPUS_MAX)?;
    let online = vcpus.unwrap_or(1);
    let most = maxvcpus.unwrap_or(online);
    if most < online {
        return source.fail("maxvcpus", format!("maxvcpus = {most} is less than vcpus = {online}; raise one or lower the other"));
    }
    Ok((online, most))
}

/// As xl has it: `cmdline` as it stands, or else `root=` and `extra` joined.
fn cmdline(source: &Source) -> Result<String, Message> {
    let (whole, root, extra) = (source.text("cmdline")?, source.text("root")?, source.text("extra")?);
    let (key, line) = match whole {
        Some(_) if root.is_some() || extra.is_some() => {
            return source.fail("cmdline", "`cmdline` takes the place of `root` and `extra`; keep either the one or the others");
        }
        Some(whole) => ("cmdline", whole),
        None => {
            let root = root.filter(|r| !r.is_empty()).map(|root| format!("root={root}"));
            let parts: Vec<String> = root.into_iter().chain(extra.filter(|e| !e.is_empty())).collect();
            ("extra", parts.join(" "))
        }
    };
    if line.len() > CMDLINE_MAX {
        return source.fail(key, format!("the command line has {} bytes; a guest can be given {CMDLINE_MAX}", line.len()));
    }
    Ok(line)
}

fn uuid(source: &Source) -> Result<Option<[u8; 16]>, Message> {
    let Some(text) = source.text("uuid")? else {
        return Ok(None);
    };
    match parse_uuid(&text) {
        Some(uuid) => Ok(Some(uuid)),
        None => source.fail("uuid", format!("uuid = \"{text}\": give 32 hexadecimal digits, as in 8f2b4c6e-0000-4000-8000-000000000001")),
    }
}

fn action(source: &Source, key: &str, default: Action) -> Result<Action, Message> {
    let Some(text) = source.text(key)? else {
        return Ok(default);
    };
    match Action::from_name(&text) {
        Some(action) => Ok(action),
        None => source.fail(key, format!("{key} = \"{text}\": give one of {}", Action::NAMES)),
    }
}

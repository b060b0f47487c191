//! What `lspci` prints: the lines of pciutils, so that what people and scripts know how to read stays so.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::{BarKind, COMMAND_MASTER, Capability, Function, Kind, class_name, device_name, vendor_name};

/// A function, and who drives it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// What it is.
    pub function: &'a Function,
    /// The driver, with the name of what it serves, if it has one.
    pub driver: Option<&'a str>,
}

/// A line for each function.
pub fn list(functions: &[Listed<'_>]) -> String {
    functions.iter().map(|listed| headline(listed.function)).collect()
}

/// A paragraph for each function.
pub fn list_verbose(functions: &[Listed<'_>]) -> String {
    functions.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

/// All of it for scripts: an array.
pub fn list_json(functions: &[Listed<'_>]) -> String {
    let all: Vec<Value> = functions.iter().map(object).collect();
    format!("{}\n", Value::from(all))
}

fn headline(function: &Function) -> String {
    let base = function.class >> 8;
    let class = class_name(base as u16).map_or_else(|| format!("Class [{base:04x}]"), String::from);
    let revision = if function.revision == 0 { String::new() } else { format!(" (rev {:02x})", function.revision) };
    format!("{} {class}: {}{revision}\n", function.at, full_name(function.vendor, function.device))
}

/// Vendor and device, by name or number.
fn full_name(vendor: u16, device: u16) -> String {
    match (vendor_name(vendor), device_name(vendor, device)) {
        (Some(maker), Some(name)) => format!("{maker} {name}"),
        (Some(maker), None) => format!("{maker} Device {device:04x}"),
        (None, _) => format!("Device {vendor:04x}:{device:04x}"),
    }
}

fn paragraph(listed: &Listed<'_>) -> String {
    let function = listed.function;
    let mut text = headline(function);
    let mut line = |content: String| text.push_str(&format!("\t{content}\n"));
    if let Some((vendor, device)) = function.subsystem {
        line(format!("Subsystem: {}", subsystem(vendor, device)));
    }
    let master = if function.command & COMMAND_MASTER != 0 { "bus master" } else { "no bus master" };
    let interrupt = function.interrupt.map_or_else(String::new, |(line, pin)| format!(", IRQ {line}, pin {}", pin_name(pin)));
    line(format!("Flags: {master}{interrupt}"));
    if let Some(bridge) = function.bridge {
        line(format!("Bus: primary={:02x}, secondary={:02x}, subordinate={:02x}", bridge.primary, bridge.secondary, bridge.subordinate));
    }
    for bar in &function.bars {
        let (what, how) = match bar.kind {
            BarKind::Io => ("I/O ports", String::new()),
            BarKind::Memory { wide, prefetchable } => ("Memory", memory_kind(wide, prefetchable)),
        };
        let place = if bar.address == 0 { String::from("<unassigned>") } else { format!("{:x}", bar.address) };
        line(format!("{what} at {place}{how} [size={}]", size(bar.bytes)));
    }
    function.capabilities.iter().for_each(|capability| line(format!("Capabilities: [{:02x}] {}", capability.offset, describe(capability))));
    if let Some(driver) = listed.driver {
        line(format!("Kernel driver in use: {driver}"));
    }
    text
}

fn subsystem(vendor: u16, device: u16) -> String {
    vendor_name(vendor).map_or_else(|| format!("Device {vendor:04x}:{device:04x}"), |maker| format!("{maker} Device {device:04x}"))
}

fn memory_kind(wide: bool, prefetchable: bool) -> String {
    format!(" ({}-bit, {}prefetchable)", if wide { 64 } else { 32 }, if prefetchable { "" } else { "non-" })
}

const fn pin_name(pin: u8) -> char {
    (b'A' + pin.wrapping_sub(1) % 4) as char
}

/// Bytes with the largest unit that divides them.
fn size(bytes: u64) -> String {
    let unit =
        |shift: u32, name: &str| (bytes >> shift << shift == bytes && bytes >> shift != 0).then(|| format!("{}{name}", bytes >> shift));
    unit(30, "G").or_else(|| unit(20, "M")).or_else(|| unit(10, "K")).unwrap_or_else(|| bytes.to_string())
}

fn describe(capability: &Capability) -> String {
    let sign = |set: bool| if set { '+' } else { '-' };
    match capability.kind {
        Kind::MsiX { entries, enabled, masked, .. } => format!("MSI-X: Enable{} Count={entries} Masked{}", sign(enabled), sign(masked)),
        Kind::Virtio(region) => {
            let name = match region.structure {
                1 => "CommonCfg",
                2 => "Notify",
                3 => "ISR",
                4 => "DeviceCfg",
                _ => "<unknown>",
            };
            let place = format!("BAR={} offset={:08x} size={:08x}", region.region.bar, region.region.offset, region.bytes);
            format!("Vendor Specific Information: VirtIO: {name} {place}")
        }
        Kind::Other(id) => capability_name(id).map_or_else(|| format!("Capability {id:02x}"), String::from),
    }
}

fn capability_name(id: u8) -> Option<&'static str> {
    Some(match id {
        1 => "Power Management",
        2 => "AGP",
        3 => "Vital Product Data",
        5 => "MSI",
        9 => "Vendor Specific Information",
        13 => "Subsystem of a bridge",
        16 => "Express",
        18 => "SATA HBA",
        19 => "PCI Advanced Features",
        _ => return None,
    })
}

fn object(listed: &Listed<'_>) -> Value {
    let function = listed.function;
    let bars: Vec<Value> = function
        .bars
        .iter()
        .map(|bar| json!({ "bar": bar.index, "ports": bar.kind == BarKind::Io, "address": bar.address, "bytes": bar.bytes }))
        .collect();
    json!({
        "address": function.at.to_string(),
        "class": format!("{:06x}", function.class),
        "vendor": format!("{:04x}", function.vendor),
        "device": format!("{:04x}", function.device),
        "revision": function.revision,
        "class_name": class_name((function.class >> 8) as u16),
        "name": full_name(function.vendor, function.device),
        "bars": bars,
        "msix_entries": function.msix_entries(),
        "driver": listed.driver,
    })
}

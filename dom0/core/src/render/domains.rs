//! `dom list` and `dom info DOMAIN`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use abi::control::DomainInfo;
use serde_json::{Value, json};

use super::table::{Align, Column, facts, seconds, table};
use crate::toolstack::{condition, format_uuid};

/// What is known of a domain: from Dom0 its name, from the hypervisor the rest.
#[derive(Clone, Debug)]
pub struct DomainRow<'a> {
    /// The name; domains without one show as their number in brackets.
    pub name: Option<&'a str>,
    /// What the hypervisor says.
    pub info: &'a DomainInfo,
}

impl DomainRow<'_> {
    fn name(&self) -> String {
        self.name.map_or_else(|| format!("({})", self.info.domid), String::from)
    }

    /// Whole MiB, rounded up: a domain of 64 MiB has some frames less or more than that.
    fn memory_mib(&self) -> u64 {
        self.info.frames.div_ceil(256)
    }
}

/// The table of `dom list`.
pub fn list(domains: &[DomainRow<'_>]) -> String {
    let column = |title, align, gap, width| Column { title, align, gap, width };
    let columns = [
        column("Name", Align::Left, 0, 0),
        column("ID", Align::Right, 2, 5),
        column("Mem(MiB)", Align::Right, 2, 9),
        column("VCPUs", Align::Right, 2, 0),
        column("State", Align::Left, 2, 7),
        column("Time(s)", Align::Right, 1, 0),
    ];
    let cells = |d: &DomainRow<'_>| {
        [
            d.name(),
            d.info.domid.to_string(),
            d.memory_mib().to_string(),
            d.info.vcpus_online.to_string(),
            condition(d.info).to_string(),
            seconds(d.info.cpu_time_ns),
        ]
    };
    table(columns, &domains.iter().map(cells).collect::<Vec<_>>())
}

/// The same as JSON: a list of objects.
pub fn list_json(domains: &[DomainRow<'_>]) -> String {
    let all = domains.iter().map(|d| {
        json!({
            "name": d.name,
            "id": d.info.domid,
            "memory_mib": d.memory_mib(),
            "vcpus": d.info.vcpus_online,
            "state": condition(d.info),
            "time_ns": d.info.cpu_time_ns,
        })
    });
    format!("{}\n", Value::from_iter(all))
}

/// What `dom info DOMAIN` prints.
pub fn domain_info(domain: &DomainRow<'_>) -> String {
    let info = domain.info;
    facts(&[
        ("name", domain.name()),
        ("id", info.domid.to_string()),
        ("uuid", format_uuid(&info.handle)),
        ("state", condition(info).to_string()),
        ("vcpus", format!("{} of {}", info.vcpus_online, info.max_vcpu)),
        ("cpu time", format!("{} s", seconds(info.cpu_time_ns))),
        ("cpu weight", info.weight.to_string()),
        ("memory", format!("{} KiB of {} KiB", kib(info.frames), kib(info.max_frames))),
        ("page tables", format!("{} KiB, {} pinned", kib(info.page_table_frames), info.pinned_tables)),
        ("event channels", info.bound_ports.to_string()),
        ("mapped grants", info.mapped_grants.to_string()),
        ("frames held by others", info.frames_held_by_others.to_string()),
    ])
}

/// The same as JSON.
pub fn domain_info_json(domain: &DomainRow<'_>) -> String {
    let info = domain.info;
    let object = json!({
        "name": domain.name,
        "id": info.domid,
        "uuid": format_uuid(&info.handle),
        "state": condition(info),
        "vcpus": info.vcpus_online,
        "max_vcpus": info.max_vcpu,
        "time_ns": info.cpu_time_ns,
        "cpu_weight": info.weight,
        "memory_kib": kib(info.frames),
        "max_memory_kib": kib(info.max_frames),
        "page_table_kib": kib(info.page_table_frames),
        "pinned_tables": info.pinned_tables,
        "event_channels": info.bound_ports,
        "mapped_grants": info.mapped_grants,
        "frames_held_by_others": info.frames_held_by_others,
    });
    format!("{object}\n")
}

fn kib(frames: u64) -> u64 {
    frames.saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::control::{FLAG_BLOCKED, FLAG_PAUSED, FLAG_PRIVILEGED, FLAG_RUNNING, FLAG_SHUTDOWN};
    use abi::zerocopy::FromZeros;

    fn info(domid: u32, flags: u32, frames: u64) -> DomainInfo {
        let zero = DomainInfo::new_zeroed();
        DomainInfo { domid, flags, frames, max_frames: frames, vcpus_online: 1, max_vcpu: 2, cpu_time_ns: 449_000_000, ..zero }
    }

    #[test]
    fn the_table_is_that_of_the_manual() {
        let dom0 = info(0, FLAG_RUNNING | FLAG_PRIVILEGED, 64 * 256 - 3);
        let text = list(&[DomainRow { name: Some("dom0"), info: &dom0 }]);
        assert_eq!(
            text,
            "Name     ID   Mem(MiB)  VCPUs  State   Time(s)\n\
             dom0      0         64      1  running     0.4\n"
        );
    }

    #[test]
    fn states_have_names() {
        let mut crashed = info(3, FLAG_SHUTDOWN, 256);
        crashed.shutdown_reason = abi::sched::SHUTDOWN_CRASH;
        let (blocked, paused, off) = (info(1, FLAG_BLOCKED, 256), info(2, FLAG_PAUSED | FLAG_BLOCKED, 256), info(4, FLAG_SHUTDOWN, 256));
        let rows = [&blocked, &paused, &crashed, &off].map(|info| DomainRow { name: None, info });
        let text = list(&rows);
        for (line, word) in text.lines().skip(1).zip(["blocked", "paused", "crashed", "shutdown"]) {
            assert!(line.contains(word), "{line}");
        }
        assert!(text.lines().nth(1).unwrap().starts_with("(1)"));
    }

    #[test]
    fn json_is_json_and_quotes_names() {
        let one = info(1, FLAG_PAUSED, 512);
        let row = DomainRow { name: Some("a\"b"), info: &one };
        let parsed: Value = serde_json::from_str(&list_json(core::slice::from_ref(&row))).unwrap();
        assert_eq!(parsed[0]["name"], "a\"b");
        assert_eq!(parsed[0]["memory_mib"], 2);
        let parsed: Value = serde_json::from_str(&domain_info_json(&row)).unwrap();
        assert_eq!(parsed["max_vcpus"], 2);
        assert!(domain_info(&row).contains("state:                 paused\n"));
    }
}

//! `dom info` without a domain, `free` and `ps`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use abi::control::MachineInfo;
use serde_json::json;

use super::table::{Align, Column, facts, seconds, table};

/// What `dom info` tells of the host.
#[derive(Clone, Debug)]
pub struct HostInfo<'a> {
    /// What the hypervisor says.
    pub machine: &'a MachineInfo,
    /// The hypervisor's version, as it names itself.
    pub version: &'a str,
}

/// What `dom info` prints.
pub fn host_info(host: &HostInfo<'_>) -> String {
    let m = host.machine;
    let mib = |frames: u64| format!("{} MiB", frames / 256);
    facts(&[
        ("hypervisor", host.version.to_string()),
        ("control interface", abi::control::VERSION.to_string()),
        ("cpus", format!("{}, of which {} run domains", m.cpus_present, m.cpus_running)),
        ("tsc", format!("{} MHz", m.tsc_khz / 1000)),
        ("memory", mib(m.total_frames)),
        ("free memory", mib(m.free_frames)),
        ("hypervisor's memory", mib(m.hypervisor_frames)),
        ("dying domains' memory", mib(m.dying_frames)),
        ("domains", format!("{} of {}", m.domains, m.max_domains)),
        ("uptime", format!("{} s", seconds(m.uptime_ns))),
        ("idle time", format!("{} s", seconds(m.idle_ns))),
    ])
}

/// The same as JSON.
pub fn host_info_json(host: &HostInfo<'_>) -> String {
    let m = host.machine;
    let kib = |frames: u64| frames.saturating_mul(4);
    let object = json!({
        "hypervisor": host.version,
        "control_interface": abi::control::VERSION,
        "cpus": m.cpus_present,
        "cpus_running_domains": m.cpus_running,
        "tsc_khz": m.tsc_khz,
        "memory_kib": kib(m.total_frames),
        "free_memory_kib": kib(m.free_frames),
        "hypervisor_memory_kib": kib(m.hypervisor_frames),
        "dying_memory_kib": kib(m.dying_frames),
        "domains": m.domains,
        "max_domains": m.max_domains,
        "uptime_ns": m.uptime_ns,
        "idle_ns": m.idle_ns,
    });
    format!("{object}\n")
}

/// Dom0's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that Dom0 has.
    pub total: u64,
    /// The heap, as far as it is in use.
    pub heap: u64,
    /// The archive that holds the files.
    pub files: u64,
    /// What nobody uses.
    pub free: u64,
}

/// What `free` prints, in KiB as Linux does.
pub fn free(memory: &Memory) -> String {
    let column = |title| Column { title, align: Align::Right, gap: 2, width: 10 };
    let columns = [
        Column { title: "", align: Align::Left, gap: 0, width: 0 },
        column("total"),
        column("used"),
        column("free"),
        column("heap"),
        column("files"),
    ];
    let used = memory.total.saturating_sub(memory.free);
    let [total, used, free, heap, files] =
        [memory.total, used, memory.free, memory.heap, memory.files].map(|bytes| (bytes / 1024).to_string());
    table(columns, &[[String::from("Mem(KiB):"), total, used, free, heap, files]])
}

/// A task of Dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task<'a> {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub name: &'a str,
    /// What it is doing now, in a word.
    pub state: &'a str,
    /// Nanoseconds that it ran.
    pub time_ns: u64,
}

/// What `ps` prints.
pub fn ps(tasks: &[Task<'_>]) -> String {
    let column = |title, align, gap, width| Column { title, align, gap, width };
    let columns = [
        column("ID", Align::Right, 0, 4),
        column("STATE", Align::Left, 2, 7),
        column("TIME(s)", Align::Right, 2, 0),
        column("TASK", Align::Left, 2, 0),
    ];
    let cells = |t: &Task<'_>| [t.id.to_string(), t.state.to_string(), seconds(t.time_ns), t.name.to_string()];
    table(columns, &tasks.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::zerocopy::FromZeros;

    #[test]
    fn the_host_is_described() {
        let machine =
            MachineInfo { total_frames: 1 << 20, free_frames: 512, cpus_present: 4, cpus_running: 1, ..MachineInfo::new_zeroed() };
        let host = HostInfo { machine: &machine, version: "Domus 0.1" };
        let text = host_info(&host);
        assert!(text.contains("memory:                4096 MiB\n"), "{text}");
        assert!(text.contains("cpus:                  4, of which 1 run domains\n"));
        let parsed: serde_json::Value = serde_json::from_str(&host_info_json(&host)).unwrap();
        assert_eq!(parsed["free_memory_kib"], 2048);
    }

    #[test]
    fn free_and_ps_are_tables() {
        let memory = Memory { total: 64 << 20, heap: 1 << 20, files: 8 << 20, free: 50 << 20 };
        let text = free(&memory);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["Mem(KiB):", "65536", "14336", "51200", "1024", "8192"]);
        let text = ps(&[Task { id: 1, name: "xenstore", state: "waiting", time_ns: 1_500_000_000 }]);
        assert_eq!(text, "  ID  STATE    TIME(s)  TASK\n   1  waiting      1.5  xenstore\n");
    }
}

//! `dom block-list`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::table::{Align, column, table};
use crate::blkback::faults::Faults;
use crate::blkback::state::Ours;
use crate::blkback::stats::Stats;
use crate::config::DiskSpec;

/// A disk of a domain.
#[derive(Clone, Debug)]
pub struct DiskRow<'a> {
    /// What it was made from.
    pub spec: &'a DiskSpec,
    /// Where the back end is.
    pub state: Ours,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it has done.
    pub stats: Stats,
    /// Queues that are served.
    pub queues: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// Pages of the guest that stay mapped.
    pub kept_pages: usize,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// Why it is not served any more, if it was the front end's fault.
    pub error: Option<String>,
}

/// As a table; errors of the front end stand below it.
pub fn disks(rows: &[DiskRow<'_>]) -> String {
    let columns = [
        column("VDEV", Align::Left, 0),
        column("STATE", Align::Left, 2),
        column("MODE", Align::Left, 2),
        column("SIZE(MiB)", Align::Right, 2),
        column("READS", Align::Right, 2),
        column("WRITES", Align::Right, 2),
        column("FLUSHES", Align::Right, 2),
        column("ERRORS", Align::Right, 2),
        column("TARGET", Align::Left, 2),
    ];
    let cells = |row: &DiskRow<'_>| {
        [
            row.spec.vdev.name.clone(),
            row.state.name().to_string(),
            mode(row).to_string(),
            (row.bytes >> 20).to_string(),
            row.stats.reads.to_string(),
            row.stats.writes.to_string(),
            row.stats.flushes.to_string(),
            (row.stats.errors + row.stats.refused).to_string(),
            row.spec.target.clone(),
        ]
    };
    let mut text = table(columns, &rows.iter().map(cells).collect::<Vec<_>>());
    for row in rows {
        let vdev = &row.spec.vdev;
        if let Some(error) = &row.error {
            text += &format!("{vdev}: {error}\n");
        }
        if !row.faults.none() {
            text += &format!("{vdev}: fails on purpose ({})\n", faults(&row.faults));
        }
    }
    text
}

fn mode(row: &DiskRow<'_>) -> &'static str {
    if row.spec.read_only { "r" } else { "w" }
}

fn faults(faults: &Faults) -> String {
    let one_in = |what: &str, every: u32| (every != 0).then(|| format!("{what}: one request in {every}"));
    let delay = (faults.delay_ms != 0).then(|| format!("delay: {} ms", faults.delay_ms));
    [one_in("errors", faults.errors), one_in("short", faults.short), delay].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The same, and more, as JSON.
pub fn disks_json(rows: &[DiskRow<'_>]) -> String {
    let rows: Vec<Value> = rows.iter().map(row_json).collect();
    format!("{}\n", Value::from(rows))
}

fn row_json(row: &DiskRow<'_>) -> Value {
    let (spec, stats) = (row.spec, &row.stats);
    json!({
        "vdev": spec.vdev.name,
        "number": spec.vdev.number,
        "state": row.state.name(),
        "target": spec.target,
        "format": spec.format.name(),
        "mode": mode(row),
        "bytes": row.bytes,
        "queues": row.queues,
        "in_flight": row.in_flight,
        "persistent_pages": row.kept_pages,
        "requests": stats.requests(),
        "reads": stats.reads,
        "sectors_read": stats.sectors_read,
        "writes": stats.writes,
        "sectors_written": stats.sectors_written,
        "flushes": stats.flushes,
        "discards": stats.discards,
        "errors": stats.errors,
        "refused": stats.refused,
        "quick": stats.quick,
        "pages_mapped": stats.mapped,
        "faults": { "errors": row.faults.errors, "short": row.faults.short, "delay_ms": row.faults.delay_ms },
        "error": row.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_its_facts() {
        let spec = DiskSpec::parse("phy:/dev/vda,xvda,r").unwrap();
        let stats = Stats { reads: 12, quick: 11, errors: 1, refused: 2, ..Stats::default() };
        let row = DiskRow {
            spec: &spec,
            state: Ours::Connected,
            bytes: 64 << 20,
            stats,
            queues: 1,
            in_flight: 0,
            kept_pages: 32,
            faults: Faults { errors: 10, short: 0, delay_ms: 5 },
            error: Some("the ring is damaged".into()),
        };
        let text = disks(core::slice::from_ref(&row));
        assert_eq!(
            text,
            "VDEV  STATE      MODE  SIZE(MiB)  READS  WRITES  FLUSHES  ERRORS  TARGET\n\
             xvda  connected  r            64     12       0        0       3  /dev/vda\n\
             xvda: the ring is damaged\n\
             xvda: fails on purpose (errors: one request in 10, delay: 5 ms)\n"
        );
        let parsed: Value = serde_json::from_str(&disks_json(&[row])).unwrap();
        assert_eq!((&parsed[0]["number"], &parsed[0]["persistent_pages"]), (&Value::from(51712), &Value::from(32)));
    }
}

//! `cargo xtask bench`: what the operations of the guest ABI cost, on Domus and on a real Xen, in instructions.
//!
//! Time on an emulated CPU says nothing; instructions under `-icount` are exact, repeatable, and hold between machines. The bench
//! kernel measures with the TSC, which counts one an instruction there, and prints `domus-bench: NAME: INSTRUCTIONS`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use domus_harness::xen::Ending;
use serde_json::json;

use crate::boot::{Hypervisors, Setup};
use crate::progress::during;
use crate::workspace::Workspace;
use crate::{cli, compile};

const SETUP: Setup = Setup { memory_mib: 1024, icount: true, timeout: Duration::from_secs(600), devices: &[] };
const PREFIX: &str = "domus-bench:";

/// `cargo xtask bench`.
///
/// # Errors
/// When the bench kernel does not exist, does not end well, or measures nothing.
pub fn run(workspace: &Workspace, options: &cli::Bench) -> Result<u8> {
    let kernel = compile::measuring_kernel(workspace, "bench")?;
    let hypervisors = Hypervisors::prepare(workspace)?;
    let xen = during("measuring on Xen", || hypervisors.on_xen(&kernel, SETUP))?;
    if !matches!(xen.ending, Some(Ending::PowerOff | Ending::Reboot)) {
        bail!("the bench kernel did not end well on Xen:\n{}", xen.serial);
    }
    let domus = during("measuring on Domus", || hypervisors.on_domus(&kernel, SETUP))?;
    if domus.status != 0 {
        bail!("the bench kernel did not end well on Domus (status {}):\n{}{}", domus.status, domus.console, domus.log);
    }
    let rows = join(&measurements(&xen.console), &measurements(&domus.console));
    if rows.is_empty() {
        bail!("the bench kernel printed no measurement:\n{}", domus.console);
    }
    print!("{}", if options.json { as_json(&rows) } else { as_table(&rows) });
    Ok(0)
}

/// One operation on both hypervisors, in instructions.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    xen: Option<u64>,
    domus: Option<u64>,
}

impl Row {
    /// What Domus needs for each instruction that Xen needs.
    fn ratio(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
        match (self.xen, self.domus) {
            (Some(xen @ 1..), Some(domus)) => Some(domus as f64 / xen as f64),
            _ => None,
        }
    }
}

fn measurements(console: &str) -> Vec<(String, u64)> {
    let measurement = |line: &str| {
        let (name, count) = line.trim().strip_prefix(PREFIX)?.rsplit_once(':')?;
        Some((name.trim().to_owned(), count.trim().parse().ok()?))
    };
    console.lines().filter_map(measurement).collect()
}

/// All operations, in the order in which they were measured; one that only one side has is shown all the same.
fn join(xen: &[(String, u64)], domus: &[(String, u64)]) -> Vec<Row> {
    let find = |list: &[(String, u64)], name: &str| list.iter().find(|(other, _)| other == name).map(|&(_, count)| count);
    let mut rows: Vec<Row> = Vec::new();
    for (name, _) in domus.iter().chain(xen) {
        if !rows.iter().any(|row| row.name == *name) {
            rows.push(Row { name: name.clone(), xen: find(xen, name), domus: find(domus, name) });
        }
    }
    rows
}

fn as_table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("instructions".len());
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let mut table = format!("{:width$}  {:>8}  {:>8}  {:>6}\n", "instructions", "Xen", "Domus", "ratio");
    for row in rows {
        let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let (xen, domus) = (count(row.xen), count(row.domus));
        let _ = writeln!(table, "{:width$}  {xen:>8}  {domus:>8}  {ratio:>6}", row.name);
    }
    table
}

fn as_json(rows: &[Row]) -> String {
    let row = |row: &Row| json!({ "name": row.name, "xen": row.xen, "domus": row.domus, "ratio": row.ratio() });
    let rows: Vec<_> = rows.iter().map(row).collect();
    format!("{:#}\n", json!({ "unit": "instructions", "rows": rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_joined_by_name() {
        let xen = measurements("boot\ndomus-bench: null hypercall: 285\ndomus-bench: CR3 load: 1902\n");
        let domus = measurements("domus-bench: null hypercall: 100\r\ndomus-bench: new: 1\ndomus-bench: bad: x\n");
        let rows = join(&xen, &domus);
        let names: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.xen, row.domus)).collect();
        assert_eq!(names, [("null hypercall", Some(285), Some(100)), ("new", None, Some(1)), ("CR3 load", Some(1902), None)]);
    }

    #[test]
    fn the_table_lines_up_and_the_json_parses() {
        let rows = [Row { name: "null hypercall".into(), xen: Some(200), domus: Some(100) }];
        assert_eq!(as_table(&rows), "instructions         Xen     Domus   ratio\nnull hypercall       200       100    0.50\n");
        let json: serde_json::Value = serde_json::from_str(&as_json(&rows)).unwrap();
        assert_eq!(json["rows"][0]["ratio"], 0.5);
    }
}

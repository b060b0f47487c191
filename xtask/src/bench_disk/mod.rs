//! `cargo xtask bench-disk`: how fast a guest's disk is, on Domus with its own Dom0 and on Xen with Linux as Dom0 and xen-blkback. The same guest,
//! the same image, the same QEMU, one after the other.
//!
//! Figures of time depend on the host and on what else it does, so only their ratio says something. With `--icount` time is what the one CPU
//! executes, a nanosecond an instruction, and the disk answers at once. An answer still comes from another thread of QEMU's, a bit sooner or later:
//! figures repeat to a few percent, not to the instruction.

mod dom0;

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use domus_harness::disk::Disk;
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Ended, Input, Plan};
use domus_harness::{domus, xen};
use serde_json::json;

use crate::archive::{Archive, exec_file};
use crate::progress::{during, say};
use crate::workspace::{Workspace, temporary, write};
use crate::{cli, compile, debs, deps};

/// The guest, among the test kernels: writes all of the disk, reads and compares it, then times requests of one size.
const KERNEL: &str = "domu-blk-load";
/// What it is to do with a disk that keeps what was written, and with one that does not.
const CMDLINE: [&str; 2] = ["rounds=3 bytes=4096,65536", "rounds=0 bytes=4096,65536"];
/// The image, in bytes.
const IMAGE: u64 = 64 << 20;
/// A disk of zeroes that forgets what is written, in the place of the first disk. Without `ioeventfd` QEMU takes requests on the CPU that announces them.
const INSTANT: [&str; 4] = [
    "-blockdev",
    "driver=null-co,node-name=instant,size=67108864,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=instant,addr=0x02,disable-legacy=on,ioeventfd=off",
];
const TIMEOUT: Duration = Duration::from_secs(900);

/// `cargo xtask bench-disk`.
///
/// # Errors
/// When one of the two does not run, or measures nothing.
pub fn run(workspace: &Workspace, options: &cli::BenchDisk) -> Result<u8> {
    deps::qemu()?;
    let kernel = compile::measuring_kernel(workspace, KERNEL)?;
    let scratch = temporary().prefix("bench-disk-").tempdir_in(workspace.out()?)?;
    let setup = Setup { workspace, folder: scratch.path(), kernel: &kernel, icount: options.icount };
    let (xen, domus) = (on_xen(&setup)?, on_domus(&setup)?);
    let rows = join(&xen, &domus);
    let (theirs, ours) = (terms(&xen), terms(&domus));
    if theirs != ours {
        say(&format!("the guest did not get the same terms: on Xen {theirs:?}, on Domus {ours:?}"));
    }
    ensure!(!rows.is_empty(), "the guest measured nothing:\n{xen}{domus}");
    print!("{}", if options.json { as_json(&rows) } else { as_table(&rows) });
    Ok(0)
}

/// What both are given.
struct Setup<'a> {
    workspace: &'a Workspace,
    folder: &'a Path,
    kernel: &'a Path,
    icount: bool,
}

impl Setup<'_> {
    /// The guest's configuration but for its disk.
    fn configuration(&self) -> String {
        format!("name = 'load'\nkernel = '/guests/load'\ncmdline = '{}'\nmemory = 64\n", CMDLINE[usize::from(self.icount)])
    }

    fn machine(&self, kernel: PathBuf, module: PathBuf) -> Result<Machine> {
        let (mut disks, mut extra) = (Vec::new(), Vec::new());
        if self.icount {
            extra.extend(INSTANT.map(Into::into));
        } else {
            let image = self.folder.join("image");
            File::create(&image)?.set_len(IMAGE)?;
            disks.push(Disk { path: image, read_only: false, log: None });
        }
        let (cmdline, serial) = (String::new(), vec![Serial::Stdio]);
        Ok(Machine { kernel, module: Some(module), cmdline, memory_mib: 2048, cpus: 1, icount: self.icount, serial, disks, extra })
    }
}

fn on_xen(setup: &Setup<'_>) -> Result<String> {
    let disk = "disk = ['vdev=xvda,access=w,format=raw,backendtype=phy,script=/etc/xen/scripts/one-disk,target=/dev/vda']\n";
    let dom0 = dom0::make(setup.workspace, setup.folder, setup.kernel, &(setup.configuration() + disk))?;
    // Two modules, which only a multiboot kernel can be given: Linux with its command line, and its ramdisk.
    let modules = format!("{} console=hvc0 quiet,{}", dom0.kernel.display(), dom0.ramdisk.display());
    let mut machine = setup.machine(debs::xen(setup.workspace)?, modules.into())?;
    machine.cmdline = "com1=115200,8n1 console=com1 dom0_mem=1024M loglvl=warning".into();
    let report = during("measuring on Xen with Linux as Dom0", || xen::run(&machine, Some(TIMEOUT)))?;
    // Linux switches the machine off by ACPI, and Xen says nothing of it then.
    if report.ended != Ended::ByItself || !report.console.contains("domus-test: success") {
        bail!("the guest did not end well on Xen:\n{}", report.serial);
    }
    Ok(report.console)
}

fn on_domus(setup: &Setup<'_>) -> Result<String> {
    let &Setup { workspace, folder, .. } = setup;
    let mut tree = Archive::default();
    tree.copy_stripped("boot/dom0", &compile::dom0(workspace)?)?;
    tree.copy("guests/load", setup.kernel)?;
    tree.bytes("guests/load.toml", setup.configuration() + "disk = ['phy:/dev/vda,xvda,w']\n")?;
    let timeout = TIMEOUT.as_secs();
    let commands =
        ["dom create /guests/load.toml".to_owned(), format!("dom console load --until 'domus-test: success' --timeout {timeout}")];
    tree.bytes("etc/exec", exec_file(&commands)?)?;
    let (module, log) = (folder.join("image.cpio"), folder.join("domus.log"));
    write(&module, &tree.pack()?)?;
    let mut machine = setup.machine(compile::hypervisor(workspace)?, module)?;
    machine.serial.push(Serial::File(log.clone()));
    let plan = Plan { terminal: false, input: Input::Nothing, log: Some(log), timeout: Some(TIMEOUT) };
    let report = during("measuring on Domus", || domus::run(&machine, &plan, &mut std::io::sink(), &mut std::io::sink()))?;
    if report.status != 0 || !report.console.contains("domus-test: success") {
        bail!("the guest did not end well on Domus (status {}):\n{}{}", report.status, report.console, report.log);
    }
    Ok(report.console)
}

/// What the guest and the back end agreed on: queues, pages, segments.
fn terms(console: &str) -> Option<&str> {
    console.lines().map(str::trim).find(|line| line.starts_with("disk "))
}

/// One figure on both: the more the better.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    xen: f64,
    domus: f64,
}

fn join(xen: &str, domus: &str) -> Vec<Row> {
    let (xen, domus) = (figures(xen), figures(domus));
    let other = |name: &str| domus.iter().find(|(other, _)| other == name).map(|&(_, figure)| figure);
    xen.iter().filter_map(|(name, xen)| Some(Row { name: name.clone(), xen: *xen, domus: other(name)? })).collect()
}

/// The guest's figures, as rates: the best of its rounds in MB/s, and requests of one size a second.
fn figures(console: &str) -> Vec<(String, f64)> {
    let mut figures: Vec<(String, f64)> = Vec::new();
    let mut note = |name: String, rate: f64| match figures.iter_mut().find(|(other, _)| *other == name) {
        Some((_, best)) => *best = best.max(rate),
        None => figures.push((name, rate)),
    };
    for line in console.lines().map(str::trim) {
        if let Some((_, rates)) = line.strip_prefix("#round ").and_then(|rest| rest.split_once(": ")) {
            for rate in rates.split(", ") {
                if let Some((number, what)) = rate.split_once(" MB/s ")
                    && let Ok(number) = number.parse()
                {
                    note(format!("MB/s {what}, depth 32"), number);
                }
            }
        } else if let Some((what, times)) = line.strip_prefix("#time: ").and_then(|rest| rest.split_once(": ")) {
            let ns = times.rsplit(", ").next().and_then(|ns| ns.strip_suffix(" ns")?.parse::<f64>().ok());
            if let Some(ns) = ns.filter(|&ns| ns > 0.0) {
                note(format!("1/s {what}"), 1e9 / ns);
            }
        }
    }
    figures
}

fn as_table(rows: &[Row]) -> String {
    let mut text = format!("{:<44} {:>10} {:>10} {:>12}\n", "", "Xen", "Domus", "Domus / Xen");
    for Row { name, xen, domus } in rows {
        let _ = writeln!(text, "{name:<44} {xen:>10.0} {domus:>10.0} {:>12.2}", domus / xen);
    }
    text
}

fn as_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| json!({ "name": row.name, "xen": row.xen, "domus": row.domus })).collect();
    format!("{}\n", json!({ "rates": rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "Domus\r\ndisk 51712: 8 sectors\r\nround 1: 1014 writes and 1014 reads agree\n#round 1: 45 MB/s written, 27 MB/s read\r\n#round 2: 26 MB/s written, 30 MB/s read\n\
        #time: read of 4096 bytes at depth 1: 5873083 ticks of the TSC, 2000000 ns\n";

    #[test]
    fn figures_are_rates_and_the_best_round_counts() {
        let rows = join(CONSOLE, CONSOLE);
        let names: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.xen)).collect();
        assert_eq!(names, [("MB/s written, depth 32", 45.0), ("MB/s read, depth 32", 30.0), ("1/s read of 4096 bytes at depth 1", 500.0)]);
        assert!(as_table(&rows).contains("1.00") && as_json(&rows).contains("\"xen\":45.0"));
    }

    #[test]
    fn the_terms_are_what_the_guest_says_of_its_disk() {
        assert_eq!((terms(CONSOLE), terms("")), (Some("disk 51712: 8 sectors"), None));
    }

    #[test]
    fn what_one_did_not_measure_is_no_row() {
        assert!(join(CONSOLE, "").is_empty());
    }
}

//! The test kernels: small guests, each with one subject, that say themselves how it went. Each boots on Domus; what it claims about
//! the ABI is then held against a real Xen by booting the same ELF there.
//!
//! A kernel's name says how it is run: `domus-...` uses what only Domus has, `crash-...` gives its verdict and must then be crashed by
//! the hypervisor, `domu-...` runs beside others in a session and never as first domain, `bench` measures and tests nothing. All others must
//! end with a poweroff or a reboot.

use std::time::Duration;

use anyhow::Result;
use domus_harness::verdict::{Verdict, verdict};
use domus_harness::xen::Ending;

use super::suite::Suite;
use crate::boot::{Hypervisors, Setup};
use crate::compile::{self, Program};
use crate::progress::show;
use crate::workspace::Workspace;

/// Generous: a slow host must not fail a test.
pub const SETUP: Setup = Setup { memory_mib: 1024, icount: false, timeout: Duration::from_secs(300), devices: &[] };

/// Kernels that are no tests.
const NO_TESTS: [&str; 1] = ["bench"];
/// Devices that kernels want, as arguments of QEMU.
const DEVICES: [(&str, &[&str]); 1] = [("domus-devices", &["-device", "virtio-rng-pci,disable-legacy=on,addr=5"])];
/// Kernels that run as domain of a session, beside others.
const FOR_SESSIONS: &str = "domu-";
/// Kernels that use what only Domus has (its control ABI, for one).
const DOMUS_ONLY: &str = "domus-";
/// Kernels whose subject ends in a crash.
const CRASHES: &str = "crash-";

/// Adds a step for each kernel and hypervisor.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    if !suite.wants("kernels") {
        return;
    }
    let (domus, xen) = (|name: &str| format!("kernels/{name}"), |name: &str| format!("kernels/{name}/xen"));
    let is_test = |name: &str| !NO_TESTS.contains(&name) && !name.starts_with(FOR_SESSIONS);
    if suite.lists() {
        let names = suite.prepare("kernels", || compile::names(workspace, compile::KERNELS, "bin")).unwrap_or_default();
        let tests = names.iter().filter(|name| is_test(name));
        return tests.flat_map(|name| [domus(name), xen(name)]).for_each(|name| suite.name(&name));
    }
    let Some(mut kernels) = suite.prepare("kernels", || compile::kernels(workspace)) else {
        return;
    };
    kernels.retain(|kernel| is_test(&kernel.name));
    let Some(hypervisors) = suite.prepare("kernels", || Hypervisors::prepare(workspace)) else {
        return;
    };
    for kernel in &kernels {
        suite.step(&domus(&kernel.name), || on_domus(&hypervisors, kernel));
        suite.step(&xen(&kernel.name), || {
            if kernel.name.starts_with(DOMUS_ONLY) {
                return Ok(Verdict::Skip("its subject is Domus's own".into()));
            }
            on_xen(&hypervisors, kernel)
        });
    }
}

fn on_domus(hypervisors: &Hypervisors, kernel: &Program) -> Result<Verdict> {
    let devices = DEVICES.iter().find(|(name, _)| *name == kernel.name).map_or(SETUP.devices, |(_, devices)| devices);
    let report = hypervisors.on_domus(&kernel.path, Setup { devices, ..SETUP })?;
    let verdict = match report.complaint() {
        Some(complaint) => Verdict::Failure(complaint.into()),
        None => match judge(&kernel.name, &report.console, report.status != 0) {
            Verdict::Success => explained(&report.console, &report.log),
            verdict => verdict,
        },
    };
    if matches!(verdict, Verdict::Error(_) | Verdict::Failure(_)) {
        show(&format!("--- console\n{}--- log\n{}---\n", report.console, report.log));
    }
    Ok(verdict)
}

fn on_xen(hypervisors: &Hypervisors, kernel: &Program) -> Result<Verdict> {
    let report = hypervisors.on_xen(&kernel.path, SETUP)?;
    let verdict = match report.ending {
        Some(Ending::XenFailed) | None => Verdict::Error("Xen did not say how it ended".into()),
        Some(ending) => judge(&kernel.name, &report.console, ending == Ending::Crash),
    };
    if matches!(verdict, Verdict::Error(_) | Verdict::Failure(_)) {
        show(&format!("--- Xen's serial line\n{}---\n", report.serial));
    }
    Ok(verdict)
}

/// The kernel's own verdict, unless it ended otherwise than its name says.
fn judge(name: &str, console: &str, crashed: bool) -> Verdict {
    let verdict = verdict(console);
    match (verdict, name.starts_with(CRASHES), crashed) {
        (Verdict::Success, false, true) => Verdict::Failure("it reported success and then crashed".into()),
        (Verdict::Success, true, false) => Verdict::Failure("it was not crashed".into()),
        (verdict, ..) => verdict,
    }
}

/// A kernel that is to be crashed says on its console what the log must say of it, after this.
const EXPECTED: &str = "domus-expect:";

/// Whether the log says why the kernel was crashed, as it expects.
fn explained(console: &str, log: &str) -> Verdict {
    let expected = console.lines().filter_map(|line| line.trim().strip_prefix(EXPECTED));
    match expected.map(str::trim).find(|text| !log.lines().any(|line| line.contains("crashed: ") && line.contains(text))) {
        Some(text) => Verdict::Failure(format!("the log does not say that it crashed: {text}")),
        None => Verdict::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_must_be_the_one_that_the_name_promises() {
        let success = "domus-test: success\n";
        assert_eq!(judge("pin", success, false), Verdict::Success);
        assert_eq!(judge("crash-iret", success, true), Verdict::Success);
        assert!(matches!(judge("pin", success, true), Verdict::Failure(_)));
        assert!(matches!(judge("crash-iret", success, false), Verdict::Failure(_)));
        assert!(matches!(judge("pin", "", false), Verdict::Error(_)));
    }

    #[test]
    fn the_log_must_say_why() {
        let console = "domus-expect: its stack\ndomus-test: success\n";
        assert_eq!(explained(console, "warning: domain 0 crashed: its stack is gone\n"), Verdict::Success);
        assert_eq!(explained("domus-test: success\n", ""), Verdict::Success);
        assert!(matches!(explained(console, "its stack\ndomain 0 crashed: no handler\n"), Verdict::Failure(_)));
    }
}

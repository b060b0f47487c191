//! The package that the guest installs again and again, each time a later version: how it is made, and what of it must be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::files::Found;
use super::record::Records;
use crate::command;

/// Its name.
pub const NAME: &str = "domus-parcel";
/// The folder of its files.
pub const FOLDER: &str = "/usr/share/domus-parcel";
/// The versions that there are, and the steps of the load from one to the next, as in `load.pl`.
const LAST: u32 = 9;
const EVERY: u32 = 25;
/// Files in it, and records in each.
const FILES: u32 = 4;
const RECORDS: u32 = 30;

/// The file `index` of a version.
fn contents(version: u32, index: u32) -> Vec<u8> {
    // Of a seed that no load has: these records prove no step.
    let records = Records { seed: u32::MAX };
    (0..RECORDS).flat_map(|record| records.make((version * FILES + index) * RECORDS + record)).collect()
}

/// The version that is installed when so many steps are done; 0 for none.
pub fn version(steps: u64) -> u64 {
    (steps / u64::from(EVERY)).min(LAST.into())
}

/// Puts all versions into a folder, as `parcel_N.deb`.
///
/// # Errors
/// When `dpkg-deb` fails.
pub fn build(folder: &Path) -> Result<()> {
    for version in 1..=LAST {
        let tree = tempfile::tempdir()?;
        let (control, files) = (tree.path().join("DEBIAN"), tree.path().join(FOLDER.trim_start_matches('/')));
        fs::create_dir_all(&control)?;
        fs::create_dir_all(&files)?;
        let fields =
            [("Package", NAME), ("Version", &version.to_string()), ("Architecture", "all"), ("Maintainer", "Nobody <nobody@example.org>")];
        let fields: String = fields.map(|(key, value)| format!("{key}: {value}\n")).concat();
        fs::write(control.join("control"), fields + "Description: what is there when a power cut is over\n")?;
        for index in 0..FILES {
            fs::write(files.join(index.to_string()), contents(version, index))?;
        }
        let mut deb = Command::new("dpkg-deb");
        deb.args(["--root-owner-group", "-Znone", "-b"]).arg(tree.path()).arg(folder.join(format!("parcel_{version}.deb")));
        command::output(&mut deb)?;
    }
    Ok(())
}

/// What is wrong with it when the steps up to `done` are done and those up to `begun` begun, if something is.
pub fn check(found: &Found, done: u32, begun: u32) -> Option<String> {
    let packages = match packages(&found.status) {
        Ok(packages) => packages,
        Err(complaint) => return Some(complaint),
    };
    let (old, new) = ((done / EVERY).min(LAST), (begun / EVERY).min(LAST));
    // The versions that there may be. 0: none.
    let may = |version: u32| version == old || version == new;
    let (status, version) = packages.get(NAME).copied().unwrap_or(("install ok installed", "0"));
    if !version.parse().is_ok_and(may) || old == new && status != "install ok installed" {
        return Some(format!("after {done} steps {NAME} is `{status}` in version {version}, and should be {old}"));
    }
    for index in 0..FILES {
        let name = index.to_string();
        let whole = |version: u32| match found.parcel.get(&name) {
            None => version == 0,
            Some(bytes) => version > 0 && *bytes == contents(version, index),
        };
        if !whole(old) && !whole(new) {
            return Some(format!("after {done} steps {FOLDER}/{name} is not that of version {old}"));
        }
    }
    None
}

/// Status and version of all packages by their names, as dpkg's `status` has them.
fn packages(status: &str) -> Result<BTreeMap<&str, (&str, &str)>, String> {
    let mut packages = BTreeMap::new();
    let whole = status.strip_suffix("\n\n").ok_or("dpkg's status does not end as it should")?;
    for paragraph in whole.split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(name), Some(status)) = (field("Package"), field("Status")) else {
            return Err(format!("dpkg's status has a damaged paragraph: {paragraph:?}"));
        };
        // A package of which only a trace is left has none.
        packages.insert(name, (status, field("Version").unwrap_or("0")));
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(status: &str, version: u32) -> Found {
        let status =
            format!("Package: a\nStatus: install ok installed\nVersion: 2\n\nPackage: {NAME}\nStatus: {status}\nVersion: {version}\n\n");
        let parcel = (0..FILES).map(|index| (index.to_string(), contents(version, index))).collect();
        Found { files: BTreeMap::new(), parcel, status }
    }

    #[test]
    fn an_acknowledged_version_is_there() {
        assert_eq!(check(&installed("install ok installed", 2), 2 * EVERY, 2 * EVERY + 1), None);
        assert!(check(&installed("install ok installed", 1), 2 * EVERY, 2 * EVERY).unwrap().contains("version 1"));
        assert!(check(&installed("install ok half-configured", 2), 2 * EVERY, 2 * EVERY).unwrap().contains("half-configured"));
        let mut torn = installed("install ok installed", 2);
        torn.parcel.get_mut("3").unwrap()[20000] ^= 1;
        assert!(check(&torn, 2 * EVERY, 2 * EVERY).unwrap().contains("/3 is not that"));
        torn.parcel.remove("3");
        assert!(check(&torn, 2 * EVERY, 2 * EVERY).unwrap().contains("/3 is not that"));
        torn.status.truncate(60);
        assert!(check(&torn, 2 * EVERY, 2 * EVERY).unwrap().contains("does not end"));
    }

    #[test]
    fn one_that_is_under_way_may_be_there() {
        let mut found = installed("install reinstreq half-installed", 1);
        found.parcel.insert("2".into(), contents(2, 2));
        assert_eq!(check(&found, 2 * EVERY - 1, 2 * EVERY), None);
        assert!(check(&found, 2 * EVERY - 1, 2 * EVERY - 1).is_some());
        let none = Found { status: "Package: a\nStatus: install ok installed\n\n".into(), ..Found::default() };
        assert_eq!(check(&none, 3, 4), None);
        assert!(check(&none, EVERY, EVERY).is_some());
    }
}

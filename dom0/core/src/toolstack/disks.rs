//! The nodes of a guest's disk in xenstore, as xl makes them: a folder for each end, which names the other.

use abi::DomId;
use abi::xenbus::INITIALISING;
use alloc::{format, string::String, string::ToString, vec::Vec};

use super::home;
use crate::config::DiskSpec;
use crate::xenstore::{Access, DOM0, Permissions, Seed};

/// The back end's folder.
pub fn backend(domid: DomId, number: u32) -> String {
    format!("{}/{number}", backends(domid))
}

/// The folder of all disks of a domain, at the back end's side.
pub fn backends(domid: DomId) -> String {
    format!("{}/backend/vbd/{domid}", home(DOM0))
}

/// The front end's folder.
pub fn frontend(domid: DomId, number: u32) -> String {
    format!("{}/device/vbd/{number}", home(domid))
}

/// All nodes of a new disk, parents before children, the front end's last: it begins when it sees them. The guest owns its own folder and
/// reads the other.
pub fn disk_nodes(domid: DomId, disk: &DiskSpec) -> Vec<Seed> {
    let number = disk.vdev.number;
    let (back, front) = (backend(domid, number), frontend(domid, number));
    let device_type = if disk.cdrom { "cdrom" } else { "disk" };
    let state = INITIALISING.to_string();
    let in_backend: [(&str, String); 12] = [
        ("frontend", front.clone()),
        ("frontend-id", domid.to_string()),
        ("online", "1".into()),
        ("bootable", "1".into()),
        ("removable", "0".into()),
        ("dev", disk.vdev.name.clone()),
        ("type", "phy".into()),
        ("params", disk.target.clone()),
        ("mode", if disk.read_only { "r" } else { "w" }.into()),
        ("device-type", device_type.into()),
        ("discard-enable", if disk.discard == Some(false) { "0" } else { "1" }.into()),
        ("state", state.clone()),
    ];
    let in_frontend: [(&str, String); 5] = [
        ("backend", back.clone()),
        ("backend-id", DOM0.to_string()),
        ("virtual-device", number.to_string()),
        ("device-type", device_type.into()),
        ("state", state),
    ];
    let node = |path: String, value: String| Seed { path: path.into(), value: value.into(), perms: None };
    let folder = |path: &str, perms| Seed { path: path.into(), value: Vec::new(), perms: Some(perms) };
    let mut nodes = alloc::vec![folder(&back, Permissions::new(DOM0, Access::NONE).with(domid, Access::READ))];
    nodes.extend(in_backend.into_iter().map(|(name, value)| node(format!("{back}/{name}"), value)));
    nodes.push(folder(&front, Permissions::new(domid, Access::NONE).with(DOM0, Access::READ)));
    nodes.extend(in_frontend.into_iter().map(|(name, value)| node(format!("{front}/{name}"), value)));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::Server;
    use crate::xenstore::perms::Caller;

    #[test]
    fn both_ends_find_each_other() {
        let mut server = Server::default();
        server.add_domain(7);
        let disk = DiskSpec::parse("phy:/dev/vda,xvda,r").unwrap();
        server.plant(disk_nodes(7, &disk)).unwrap();
        let read = |path: &str| server.read(path).map(|value| std::str::from_utf8(value).unwrap());
        let back = read("/local/domain/7/device/vbd/51712/backend").unwrap();
        assert_eq!(back, "/local/domain/0/backend/vbd/7/51712");
        assert_eq!(read(&format!("{back}/frontend")), Some("/local/domain/7/device/vbd/51712"));
        assert_eq!((read(&format!("{back}/mode")), read(&format!("{back}/dev"))), (Some("r"), Some("xvda")));
        assert_eq!(read("/local/domain/7/device/vbd/51712/state"), Some("1"));
    }

    #[test]
    fn the_guest_owns_its_end_and_reads_ours() {
        let mut server = Server::default();
        server.add_domain(7);
        let disk = DiskSpec::parse("phy:/dev/vda,xvdb,w").unwrap();
        server.plant(disk_nodes(7, &disk)).unwrap();
        let (guest, other) = (Caller { domid: 7, target: None }, Caller { domid: 8, target: None });
        let access = |path: &str, who| server.perms(path).unwrap().access(who);
        let (back, front) = (backend(7, disk.vdev.number), frontend(7, disk.vdev.number));
        for (folder, mine) in [(&back, Access::READ), (&front, Access::BOTH)] {
            for path in [folder.clone(), format!("{folder}/state")] {
                assert_eq!((access(&path, guest), access(&path, other)), (mine, Access::NONE), "{path}");
            }
        }
    }
}

//! The xenstore tree that a new domain finds (`docs/misc/xenstore-paths.pandoc`).
//!
//! The guest may read its whole home, and owns the few nodes through which it answers. Everything else belongs to Dom0, so that a guest can
//! neither change what it was given nor fill its home with nodes of its own except where it owns.

use abi::DomId;
use alloc::{format, string::String, string::ToString, vec::Vec};

use super::uuid::format_uuid;
use crate::xenstore::{Access, DOM0, Permissions, Seed, Server};

/// Bytes of console output that the back end keeps, as told to the guest; ours keeps [`crate::console::SCROLLBACK`].
const CONSOLE_LIMIT: usize = crate::console::SCROLLBACK;

/// A ring and its event channel, as the guest sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The guest's port.
    pub port: u32,
    /// What the tree calls `ring-ref`: for the two rings of a PV domain the machine frame.
    pub ring: u64,
}

/// What the tree tells of a new domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDomain<'a> {
    /// Its number.
    pub domid: DomId,
    /// Its name.
    pub name: &'a str,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Memory at start, in MiB.
    pub memory_mib: u64,
    /// Memory at most, in MiB.
    pub maxmem_mib: u64,
    /// vCPUs online at start.
    pub vcpus: u32,
    /// vCPUs at most.
    pub maxvcpus: u32,
    /// Its xenstore ring.
    pub store: Channel,
    /// Its console ring.
    pub console: Channel,
}

/// The home of a domain.
pub fn home(domid: DomId) -> String {
    crate::xenstore::path::home(domid)
}

/// What is told of a domain by its UUID.
pub fn vm_path(uuid: &[u8; 16]) -> String {
    format!("/vm/{}", format_uuid(uuid))
}

/// Nodes that the guest owns: requests it answers, features it offers, and where it may leave notes.
const OWNED: [&str; 12] = [
    "control/shutdown",
    "control/sysrq",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "control/feature-s3",
    "control/feature-s4",
    "data",
    "drivers",
    "feature",
    "attr",
    "error",
];

/// All nodes of a new domain, parents before children.
pub fn tree(domain: &NewDomain<'_>) -> Vec<Seed> {
    let (home, vm) = (home(domain.domid), vm_path(&domain.uuid));
    let readable = || Permissions::new(DOM0, Access::NONE).with(domain.domid, Access::READ);
    let owned = || Permissions::new(domain.domid, Access::NONE);
    let node = |path: String, value: String, perms| Seed { path: path.into(), value: value.into(), perms };

    let mut nodes = alloc::vec![
        node(vm.clone(), String::new(), Some(readable())),
        node(format!("{vm}/name"), domain.name.into(), None),
        node(format!("{vm}/uuid"), format_uuid(&domain.uuid), None),
        node(home.clone(), String::new(), Some(readable())),
    ];
    let told = told(domain, vm).into_iter();
    nodes.extend(told.map(|(path, value)| node(format!("{home}/{path}"), value, None)));
    nodes.extend(OWNED.iter().map(|path| node(format!("{home}/{path}"), String::new(), Some(owned()))));
    nodes
}

/// What the guest reads, relative to its home. Memory is in KiB: Linux balloons to `target`.
fn told(domain: &NewDomain<'_>, vm: String) -> Vec<(String, String)> {
    let kib = |mib: u64| mib.saturating_mul(1024).to_string();
    let fixed = [
        ("name", String::from(domain.name)),
        ("domid", domain.domid.to_string()),
        ("vm", vm),
        ("memory", String::new()),
        ("memory/static-max", kib(domain.maxmem_mib)),
        ("memory/target", kib(domain.memory_mib)),
        ("store", String::new()),
        ("store/port", domain.store.port.to_string()),
        ("store/ring-ref", domain.store.ring.to_string()),
        ("console", String::new()),
        ("console/port", domain.console.port.to_string()),
        ("console/ring-ref", domain.console.ring.to_string()),
        ("console/type", String::from("xenconsoled")),
        ("console/limit", CONSOLE_LIMIT.to_string()),
        ("device", String::new()),
        ("control", String::new()),
        ("cpu", String::new()),
    ];
    let online = |cpu: u32| {
        if cpu < domain.vcpus { "online" } else { "offline" }
    };
    let cpus = (0..domain.maxvcpus).map(|cpu| (format!("cpu/{cpu}/availability"), String::from(online(cpu))));
    fixed.into_iter().map(|(path, value)| (String::from(path), value)).chain(cpus).collect()
}

impl Server {
    /// Writes the nodes of a new domain, which becomes known first so that permissions can name it.
    pub fn populate(&mut self, domid: DomId, nodes: Vec<Seed>) -> Result<(), crate::xenstore::Error> {
        self.add_domain(domid);
        self.plant(nodes)
    }

    /// Removes what [`Server::populate`] has written, and everything else of a domain.
    pub fn depopulate(&mut self, domid: DomId, uuid: &[u8; 16]) {
        self.remove_domain(domid);
        self.remove(&home(domid));
        self.remove(&vm_path(uuid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> NewDomain<'static> {
        NewDomain {
            domid: 7,
            name: "linux",
            uuid: [1; 16],
            memory_mib: 256,
            maxmem_mib: 512,
            vcpus: 1,
            maxvcpus: 2,
            store: Channel { port: 1, ring: 0x1234 },
            console: Channel { port: 2, ring: 0x1235 },
        }
    }

    #[test]
    fn a_guest_finds_what_it_expects() {
        let mut server = Server::default();
        let before = server.iter().count();
        server.populate(7, tree(&domain())).unwrap();
        for (path, value) in [
            ("name", "linux"),
            ("domid", "7"),
            ("memory/static-max", "524288"),
            ("memory/target", "262144"),
            ("cpu/0/availability", "online"),
            ("cpu/1/availability", "offline"),
            ("store/port", "1"),
            ("console/ring-ref", "4661"),
            ("vm", "/vm/01010101-0101-0101-0101-010101010101"),
        ] {
            assert_eq!(server.read(&format!("/local/domain/7/{path}")), Some(value.as_bytes()), "{path}");
        }
        server.depopulate(7, &[1; 16]);
        // What stays are the folders that all domains share.
        let left: Vec<&str> = server.iter().map(|(path, _)| path).collect();
        assert_eq!(left, ["/", "/local", "/local/domain", "/vm"]);
        assert_eq!(before, 1);
    }

    #[test]
    fn the_guest_reads_all_and_owns_little() {
        let guest = crate::xenstore::perms::Caller { domid: 7, target: None };
        let mut server = Server::default();
        server.populate(7, tree(&domain())).unwrap();
        for (path, node) in server.iter().filter(|(p, _)| p.starts_with("/local/domain/7")) {
            assert!(node.perms.access(guest).read, "{path}");
            let owned = OWNED.iter().any(|o| path == format!("/local/domain/7/{o}"));
            assert_eq!(node.perms.access(guest).write, owned, "{path}");
        }
        let other = crate::xenstore::perms::Caller { domid: 8, target: None };
        assert!(server.iter().filter(|(p, _)| p.contains('7')).all(|(_, n)| !n.perms.access(other).read));
    }
}

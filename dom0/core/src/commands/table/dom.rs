//! `dom` and what is below it.

use super::{Argument, DISK, OptionSpec, PLAIN, Spec, many, optional, required, switch, value};
use crate::commands::{block, build};

const DOMAIN: Argument = required("DOMAIN", "the domain's name or number");
const VDEV: Argument = required("VDEV", "the disk as the domain knows it, such as xvda");
const JSON: OptionSpec = switch(None, "--json", "print JSON, for scripts");

/// Subcommands of `dom`.
pub static DOM: &[Spec] = &[
    Spec {
        name: "block-attach",
        about: "give a domain a disk while it runs",
        arguments: &[DOMAIN, required("DISK", "the disk, as `disk` has it in a configuration: TARGET,VDEV,ACCESS")],
        example: "dom block-attach linux phy:/dev/vdb,xvdb,w",
        build: block::attach,
        ..PLAIN
    },
    Spec {
        name: "block-detach",
        about: "take a disk away from a domain, when its kernel has let go of it",
        options: &[switch(None, "--force", "take it at once; what the domain has not written is lost")],
        arguments: &[DOMAIN, VDEV],
        example: "dom block-detach linux xvdb",
        build: block::detach,
        ..PLAIN
    },
    Spec {
        name: "block-faults",
        about: "make a domain's disk fail or slow on purpose; without options it works again",
        options: &[
            value("--errors", "N", "one in N requests fails"),
            value("--short", "N", "one in N reads and writes is done by half and fails"),
            value("--delay", "MS", "every request takes so many milliseconds more"),
        ],
        arguments: &[DOMAIN, VDEV],
        example: "dom block-faults linux xvda --errors 100 --delay 20",
        build: block::faults,
        ..PLAIN
    },
    Spec {
        name: "block-list",
        about: "show a domain's disks and what they have done",
        options: &[JSON],
        arguments: &[DOMAIN],
        example: "dom block-list linux",
        build: block::list,
        ..PLAIN
    },
    Spec {
        name: "console",
        about: "attach to a domain's console; Ctrl-] leaves it",
        options: &[
            OptionSpec { repeated: true, ..value("--send", "LINE", "send a line instead of attaching; may be given several times") },
            value("--until", "TEXT", "print what the domain prints until TEXT appears; status 1 if it does not"),
            value("--timeout", "SECONDS", "give up waiting for TEXT after this time"),
        ],
        arguments: &[DOMAIN],
        example: "dom console linux --send 'uname -r' --until 6.1 --timeout 10",
        build: build::console,
        ..PLAIN
    },
    Spec {
        name: "create",
        about: "create a domain from a configuration file and start it",
        options: &[
            switch(Some('c'), "--console", "attach the console at once; Ctrl-] leaves it"),
            switch(Some('p'), "--paused", "leave the domain paused"),
        ],
        arguments: &[
            required("FILE", "the configuration, in TOML with the keys of xl.cfg"),
            many("KEY=VALUE", false, "keys to set in place of what the file says"),
        ],
        example: "dom create -c /guests/linux.toml memory=512",
        build: build::create,
        ..PLAIN
    },
    Spec {
        name: "destroy",
        about: "end a domain at once, without asking it",
        arguments: &[DOMAIN],
        example: "dom destroy linux",
        build: build::destroy,
        ..PLAIN
    },
    Spec { name: "disk", about: "make and change qcow2 images", example: "dom disk create /dev/vdb 8G", subcommands: DISK, ..PLAIN },
    Spec { name: "dmesg", about: "print the hypervisor's log", example: "dom dmesg", build: build::hypervisor_log, ..PLAIN },
    Spec {
        name: "help",
        about: "list the subcommands, or explain one",
        arguments: &[many("COMMAND", false, "the subcommand to explain")],
        example: "dom help create",
        build: build::nothing,
        ..PLAIN
    },
    Spec {
        name: "info",
        about: "describe a domain, or the host if none is named",
        options: &[JSON],
        arguments: &[optional("DOMAIN", "the domain's name or number")],
        example: "dom info linux",
        build: build::info,
        ..PLAIN
    },
    Spec { name: "list", about: "list the domains", options: &[JSON], example: "dom list", build: build::list, ..PLAIN },
    Spec { name: "pause", about: "stop a domain's vCPUs", arguments: &[DOMAIN], example: "dom pause linux", build: build::pause, ..PLAIN },
    Spec {
        name: "reboot",
        about: "ask a domain to restart",
        options: &[switch(Some('w'), "--wait", "return only when it runs again")],
        arguments: &[DOMAIN],
        example: "dom reboot linux",
        build: build::reboot_domain,
        ..PLAIN
    },
    Spec {
        name: "shutdown",
        about: "ask a domain to power off",
        options: &[switch(Some('w'), "--wait", "return only when it has")],
        arguments: &[DOMAIN],
        example: "dom shutdown -w linux",
        build: build::shutdown,
        ..PLAIN
    },
    Spec {
        name: "unpause",
        about: "let a paused domain run again",
        arguments: &[DOMAIN],
        example: "dom unpause linux",
        build: build::unpause,
        ..PLAIN
    },
    Spec {
        name: "xenstore",
        about: "look into xenstore, or change it",
        example: "dom xenstore ls /local/domain/1",
        subcommands: XENSTORE,
        ..PLAIN
    },
];

/// Subcommands of `dom xenstore`.
pub static XENSTORE: &[Spec] = &[
    Spec {
        name: "ls",
        about: "show what lies below a path",
        arguments: &[optional("PATH", "where to begin; / if not named")],
        example: "dom xenstore ls /local/domain/1",
        build: build::xenstore_ls,
        ..PLAIN
    },
    Spec {
        name: "read",
        about: "print a value",
        arguments: &[required("PATH", "the node")],
        example: "dom xenstore read /local/domain/1/name",
        build: build::xenstore_read,
        ..PLAIN
    },
    Spec {
        name: "write",
        about: "set a value; missing nodes are created",
        arguments: &[required("PATH", "the node"), required("VALUE", "the value")],
        example: "dom xenstore write /local/domain/1/control/shutdown poweroff",
        build: build::xenstore_write,
        ..PLAIN
    },
];

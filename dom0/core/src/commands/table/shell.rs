//! Commands of Dom0's shell.

use super::{DOM, PLAIN, Spec, many, optional, required, switch};
use crate::commands::build;

/// Commands of Dom0's shell.
pub static SHELL: &[Spec] = &[
    Spec {
        name: "cat",
        about: "print files",
        arguments: &[many("FILE", true, "the files, one after the other")],
        example: "cat /guests/linux.toml",
        build: build::cat,
        ..PLAIN
    },
    Spec {
        name: "crc32",
        about: "print the CRC-32 (as gzip and zip have it) and the length of files and disks",
        arguments: &[many("FILE", true, "the files; /dev/vda is the first disk")],
        example: "crc32 /dev/vda",
        build: build::crc32,
        ..PLAIN
    },
    Spec { name: "dmesg", about: "print Dom0's own log; the hypervisor's is `dom dmesg`", example: "dmesg", build: build::dmesg, ..PLAIN },
    Spec { name: "dom", about: "create, watch and end domains", example: "dom create -c /guests/linux.toml", subcommands: DOM, ..PLAIN },
    Spec {
        name: "echo",
        about: "print words",
        options: &[switch(Some('n'), "--no-newline", "without a line break at the end")],
        arguments: &[many("WORD", false, "the words")],
        example: "echo hello",
        build: build::echo,
        ..PLAIN
    },
    Spec { name: "free", about: "show how much memory Dom0 uses", example: "free", build: build::free, ..PLAIN },
    Spec {
        name: "help",
        about: "list the commands, or explain one",
        arguments: &[many("COMMAND", false, "the command to explain")],
        example: "help dom create",
        build: build::nothing,
        ..PLAIN
    },
    Spec {
        name: "ls",
        about: "list a folder",
        options: &[switch(Some('l'), "--long", "show sizes as well")],
        arguments: &[optional("PATH", "the folder; the current one if not named")],
        example: "ls /guests",
        build: build::ls,
        ..PLAIN
    },
    Spec {
        name: "lsblk",
        about: "list the disks, their partitions, and what is on them",
        options: &[switch(None, "--json", "print JSON, for scripts")],
        example: "lsblk",
        build: build::lsblk,
        ..PLAIN
    },
    Spec {
        name: "lspci",
        about: "list the PCI devices",
        options: &[
            switch(Some('v'), "--verbose", "show registers, capabilities and drivers as well"),
            switch(None, "--json", "print JSON, for scripts"),
        ],
        example: "lspci -v",
        build: build::lspci,
        ..PLAIN
    },
    Spec {
        name: "mount",
        about: "show an ext4 volume in a folder, or list what is mounted where",
        options: &[switch(Some('r'), "--read-only", "never write it; for a volume that was not left in order, too")],
        arguments: &[optional("DISK", "the disk or partition"), optional("FOLDER", "where it shall be seen; it need not exist")],
        example: "mount /dev/vda1 /mnt",
        build: build::mount,
        ..PLAIN
    },
    Spec { name: "poweroff", about: "end all domains and switch the machine off", example: "poweroff", build: build::poweroff, ..PLAIN },
    Spec { name: "ps", about: "list Dom0's tasks", example: "ps", build: build::ps, ..PLAIN },
    Spec { name: "reboot", about: "end all domains and start the machine again", example: "reboot", build: build::reboot, ..PLAIN },
    Spec {
        name: "umount",
        about: "end a mount",
        arguments: &[required("FOLDER", "the folder, or the disk")],
        example: "umount /mnt",
        build: build::umount,
        ..PLAIN
    },
];

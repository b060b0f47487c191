//! `dom disk` and what is below it, with the letters of `qemu-img`.

use super::{Argument, OptionSpec, PLAIN, Spec, optional, required, switch, value};
use crate::commands::build_disk;

const TARGET: Argument = required("TARGET", "a disk or file that holds the image: /dev/vdb, /mnt/a.qcow2");

const fn letter(letter: char, option: OptionSpec) -> OptionSpec {
    OptionSpec { short: Some(letter), ..option }
}

/// Subcommands of `dom disk`.
pub static DISK: &[Spec] = &[
    Spec {
        name: "create",
        about: "make a qcow2 image in a disk or an existing file",
        options: &[
            letter('b', value("--backing", "BACKING", "show what this disk or file holds, until it is overwritten")),
            letter('F', value("--backing-format", "FORMAT", "what the backing is: raw or qcow2")),
            switch(None, "--force", "overwrite what TARGET holds"),
        ],
        arguments: &[TARGET, optional("SIZE", "of the guest's disk: bytes, or with k, M, G or T; the backing's if not named")],
        example: "dom disk create -b /dev/vda -F raw /dev/vdb 8G",
        build: build_disk::create,
        ..PLAIN
    },
    Spec {
        name: "info",
        about: "describe an image: sizes, backing, snapshots",
        options: &[switch(None, "--json", "print JSON, for scripts")],
        arguments: &[TARGET],
        example: "dom disk info /dev/vdb",
        build: build_disk::info,
        ..PLAIN
    },
    Spec {
        name: "resize",
        about: "let an image grow; a guest that has it sees the new size",
        arguments: &[TARGET, required("SIZE", "the new size, or +SIZE for what is added: bytes, or with k, M, G or T")],
        example: "dom disk resize /dev/vdb +2G",
        build: build_disk::resize,
        ..PLAIN
    },
    Spec {
        name: "snapshot",
        about: "list, take, apply or delete snapshots within an image",
        options: &[
            switch(Some('l'), "--list", "list them; so if nothing else is asked for"),
            letter('c', value("--create", "NAME", "take one")),
            letter('a', value("--apply", "NAME", "go back to one; what was written since is lost")),
            letter('d', value("--delete", "NAME", "delete one")),
        ],
        arguments: &[TARGET],
        example: "dom disk snapshot -c before-upgrade /dev/vdb",
        build: build_disk::snapshot,
        ..PLAIN
    },
];

//! The table of all commands.

use alloc::string::String;

use super::{build, matches::Matches, types::Command};

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Options, `--help` aside.
    pub options: &'static [OptionSpec],
    /// Arguments, in order.
    pub arguments: &'static [Argument],
    /// A line that works.
    pub example: &'static str,
    /// Commands below this one; then it has neither options nor arguments.
    pub subcommands: &'static [Spec],
    /// Makes the typed command.
    pub build: fn(&Matches) -> Result<Command, String>,
}

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// The letter after one hyphen.
    pub short: Option<char>,
    /// The name with its two hyphens.
    pub long: &'static str,
    /// What its value is called; `None` for a switch.
    pub value: Option<&'static str>,
    /// Whether it may be given more than once.
    pub repeated: bool,
    /// What it does.
    pub about: &'static str,
}

/// One argument.
#[derive(Debug)]
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether there may be several; only for the last.
    pub repeated: bool,
    /// What it is.
    pub about: &'static str,
}

const fn switch(short: Option<char>, long: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec {
        short,
        long,
        value: None,
        repeated: false,
        about,
    }
}

const fn value(long: &'static str, value: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec {
        short: None,
        long,
        value: Some(value),
        repeated: false,
        about,
    }
}

const fn required(name: &'static str, about: &'static str) -> Argument {
    Argument {
        name,
        required: true,
        repeated: false,
        about,
    }
}

const fn optional(name: &'static str, about: &'static str) -> Argument {
    Argument {
        name,
        required: false,
        repeated: false,
        about,
    }
}

const fn many(name: &'static str, required: bool, about: &'static str) -> Argument {
    Argument {
        name,
        required,
        repeated: true,
        about,
    }
}

const PLAIN: Spec = Spec {
    name: "",
    about: "",
    options: &[],
    arguments: &[],
    example: "",
    subcommands: &[],
    build: build::nothing,
};

const DOMAIN: Argument = required("DOMAIN", "the domain's name or number");
const JSON: OptionSpec = switch(None, "--json", "print JSON, for scripts");

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
        name: "dmesg",
        about: "print Dom0's own log; the hypervisor's is `dom dmesg`",
        example: "dmesg",
        build: build::dmesg,
        ..PLAIN
    },
    Spec {
        name: "dom",
        about: "create, watch and end domains",
        example: "dom create -c /guests/linux.toml",
        subcommands: DOM,
        ..PLAIN
    },
    Spec {
        name: "echo",
        about: "print words",
        options: &[switch(
            Some('n'),
            "--no-newline",
            "without a line break at the end",
        )],
        arguments: &[many("WORD", false, "the words")],
        example: "echo hello",
        build: build::echo,
        ..PLAIN
    },
    Spec {
        name: "free",
        about: "show how much memory Dom0 uses",
        example: "free",
        build: build::free,
        ..PLAIN
    },
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
        name: "poweroff",
        about: "end all domains and switch the machine off",
        example: "poweroff",
        build: build::poweroff,
        ..PLAIN
    },
    Spec {
        name: "ps",
        about: "list Dom0's tasks",
        example: "ps",
        build: build::ps,
        ..PLAIN
    },
    Spec {
        name: "reboot",
        about: "end all domains and start the machine again",
        example: "reboot",
        build: build::reboot,
        ..PLAIN
    },
];

/// Subcommands of `dom`.
pub static DOM: &[Spec] = &[
    Spec {
        name: "console",
        about: "attach to a domain's console; Ctrl-] leaves it",
        options: &[
            OptionSpec {
                repeated: true,
                ..value(
                    "--send",
                    "LINE",
                    "send a line instead of attaching; may be given several times",
                )
            },
            value(
                "--until",
                "TEXT",
                "print what the domain prints until TEXT appears; status 1 if it does not",
            ),
            value(
                "--timeout",
                "SECONDS",
                "give up waiting for TEXT after this time",
            ),
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
            switch(
                Some('c'),
                "--console",
                "attach the console at once; Ctrl-] leaves it",
            ),
            switch(Some('p'), "--paused", "leave the domain paused"),
        ],
        arguments: &[
            required("FILE", "the configuration, in TOML with the keys of xl.cfg"),
            many(
                "KEY=VALUE",
                false,
                "keys to set in place of what the file says",
            ),
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
    Spec {
        name: "dmesg",
        about: "print the hypervisor's log",
        example: "dom dmesg",
        build: build::hypervisor_log,
        ..PLAIN
    },
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
    Spec {
        name: "list",
        about: "list the domains",
        options: &[JSON],
        example: "dom list",
        build: build::list,
        ..PLAIN
    },
    Spec {
        name: "pause",
        about: "stop a domain's vCPUs",
        arguments: &[DOMAIN],
        example: "dom pause linux",
        build: build::pause,
        ..PLAIN
    },
    Spec {
        name: "reboot",
        about: "ask a domain to restart",
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

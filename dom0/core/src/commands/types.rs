//! Commands after parsing: every value has its type, so that whoever carries one out need not look at words again.

use alloc::{string::String, vec::Vec};
use core::fmt;

use abi::DomId;

use super::block::Block;
use super::disk::DiskCommand;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Carry this out.
    Run(Command),
    /// Print this text and be done.
    Help(String),
}

/// A command of Dom0's shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// List a folder, the current one if none is named.
    Ls {
        /// Show sizes as well.
        long: bool,
        /// The folder or file.
        path: Option<String>,
    },
    /// Print files.
    Cat(Vec<String>),
    /// Print words.
    Echo {
        /// Without a line break at the end.
        no_newline: bool,
        /// The words.
        words: Vec<String>,
    },
    /// Print Dom0's own log.
    Dmesg,
    /// List Dom0's tasks.
    Ps,
    /// Show Dom0's memory.
    Free,
    /// List the PCI devices.
    Lspci {
        /// In full.
        verbose: bool,
        /// As JSON.
        json: bool,
    },
    /// List the disks.
    Lsblk {
        /// As JSON.
        json: bool,
    },
    /// Mount a volume, or list what is mounted where.
    Mount(Option<Mount>),
    /// End a mount; by folder or disk.
    Umount(String),
    /// Print the CRC-32 and the length of files and disks.
    Crc32(Vec<String>),
    /// Shut everything down and switch off.
    Poweroff,
    /// Shut everything down and start again.
    Reboot,
    /// Work with domains.
    Dom(Dom),
}

/// What is to be mounted where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The disk or partition.
    pub disk: String,
    /// Where it shall be seen.
    pub folder: String,
    /// Files on it can only be read.
    pub read_only: bool,
}

/// A subcommand of `dom`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dom {
    /// Create a domain.
    Create {
        /// Attach the console.
        console: bool,
        /// Leave the domain paused.
        paused: bool,
        /// The configuration file.
        file: String,
        /// Keys to set in place of what the file says.
        overrides: Vec<(String, String)>,
    },
    /// End a domain at once.
    Destroy(DomainRef),
    /// List domains.
    List {
        /// As JSON.
        json: bool,
    },
    /// Describe a domain, or the host.
    Info {
        /// The domain; the host if none.
        domain: Option<DomainRef>,
        /// As JSON.
        json: bool,
    },
    /// Talk to a domain's console.
    Console {
        /// The domain, or the name of one that is gone.
        domain: DomainRef,
        /// Lines to send, in order.
        send: Vec<String>,
        /// The text to wait for.
        until: Option<String>,
        /// How long to wait for it, in seconds.
        timeout: Option<u64>,
    },
    /// Stop a domain's vCPUs.
    Pause(DomainRef),
    /// Let them run again.
    Unpause(DomainRef),
    /// Ask a domain to power off.
    Shutdown {
        /// The domain.
        domain: DomainRef,
        /// Return only when it has.
        wait: bool,
    },
    /// Ask a domain to restart.
    Reboot {
        /// Which.
        domain: DomainRef,
        /// Whether to wait until it runs again.
        wait: bool,
    },
    /// Handle a domain's disks.
    Block(Block),
    /// Print the hypervisor's log.
    Dmesg,
    /// Work with images of disks.
    Disk(DiskCommand),
    /// Look into xenstore.
    Xenstore(Xenstore),
}

/// A subcommand of `dom xenstore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xenstore {
    /// Show a subtree.
    Ls(String),
    /// Print a value.
    Read(String),
    /// Set a value.
    Write(String, String),
}

/// How a user names a domain. Names are never all digits, so the two cannot be confused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainRef {
    /// By number.
    Id(DomId),
    /// By name.
    Name(String),
}

impl fmt::Display for DomainRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(domid) => domid.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

//! The command line, as clap sees it. The texts are the manual: `cargo xtask help run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand};

use crate::disk::DiskOption;
use crate::powercut::Subject;

/// Builds, runs and tests Domus. What is missing (the bare-metal target, QEMU, Debian packages) is installed first.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// The tasks.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Build everything, boot Domus in QEMU and leave you at Dom0's prompt
    Run(Run),
    /// Check everything that CI checks
    Test(Test),
    /// Measure what the guest ABI costs on Domus and on Debian's Xen, in instructions
    Bench(Bench),
    /// Measure a guest's disk on Domus and on Debian's Xen with Linux as Dom0, as rates
    BenchDisk(BenchDisk),
    /// Build the hypervisor, Dom0 and the guests
    Build,
    /// Write the archive with Dom0's file tree, for use outside `run`
    Image(Image),
    /// Boot a PV64 ELF as the first domain of Debian's Xen, for comparison
    Xen(Xen),
    /// Make a disk image with Debian's root file system, for guests to boot
    Debian(Debian),
    /// Cut the power of a machine that writes a journal, and look for what it had been promised
    #[command(name = "powercut")]
    PowerCut(PowerCut),
}

/// Options of `run`.
#[derive(Args, Debug)]
#[command(after_help = "On a terminal, Ctrl-C reaches Dom0. Ctrl-A X leaves QEMU, Ctrl-A Ctrl-A sends a Ctrl-A.\n\
    Exit status: with --exec, that of the first command that failed, else 0; with --initial-domain, 0 for poweroff or reboot, 1 for \
    a crash; 125 if the hypervisor panicked or did not say how the run ended, and for the timeout.\n\n\
    Examples:\n  cargo xtask run --exec 'dom create /guests/hello.toml' --exec 'dom list'\n  \
    cargo xtask run --disk scratch.raw,new=1G --disk debian.qcow2,ro --exec lsblk")]
pub struct Run {
    /// Run this Dom0 command without a terminal, then power off; may be repeated
    #[arg(long, value_name = "COMMAND", conflicts_with = "initial_domain", allow_hyphen_values = true)]
    pub exec: Vec<String>,
    #[command(flatten)]
    pub tree: Tree,
    /// Give the machine a virtio disk with this file's bytes, whatever they are: /dev/vda, then /dev/vdb, and so on; may be repeated.
    /// `ro`: it may only be read. `new=SIZE` (512M, 2G, ...): make the file, full of zeroes; it must not exist.
    /// A qcow2 file is made longer, without taking more room, so that the image can grow
    #[arg(long, value_name = "FILE[,ro][,new=SIZE]")]
    pub disk: Vec<DiskOption>,
    /// Start this PV64 ELF in Dom0's place, its console on standard output
    #[arg(long, value_name = "ELF", conflicts_with_all = ["add", "generic_linux"])]
    pub initial_domain: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
    /// Print the QEMU command line instead of running it
    #[arg(long)]
    pub dry_run: bool,
    /// Boot this hypervisor instead of building it
    #[arg(long, value_name = "ELF")]
    pub hypervisor: Option<PathBuf>,
    /// The hypervisor's command line
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub append: String,
}

/// What goes into Dom0's file tree besides Dom0 and the guests.
#[derive(Args, Debug, Default)]
pub struct Tree {
    /// Put a file or folder into Dom0's file tree, under /guests if no target is named; may be repeated
    #[arg(long, value_name = "PATH[:TARGET]")]
    pub add: Vec<String>,
    /// Also put Debian's generic kernel into /guests (linux-generic.toml)
    #[arg(long)]
    pub generic_linux: bool,
}

/// The machine.
#[derive(Args, Clone, Debug)]
pub struct Machine {
    /// The machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: u32,
    /// The machine's CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: u32,
    /// Let the machine's time count instructions: exact and repeatable, on any host
    #[arg(long)]
    pub icount: bool,
    /// End the run with status 125 after so long
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Further arguments for QEMU, after `--`
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    pub qemu: Vec<OsString>,
}

/// Options of `test`.
#[derive(Args, Debug)]
#[command(after_help = "The last line is `N passed, N failed, N skipped`. Exit status: 0 if something passed and nothing failed.\n\n\
    Example: cargo xtask test --jobs 1 lint examples/hello")]
pub struct Test {
    /// Run only the steps whose names contain one of these
    pub filter: Vec<String>,
    /// Print the names of the steps instead of running them
    #[arg(long)]
    pub list: bool,
    /// Run two lanes of steps at once, what the host does alone and what boots machines, and show what failed steps said; with 1, run one step
    /// after the other and show everything at once. If not given: 1 where there is one processor, else 2, which is the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..).map(usize::from))]
    pub jobs: Option<usize>,
}

/// Options of `bench`.
#[derive(Args, Debug)]
pub struct Bench {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `bench-disk`.
#[derive(Args, Debug)]
#[command(
    after_help = "The same guest, image and QEMU, one after the other; the more the better, in all figures. They depend on the host and on what else it \
    does: only the ratio says something. With --icount they are requests in a second in which the CPU executes 10^9 instructions, on a disk that \
    answers at once and forgets; they repeat to a few percent. Takes some minutes, and fetches Xen's tools the first time.\n\n\
    Example: cargo xtask bench-disk --icount"
)]
pub struct BenchDisk {
    /// Let the machine's time count instructions, on a disk that takes no time
    #[arg(long)]
    pub icount: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `image`.
#[derive(Args, Debug)]
pub struct Image {
    /// Where to write it; target/domus/image.cpio if not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub tree: Tree,
}

/// Options of `xen`.
#[derive(Args, Debug)]
#[command(after_help = "The domain's console goes to standard output. Exit status: 0 for poweroff or reboot, 1 for a crash, 125 if \
    Xen did not say, and for the timeout.")]
pub struct Xen {
    /// The kernel
    pub elf: PathBuf,
    #[command(flatten)]
    pub machine: Machine,
    /// Show Xen's own lines on standard error
    #[arg(long)]
    pub log: bool,
    /// Print the QEMU command line instead of running it
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `debian`.
#[derive(Args, Debug)]
#[command(
    after_help = "The image (ext4, raw) is made once with mmdebstrap and kept; its path is printed. Guests should not write it: give each an \
    overlay. root has no password.\n\n\
    Example:\n  cargo xtask debian --overlay mine.qcow2 --size 4G\n  \
    cargo xtask run --disk target/cache/debian.raw,ro --disk mine.qcow2\n  \
    dom0:~# dom create -c /guests/debian.toml"
)]
pub struct Debian {
    /// Also make this qcow2 image for a guest's changes, with the base as the machine's first disk, /dev/vda
    #[arg(long, value_name = "FILE")]
    pub overlay: Option<PathBuf>,
    /// The overlay's size; resize2fs in the guest makes use of what is more than the base's 1G
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub size: String,
}

/// Options of `powercut`.
#[derive(Args, Debug)]
#[command(
    after_help = "A cut replays the log of the disk's writes up to a random moment; of what was not flushed then, whole writes or some of their \
    sectors are lost at random. A kill ends QEMU in the middle, and the next boot goes on with the disk. Exit status: 0 if nothing that \
    was acknowledged is lost, else 1; the disk and its log are kept then.\n\n\
    Example: cargo xtask powercut --format qcow2 --cuts 1000 --kills 20 --seed 7"
)]
pub struct PowerCut {
    /// What the disk is; may be repeated; all of them if not given
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<Subject>,
    /// Power cuts for each
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub cuts: u64,
    /// Kills of QEMU for each
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub kills: u64,
    /// The same seed makes the same choices; another one each time if not given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn qemu_arguments_follow_two_dashes() {
        let cli = Cli::parse_from(["xtask", "run", "--exec", "ls", "--exec", "ps", "--", "-s", "-S"]);
        let Task::Run(run) = cli.task else { panic!("not run") };
        assert_eq!(run.exec, ["ls", "ps"]);
        assert_eq!(run.machine.qemu, ["-s", "-S"]);
        assert_eq!(run.machine.memory, 4096);
    }

    #[test]
    fn disks_come_in_order_and_a_bad_one_is_named() {
        let cli = Cli::parse_from(["xtask", "run", "--disk", "a,ro", "--disk", "b,new=1G"]);
        let Task::Run(run) = cli.task else { panic!("not run") };
        assert_eq!(run.disk, ["a,ro".parse().unwrap(), "b,new=1G".parse().unwrap()]);
        let error = Cli::try_parse_from(["xtask", "run", "--disk", "b,new=1X"]).unwrap_err().to_string();
        assert!(error.contains("\"1X\" is no size"), "{error}");
    }
}

//! One machine as a QEMU command line, because the options that matter (which CPU, which clock) were learnt the hard way and must be
//! the same for a person's run, a test and a benchmark.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disk::Disk;

/// The program that is started; found on the PATH.
pub const QEMU: &str = "qemu-system-x86_64";

/// Where the bytes of one serial port go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// QEMU's standard input and output. On a terminal QEMU makes it raw, so that Ctrl-C reaches the guest, and takes Ctrl-A as its
    /// escape (Ctrl-A X ends QEMU, Ctrl-A Ctrl-A sends a Ctrl-A).
    Terminal,
    /// QEMU's standard input and output without an escape: every byte is the guest's.
    Stdio,
    /// A file, emptied at the start. Output only.
    File(PathBuf),
}

/// What to put into the machine. `args` turns it into a command line.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The ELF that is entered by PVH: Domus, or a real Xen.
    pub kernel: PathBuf,
    /// The one module handed over: the archive with Dom0, or a bare PV64 ELF.
    pub module: Option<PathBuf>,
    /// The command line of `kernel`; empty for none.
    pub cmdline: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Number of CPUs.
    pub cpus: u32,
    /// Count instructions instead of time: exact, repeatable figures.
    pub icount: bool,
    /// COM1, COM2, ...
    pub serial: Vec<Serial>,
    /// The virtio disks: `/dev/vda`, `/dev/vdb`, ...
    pub disks: Vec<Disk>,
    /// Further arguments, passed to QEMU as they are.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// The arguments for QEMU, without the program's name.
    pub fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        // q35: the `pc` machine has no MCFG, which Dom0 finds its PCI devices by.
        args.pair("-machine", "q35");
        // QEMU 7.2 faults on IRET and far RET in ring 3 while SMAP is on.
        args.pair("-cpu", "max,-smap");
        args.pair("-m", self.memory_mib.to_string());
        args.pair("-smp", self.cpus.to_string());
        args.flag("-nodefaults");
        args.flag("-no-reboot");
        args.pair("-display", "none");
        if self.icount {
            args.pair("-icount", "shift=0,sleep=off");
            args.pair("-rtc", "base=2026-01-01,clock=vm");
        }
        for (index, serial) in self.serial.iter().enumerate() {
            let id = format!("com{}", index + 1);
            args.pair("-chardev", serial.chardev(&id));
            args.pair("-serial", format!("chardev:{id}"));
        }
        args.pair("-kernel", &self.kernel);
        if let Some(module) = &self.module {
            args.pair("-initrd", module);
        }
        if !self.cmdline.is_empty() {
            args.pair("-append", &self.cmdline);
        }
        for (index, disk) in self.disks.iter().enumerate() {
            args.0.extend(disk.args(index));
        }
        args.0.extend(self.extra.iter().cloned());
        args.0
    }

    /// The command, ready to be spawned.
    pub fn command(&self) -> Command {
        let mut command = Command::new(QEMU);
        command.args(self.args());
        command
    }

    /// The command as one line that a shell takes.
    pub fn command_line(&self) -> String {
        let words = self.args();
        let words = words.iter().map(|word| quote(&word.to_string_lossy()));
        std::iter::once(QEMU.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a shell, if need be. `shell_words` quotes every word with a `=` in it, which QEMU's options are full of.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { shell_words::quote(word).into_owned() }
}

impl Serial {
    fn chardev(&self, id: &str) -> String {
        match self {
            Self::Terminal => format!("stdio,id={id},mux=on,signal=off"),
            Self::Stdio => format!("stdio,id={id},signal=off"),
            Self::File(path) => format!("file,id={id},path={}", escape_option(path)),
        }
    }
}

/// QEMU ends an option's value at a comma; a doubled one stands for itself.
pub(crate) fn escape_option(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0.push(flag.into());
        self.0.push(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            kernel: "target/domus".into(),
            module: Some("target/a module".into()),
            cmdline: String::new(),
            memory_mib: 4096,
            cpus: 1,
            icount: false,
            serial: vec![Serial::Stdio, Serial::File("target/a,b.log".into())],
            disks: vec![Disk { path: "/a".into(), read_only: false, log: None }, Disk { path: "/b".into(), read_only: true, log: None }],
            extra: vec!["-s".into()],
        }
    }

    #[test]
    fn the_line_can_be_pasted_into_a_shell() {
        let line = machine().command_line();
        let words = shell_words::split(&line).unwrap();
        assert_eq!(words[0], QEMU);
        assert!(words.contains(&"target/a module".to_owned()), "{line}");
        assert!(words.contains(&"file,id=com2,path=target/a,,b.log".to_owned()), "{line}");
        assert_eq!(words.last().unwrap(), "-s");
    }

    #[test]
    fn instructions_are_counted_only_on_request() {
        let mut machine = machine();
        assert!(!machine.command_line().contains("icount"));
        machine.icount = true;
        let line = machine.command_line();
        assert!(line.contains("-icount shift=0,sleep=off -rtc base=2026-01-01,clock=vm"), "{line}");
    }

    #[test]
    fn the_first_port_is_com1() {
        let line = machine().command_line();
        let com1 = line.find("-serial chardev:com1").unwrap();
        let com2 = line.find("-serial chardev:com2").unwrap();
        assert!(com1 < com2);
    }

    #[test]
    fn disks_keep_their_order() {
        let line = machine().command_line();
        let at = |text: &str| line.find(text).unwrap();
        assert!(at("file=/a,") < at("drive=disk0,") && at("drive=disk0,") < at("file=/b,") && at("file=/b,") < at("drive=disk1,"));
    }

    #[test]
    fn no_command_line_no_append() {
        let mut machine = machine();
        assert!(!machine.command_line().contains("-append"));
        machine.cmdline = "a b".into();
        assert!(machine.command_line().contains("-append 'a b'"));
    }
}

//! Disks, right and wrong.

use super::*;
use crate::config::parse;
use alloc::string::ToString;
use proptest::prelude::*;

fn spec(text: &str) -> DiskSpec {
    DiskSpec::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn short(text: &str) -> (String, Format, String, bool) {
    let disk = spec(text);
    (disk.target, disk.format, disk.vdev.name, disk.read_only)
}

fn file(lines: &str) -> String {
    format!("name = \"n\"\nkernel = \"/k\"\nmemory = 8\n{lines}\n")
}

#[test]
fn all_notations_of_xl() {
    let vda = |read_only| (String::from("/dev/vda"), Format::Raw, String::from("xvda"), read_only);
    for text in [
        "phy:/dev/vda,xvda,w",
        "phy:vda,xvda,w",
        " phy:/dev/vda , xvda , rw ",
        "raw:/dev/vda,xvda",
        "/dev/vda,raw,xvda,rw",
        "/dev/vda,,xvda",
        "/dev/vda,raw,xvda",
        "format=raw, vdev=xvda, access=rw, target=/dev/vda",
        "vdev=xvda,target=/dev/vda",
        "/dev/vda,vdev=xvda,format=raw",
        "/dev/vda,raw,xvda,rw,backendtype=qdisk,devtype=disk,direct-io-safe,backend=0",
        "tap:aio:/dev/vda,xvda,w",
        "file:/dev/vda,0xca00:disk,w",
    ] {
        assert_eq!(short(text), vda(false), "{text}");
    }
    for text in [
        "phy:/dev/vda,xvda,r",
        "/dev/vda,raw,xvda,ro",
        "/dev/vda,raw,xvda,cdrom",
        "phy:/dev/vda,xvda:cdrom,r",
        "access=r,vdev=xvda,target=/dev/vda",
    ] {
        assert_eq!(short(text), vda(true), "{text}");
    }
    assert_eq!(short("qcow2:/images/a.qcow2,xvdb,w"), ("/images/a.qcow2".into(), Format::Qcow2, "xvdb".into(), false));
    assert_eq!(short("/images/a=b:c.qcow2,qcow2,xvdb"), ("/images/a=b:c.qcow2".into(), Format::Qcow2, "xvdb".into(), false));
    assert_eq!(spec("vdev=xvda,target=/images/with, comma").target, "/images/with, comma");
    assert_eq!(spec("/dev/vda,raw,xvda,no-discard").discard, Some(false));
    assert!(spec("/dev/vda,raw,hdc,cdrom").cdrom);
}

#[test]
fn tables_and_lists_of_toml() {
    let text = file(
        "[[disk]]\ntarget = '/dev/vda'\nvdev = 'xvda'\n[[disk]]\ntarget = '/images/a.qcow2'\nformat = 'qcow2'\nvdev = 51728\nread_only = true\ndiscard = false",
    );
    let disks = parse(&text, &[]).unwrap().config.disks;
    assert_eq!(disks[0], spec("/dev/vda,raw,xvda,rw"));
    assert_eq!(disks[1], spec("/images/a.qcow2,qcow2,xvdb,ro,no-discard"));
    let mixed = parse(&file("disk = [ 'phy:/dev/vda,xvda,w',\n { target = '/dev/vdb', vdev = 'xvdb', access = 'r' } ]"), &[]).unwrap();
    assert_eq!(mixed.config.disks, [spec("phy:/dev/vda,xvda,w"), spec("/dev/vdb,raw,xvdb,r")]);
    assert_eq!(parse(&file("disk = []"), &[]).unwrap().config.disks, []);
    assert_eq!(parse(&file("disk = 'phy:/dev/vda,xvda,w'"), &[]).unwrap().config.disks.len(), 1);
}

#[test]
fn the_command_line_gives_lists() {
    let with = |value: &str| parse(&file("disk = ['phy:/dev/vdz,xvdz,w']"), &[("disk".into(), value.into())]);
    assert_eq!(with("['phy:/dev/vda,xvda,w']").unwrap().config.disks, [spec("phy:/dev/vda,xvda,w")]);
    assert_eq!(with("phy:/dev/vda,xvda,w").unwrap().config.disks, [spec("phy:/dev/vda,xvda,w")]);
    assert_eq!(with("[{target='/dev/vda',vdev='xvda'}, '/dev/vdb,raw,xvdb']").unwrap().config.disks.len(), 2);
    assert_eq!(with("").unwrap().config.disks, []);
    assert_eq!(with("[]").unwrap().config.disks, []);
    let wrong = |value| with(value).unwrap_err().to_string();
    assert!(wrong("[phy:/dev/vda,xvda,w]").starts_with("on the command line: disk = [phy:/dev/vda,xvda,w]: no list of TOML"));
    assert!(wrong("['phy:/dev/vda']").starts_with("on the command line: disk `/dev/vda` has no device name"));
}

#[test]
fn mistakes_are_explained_in_a_line() {
    for (disk, said) in [
        ("", "has no target; give one, such as /dev/vda"),
        ("phy:/dev/vda", "`/dev/vda` has no device name for the guest (vdev); give one, such as xvda"),
        ("phz:/dev/vda,xvda,w", "`phz:` is not known; did you mean `phy:`?"),
        ("nbdkit:/dev/vda,xvda,w", "give phy: for a device"),
        ("qcow:/images/a,xvda,w", "did you mean `qcow2:`?"),
        ("/images/a,vhd,xvda,w", "qemu-img convert"),
        ("/images/a,qcw2,xvda,w", "format `qcw2` is not known; did you mean `qcow2`? give one of raw, qcow2"),
        ("/dev/vda,raw,xvda,rx", "access `rx` is not known; did you mean"),
        ("/dev/vda,raw,xvda,w!", "has one user here"),
        ("/dev/vda,raw,xvda,w,more", "`more` is one word too many"),
        ("/dev/vda,raw,vda,w", "vdev `vda` is no virtual device"),
        ("/dev/vda,raw,xvda0,w", "no virtual device"),
        ("/dev/vda,raw,xvda+1,w", "no virtual device"),
        ("/dev/vda,raw,sdq,w", "beyond what has a number"),
        ("/dev/vda,raw,hde,w", "beyond"),
        ("/dev/vda,raw,d1048576p0,w", "beyond"),
        ("/dev/vda,raw,4294967295,w", "no virtual device"),
        ("images/a,raw,xvda,w", "give the whole path"),
        ("/dev/vda,raw,xvda,w,acess=r", "has an unknown key `acess`; did you mean `access`?"),
        ("/dev/vda,raw,xvda,w,zzzzzzzz=r", "the keys are target, format"),
        ("/dev/vda,raw,xvda,w,format=raw", "gives `format` twice"),
        ("/dev/vda,raw,xvda,w,cdrom", "is a CD-ROM and writable"),
        ("/dev/vda,raw,xvda,w,script=x", "no scripts are run"),
        ("/dev/vda,raw,xvda,w,backend=driver", "served by Dom0"),
        ("/dev/vda,raw,xvda,w,backendtype=pyh", "did you mean `phy`?"),
    ] {
        let text = DiskSpec::parse(disk).unwrap_err();
        assert!(text.contains(said) && !text.contains('\n'), "{disk}: {text}");
    }
    let line = |lines| parse(&file(lines), &[]).unwrap_err().to_string();
    assert!(
        line("disk = [\n 'phy:/dev/vda,xvda,w',\n 'phy:/dev/vdb,xvda,w' ]")
            .starts_with("line 6: disk `xvda` is given twice (`xvda` is /dev/vda)")
    );
    assert!(line("disk = ['phy:/dev/vda,xvda,w', 'phy:/dev/vdb,xvda1,w']").contains("`xvda1` and another are the same"));
    assert!(line("[[disk]]\ntarget = '/dev/vda'\n\n[[disk]]\ntarget = 5").starts_with("line 4: disk `/dev/vda` has no device name"));
    assert!(line("[[disk]]\ntarget = 5").contains("target = 5: give text in quotes"));
    assert!(line("[[disk]]\nread_only = 'yes'").contains("give true or false"));
    assert!(line("[[disk]]\nredonly = true").contains("did you mean `read_only`?"));
    assert!(line("disk = [5]").contains("disk 5: give text in quotes"));
    assert!(line(&format!("disk = [{}]", "'x',".repeat(65))).contains("can have 64"));
}

/// Numbers from xen-vbd-interface(7).
#[test]
fn numbers_are_those_of_xen() {
    for (name, number, shown) in [
        ("xvda", 51712, "xvda"),
        ("xvda1", 51713, "xvda1"),
        ("xvdb", 51728, "xvdb"),
        ("xvdp15", 202 << 8 | 15 << 4 | 15, "xvdp15"),
        ("d0p0", 51712, "xvda"),
        ("d536p37", (1 << 28) | 536 << 8 | 37, "xvdtq37"),
        ("xvdtq37", (1 << 28) | 536 << 8 | 37, "xvdtq37"),
        ("xvdq", (1 << 28) | 16 << 8, "xvdq"),
        ("xvda16", (1 << 28) | 16, "xvda16"),
        ("sda", 2048, "sda"),
        ("sda2", 2050, "sda2"),
        ("hda", 768, "hda"),
        ("hdb", 832, "hdb"),
        ("hdc1", 22 << 8 | 1, "hdc1"),
        ("51712", 51712, "xvda"),
        ("0xca00", 51712, "xvda"),
        ("0145000", 51712, "xvda"),
        ("1", 1, "1"),
    ] {
        let vdev = Vdev::parse(name).unwrap();
        assert_eq!((vdev.number, vdev.name.as_str()), (number, shown), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "((phy|raw|qcow2|tap|target|vdev|format|access)[:=,]|/dev/vda|xvd[a-z]{1,8}[0-9]{0,3}|[dshp][0-9a-z]{1,9}|,|[ -~]{0,5}){0,8}") {
        let _ = DiskSpec::parse(&text);
    }

    #[test]
    fn what_is_written_is_read_again(target in "/[ -~]{1,30}", qcow2: bool, number in 0u32..1 << 29, read_only: bool, discard: Option<bool>) {
        let format = if qcow2 { Format::Qcow2 } else { Format::Raw };
        let vdev = Vdev::from_number(number).unwrap();
        let disk = DiskSpec { target, format, vdev, read_only, cdrom: false, discard };
        prop_assert_eq!(DiskSpec::parse(&disk.text()), Ok(disk));
    }

    #[test]
    fn names_and_numbers_agree(number in 0u32..1 << 29) {
        let vdev = Vdev::from_number(number).unwrap();
        // The extended form of a device that has a short one is another number.
        let again = Vdev::parse(&vdev.name).unwrap();
        prop_assert!(again.name == vdev.name && again.collides(&vdev));
    }
}

//! Configurations, right and wrong.

use super::*;
use alloc::{format, string::ToString};
use proptest::prelude::*;

const LINUX: &str = r#"
# A stock kernel.
name = "linux"
kernel = "/guests/vmlinuz"
ramdisk = '/guests/initrd'
extra = "console=hvc0"
memory = 256
vcpus = "2"
on_crash = "preserve"
"#;

fn error(text: &str) -> String {
    parse(text, &[]).unwrap_err().to_string()
}

fn with(line: &str) -> String {
    format!("name = \"n\"\nkernel = \"/k\"\nmemory = 8\n{line}\n")
}

#[test]
fn a_file_of_xl_is_understood() {
    let parsed = parse(LINUX, &[]).unwrap();
    let config = parsed.config;
    assert_eq!((config.name.as_str(), config.kernel.as_str()), ("linux", "/guests/vmlinuz"));
    assert_eq!((config.memory_mib, config.maxmem_mib, config.vcpus, config.maxvcpus), (256, 256, 2, 2));
    assert_eq!(config.cmdline, "console=hvc0");
    assert_eq!((config.on_crash, config.on_reboot, config.on_poweroff), (Action::Preserve, Action::Restart, Action::Destroy));
    assert_eq!((config.max_event_channels, config.max_grant_frames, config.cpu_weight), (1023, 64, 256));
    assert!(parsed.warnings.is_empty());
}

#[test]
fn the_command_line_wins() {
    let overrides = [("memory".into(), "512".into()), ("name".into(), "other".into())];
    let config = parse(LINUX, &overrides).unwrap().config;
    assert_eq!((config.memory_mib, config.name.as_str()), (512, "other"));
    let wrong = parse(LINUX, &[("memory".into(), "much".into())]).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "on the command line: memory = \"much\": give a whole number of MiB from 1 to 16777216, such as memory = 1"
    );
}

#[test]
fn cmdline_or_root_and_extra() {
    assert_eq!(parse(&with("root = '/dev/xvda'\nextra = 'ro'"), &[]).unwrap().config.cmdline, "root=/dev/xvda ro");
    assert_eq!(parse(&with("cmdline = 'x y'"), &[]).unwrap().config.cmdline, "x y");
    assert!(error(&with("cmdline = 'x'\nextra = 'y'")).contains("keep either"));
    assert!(error(&with(&format!("cmdline = '{}'", "x".repeat(1024)))).contains("1023"));
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(error(&with("memry = 1")), "line 4: unknown key `memry`; did you mean `memory`?");
    assert!(error(&with("zzzzzz = 1")).contains("unknown key `zzzzzz`; the keys are those of xl.cfg"));
    assert!(error("[domain]\nname = 'x'").contains("unknown key `domain`"));
}

#[test]
fn known_keys_that_are_not_honoured() {
    let parsed = parse(&with("vnc = 1\ncpus = 'all'"), &[]).unwrap();
    let texts = parsed.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts, ["line 5: `cpus` has no effect here and is ignored", "line 4: `vnc` has no effect here and is ignored"]);
    assert!(error(&with("bootloader = 'pygrub'")).starts_with("line 4: `bootloader` is not supported: boot loaders are not run"));
    assert!(error(&with("vif = ['bridge=br0']")).contains("network"));
    assert!(parse(&with("disk = []\nvif = [ ]\npci = []\nusb = 0\nbootloader = ''"), &[]).unwrap().warnings.is_empty());
}

#[test]
fn wrong_types_and_ranges() {
    for (line, said) in [
        ("vcpus = 0", "vcpus = 0: give a whole number from 1 to 32"),
        ("vcpus = 33", "from 1 to 32"),
        ("vcpus = true", "vcpus = true: give a whole number"),
        ("vcpus = 1.5", "vcpus = a number with a fraction"),
        ("vcpus = 99999999999999999999", "vcpus = 99999999999999999999: give"),
        ("maxmem = 4", "maxmem = 4 is less than memory = 8"),
        ("vcpus = 2\nmaxvcpus = 1", "line 5: maxvcpus = 1 is less than vcpus = 2"),
        ("ramdisk = 5", "ramdisk = 5: give text in quotes"),
        ("on_crash = 'explode'", "give one of destroy, restart, preserve"),
        ("uuid = 'x'", "32 hexadecimal digits"),
        ("type = 'hvm'", "only \"pv\" exists here"),
        ("builder = 'hvm'", "type = \"pv\""),
        ("cmdline = \"a\\u0000b\"", "NUL"),
    ] {
        let text = error(&with(line));
        assert!(text.contains(said), "{line}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
    assert!(error("kernel = 'k'\nmemory = 1").contains("`name` is missing; add a line such as name = \"linux\""));
    assert!(error("name = 'a'\nmemory = 1").contains("`kernel` is missing"));
    assert!(error("name = 'a'\nkernel = 'k'").contains("`memory` is missing"));
    assert!(error("name = '007'\nkernel = 'k'\nmemory = 1").contains("only digits"));
    assert_eq!(parse(&with("vcpus = 0x2"), &[]).unwrap().config.vcpus, 2);
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let text = error("name = \"a\"\nextra += \"b\"\n");
    assert!(text.starts_with("line 2: not TOML at `extra += \"b\"`") && text.contains("xl's `+=`"), "{text}");
    assert!(error("name = \"a\"; memory = 1").contains("xl's `+=` and `;`"));
    assert!(error("name = 'a'\nname = 'b'").contains("duplicate"));
    assert!(error(&"x".repeat(70_000)).contains("another kind of file"));
    assert!(parse(&format!("name = {}", "[".repeat(5000)), &[]).is_err(), "nesting is bounded");
}

#[test]
fn no_key_has_two_fates() {
    let all: Vec<_> = keys::all().collect();
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(all.len(), once.len());
    assert!(all.iter().all(|key| keys::handling(key).is_some()));
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(lines in prop::collection::vec("((name|kernel|memory|vcpus|disk|x)( = |=)(\"a\"|[0-9]{1,25}|true|\\[|'')?|[ -~]{0,20})", 0..10)) {
        let _ = parse(&lines.join("\n"), &[]);
    }

    #[test]
    fn no_override_breaks_the_parser(key in "[a-z_]{0,10}", value in "\\PC{0,20}") {
        let _ = parse(LINUX, &[(key, value)]);
    }
}

//! The grammar, by example.

use super::*;
use alloc::{borrow::ToOwned, string::ToString, vec};
use proptest::prelude::*;

fn run(line: &str) -> Command {
    match parse(line) {
        Ok(Some(Invocation::Run(command))) => command,
        other => panic!("{line}: {other:?}"),
    }
}

fn dom(line: &str) -> Dom {
    match run(line) {
        Command::Dom(dom) => dom,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

fn name(text: &str) -> DomainRef {
    DomainRef::Name(text.into())
}

#[test]
fn the_session_of_the_manual_parses() {
    assert_eq!(dom("dom list"), Dom::List { json: false });
    let file = "/guests/linux.toml".to_owned();
    assert_eq!(
        dom("dom create -c /guests/linux.toml"),
        Dom::Create { console: true, paused: false, file: file.clone(), overrides: vec![] }
    );
    assert_eq!(
        dom("dom create -cp /guests/linux.toml memory=512 'cmdline=a b=c'"),
        Dom::Create {
            console: true,
            paused: true,
            file,
            overrides: vec![("memory".into(), "512".into()), ("cmdline".into(), "a b=c".into())]
        }
    );
    assert_eq!(dom("dom destroy linux"), Dom::Destroy(name("linux")));
    assert_eq!(dom("dom pause 3"), Dom::Pause(DomainRef::Id(3)));
    assert_eq!(run("poweroff"), Command::Poweroff);
    assert_eq!(parse("   "), Ok(None));
}

#[test]
fn console_serves_scripts() {
    assert_eq!(
        dom("dom console linux --send 'echo $((6*7))' --send \"exit\" --until=42 --timeout 10"),
        Dom::Console {
            domain: name("linux"),
            send: vec!["echo $((6*7))".into(), "exit".into()],
            until: Some("42".into()),
            timeout: Some(10)
        }
    );
    assert!(error("dom console linux --timeout 10").contains("without --until"));
    assert!(error("dom console linux --until").contains("--until TEXT"));
    assert!(error("dom console linux --until a --until b").contains("twice"));
    assert!(error("dom console linux --until a --timeout soon").contains("whole seconds"));
}

#[test]
fn quoting_is_posix_and_nothing_is_expanded() {
    assert_eq!(
        run(r#"echo 'a  $b' "c\"d" e\ f"#),
        Command::Echo { no_newline: false, words: vec!["a  $b".into(), "c\"d".into(), "e f".into()] }
    );
    assert!(error("echo 'open").contains("quote is not closed"));
}

#[test]
fn mistakes_are_explained() {
    assert!(error("dom crate x").contains("did you mean `dom create`?"));
    assert!(error("dmoesg").contains("did you mean `dmesg`?"));
    assert!(error("frobnicate").contains("`help` lists all commands"));
    assert_eq!(error("dom destroy"), "DOMAIN is missing: the domain's name or number\nusage: dom destroy DOMAIN");
    assert!(error("dom destroy a b").contains("`b` is one argument too many"));
    assert!(error("dom create").contains("usage: dom create [-c] [-p] FILE [KEY=VALUE]..."));
    assert!(error("dom create f memory").contains("KEY=VALUE"));
    assert!(error("dom list --jsno").contains("did you mean --json?"));
    assert!(error("dom list --json=yes").contains("takes no value"));
    assert!(error("dom pause 40000").contains("no domain number"));
    assert!(error("dom pause ''").contains("empty"));
}

#[test]
fn help_is_everywhere() {
    let Ok(Some(Invocation::Help(text))) = parse("dom create --help") else { panic!() };
    assert!(text.starts_with("dom create: create a domain"));
    assert!(text.contains("-c, --console") && text.contains("example: dom create -c /guests/linux.toml"));
    assert_eq!(parse("help dom create"), parse("dom create --help"));
    assert_eq!(parse("dom help create"), parse("dom create --help"));
    for line in ["help", "dom", "dom help", "dom --help", "dom xenstore", "help dom"] {
        assert!(matches!(parse(line), Ok(Some(Invocation::Help(_)))), "{line}");
    }
    assert!(error("help frob").contains("no such command"));
}

/// All rows, with what stands before their names.
fn rows(table: &'static [Spec], prefix: &str) -> Vec<(String, &'static Spec)> {
    let below = table.iter().flat_map(|s| rows(s.subcommands, &alloc::format!("{prefix}{} ", s.name)));
    table.iter().map(|s| (prefix.to_string(), s)).chain(below).collect()
}

#[test]
fn every_row_is_complete_and_its_example_works() {
    for (prefix, spec) in rows(SHELL, "") {
        let full = alloc::format!("{prefix}{}", spec.name);
        assert!(!spec.about.is_empty() && !spec.about.contains('\n'), "{full}");
        assert!(spec.example.starts_with(&full), "{full}: the example shows another command");
        assert!(matches!(parse(spec.example), Ok(Some(_))), "{full}: the example does not parse");
        assert!(matches!(parse(&alloc::format!("{full} --help")), Ok(Some(Invocation::Help(_)))), "{full}");
        assert!(spec.options.iter().all(|o| o.long.starts_with("--")), "{full}");
        let several = spec.arguments.iter().rev().skip(1).filter(|a| a.repeated).count();
        assert_eq!(several, 0, "{full}: only the last argument may be repeated");
    }
}

#[test]
fn rows_are_sorted() {
    for table in [SHELL, DOM, XENSTORE, DISK] {
        assert!(table.is_sorted_by_key(|s| s.name));
    }
}

#[test]
fn completion_knows_where_it_is() {
    assert_eq!(complete("dom cr"), ["create"]);
    assert_eq!(complete("dom list --"), ["--json"]);
    assert_eq!(complete("dm"), ["dmesg"]);
    assert!(complete("dom xenstore ").contains(&"write"));
}

proptest! {
    #[test]
    fn no_line_breaks_the_parser(line in "(dom |help |console |create |-c |--until |'|\"|[ -~]{0,6}){0,8}") {
        let _ = parse(&line);
        let _ = complete(&line);
    }
}

#[test]
fn disks_at_run_time() {
    use crate::blkback::faults::Faults;
    use crate::config::{DiskSpec, Vdev};
    let disk = DiskSpec::parse("phy:/dev/vdb,xvdb,w").unwrap();
    assert_eq!(dom("dom block-attach linux phy:/dev/vdb,xvdb,w"), Dom::Block(Block::Attach { domain: name("linux"), disk }));
    assert_eq!(dom("dom block-list 3 --json"), Dom::Block(Block::List { domain: DomainRef::Id(3), json: true }));
    let vdev = Vdev::parse("xvdb").unwrap();
    assert_eq!(
        dom("dom block-detach linux 51728 --force"),
        Dom::Block(Block::Detach { domain: name("linux"), vdev: vdev.clone(), force: true })
    );
    let faults = Faults { errors: 100, short: 0, delay_ms: 20 };
    assert_eq!(
        dom("dom block-faults linux xvdb --errors 100 --delay 20"),
        Dom::Block(Block::Faults { domain: name("linux"), vdev, faults })
    );
    assert!(error("dom block-attach linux /dev/vdb").starts_with("disk "), "{}", error("dom block-attach linux /dev/vdb"));
    assert!(error("dom block-detach linux xvd").contains("xvda"));
    assert!(error("dom block-faults linux xvda --errors 0").contains("from 1"));
    assert!(error("dom block-faults linux xvda --delay 300001").contains("to 300000"));
}

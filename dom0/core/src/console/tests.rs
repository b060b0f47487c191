//! Consoles, by example and by property.

use super::*;
use alloc::{format, string::ToString, vec::Vec};
use proptest::prelude::*;

fn follow(follower: &mut Follower, console: &Console) -> (String, bool) {
    let mut text = Vec::new();
    loop {
        let seen = follower.look(console);
        text.extend_from_slice(&seen.bytes);
        if seen.found || seen.bytes.is_empty() {
            return (String::from_utf8(text).unwrap(), seen.found);
        }
    }
}

#[test]
fn the_newest_output_is_kept() {
    let mut console = Console::default();
    for n in 0..20_000 {
        console.print(format!("line {n}\n").as_bytes());
    }
    assert_eq!(console.output.len(), SCROLLBACK);
    assert!(console.output.capacity() <= 2 * SCROLLBACK);
    assert!(console.read(0, usize::MAX).ends_with(b"line 19999\n"));
    assert_eq!(console.end() - console.start(), SCROLLBACK as u64);
    console.print(&alloc::vec![b'x'; 3 * SCROLLBACK]);
    assert_eq!(console.read(0, usize::MAX), alloc::vec![b'x'; SCROLLBACK]);
}

#[test]
fn until_searches_from_the_first_byte_or_from_now() {
    let mut console = Console::default();
    console.print(b"boot 42 done\n");
    assert_eq!(follow(&mut Follower::from_first("42"), &console), ("boot 42".into(), true));
    let mut now = Follower::from_now(&console, "42");
    assert_eq!(follow(&mut now, &console), ("".into(), false));
    console.print(b"answer: 4");
    assert_eq!(follow(&mut now, &console), ("answer: 4".into(), false), "what comes is shown at once");
    console.print(b"2!");
    assert_eq!(follow(&mut now, &console), ("2".into(), true));
}

#[test]
fn lost_output_is_told() {
    let mut console = Console::default();
    let mut follower = Follower::from_first("end");
    console.print(&alloc::vec![b'.'; SCROLLBACK + 10]);
    assert_eq!(follower.look(&console).lost, 10);
    console.print(b"end");
    assert!(follow(&mut follower, &console).1);
}

#[test]
fn input_waits_in_order_and_is_bounded() {
    let mut console = Console::default();
    console.queue_input(b"one\n").unwrap();
    console.queue_input(b"two\n").unwrap();
    console.input_taken(2);
    let (first, second) = console.input();
    assert_eq!([first, second].concat(), b"e\ntwo\n");
    assert_eq!(console.queue_input(&[0; INPUT_MAX]), Err(InputFull));
    console.input_taken(usize::MAX);
    console.queue_input(&[0; INPUT_MAX]).unwrap();
    assert!(InputFull.to_string().contains("dom list"));
}

#[test]
fn a_console_outlives_its_domain_until_the_name_is_used_again() {
    let mut consoles = Consoles::default();
    consoles.open("a").print(b"last words");
    consoles.get_mut("a").unwrap().queue_input(b"unread").unwrap();
    consoles.close("a");
    assert!(consoles.has_ended("a"));
    assert_eq!(consoles.get("a").unwrap().read(0, 100), b"last words");
    assert_eq!(consoles.get("a").unwrap().input().0, b"");
    consoles.open("a");
    assert_eq!(consoles.get("a").unwrap().end(), 0);
    assert!(!consoles.has_ended("a"));
    for n in 0..2 * ENDED_MAX {
        consoles.open(&format!("d{n}"));
        consoles.close(&format!("d{n}"));
    }
    assert_eq!(consoles.by_name.len(), ENDED_MAX + 1);
    assert!(consoles.get("a").is_some(), "a runs and stays");
}

proptest! {
    #[test]
    fn a_text_is_found_however_the_output_is_cut(before in "[ab]{0,40}", cuts in prop::collection::vec(1usize..7, 1..40)) {
        let whole = format!("{before}aab{before}");
        let expected = whole.find("aab").unwrap() + 3;
        let (mut console, mut follower, mut shown) = (Console::default(), Follower::from_first("aab"), String::new());
        let (mut rest, mut found) = (whole.as_bytes(), false);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            console.print(now);
            rest = later;
            let (text, hit) = follow(&mut follower, &console);
            shown.push_str(&text);
            found = hit;
            if hit || rest.is_empty() { break }
        }
        prop_assert!(found);
        prop_assert_eq!(shown, &whole[..expected]);
    }
}

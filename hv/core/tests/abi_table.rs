//! The ABI table in the documentation says what this code does: every hypercall and sub-operation is tried, those that the table names and
//! those that it does not.
//!
//! The table is `docs/abi.md`. A heading `### 29 sched_op` opens a hypercall; a row's first cell is the number of a sub-operation, `-` for a
//! hypercall that has none, or `other` for all numbers that are not named; its third is `full`, `partial` or `refused: -ERROR`. Below the
//! heading `### Refused` the numbers are those of hypercalls. That a `full` row names a test that exists is checked by xtask.

use std::collections::BTreeMap;

use abi::control::VERSION;
use abi::errno::Errno;
use abi::mmu::MmuextOp;
use domus_hv_core::call::Outcome;
use domus_hv_core::fake::kit::Kit;
use domus_hv_core::fake::machine::{FakeMachine, WINDOW};
use domus_hv_core::hypercalls::{Handler, Table, control};
use zerocopy::IntoBytes;

const TEXT: &str = include_str!("../../../docs/abi.md");

/// The domain that asks.
const DOMAIN: u16 = 1;
/// Where it has zeros for a structure.
const STRUCTURE: u64 = WINDOW + 0x1000;

/// What the table promises of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Works,
    Refused(Errno),
}

/// One hypercall as documented.
#[derive(Debug, Default)]
struct Documented {
    name: String,
    /// Of a hypercall without sub-operations.
    alone: Option<Promise>,
    operations: BTreeMap<u64, Promise>,
    others: Option<Promise>,
}

/// The table: hypercalls with a section of their own, and the numbers of those that are refused as a whole.
fn table() -> (BTreeMap<u64, Documented>, BTreeMap<u64, Promise>) {
    let (mut calls, mut refused) = (BTreeMap::new(), BTreeMap::new());
    let mut section = None;
    for line in TEXT.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let words: Vec<&str> = heading.split_whitespace().collect();
            section = words[0].parse::<u64>().ok();
            if let Some(number) = section {
                let documented = Documented { name: words[1].to_owned(), ..Documented::default() };
                assert!(calls.insert(number, documented).is_none(), "{heading} stands there twice");
            }
        } else if let Some((key, promise)) = row(line) {
            match section.and_then(|number| calls.get_mut(&number)) {
                Some(call) => enter(call, key, promise),
                None => assert!(refused.insert(key.parse().expect(line), promise).is_none(), "twice: {line}"),
            }
        }
    }
    (calls, refused)
}

fn enter(call: &mut Documented, key: &str, promise: Promise) {
    let before = match key {
        "-" => call.alone.replace(promise),
        "other" => call.others.replace(promise),
        number => call.operations.insert(number.parse().expect("a number, - or other"), promise),
    };
    assert_eq!(before, None, "{} has the row {key} twice", call.name);
}

/// The first and third cell of a row that makes a promise.
fn row(line: &str) -> Option<(&str, Promise)> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let promise = match cells.get(2)?.split_once(": -") {
        None if ["full", "partial"].contains(&cells[2]) => Promise::Works,
        Some(("refused", error)) => Promise::Refused(Errno::from_name(error).unwrap_or_else(|| panic!("no error: {line}"))),
        _ => return None,
    };
    Some((cells[0], promise))
}

/// What a hypercall says to a new domain that hands it zeros. The first word at [`WINDOW`] is the number of an operation, where `mmuext_op` and `mmu_update` look for it.
fn ask(handler: Handler<FakeMachine>, args: [u64; 5], command: u32, privileged: bool) -> Outcome {
    let mut kit = Kit::new(64);
    kit.guest(DOMAIN, 16, 16);
    if privileged {
        kit.privilege(DOMAIN);
    }
    kit.hv.machine.put(0, MmuextOp { cmd: command, _pad: 0, arg1: 0, arg2: STRUCTURE }.as_bytes());
    kit.once(DOMAIN, handler, args)
}

/// The arguments that choose a sub-operation: where a call takes its number from, and otherwise harmless.
fn arguments(name: &str, operation: u64) -> [u64; 5] {
    const ONE: u64 = 1;
    const SELF: u64 = abi::domid::SELF as u64;
    match name {
        "event_channel_op_compat" | "physdev_op_compat" => [WINDOW, 0, 0, 0, 0],
        "mmuext_op" | "mmu_update" => [WINDOW, ONE, 0, SELF, 0],
        "vcpu_op" => [operation, 0, STRUCTURE, 0, 0],
        "vm_assist" => [abi::vm_assist::CMD_ENABLE.into(), operation, 0, 0, 0],
        "console_io" => [operation, ONE, STRUCTURE, 0, 0],
        "grant_table_op" => [operation, STRUCTURE, ONE, 0, 0],
        "control" => [operation, VERSION.into(), STRUCTURE, 0, 0],
        _ => [operation, STRUCTURE, 0, 0, 0],
    }
}

/// The numbers that are tried: all that can be named, where they are few.
fn numbers(name: &str) -> Vec<u64> {
    match name {
        // Three bits of an address.
        "mmu_update" => (0..8).collect(),
        // A continuation is kept above these six bits.
        "memory_op" => (0..64).collect(),
        // More than 12 bits are an error of another kind.
        "grant_table_op" => (0..64).chain([0xfff]).collect(),
        _ => (0..64).chain([0x1000, 0xffff_ffff]).collect(),
    }
}

fn keeps(promise: Promise, outcome: Outcome) -> bool {
    match promise {
        Promise::Works => outcome != Outcome::from(Errno::NOSYS),
        Promise::Refused(error) => outcome == Outcome::from(error),
    }
}

#[test]
fn the_table_names_the_hypercalls_that_there_are() {
    let (calls, _) = table();
    let documented: Vec<(u64, &str)> = calls.iter().map(|(&number, call)| (number, call.name.as_str())).collect();
    let mut there: Vec<(u64, &str)> = Table::<FakeMachine>::ROWS.iter().map(|row| (row.number, row.name)).collect();
    there.sort_unstable();
    assert_eq!(documented, there);
}

#[test]
fn every_number_without_a_handler_is_refused_and_named() {
    let (calls, refused) = table();
    for number in 0..abi::hypercall::COUNT as u64 {
        let named = abi::hypercall::name(number).is_some();
        assert_eq!(named, calls.contains_key(&number) || refused.contains_key(&number), "hypercall {number}");
    }
    for (&number, &promise) in &refused {
        assert_eq!(promise, Promise::Refused(Errno::NOSYS), "hypercall {number}: what has no handler gives -ENOSYS");
        assert!(!Table::<FakeMachine>::ROWS.iter().any(|row| row.number == number), "hypercall {number} has a handler");
    }
}

#[test]
fn every_operation_answers_as_the_table_says() {
    let (calls, _) = table();
    let mut wrong = Vec::new();
    for row in Table::<FakeMachine>::ROWS {
        let Some(call) = calls.get(&row.number) else {
            continue;
        };
        if let Some(promise) = call.alone {
            assert!(call.operations.is_empty() && call.others.is_none(), "{} has operations or has none", call.name);
            let outcome = ask(row.handler, [0; 5], 0, false);
            if !keeps(promise, outcome) {
                wrong.push(format!("{}: {promise:?}, but {outcome:?}", row.name));
            }
            continue;
        }
        let privileged = row.number == abi::hypercall::CONTROL;
        for operation in numbers(row.name) {
            let promise = call.operations.get(&operation).copied().or(call.others);
            let promise = promise.unwrap_or_else(|| panic!("{} {operation}: the row `other` is missing", call.name));
            let outcome = ask(row.handler, arguments(row.name, operation), operation as u32, privileged);
            if !keeps(promise, outcome) {
                wrong.push(format!("{} {operation}: {promise:?}, but {outcome:?}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_ordinary_domain_may_not_control() {
    for operation in (0..64).chain([0xffff_ffff]) {
        for version in [VERSION, VERSION + 1, 0] {
            let outcome = ask(control::handler, [operation, version.into(), STRUCTURE, 0, 0], 0, false);
            assert_eq!(outcome, Outcome::from(Errno::PERM), "operation {operation}");
        }
    }
}

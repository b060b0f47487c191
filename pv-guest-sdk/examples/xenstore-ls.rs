//! Prints the xenstore tree below `path=` of the command line, or else below this domain's own node.
#![no_std]
#![no_main]

use pv_guest_sdk::xenstore::{self, Transaction};
use pv_guest_sdk::{BootInfo, console, entry, events, println};

entry!(main);

fn main(info: &'static BootInfo) {
    if !xenstore::available() {
        println!("no xenstore here");
        return;
    }
    let own = events::own_domid().expect("our identifier");
    let mut home = [0; 32];
    let home = console::format(&mut home, format_args!("/local/domain/{own}"));
    let root = info.argument("path").unwrap_or(home);
    println!("{root}");
    show(root, 1);
    println!("xenstore-ls: done");
}

/// Prints the children of a node, and theirs, each a step further to the right. Eight levels are as deep as the stack is good for.
fn show(path: &str, depth: usize) {
    let mut names = [0; 2048];
    let names = match xenstore::directory(Transaction::NONE, path, &mut names) {
        Ok(names) => names,
        Err(error) => return println!("{:1$}({error})", "", depth),
    };
    for name in names {
        let (mut child, mut value) = ([0; 512], [0; 512]);
        let slash = if path == "/" { "" } else { "/" };
        let child = console::format(&mut child, format_args!("{path}{slash}{name}"));
        match xenstore::read(Transaction::NONE, child, &mut value) {
            Ok(value) => println!("{:1$}{name} = \"{value}\"", "", depth),
            Err(error) => println!("{:1$}{name} ({error})", "", depth),
        }
        if depth < 8 {
            show(child, depth + 1);
        }
    }
}

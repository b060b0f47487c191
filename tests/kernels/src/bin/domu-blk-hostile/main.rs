//! Abuses a block back end in every way that the protocol has: each bad request gets an error for an answer, each bad ring or state costs the
//! connection at most, and a proper connection works after all of it. `mode=requests` and `mode=states` do one half of it. With `mode=die` it crashes while requests are open: then the session looks whether
//! anything of it is left.
#![no_std]
#![no_main]

extern crate alloc;

mod raw;
mod requests;
mod states;

use domus_test_kernels::report;
use pv_guest_sdk::{BootInfo, entry, println, shutdown};

entry!(main);

fn main(info: &'static BootInfo) {
    match info.argument("mode") {
        Some("die") => die(),
        Some("requests") => report::run(&[requests::CHECKS, states::RINGS]),
        Some("states") => report::run(&[states::STATES]),
        _ => report::run(&[requests::CHECKS, states::RINGS, states::STATES]),
    }
}

fn die() {
    match raw::Raw::open() {
        Ok(mut raw) => {
            for _ in 0..32 {
                let request = raw.read();
                if raw.send(request).is_err() {
                    println!("domus-test: failure: a request was not sent");
                }
            }
            println!("dying with 32 requests open");
            shutdown::crash();
        }
        Err(error) => println!("domus-test: failure: cannot connect: {error}"),
    }
}

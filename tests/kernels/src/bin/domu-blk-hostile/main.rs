//! Abuses a block back end in every way that the protocol has: each bad request gets an error for an answer, each bad ring or state costs the
//! connection at most, and a proper connection works after all of it. `mode=requests` and `mode=states` do one half of it. With `mode=die` it crashes while requests are open, with `mode=fill` it
//! sends requests for ever and never looks whether the disk is still there: the session looks what becomes of it.
#![no_std]
#![no_main]

extern crate alloc;

mod raw;
mod requests;
mod states;

use domus_test_kernels::report;
use pv_guest_sdk::{BootInfo, entry, events, println, shutdown};

entry!(main);

fn main(info: &'static BootInfo) {
    match info.argument("mode") {
        Some("die") => die(),
        Some("fill") => fill(),
        Some("requests") => report::run(&[requests::CHECKS, states::RINGS]),
        Some("states") => report::run(&[states::STATES]),
        _ => report::run(&[requests::CHECKS, states::RINGS, states::STATES]),
    }
}

fn fill() {
    match raw::Raw::open() {
        Ok(mut raw) => {
            let mut answers = 0u64;
            loop {
                while let Ok(Some(_)) = raw.ring.pop() {
                    answers += 1;
                    if answers == 1000 {
                        println!("filling the ring");
                    }
                }
                while raw.send(raw.read()).is_ok() {}
                events::yield_now();
            }
        }
        Err(error) => println!("domus-test: failure: cannot connect: {error}"),
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

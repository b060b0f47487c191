//! The terminal: bytes typed at the console, and text printed on it. One task reads at a time.

use alloc::collections::VecDeque;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::waitqueue::GenericAtomicWaker;
use pv_guest_sdk::console;
use pv_guest_sdk::sync::IrqMutex;

/// Typed bytes that nobody has read yet; more are dropped.
const MOST: usize = 4096;
/// Ctrl-C.
const INTERRUPT: u8 = 3;

static TYPED: IrqMutex<VecDeque<u8>> = IrqMutex::new(VecDeque::new());
static READER: GenericAtomicWaker<CriticalSectionRawMutex> = GenericAtomicWaker::new(blocking());

const fn blocking() -> embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex {
    CriticalSectionRawMutex::new()
}

/// Takes the console's input event.
pub fn init() {
    let bound = console::on_input(|_| receive());
    if let Err(error) = bound {
        pv_guest_sdk::println!("dom0: no console input: {error}");
    }
    receive();
}

/// Runs as an event handler.
fn receive() {
    let mut chunk = [0; 64];
    loop {
        let count = console::read(&mut chunk);
        if count == 0 {
            break;
        }
        let mut typed = TYPED.lock();
        for &byte in &chunk[..count] {
            if typed.len() < MOST {
                typed.push_back(byte);
            }
        }
    }
    READER.wake();
}

/// Waits for typed bytes and takes them; at least one.
pub async fn read(into: &mut [u8]) -> usize {
    poll_fn(|context| {
        READER.register(context.waker());
        match take(into) {
            0 => Poll::Pending,
            count => Poll::Ready(count),
        }
    })
    .await
}

/// Takes typed bytes, if there are any.
pub fn take(into: &mut [u8]) -> usize {
    let mut typed = TYPED.lock();
    let count = typed.len().min(into.len());
    for (to, from) in into.iter_mut().zip(typed.drain(..count)) {
        *to = from;
    }
    count
}

/// Waits until Ctrl-C is typed, and takes what was typed up to there. What else was typed ahead stays.
pub async fn interrupted() {
    poll_fn(|context| {
        READER.register(context.waker());
        let mut typed = TYPED.lock();
        let Some(at) = typed.iter().position(|&byte| byte == INTERRUPT) else { return Poll::Pending };
        typed.drain(..=at);
        Poll::Ready(())
    })
    .await
}

/// Prints bytes as they are.
pub fn write_raw(bytes: &[u8]) {
    console::write(bytes);
}

/// Prints text; a line break becomes carriage return and line feed.
pub fn print(text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('\n') {
        let line = &rest[..at];
        console::write(line.as_bytes());
        console::write(if line.ends_with('\r') { b"\n" } else { b"\r\n" });
        rest = &rest[at + 1..];
    }
    console::write(rest.as_bytes());
}

//! The terminal as the line editor sees it.
//!
//! The editor asks the terminal where its cursor is (`ESC [ 6 n`) and waits for the answer. Here the answer is picked out of what was
//! typed ahead, and a terminal that does not answer (a script, a log) is found out by a time-out, once.

use alloc::collections::VecDeque;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use crate::hal::timer;
use crate::terminal;

const QUESTION: &[u8] = b"\x1b[6n";
/// How long a terminal may take to answer, in nanoseconds.
const PATIENCE: u64 = 500_000_000;
/// More bytes than an answer has.
const LONGEST_ANSWER: usize = 16;

/// The terminal did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

impl embedded_io_async::Error for NoAnswer {
    fn kind(&self) -> ErrorKind {
        ErrorKind::TimedOut
    }
}

impl core::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the terminal does not answer")
    }
}

impl core::error::Error for NoAnswer {}

/// Typed bytes, in order.
#[derive(Default)]
pub struct Input {
    /// Typed and not read by the editor yet.
    ahead: VecDeque<u8>,
    /// The terminal's answer, not read by the editor yet.
    answer: VecDeque<u8>,
    asked: bool,
    answered_late: bool,
}

impl Input {
    /// The next byte that was typed.
    pub async fn byte(&mut self) -> u8 {
        if let Some(byte) = self.ahead.pop_front() {
            return byte;
        }
        let mut byte = [0];
        terminal::read(&mut byte).await;
        byte[0]
    }

    /// The terminal has answered after all.
    pub fn note_late_answer(&mut self) {
        self.answered_late = true;
    }

    /// Whether it has, since this was asked last.
    pub fn take_late_answer(&mut self) -> bool {
        core::mem::take(&mut self.answered_late)
    }

    /// Waits for the terminal's answer.
    async fn await_answer(&mut self) -> Result<(), NoAnswer> {
        let mut chunk = [0; 64];
        loop {
            if let Some((start, end)) = find_answer(self.ahead.make_contiguous()) {
                self.answer.extend(self.ahead.drain(start..end));
                return Ok(());
            }
            let count = within(PATIENCE, terminal::read(&mut chunk)).await.ok_or(NoAnswer)?;
            self.ahead.extend(&chunk[..count]);
        }
    }
}

/// The result of `work`, if it comes within `ns` nanoseconds.
async fn within<T>(ns: u64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut alarm = pin!(timer::sleep(ns));
    poll_fn(|context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        alarm.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Where `ESC [ row ; column R` stands in these bytes.
fn find_answer(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(2).position(|pair| pair == b"\x1b[") {
        let start = from + at;
        let body = &bytes[start + 2..];
        let digits = body.iter().take(LONGEST_ANSWER).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        if body.get(digits) == Some(&b'R') {
            return Some((start, start + 2 + digits + 1));
        }
        from = start + 2;
    }
    None
}

impl ErrorType for Input {
    type Error = NoAnswer;
}

impl Read for Input {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, NoAnswer> {
        let Some(slot) = into.first_mut() else { return Ok(0) };
        if core::mem::take(&mut self.asked) {
            self.await_answer().await?;
        }
        *slot = match self.answer.pop_front() {
            Some(byte) => byte,
            None => self.byte().await,
        };
        Ok(1)
    }
}

impl Write for Input {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NoAnswer> {
        self.asked |= bytes == QUESTION;
        terminal::write_raw(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), NoAnswer> {
        Ok(())
    }
}

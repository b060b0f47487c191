//! A line from a terminal that understands nothing: echo, backspace, Ctrl-C, Ctrl-U.

use alloc::string::String;
use alloc::vec::Vec;

use super::input::Input;
use crate::terminal;

/// A longer line is cut.
const LONGEST: usize = 4096;

/// Prompts and waits for a line.
pub async fn line(prompt: &str, input: &mut Input) -> String {
    let mut line = Vec::new();
    terminal::print(prompt);
    loop {
        match input.byte().await {
            b'\r' | b'\n' => {
                terminal::print("\n");
                return String::from_utf8_lossy(&line).into_owned();
            }
            3 => {
                terminal::print("^C\n");
                return String::new();
            }
            0x15 => {
                line.drain(..).for_each(|_| terminal::write_raw(b"\x08 \x08"));
            }
            8 | 0x7f if line.pop().is_some() => terminal::write_raw(b"\x08 \x08"),
            0x1b => escape(input).await,
            byte if (byte >= 32 || byte == b'\t') && line.len() < LONGEST => {
                line.push(byte);
                terminal::write_raw(&[byte]);
            }
            _ => {}
        }
    }
}

/// Takes what follows an ESC: a key that means nothing here, or the answer of a terminal that was slow to give it.
async fn escape(input: &mut Input) {
    if input.byte().await != b'[' {
        return;
    }
    loop {
        match input.byte().await {
            b'R' => return input.note_late_answer(),
            0x40..=0x7e => return,
            _ => {}
        }
    }
}

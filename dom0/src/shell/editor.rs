//! Reading a line: with editing and history where the terminal can do it, plainly where it cannot.

use alloc::string::String;

use noline::async_editor;
use noline::builder::EditorBuilder;
use noline::error::NolineError;
use noline::history::UnboundedHistory;
use noline::line_buffer::UnboundedBuffer;

use super::dumb;
use super::input::Input;
use crate::terminal;

type Noline = async_editor::Editor<UnboundedBuffer, UnboundedHistory>;

/// A source of lines.
pub struct Editor {
    input: Input,
    state: State,
}

enum State {
    /// The terminal was not asked yet.
    New,
    Editing(Noline),
    /// It did not answer in time.
    Plain,
}

impl Editor {
    /// Nothing is printed before the first line is asked for.
    pub fn new() -> Self {
        Editor { input: Input::default(), state: State::New }
    }

    /// Prompts and waits for a line. Ctrl-C gives an empty one.
    pub async fn line(&mut self, prompt: &str) -> String {
        if matches!(self.state, State::Plain) && self.input.take_late_answer() {
            self.state = State::New;
        }
        if matches!(self.state, State::New) {
            let made = EditorBuilder::new_unbounded().with_unbounded_history().build_async(&mut self.input).await;
            self.state = made.map_or(State::Plain, State::Editing);
        }
        if let State::Editing(editor) = &mut self.state {
            match editor.readline(prompt, &mut self.input).await {
                Ok(line) => return String::from(line),
                Err(NolineError::Aborted) => {
                    terminal::print("^C\n");
                    return String::new();
                }
                Err(_) => {
                    // Take back what the question left on the screen.
                    terminal::write_raw(b"\r");
                    self.state = State::Plain;
                }
            }
        }
        dumb::line(prompt, &mut self.input).await
    }
}

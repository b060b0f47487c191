//! The states of both ends, and what the front end does next: one table, without side effects.

use abi::xenbus as number;

/// What an end writes to its `state` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No node, or no number that the protocol knows: the end is not there.
    Unknown,
    /// Made by the toolstack, or to be set up anew.
    Initialising,
    /// The back end waits for the front end.
    InitWait,
    /// The front end has said where its rings are.
    Initialised,
    /// In use.
    Connected,
    /// Wants to stop.
    Closing,
    /// Has stopped.
    Closed,
    /// Being set up anew while it is in use.
    Reconfiguring,
    /// Has been set up anew.
    Reconfigured,
}

impl State {
    /// From the number in the node.
    pub fn from_number(value: u32) -> State {
        match value {
            number::INITIALISING => State::Initialising,
            number::INIT_WAIT => State::InitWait,
            number::INITIALISED => State::Initialised,
            number::CONNECTED => State::Connected,
            number::CLOSING => State::Closing,
            number::CLOSED => State::Closed,
            number::RECONFIGURING => State::Reconfiguring,
            number::RECONFIGURED => State::Reconfigured,
            _ => State::Unknown,
        }
    }

    /// The number for the node.
    pub fn number(self) -> u32 {
        match self {
            State::Unknown => number::UNKNOWN,
            State::Initialising => number::INITIALISING,
            State::InitWait => number::INIT_WAIT,
            State::Initialised => number::INITIALISED,
            State::Connected => number::CONNECTED,
            State::Closing => number::CLOSING,
            State::Closed => number::CLOSED,
            State::Reconfiguring => number::RECONFIGURING,
            State::Reconfigured => number::RECONFIGURED,
        }
    }
}

/// What the front end does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until the other end's state changes.
    Wait,
    /// Say where the rings are, and go to Initialised.
    Publish,
    /// Read what the device is, and go to Connected.
    Connect,
    /// Use it.
    Serve,
    /// Stop using it, fail what is open, and go to Closing.
    Stop,
    /// Go to Closed: the back end uses nothing of ours any more, or soon will not.
    Finish,
    /// It is over. From here the way back is Initialising.
    Over,
}

/// The table: our state, the back end's state, the step.
pub fn next(own: State, back: State) -> Step {
    use State::*;
    match (own, back) {
        // A back end that is not there yet, or still ends what was before, will come.
        (Initialising, InitWait) => Step::Publish,
        (Initialising, _) => Step::Wait,
        (Initialised, Connected) => Step::Connect,
        (Initialised, Initialising | InitWait | Initialised) => Step::Wait,
        (Connected, Connected | Reconfiguring | Reconfigured) => Step::Serve,
        // One that begins anew has forgotten our rings.
        (Initialised | Connected, _) => Step::Stop,
        (Closing, Initialised | Connected | Reconfiguring | Reconfigured) => Step::Wait,
        (Closing, _) => Step::Finish,
        (Closed, Closed | Unknown | Initialising | InitWait) => Step::Over,
        (Closed, _) => Step::Wait,
        // We never write these.
        (Unknown | InitWait | Reconfiguring | Reconfigured, _) => Step::Stop,
    }
}

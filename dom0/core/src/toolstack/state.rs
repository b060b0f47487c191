//! The life of a domain, and which requests make sense when.

use abi::control::{DomainInfo, FLAG_BLOCKED, FLAG_CRASHED, FLAG_DYING, FLAG_PAUSED, FLAG_SHUTDOWN};
use core::fmt;

use super::policy::Reason;

/// Where a domain is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Memory is being filled; nothing has run.
    Building,
    /// Its vCPUs are stopped by the operator.
    Paused,
    /// Its vCPUs run when they can.
    Running,
    /// It has been asked to end and still runs.
    Stopping,
    /// It has ended by itself and is kept.
    Ended(Reason),
    /// It is being freed.
    Dying,
}

/// What may be asked of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Building is done.
    Finish {
        /// Whether it begins paused.
        paused: bool,
    },
    /// Stop the vCPUs.
    Pause,
    /// Let them run.
    Unpause,
    /// Ask it to power off or reboot.
    Stop,
    /// It has ended by itself.
    End(Reason),
    /// Free it, whatever it is doing.
    Destroy,
}

/// Why a request makes no sense now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that is in the way.
    pub state: State,
    request: Request,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.state, self.request) {
            (State::Building, _) => "it is still being built; try again in a moment",
            (State::Dying, _) => "it is being destroyed",
            (State::Ended(_), _) => "it has ended and is kept; `dom destroy` frees it",
            (State::Paused, Request::Pause) => "it is paused already; `dom unpause` lets it run",
            (State::Paused, _) => "it is paused and cannot answer; `dom unpause` it first, or `dom destroy` it",
            (State::Running | State::Stopping, Request::Unpause) => "it is not paused",
            (State::Stopping, _) => "it has been asked to end already; `dom destroy` does not wait for it",
            (State::Running, _) => "it is running already",
        };
        f.write_str(text)
    }
}

impl core::error::Error for Refusal {}

impl State {
    /// The state after a request, or why there is none.
    pub fn after(self, request: Request) -> Result<Self, Refusal> {
        Ok(match (self, request) {
            (Self::Dying, _) => {
                return Err(Refusal { state: self, request });
            }
            (_, Request::Destroy) => Self::Dying,
            (Self::Building, Request::Finish { paused: true }) | (Self::Running | Self::Stopping, Request::Pause) => Self::Paused,
            (Self::Building, Request::Finish { paused: false }) | (Self::Paused, Request::Unpause) => Self::Running,
            (Self::Running, Request::Stop) => Self::Stopping,
            // A vCPU may have ended the domain just before the pause took hold.
            (Self::Running | Self::Stopping | Self::Paused, Request::End(reason)) => Self::Ended(reason),
            _ => {
                return Err(Refusal { state: self, request });
            }
        })
    }
}

/// The word for `dom list`: what the hypervisor says of a domain. One that is ready and waits for a CPU counts as running.
pub fn condition(info: &DomainInfo) -> &'static str {
    let has = |flag| info.flags & flag != 0;
    match () {
        () if has(FLAG_DYING) => "dying",
        () if has(FLAG_CRASHED) => "crashed",
        () if has(FLAG_SHUTDOWN) && Reason::from_number(info.shutdown_reason) == Reason::Crash => "crashed",
        () if has(FLAG_SHUTDOWN) => "shutdown",
        () if has(FLAG_PAUSED) => "paused",
        () if has(FLAG_BLOCKED) => "blocked",
        () => "running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn a_life() {
        let running = State::Building.after(Request::Finish { paused: false }).unwrap();
        let paused = running.after(Request::Pause).unwrap();
        assert!(paused.after(Request::Stop).unwrap_err().to_string().contains("unpause"));
        let running = paused.after(Request::Unpause).unwrap();
        let stopping = running.after(Request::Stop).unwrap();
        assert_eq!(stopping.after(Request::End(Reason::Poweroff)), Ok(State::Ended(Reason::Poweroff)));
        assert_eq!(State::Building.after(Request::Destroy), Ok(State::Dying));
        assert!(running.after(Request::Unpause).is_err());
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            any::<bool>().prop_map(|paused| Request::Finish { paused }),
            Just(Request::Pause),
            Just(Request::Unpause),
            Just(Request::Stop),
            Just(Request::End(Reason::Crash)),
            Just(Request::Destroy),
        ]
    }

    proptest! {
        #[test]
        fn the_dead_stay_dead_and_all_can_be_destroyed(requests in prop::collection::vec(request(), 0..30)) {
            let mut state = State::Building;
            for request in requests {
                match state.after(request) {
                    Ok(next) => {
                        prop_assert!(state != State::Dying);
                        prop_assert!(!matches!((state, next), (State::Ended(_), State::Running | State::Paused)));
                        state = next;
                    }
                    Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
                }
                prop_assert!(state == State::Dying || state.after(Request::Destroy) == Ok(State::Dying));
            }
        }
    }
}

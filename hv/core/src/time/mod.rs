//! Time as guests see it: the clock that they read without asking, and the timers that they set.
//!
//! A vCPU has a one-shot timer, a periodic timer and, while it polls, a time-out ([`timers`]); what they have in common is a queue of deadlines
//! in fixed memory ([`queue`]). The clock is published as numbers to compute it from ([`clock`], [`wallclock`]), and the account of a
//! vCPU's run states beside it ([`areas`]), whenever the vCPU begins to run.

pub mod areas;
pub mod clock;
pub mod queue;
pub mod state;
pub mod timers;
pub mod wallclock;
pub mod watchdog;

pub use queue::TimerQueue;
pub use state::{DomainTime, VcpuTime};

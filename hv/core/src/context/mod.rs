//! The whole state of a vCPU as one value (`vcpu_guest_context`): how a vCPU gets its first state, from its own domain (`vcpu_op`
//! initialise) or from a control domain (the control ABI), and how that state is read.
//!
//! Whoever hands it over may be hostile or a restored image may be damaged, so every field is checked here ([`check`], [`debug`]) before
//! anything is changed ([`install`]).

pub mod check;
pub mod debug;
pub mod extract;
pub mod install;
pub mod vcpu_info;

pub use extract::get;
pub use install::{set, try_set};

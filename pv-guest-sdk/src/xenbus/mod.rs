//! The front half of xenbus: how a driver finds its devices in xenstore, and how it and the back end get each other going, and stop.
//!
//! Nothing here knows what a device is for, and nothing needs a heap. A driver lists its [`devices`], opens one as a [`Device`], and writes states in
//! the order that [`next`] says.

mod device;
mod list;
mod state;
mod text;

pub use device::Device;
pub use list::devices;
pub use state::{State, Step, next};
pub use text::{Path, Text};

//! The domain service: makes domains, serves their xenstore and consoles, ends them. What is decided is decided in
//! [`dom0_core`]; the shell and whoever else handles domains calls the functions here.
//!
//! Reading order: [`create`] and [`build`] for how a domain comes to be, [`xenstored`] and [`consoles`] for what serves it, [`end`] for how it
//! ends, [`table`] for what is remembered meanwhile.

mod build;
mod consoles;
mod create;
mod end;
mod error;
mod handle;
mod notices;
mod request;
mod store;
mod table;
mod view;
mod xenstored;

use embassy_executor::Spawner;

pub use create::{create, machine};
pub use error::{Error, Result};
pub use handle::{ConsoleHandle, Output, open as console};
pub use request::{destroy, pause, reboot, shutdown, unpause, wait_for_end};
pub use store::{ls as xenstore_ls, read as xenstore_read, write as xenstore_write};
pub use view::{View, info, list};

/// Starts the service's tasks.
pub fn start(spawner: Spawner) {
    end::init();
    spawner.spawn(xenstored::run().expect("it is spawned once"));
    spawner.spawn(consoles::run().expect("it is spawned once"));
    spawner.spawn(end::run().expect("it is spawned once"));
}

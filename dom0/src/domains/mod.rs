//! The domain service: makes domains, serves their xenstore and consoles, ends them. What is decided is decided in
//! [`dom0_core`]; the shell and whoever else handles domains calls the functions here.
//!
//! Reading order: [`create`] and [`build`] for how a domain comes to be, [`xenstored`] and [`consoles`] for what serves it, [`end`] for how it
//! ends, [`table`] for what is remembered meanwhile, [`run`] and [`attach`] for the commands.

mod attach;
mod build;
mod consoles;
mod create;
mod disks;
mod end;
mod error;
mod handle;
mod notices;
mod request;
mod run;
mod store;
mod store_ring;
mod table;
mod view;
pub mod xenstored;

use embassy_executor::Spawner;

pub use create::machine;
pub use run::run;
pub use view::list;

/// Starts the service's tasks.
pub fn start(spawner: Spawner) {
    end::init();
    spawner.spawn(xenstored::run().expect("it is spawned once"));
    spawner.spawn(consoles::run().expect("it is spawned once"));
    spawner.spawn(end::run().expect("it is spawned once"));
}

//! The rules by which domains are made, watched and ended; the kernel of Dom0 carries them out.

mod disks;
mod name;
mod policy;
mod state;
mod store;
mod uuid;

pub use disks::{backend, backends, disk_nodes, frontend};
pub use name::{NAME_MAX, NameError, check_free, check_name};
pub use policy::{Action, Reason, decide};
pub use state::{Refusal, Request, State, condition};
pub use store::{Channel, NewDomain, home, tree, vm_path};
pub use uuid::{format_uuid, make_uuid, parse_uuid};

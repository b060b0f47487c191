//! What commands print: tables for people, JSON for scripts, from the same facts.

mod disks;
mod domains;
mod host;
mod table;
mod xenstore;

pub use disks::{DiskRow, disks, disks_json};
pub use domains::{DomainRow, domain_info, domain_info_json, list, list_json};
pub use host::{HostInfo, Memory, Task, free, host_info, host_info_json, ps};
pub use table::{Align, Column, seconds};
pub use xenstore::xenstore_ls;

//! What commands print: tables for people, JSON for scripts, from the same facts.

mod disks;
mod domains;
mod host;
mod images;
mod storage;
mod table;
mod xenstore;

pub use disks::{DiskRow, disks, disks_json};
pub use domains::{DomainRow, domain_info, domain_info_json, list, list_json};
pub use host::{HostInfo, Memory, Task, free, host_info, host_info_json, ps};
pub use images::{image_info, image_info_json, snapshots};
pub use storage::{lsblk, lsblk_json, mounts, size};
pub use table::{Align, Column, seconds};
pub use xenstore::xenstore_ls;

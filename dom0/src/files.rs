//! Dom0's file tree: the archive that the loader brought, where it lies.

use alloc::boxed::Box;

use crate::log::log;
use dom0_core::fs::Tree;
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::{BootInfo, println};

static TREE: IrqMutex<Option<&'static Tree<'static>>> = IrqMutex::new(None);

/// Reads the archive's directory. Without one, or with a damaged one, the tree is empty, and Dom0 says so.
pub fn init(module: Option<&'static [u8]>) {
    let Some(archive) = module else {
        log!("no archive was loaded: there are no files");
        return;
    };
    log!("file tree: {} KiB of archive", archive.len() / 1024);
    match Tree::parse(archive) {
        Ok(tree) => *TREE.lock() = Some(Box::leak(Box::new(tree))),
        Err(error) => println!("dom0: the archive cannot be read: {error}; build it with `cargo xtask image`"),
    }
}

/// The tree; none if there was no archive.
pub fn tree() -> Option<&'static Tree<'static>> {
    *TREE.lock()
}

/// Bytes of the archive.
pub fn size() -> usize {
    BootInfo::get().and_then(BootInfo::module).map_or(0, <[u8]>::len)
}

//! The devices of the machine: found once at boot, given to their drivers, and listed by `lspci`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dom0_core::pci::{self, Function, Listed};

use crate::block;
use crate::hal::local::Local;
use crate::hal::pci::Pci;
use crate::log::log;

/// What was found.
struct Found {
    pci: Pci,
    functions: Vec<Function>,
}

static FOUND: Local<Found> = Local::new();

/// Finds the devices and starts those that have a driver.
pub fn init() {
    match Pci::scan() {
        Ok((mut pci, functions)) => {
            log!("PCI: {} functions", functions.len());
            block::init(&mut pci, &functions);
            FOUND.set(Found { pci, functions });
        }
        Err(errno) => log!("PCI: the hypervisor does not tell of any: {errno:?}"),
    }
}

/// What `lspci` prints of them, as they are now.
pub fn list(verbose: bool, json: bool) -> String {
    let show = match (verbose, json) {
        (_, true) => pci::list_json,
        (true, _) => pci::list_verbose,
        _ => pci::list,
    };
    let Some(found) = FOUND.get() else { return show(&[]) };
    let fresh: Vec<Function> = found.functions.iter().map(|function| function.refreshed(&found.pci)).collect();
    let drivers: Vec<Option<String>> = found.functions.iter().map(driver).collect();
    let listed: Vec<_> = fresh.iter().zip(&drivers).map(|(function, driver)| Listed { function, driver: driver.as_deref() }).collect();
    show(&listed)
}

fn driver(function: &Function) -> Option<String> {
    let disk = block::disks().iter().find(|disk| disk.address() == function.at)?;
    Some(format!("virtio-blk (/dev/{})", disk.name()))
}

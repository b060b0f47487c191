//! Interrupts: a message of the device arrives as an event, as long as the port is open.

use core::sync::atomic::{AtomicU32, Ordering};

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{fail, holds, same};
use pv_guest_sdk::abi::{Errno, domid, event};
use pv_guest_sdk::{events, time};

use crate::entropy::Entropy;
use crate::pci::{Bus, MSIX};
use crate::windows::unexpected;

pub const CHECKS: &[Check] = &[
    ("a message of a device arrives as an event, until its port is closed", arrives),
    ("what is not there is not bound, and what is bound not twice", refused),
    ("vectors are given back", given_back),
];

static COUNT: AtomicU32 = AtomicU32::new(0);

fn count(_: events::Port) {
    COUNT.fetch_add(1, Ordering::SeqCst);
}

/// Waits until something is so; false if it takes ten seconds.
fn within(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = time::now() + 10_000_000_000;
    while !condition() {
        if time::now() > deadline {
            return false;
        }
        time::sleep(100_000);
    }
    true
}

fn arrives() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    let devfn = bus.entropy().map_err(unexpected)?;
    COUNT.store(0, Ordering::SeqCst);
    let port = events::bind_msi(0, 0, devfn, 0, count).map_err(unexpected)?;
    same!(events::status(domid::SELF, port).map(|status| (status.status, status.vcpu)), Ok((event::STATUS_PIRQ, 0)));
    let Some(at) = bus.capabilities(devfn, MSIX).next() else { fail!("no MSI-X") };
    same!(bus.read(devfn, at) >> 30, 2, "messages are on, and not masked");
    let mut device = Entropy::start(&bus, devfn).map_err(unexpected)?;
    for round in 1..=20 {
        device.ask();
        holds!(within(|| COUNT.load(Ordering::SeqCst) == round && device.done()));
    }
    holds!(device.filled());
    same!(events::close(port), Ok(()));
    device.ask();
    holds!(within(|| device.done()));
    time::sleep(2_000_000);
    same!(COUNT.load(Ordering::SeqCst), 20, "events after the port was closed");
    // The same entry again, while the device runs: it learns of what comes from now on.
    let port = events::bind_msi(0, 0, devfn, 0, count).map_err(unexpected)?;
    let before = COUNT.load(Ordering::SeqCst);
    device.ask();
    holds!(within(|| COUNT.load(Ordering::SeqCst) > before && device.done()));
    same!(events::close(port), Ok(()));
    Ok(())
}

fn refused() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    let devfn = bus.entropy().map_err(unexpected)?;
    let port = events::bind_msi(0, 0, devfn, 1, count).map_err(unexpected)?;
    same!(events::bind_msi(0, 0, devfn, 1, count), Err(Errno::EXIST));
    same!(events::close(port), Ok(()));
    same!(events::bind_msi(0, 0, devfn, 2048, count), Err(Errno::INVAL));
    for (segment, bus, devfn) in [(0, 0, 0), (0, 0, 3 << 3), (0, 200, devfn), (7, 0, devfn)] {
        same!(events::bind_msi(segment, bus, devfn, 0, count), Err(Errno::NODEV));
    }
    same!(events::send(port), Err(Errno::INVAL));
    Ok(())
}

fn given_back() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    let devfn = bus.entropy().map_err(unexpected)?;
    for round in 0..300 {
        // More often than there are vectors: each goes back.
        let port = events::bind_msi(0, 0, devfn, round % 2, count).map_err(unexpected)?;
        same!(events::close(port), Ok(()));
    }
    Ok(())
}

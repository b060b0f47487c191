//! The console: the hypervisor's for the first domain, the ring page that a back end serves for all others.

mod format;
mod ring;

use core::sync::atomic::{AtomicBool, Ordering};

use abi::event::VIRQ_CONSOLE;
use spin::Once;

use crate::events::{self, Handler, Port};
use crate::hypercall::{self, Result};
use crate::sync::without_events;
use crate::{BootInfo, memory, time};
use ring::Ring;

#[doc(hidden)]
pub use format::__print;
pub use format::format;

/// How long to wait at a time for room in the ring; the back end's event normally ends the wait.
const WAIT_NS: u64 = 10_000_000;

/// The ring and its port, or nothing for a first domain. Until it is set, bytes go to the hypervisor, which may drop them.
static RING: Once<Option<(Ring, Port)>> = Once::new();
/// Whether the port has a handler.
static HAS_READER: AtomicBool = AtomicBool::new(false);

/// Finds the console.
pub(crate) fn init(info: &BootInfo) {
    let raw = info.start_info();
    RING.call_once(|| {
        if info.is_initial_domain() || raw.console_mfn == 0 {
            return None;
        }
        let pfn = memory::mfn_to_pfn(raw.console_mfn)?;
        // SAFETY: the builder made this page the console's, and the frame allocator starts behind it.
        let ring = unsafe { Ring::new(memory::pfn_to_virt(pfn)) };
        Some((ring, raw.console_evtchn))
    });
}

fn ring() -> Option<(Ring, Port)> {
    RING.get().copied().flatten()
}

/// Writes all bytes; waits while the back end has no room.
pub fn write(bytes: &[u8]) {
    output(bytes, true);
}

/// Writes without waiting for anybody or anything: what does not fit is lost. For panic handlers.
pub fn write_now(bytes: &[u8]) {
    output(bytes, false);
}

fn output(bytes: &[u8], wait: bool) {
    let Some((ring, port)) = ring() else {
        let _ = hypercall::console_write(bytes);
        return;
    };
    // The other end is a terminal, which wants a carriage return with every line feed.
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            output_to(ring, port, b"\r\n", wait);
        }
        output_to(ring, port, line, wait);
    }
    let _ = events::send(port);
}

fn output_to(ring: Ring, port: Port, mut bytes: &[u8], wait: bool) {
    loop {
        // Handlers print too: a piece is written without being interrupted.
        let written = without_events(|| ring.write(bytes));
        bytes = &bytes[written..];
        if bytes.is_empty() {
            return;
        }
        let _ = events::send(port);
        if !wait {
            return;
        }
        wait_for_room(ring, port);
    }
}

/// Waits for the back end's event. A port with a reader is handled as usual; without one it is masked and only looked at here.
fn wait_for_room(ring: Ring, port: Port) {
    if !HAS_READER.load(Ordering::Relaxed) {
        events::take_pending(port);
    }
    if !ring.has_room() {
        events::poll(port, time::now() + WAIT_NS);
    }
}

/// Takes bytes that were typed; returns how many, 0 if there are none.
pub fn read(buffer: &mut [u8]) -> usize {
    let Some((ring, port)) = ring() else {
        return hypercall::console_read(buffer).map_or(0, |count| count as usize);
    };
    let count = without_events(|| ring.read(buffer));
    if count > 0 {
        let _ = events::send(port);
    }
    count
}

/// Has `handler` run whenever bytes may have arrived; it takes them with [`read`].
///
/// # Errors
/// What the hypervisor returns.
pub fn on_input(handler: Handler) -> Result<Port> {
    match ring() {
        None => events::bind_virq(VIRQ_CONSOLE, handler),
        Some((_, port)) => {
            HAS_READER.store(true, Ordering::Relaxed);
            events::start(port, handler)
        }
    }
}

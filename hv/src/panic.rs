//! A panic is a bug of ours: say so on the log, end the run with a status that no guest can give, and stop.

use core::sync::atomic::{AtomicBool, Ordering};

use hv_machine::{log, power};

/// What `domus-exit` reports after a panic.
pub const STATUS: u32 = 125;

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if PANICKED.swap(true, Ordering::Relaxed) {
        // The report itself failed.
        hv_machine::processor::stop();
    }
    log::write_anyway(format_args!("hypervisor panic: {info}"));
    log::write_anyway(format_args!("This is a bug in Domus; please report it with the lines above."));
    log::write_anyway(format_args!("domus-exit: {STATUS}"));
    power::off()
}

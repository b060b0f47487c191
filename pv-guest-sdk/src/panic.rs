//! The panic handler: says where and why, then crashes the domain.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::{console, events, shutdown};

static PANICKED: AtomicBool = AtomicBool::new(false);

struct Now;

impl Write for Now {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::write_now(text.as_bytes());
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    events::mask_upcalls();
    if !PANICKED.swap(true, Ordering::Relaxed) {
        let _ = writeln!(Now, "{info}");
    }
    shutdown::crash()
}

//! The first Rust code: enough of the machine that a panic can be read, then the shell's boot function.

use spin::Once;

use crate::pvh::BootInfo;

unsafe extern "Rust" {
    fn domus_boot(info: &'static BootInfo) -> !;
}

static INFO: Once<BootInfo> = Once::new();

/// Entered from [`crate::boot`] with the physical address of PVH's start info.
pub extern "C" fn start(start_info: u32) -> ! {
    crate::serial::init();
    let info = INFO.call_once(|| crate::pvh::read(u64::from(start_info)));
    // SAFETY: `hv` exports this function through `handlers!`, with this signature.
    unsafe { domus_boot(info) }
}

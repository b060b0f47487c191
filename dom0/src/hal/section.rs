//! Critical sections for embassy-sync: event handlers are all that can interrupt a task, so masking upcalls excludes them.

use pv_guest_sdk::events;

struct Upcalls;

critical_section::set_impl!(Upcalls);

// SAFETY: there is one vCPU, and with upcalls masked no handler runs; `release` restores what `acquire` found.
unsafe impl critical_section::Impl for Upcalls {
    unsafe fn acquire() -> critical_section::RawRestoreState {
        events::mask_upcalls()
    }

    unsafe fn release(was_masked: critical_section::RawRestoreState) {
        if !was_masked {
            events::unmask_upcalls();
        }
    }
}

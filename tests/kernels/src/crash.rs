//! For kernels whose subject is their own end: they say first what they expect, and the harness checks that the hypervisor ends them, and says so
//! in its log, and is well.
//!
//! `domus-expect: TEXT` on the console means that the hypervisor's log must say that the domain crashed, and TEXT as the reason. If the
//! kernel lives on it reports a failure.

use pv_guest_sdk::println;

/// Announces the end.
pub fn expect(log: &str) {
    println!("domus-expect: {log}");
    println!("domus-test: success");
}

/// The end did not come.
pub fn survived() {
    println!("domus-test: failure the domain was not ended");
}

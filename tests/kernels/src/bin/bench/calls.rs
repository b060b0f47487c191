//! A hypercall that does nothing.

use pv_guest_sdk::abi::hypercall::XEN_VERSION;
use pv_guest_sdk::abi::multicall::MulticallEntry;
use pv_guest_sdk::hypercall;

use crate::count::count;

/// `xen_version` 0.
pub fn null() -> u64 {
    // SAFETY: the operation takes no pointer.
    count(|_| unsafe {
        hypercall::raw(XEN_VERSION, [0; 5]);
    })
}

/// The same, eight in one multicall, for each.
pub fn in_multicall() -> u64 {
    let mut batch = [MulticallEntry { op: XEN_VERSION, ..Default::default() }; 8];
    // SAFETY: as above.
    count(|_| unsafe { hypercall::multicall(&mut batch) }.expect("a valid batch")) / 8
}

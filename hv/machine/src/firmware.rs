//! The firmware's tables, read through the direct map.

use hv_core::firmware::Physical;

use crate::layout::direct;
use crate::paging::{self, BootMemory};

/// Firmware's tables lie below this: it is a 32-bit world.
const LIMIT: u64 = 1 << 32;

/// Physical memory while booting: maps what it reads.
pub struct BootView<'a>(pub core::cell::RefCell<&'a mut BootMemory>);

impl Physical for BootView<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        if address.checked_add(into.len() as u64).is_none_or(|end| end > LIMIT) {
            return false;
        }
        paging::map_firmware(address, into.len() as u64, &mut self.0.borrow_mut());
        // SAFETY: the range was just mapped, and is below 4 GiB; firmware's memory holds plain bytes, and nothing writes it now.
        unsafe { core::ptr::copy_nonoverlapping(direct(address) as *const u8, into.as_mut_ptr(), into.len()) };
        true
    }
}

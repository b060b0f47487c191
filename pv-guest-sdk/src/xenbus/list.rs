//! Which devices of a class there are.

use abi::Errno;

use super::Path;
use crate::hypercall::Result;
use crate::xenstore::{self, Transaction};

/// Writes the numbers of the devices of a class (`vbd`, `vif`) to `numbers`, in rising order, and returns how many there are; those that do not fit
/// are left out.
///
/// # Errors
/// What xenstore answers, but none if there are no devices.
pub fn devices(class: &str, numbers: &mut [u32]) -> Result<usize> {
    let mut names = [0; 2048];
    let path = Path::new(format_args!("device/{class}"))?;
    let names = match xenstore::directory(Transaction::NONE, &path, &mut names) {
        Ok(names) => names,
        Err(Errno::NOENT) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for (place, number) in numbers.iter_mut().zip(names.filter_map(|name| name.parse().ok())) {
        *place = number;
        count += 1;
    }
    numbers[..count].sort_unstable();
    Ok(count)
}

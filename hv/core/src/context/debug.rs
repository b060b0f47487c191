//! What a guest may put into the debug registers.
//!
//! A breakpoint in the hypervisor's range would stop the hypervisor; GD would stop it at its own accesses to the registers; a breakpoint
//! on I/O ports would hit those that the hypervisor uses.

use abi::errno::Errno;

use crate::emulate::cr::CR4_DE;
use crate::mm::walk::is_guest_address;

/// DR6 without any condition: the bits that read as one.
pub const DR6_DEFAULT: u64 = 0xffff_0ff0;
/// DR7 without any breakpoint: the bit that reads as one.
pub const DR7_DEFAULT: u64 = 0x400;

/// The bits of DR6 that exist: B0 to B3, BD, BS, BT.
const DR6_BITS: u64 = 0xe00f;
/// The bits of DR7 that do not: 11, 12, 14, 15.
const DR7_RESERVED: u64 = 0xd800;
/// DR7.GD: fault on any access to a debug register.
const GENERAL_DETECT: u64 = 1 << 13;
/// DR7: the two enable bits of each of the four breakpoints.
pub const ENABLES: u64 = 0xff;
/// The type of a breakpoint, two bits: on I/O.
const ON_IO: u64 = 2;

/// Which register a number means: 4 and 5 are 6 and 7, unless the guest's CR4.DE says that they do not exist.
///
/// # Errors
/// -ENODEV if there is no such register.
pub fn resolve(number: u64, cr4: u64) -> Result<usize, Errno> {
    match number {
        0..=3 | 6 | 7 => Ok(number as usize),
        4 | 5 if cr4 & CR4_DE == 0 => Ok(number as usize + 2),
        _ => Err(Errno::NODEV),
    }
}

/// The value that register `number` (0 to 3, 6, 7) has after the guest wrote `value`: bits that do not exist have their fixed values.
///
/// # Errors
/// -EPERM for what a guest may not have, -EINVAL for bits above 31 in DR6 and DR7, -ENODEV for another register.
pub fn check(number: usize, value: u64) -> Result<u64, Errno> {
    match number {
        0..=3 if is_guest_address(value) => Ok(value),
        0..=3 => Err(Errno::PERM),
        6 | 7 if value > u64::from(u32::MAX) => Err(Errno::INVAL),
        6 => Ok(value & DR6_BITS | DR6_DEFAULT),
        7 => check_dr7(value & !DR7_RESERVED | DR7_DEFAULT),
        _ => Err(Errno::NODEV),
    }
}

fn check_dr7(value: u64) -> Result<u64, Errno> {
    let on_io = (0..4).any(|breakpoint| value >> (16 + 4 * breakpoint) & 3 == ON_IO);
    if value & GENERAL_DETECT != 0 || value & ENABLES != 0 && on_io {
        return Err(Errno::PERM);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_stay_outside_the_hypervisor() {
        for number in 0..=3 {
            assert_eq!(check(number, 0x7fff_ffff_ffff), Ok(0x7fff_ffff_ffff));
            assert_eq!(check(number, 0xffff_8800_0000_0000), Ok(0xffff_8800_0000_0000));
            for address in [0x8000_0000_0000, 0xffff_8000_0000_0000, 0xffff_87ff_ffff_ffff] {
                assert_eq!(check(number, address), Err(Errno::PERM));
            }
        }
    }

    #[test]
    fn status_and_control_keep_their_fixed_bits() {
        assert_eq!(check(6, 0), Ok(DR6_DEFAULT));
        assert_eq!(check(6, 0xffff_ffff), Ok(0xffff_efff));
        assert_eq!(check(6, 1 << 32), Err(Errno::INVAL));
        assert_eq!(check(7, 0), Ok(DR7_DEFAULT));
        assert_eq!(check(7, 0xd800 | 1), Ok(0x401));
        assert_eq!(check(7, 1 << 32), Err(Errno::INVAL));
        assert_eq!(check(4, 0), Err(Errno::NODEV));
    }

    #[test]
    fn neither_general_detect_nor_enabled_io_breakpoints() {
        assert_eq!(check(7, 1 << 13), Err(Errno::PERM));
        for breakpoint in 0..4 {
            let on_io = 2u64 << (16 + 4 * breakpoint);
            assert_eq!(check(7, on_io), Ok(on_io | DR7_DEFAULT));
            assert_eq!(check(7, on_io | 1), Err(Errno::PERM));
            let on_access = 3u64 << (16 + 4 * breakpoint);
            assert_eq!(check(7, on_access | 1), Ok(on_access | 1 | DR7_DEFAULT));
        }
    }

    #[test]
    fn the_old_names_of_the_registers_depend_on_cr4() {
        assert_eq!((resolve(4, 0), resolve(5, 0)), (Ok(6), Ok(7)));
        assert_eq!((resolve(4, CR4_DE), resolve(5, CR4_DE)), (Err(Errno::NODEV), Err(Errno::NODEV)));
        assert_eq!((resolve(3, 0), resolve(7, CR4_DE)), (Ok(3), Ok(7)));
        assert_eq!((resolve(8, 0), resolve(u64::MAX, 0)), (Err(Errno::NODEV), Err(Errno::NODEV)));
    }
}

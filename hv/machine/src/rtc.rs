//! The wall clock at boot, from the CMOS RTC (MC146818).

use crate::port::{inb, outb};

fn register(index: u8) -> u8 {
    outb(0x70, 0x80 | index);
    inb(0x71)
}

/// Six fields: second, minute, hour, day, month, year of the century.
fn fields() -> [u8; 6] {
    [0, 2, 4, 7, 8, 9].map(register)
}

/// Seconds since 1970, UTC. Reads twice until both agree, so that an update in between does not tear it; gives up after some tries.
pub fn seconds() -> u64 {
    let mut last = fields();
    for _ in 0..1000 {
        let again = fields();
        if again == last {
            break;
        }
        last = again;
    }
    let status = register(0x0b);
    let decimal = |value: u8| if status & 4 != 0 { u64::from(value) } else { u64::from(value >> 4) * 10 + u64::from(value & 15) };
    let [second, minute, hour, day, month, year] = last;
    let afternoon = status & 2 == 0 && hour & 0x80 != 0;
    let hour = decimal(hour & 0x7f) % if status & 2 == 0 { 12 } else { 24 } + if afternoon { 12 } else { 0 };
    let days = days_since_1970(2000 + decimal(year), decimal(month), decimal(day));
    ((days * 24 + hour) * 60 + decimal(minute)) * 60 + decimal(second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that the leap day is last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

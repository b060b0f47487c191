//! UUIDs of domains: 16 bytes, written as in RFC 9562.

use alloc::{format, string::String};

/// Reads 32 hexadecimal digits; hyphens may stand anywhere between them.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut count = 0;
    for digit in text.chars().filter(|c| *c != '-') {
        let value = digit.to_digit(16)? as u8;
        *bytes.get_mut(count / 2)? |= if count % 2 == 0 { value << 4 } else { value };
        count += 1;
    }
    (count == 32).then_some(bytes)
}

/// Writes a UUID in its usual form.
pub fn format_uuid(uuid: &[u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*uuid));
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Makes a UUID of version 8 from 16 bytes that no other domain is made from, such as the boot's clock and a counter. It identifies; it is
/// no secret.
pub fn make_uuid(mut seed: [u8; 16]) -> [u8; 16] {
    seed[6] = seed[6] & 0x0f | 0x80;
    seed[8] = seed[8] & 0x3f | 0x80;
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = "8f2b4c6e-0001-4000-8000-0000000000ff";
        let uuid = parse_uuid(text).unwrap();
        assert_eq!(format_uuid(&uuid), text);
        assert_eq!(parse_uuid(&text.replace('-', "")), Some(uuid));
        for bad in ["", "8f2b", "x", &text.replace('8', "g"), &format!("{text}0")] {
            assert_eq!(parse_uuid(bad), None, "{bad}");
        }
        assert_eq!(format_uuid(&make_uuid([0xff; 16])), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}

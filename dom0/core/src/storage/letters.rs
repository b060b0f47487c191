//! The letters of a disk's number, as Linux has them: a, b, ..., z, aa, ab, ...

use alloc::{string::String, vec::Vec};

/// The letters of disk `number`, counted from 0.
pub fn letters(number: u32) -> String {
    let mut left = u64::from(number) + 1;
    let mut letters = Vec::new();
    while left > 0 {
        left -= 1;
        letters.push(char::from(b'a' + (left % 26) as u8));
        left /= 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_count_as_linux_does() {
        assert_eq!([0, 1, 25, 26, 27, 51, 52, 701, 702].map(letters), ["a", "b", "z", "aa", "ab", "az", "ba", "zz", "aaa"]);
        assert_eq!(letters(u32::MAX), "mwlqkwv");
    }
}

//! Sizes as `qemu-img` takes them: a number of bytes, or of k, M, G or T, in powers of 1024.

use anyhow::{Context, Result, bail};

/// A size in bytes, from `512`, `64M` or `1g`.
///
/// # Errors
/// When it is no number with such a suffix, is nought, or is beyond what a file can be.
pub fn parse(text: &str) -> Result<u64> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        Some((at, 't' | 'T')) => (&text[..at], 40),
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{text:?} is no size: write a number of bytes, or one with k, M, G or T behind it, like 512M");
    }
    let number: u64 = digits.parse().with_context(|| format!("{text} is too large"))?;
    let bytes = number.checked_mul(1 << shift).filter(|&bytes| i64::try_from(bytes).is_ok());
    match bytes.with_context(|| format!("{text} is too large"))? {
        0 => bail!("a size of 0 is none"),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024() {
        assert_eq!(parse("512").unwrap(), 512);
        assert_eq!(parse("3k").unwrap(), 3072);
        assert_eq!(parse("64M").unwrap(), 64 << 20);
        assert_eq!(parse("2G").unwrap(), 2 << 30);
        assert_eq!(parse("1t").unwrap(), 1 << 40);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "1.5G", "-1", "+1", "1GB", "1 G", "0", "0G", "x", "1ü", "99999999999999999999", "9999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

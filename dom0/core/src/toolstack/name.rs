//! Names of domains: what is one, and when it is taken.
//!
//! A name is typed at a prompt, printed in tables and stands in messages, so it has no blanks and no control characters; and it must not
//! look like a number, since commands take either.

use alloc::string::String;
use core::fmt;

/// Longest name in bytes.
pub const NAME_MAX: usize = 63;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is empty.
    Empty,
    /// It is longer than [`NAME_MAX`].
    TooLong(usize),
    /// It has a character that names do not have.
    Character(char),
    /// It is all digits.
    Number(String),
    /// Another domain has it.
    InUse(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty; give letters and digits"),
            Self::TooLong(length) => write!(f, "the name has {length} characters; use at most {NAME_MAX}"),
            Self::Character(c) => {
                write!(f, "the name has {c:?} in it; use letters, digits and - _ . +, and begin with a letter or digit")
            }
            Self::Number(name) => write!(f, "the name `{name}` has only digits and would be taken for a number; add a letter"),
            Self::InUse(name) => {
                write!(f, "the name `{name}` is in use; choose another with name=NAME, or end that domain with `dom destroy {name}`")
            }
        }
    }
}

impl core::error::Error for NameError {}

/// Checks that a name may be one.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let first = name.chars().next().ok_or(NameError::Empty)?;
    if name.len() > NAME_MAX {
        return Err(NameError::TooLong(name.chars().count()));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Character(first));
    }
    if let Some(bad) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.' | '+')) {
        return Err(NameError::Character(bad));
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NameError::Number(name.into()));
    }
    Ok(())
}

/// Checks that a name may be used for a new domain, given whether another has it.
pub fn check_free(name: &str, taken: impl FnOnce(&str) -> bool) -> Result<(), NameError> {
    check_name(name)?;
    if taken(name) { Err(NameError::InUse(name.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names() {
        for good in ["a", "linux-1", "3d", "x.y_z+", &"n".repeat(63)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-c", ".x", "a b", "a/b", "é", "a\u{1b}[2J", "12", &"n".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        let taken = check_free("dom0", |name| ["dom0", "linux"].contains(&name)).unwrap_err().to_string();
        assert!(taken.contains("in use") && taken.contains("dom destroy dom0"));
        assert!(!check_name("a\u{1b}").unwrap_err().to_string().contains('\u{1b}'), "messages carry no escapes");
    }
}

//! Paths: which are valid, what a relative one means, and how paths contain each other.
//!
//! A path is checked once, where it enters; from there on it travels as an absolute, canonical [`Path`].

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
};

use super::{DomId, Error};

/// Longest absolute path in bytes (`XENSTORE_ABS_PATH_MAX`).
pub const ABSOLUTE_MAX: usize = abi::xenstore::ABS_PATH_MAX;
/// Longest relative path in bytes (`XENSTORE_REL_PATH_MAX`).
pub const RELATIVE_MAX: usize = abi::xenstore::REL_PATH_MAX;

/// Most components of a path. Xen has no such limit, but every request looks at all ancestors of its path, so this is what bounds the
/// work that a hostile guest can ask for; real trees are about a dozen deep.
pub const DEPTH_MAX: usize = 64;

/// An absolute path that has been checked: `/`, or `/` and components without a trailing slash.
pub type Path = Box<str>;

/// The home of a domain, against which its relative paths are resolved.
pub fn home(domid: DomId) -> String {
    ["/local/domain/", &domid.to_string()].concat()
}

/// Checks a path as sent by `domid` and makes it absolute. Special names (`@...`) are refused.
pub fn resolve(sent: &str, domid: DomId) -> Result<Path, Error> {
    let absolute = if sent.starts_with('/') {
        Path::from(sent)
    } else {
        if sent.len() > RELATIVE_MAX || sent.starts_with('@') {
            return Err(Error::Invalid);
        }
        [&home(domid), "/", sent].concat().into()
    };
    if is_valid(&absolute) { Ok(absolute) } else { Err(Error::Invalid) }
}

/// Whether a path is absolute and canonical: no doubled or trailing slash, permitted characters only.
pub fn is_valid(path: &str) -> bool {
    let (mut depth, mut last) = (0, b'-');
    for byte in path.bytes() {
        match byte {
            b'/' if last == b'/' => return false,
            b'/' => depth += 1,
            b'-' | b'_' | b'@' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {}
            _ => return false,
        }
        last = byte;
    }
    path.starts_with('/') && path.len() <= ABSOLUTE_MAX && (path == "/" || last != b'/') && depth <= DEPTH_MAX
}

/// Whether a path is valid that lies directly below one that is known to be.
pub fn is_valid_below_valid(path: &str) -> bool {
    if path.len() > DEPTH_MAX {
        return is_valid(path);
    }
    // Too short to be too long or too deep.
    let name = name(path);
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'-' | b'_' | b'@' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'))
}

/// The path one level up; `None` for the root.
pub fn parent(path: &str) -> Option<&str> {
    // Names are short: a plain search from the end beats one that is made for long texts.
    match path.bytes().rposition(|byte| byte == b'/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => path.get(..at),
    }
}

/// The last component; empty for the root.
pub fn name(path: &str) -> &str {
    let from = path.bytes().rposition(|byte| byte == b'/').map_or(0, |at| at + 1);
    path.get(from..).unwrap_or_default()
}

/// The path itself, its parent, and so on up to the root.
pub fn upwards(path: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(Some(path), |p| parent(p))
}

/// How many levels `path` lies below `base`; `None` if it does not lie within it.
pub fn depth_below(path: &str, base: &str) -> Option<usize> {
    if path == base {
        return Some(0);
    }
    let rest = if base == "/" { path.get(1..)? } else { path.strip_prefix(base)?.strip_prefix('/')? };
    Some(rest.split('/').count())
}

/// The bounds `[from, to)` of all paths strictly below `path`, in byte order. `0` follows `/` in ASCII, so that `/a-b` stays outside.
pub fn below(path: &str) -> (String, String) {
    let stem = if path == "/" { "" } else { path };
    (format!("{stem}/"), format!("{stem}0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_home() {
        assert_eq!(&*resolve("device/vbd", 3).unwrap(), "/local/domain/3/device/vbd");
        assert_eq!(&*resolve("/vm", 3).unwrap(), "/vm");
    }

    #[test]
    fn bad_paths_are_refused() {
        for bad in ["", "//", "/a/", "/a//b", "/a b", "/ä", "@introduceDomain", "a/", "/a\n"] {
            assert_eq!(resolve(bad, 1), Err(Error::Invalid), "{bad:?}");
        }
        assert!(resolve(&"x".repeat(RELATIVE_MAX), 1).is_ok());
        assert!(resolve(&"x".repeat(RELATIVE_MAX + 1), 1).is_err());
        assert!(resolve(&format!("/{}", "x".repeat(ABSOLUTE_MAX)), 1).is_err());
        assert!(resolve(&"/x".repeat(DEPTH_MAX), 1).is_ok());
        assert!(resolve(&"/x".repeat(DEPTH_MAX + 1), 1).is_err());
    }

    #[test]
    fn below_a_valid_path_only_the_name_is_in_question() {
        let long = format!("/a/{}", "x".repeat(ABSOLUTE_MAX));
        for path in ["/a/b", "/a/", "/a/b c", "/a/ä", "/a/b_C-9@", "/a//", &long, &long[..ABSOLUTE_MAX]] {
            assert_eq!(is_valid_below_valid(path), is_valid(path), "{path:?}");
        }
        let deep = "/x".repeat(DEPTH_MAX + 1);
        assert!(!is_valid_below_valid(&deep));
    }

    #[test]
    fn containment() {
        assert_eq!(depth_below("/a/b/c", "/a"), Some(2));
        assert_eq!(depth_below("/a", "/"), Some(1));
        assert_eq!(depth_below("/", "/"), Some(0));
        assert_eq!(depth_below("/ab", "/a"), None);
        assert_eq!(upwards("/a/b").collect::<alloc::vec::Vec<_>>(), ["/a/b", "/a", "/"]);
    }
}

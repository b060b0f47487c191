//! xl's notations of a disk as text.

use alloc::{format, string::String};

use super::draft::Draft;
use crate::nearest::nearest;

/// What xl calls deprecated and most files have: a prefix that says the format.
const PREFIXES: [(&str, &str); 5] = [("phy", "raw"), ("raw", "raw"), ("file", "raw"), ("aio", "raw"), ("qcow2", "qcow2")];
/// What may stand before one of those, and says nothing.
const OLD_BACKENDS: [&str; 3] = ["tap:", "tap2:", "tapdisk:"];

/// Reads the words between the commas.
pub fn read(text: &str) -> Result<Draft, String> {
    let mut draft = Draft::default();
    let mut rest = text.trim_start();
    let mut slots: &[&str] = &["target", "format", "vdev", "access"];
    if let Some((format, target)) = prefix(rest)? {
        draft.set("format", format)?;
        slots = &["vdev", "access"];
        rest = target_before_comma(target, format, &mut draft)?;
    }
    while !rest.is_empty() {
        // xl reads a target that is named to the end of the text, commas and all.
        if let Some(target) = rest.strip_prefix("target=") {
            draft.set("target", target)?;
            break;
        }
        let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
        rest = after.trim_start();
        let word = word.trim();
        if let Some((key, value)) = key_value(word) {
            draft.set(key, value)?;
        } else if !draft.set_flag(word)? {
            let Some((slot, others)) = slots.split_first() else {
                return Err(format!("`{word}` is one word too many; the order is target,format,vdev,access"));
            };
            slots = others;
            if !word.is_empty() {
                draft.set(slot, word)?;
            }
        }
    }
    Ok(draft)
}

/// The format that a prefix stands for, and what follows it.
fn prefix(text: &str) -> Result<Option<(&'static str, &str)>, String> {
    let text = OLD_BACKENDS.iter().find_map(|old| text.strip_prefix(old)).unwrap_or(text);
    let Some((word, rest)) = text.split_once(':') else {
        return Ok(None);
    };
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let known = PREFIXES.iter().find(|(prefix, _)| *prefix == word);
    known.map(|(_, format)| Some((*format, rest))).ok_or_else(|| match nearest(word, PREFIXES.iter().map(|(prefix, _)| *prefix)) {
        Some(near) => format!("`{word}:` is not known; did you mean `{near}:`?"),
        None => format!("`{word}:` is not known; give phy: for a device, raw: or qcow2: for an image"),
    })
}

/// Takes the target; what follows its comma. A device may be named without its folder, as xl allows.
fn target_before_comma<'a>(text: &'a str, format: &str, draft: &mut Draft) -> Result<&'a str, String> {
    let (target, rest) = text.split_once(',').unwrap_or((text, ""));
    let target = target.trim();
    if format == "raw" && !target.is_empty() && !target.contains('/') {
        draft.set("target", &format!("/dev/{target}"))?;
    } else {
        draft.set("target", target)?;
    }
    Ok(rest.trim_start())
}

/// A word of the form `key=value`; a path is none.
fn key_value(word: &str) -> Option<(&str, &str)> {
    let (key, value) = word.split_once('=')?;
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!key.is_empty() && key.bytes().all(name)).then_some((key, value))
}

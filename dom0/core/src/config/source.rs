//! The keys of a file and of the command line, each with its place.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Display, ops::RangeInclusive, str::FromStr};

use toml::de::{DeTable, DeValue};

use super::{
    Message, Place,
    keys::{self, Handling},
    value::Value,
};
use crate::nearest::nearest;

/// Largest configuration in bytes.
const FILE_MAX: usize = 64 * 1024;

/// Keys, values and where they stand.
#[derive(Debug)]
pub struct Source(BTreeMap<String, (Place, Value)>);

impl Source {
    /// Reads a file; pairs from the command line take the place of its keys.
    pub fn read(text: &str, overrides: &[(String, String)]) -> Result<Self, Message> {
        if text.len() > FILE_MAX {
            let text = format!("a configuration of {} bytes; more than {FILE_MAX} is surely another kind of file", text.len());
            return Err(Message { place: Place::File, text });
        }
        let table = DeTable::parse(text).map_err(|error| syntax_error(text, &error))?;
        let mut keys = BTreeMap::new();
        for (key, value) in table.get_ref().iter() {
            let place = Place::Line(line_of(text, key.span().start));
            let value = Value::from_toml(value.get_ref(), &|at| line_of(text, at));
            keys.insert(key.get_ref().to_string(), (place, value));
        }
        for (key, value) in overrides {
            keys.insert(key.clone(), (Place::CommandLine, from_command_line(key, value)?));
        }
        Ok(Self(keys))
    }

    /// Removes all keys that are not honoured: with a warning, or with an error if the domain would not be what the file says.
    pub fn drop_unhonoured(&mut self) -> Result<Vec<Message>, Message> {
        let mut warnings = Vec::new();
        for (key, (place, value)) in core::mem::take(&mut self.0) {
            match keys::handling(&key) {
                Some(Handling::Honoured) => drop(self.0.insert(key, (place, value))),
                Some(Handling::Refused(_)) if value.is_nothing() => {}
                Some(Handling::Refused(why)) => {
                    return Err(Message { place, text: format!("`{key}` is not supported: {why}") });
                }
                Some(Handling::Ignored) => {
                    warnings.push(Message { place, text: format!("`{key}` has no effect here and is ignored") });
                }
                None => {
                    return Err(Message { place, text: unknown(&key) });
                }
            }
        }
        Ok(warnings)
    }

    /// A key's place and value.
    pub fn get(&self, key: &str) -> Option<(Place, &Value)> {
        self.0.get(key).map(|(place, value)| (*place, value))
    }

    /// An error about a key.
    pub fn fail<T>(&self, key: &str, text: impl Into<String>) -> Result<T, Message> {
        let place = self.0.get(key).map_or(Place::File, |(place, _)| *place);
        Err(Message { place, text: text.into() })
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Result<Option<String>, Message> {
        match self.0.get(key) {
            None => Ok(None),
            Some((_, Value::Text(text))) if text.contains('\0') => self.fail(key, format!("{key} has a NUL character in it")),
            Some((_, Value::Text(text))) => Ok(Some(text.clone())),
            Some((_, other)) => self.fail(key, format!("{key} = {}: give text in quotes, such as {key} = \"...\"", other.shown())),
        }
    }

    /// The number of a key, quoted or not. `unit` stands in messages behind "a whole number".
    pub fn number<T>(&self, key: &str, unit: &str, range: RangeInclusive<T>) -> Result<Option<T>, Message>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some((_, value)) = self.0.get(key) else {
            return Ok(None);
        };
        let digits = match value {
            Value::Text(digits) | Value::Number(digits) => digits.trim(),
            _ => "",
        };
        match digits.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (from, to) = (range.start(), range.end());
                let shown = value.shown();
                self.fail(key, format!("{key} = {shown}: give a whole number{unit} from {from} to {to}, such as {key} = {from}"))
            }
        }
    }
}

/// The value of KEY=VALUE: text as it stands, but a list for a key that takes one.
fn from_command_line(key: &str, value: &str) -> Result<Value, Message> {
    if !keys::LISTS.contains(&key) || !value.starts_with('[') {
        return Ok(Value::Text(value.into()));
    }
    let parsed = if value.len() > FILE_MAX { None } else { DeValue::parse(value).ok() };
    parsed.map(|parsed| Value::from_toml(parsed.get_ref(), &|_| 1)).ok_or_else(|| {
        let text =
            format!("{key} = {value}: no list of TOML; write {key}=\"['...', '...']\", with quotes around the whole and each element");
        Message { place: Place::CommandLine, text }
    })
}

fn unknown(key: &str) -> String {
    match nearest(key, keys::all()) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; the keys are those of xl.cfg, such as name, kernel, memory"),
    }
}

fn syntax_error(text: &str, error: &toml::de::Error) -> Message {
    let at = error.span().map_or(text.len(), |span| span.start);
    let line = line_of(text, at);
    let shown: String = text.lines().nth(line - 1).unwrap_or_default().trim().chars().take(60).collect();
    let xl = if shown.contains("+=") || shown.contains(';') { " (xl's `+=` and `;` are not TOML)" } else { "" };
    let reason = error.message().replace('\n', ", ");
    Message { place: Place::Line(line), text: format!("not TOML at `{shown}`: {reason}{xl}") }
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().get(..at).unwrap_or(text.as_bytes()).iter().filter(|b| **b == b'\n').count()
}

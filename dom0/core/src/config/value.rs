//! Values, freed from TOML: only what a configuration can mean.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use toml::{Spanned, de::DeValue};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, or a quoted number.
    Text(String),
    /// A whole number; also one too large for any key, as its digits.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Item>),
    /// A table.
    Table(BTreeMap<String, Value>),
    /// Something that no key takes, by the name that TOML has for it.
    Other(&'static str),
}

/// An element of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The line that it begins on, counted from 1, if it is in a file.
    pub line: Option<usize>,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// Takes a value from TOML; `line` tells the line of a byte.
    pub fn from_toml(value: &DeValue<'_>, line: &dyn Fn(usize) -> usize) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Number(decimal(number.as_str(), number.radix())),
            DeValue::Boolean(b) => Self::Boolean(*b),
            DeValue::Array(all) => {
                let item = |v: &Spanned<DeValue<'_>>| Item { line: Some(line(v.span().start)), value: Self::from_toml(v.get_ref(), line) };
                Self::List(all.iter().map(item).collect())
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(keys) => {
                let keys = keys.iter().map(|(key, v)| (key.get_ref().to_string(), Self::from_toml(v.get_ref(), line)));
                Self::Table(keys.collect())
            }
        }
    }

    /// Whether the value says "none of it": empty, 0 or false.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty() || text == "0",
            Self::Number(digits) => digits == "0",
            Self::Boolean(b) => !b,
            Self::List(all) => all.is_empty(),
            Self::Table(_) | Self::Other(_) => false,
        }
    }

    /// The value as a user would recognise it, cut short if long.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() > 40 => {
                format!("\"{}...\"", text.chars().take(40).collect::<String>())
            }
            Self::Text(text) => format!("\"{text}\""),
            Self::Number(digits) => digits.chars().take(40).collect(),
            Self::Boolean(b) => b.to_string(),
            Self::List(_) => String::from("a list"),
            Self::Table(_) => String::from("a table"),
            Self::Other(what) => String::from(*what),
        }
    }
}

/// The digits of a number in base ten. What does not fit stays as it was written: no key takes it anyway.
fn decimal(digits: &str, radix: u32) -> String {
    i64::from_str_radix(digits, radix).map_or_else(|_| digits.to_string(), |number| number.to_string())
}

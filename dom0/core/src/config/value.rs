//! Values, freed from TOML: only what a configuration can mean.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use toml::de::DeValue;

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
    List(Vec<Value>),
    /// Something that no key takes, by the name that TOML has for it.
    Other(&'static str),
}

impl Value {
    /// Takes a value from TOML.
    pub fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Number(decimal(number.as_str(), number.radix())),
            DeValue::Boolean(b) => Self::Boolean(*b),
            DeValue::Array(all) => Self::List(all.iter().map(|v| Self::from_toml(v.get_ref())).collect()),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Whether the value says "none of it": empty, 0 or false.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty() || text == "0",
            Self::Number(digits) => digits == "0",
            Self::Boolean(b) => !b,
            Self::List(all) => all.is_empty(),
            Self::Other(_) => false,
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
            Self::Other(what) => String::from(*what),
        }
    }
}

/// The digits of a number in base ten. What does not fit stays as it was written: no key takes it anyway.
fn decimal(digits: &str, radix: u32) -> String {
    i64::from_str_radix(digits, radix).map_or_else(|_| digits.to_string(), |number| number.to_string())
}

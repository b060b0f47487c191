//! Words sorted into options and arguments, as a row of the table says.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::table::{OptionSpec, Spec};
use crate::nearest::nearest;

/// The words after a command's name.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    options: Vec<(&'static str, String)>,
    /// Arguments, as many as the row allows.
    pub arguments: Vec<String>,
    /// Whether `--help` was among the words.
    pub help: bool,
}

impl Matches {
    /// Whether an option was given.
    pub fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// The values of an option, in order.
    pub fn values(&self, long: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// The argument at a position.
    pub fn argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).map(String::as_str)
    }
}

/// Sorts words; an error says which word is wrong.
pub fn scan(spec: &'static Spec, words: &[String]) -> Result<Matches, String> {
    let mut matches = Matches::default();
    let mut rest = words.iter();
    let mut only_arguments = false;
    while let Some(word) = rest.next() {
        match word.as_str() {
            _ if only_arguments => matches.arguments.push(word.clone()),
            "--" => only_arguments = true,
            "--help" | "-h" => matches.help = true,
            long if long.starts_with("--") => {
                let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_string())));
                let option = spec.options.iter().find(|o| o.long == name).ok_or_else(|| unknown(spec, name))?;
                take(&mut matches, option, value, &mut rest)?;
            }
            letters if letters.len() > 1 && letters.starts_with('-') && !is_number(letters) => {
                for letter in letters.chars().skip(1) {
                    let named = |o: &&OptionSpec| o.short == Some(letter);
                    let option = spec.options.iter().find(named).ok_or_else(|| unknown(spec, &format!("-{letter}")))?;
                    take(&mut matches, option, None, &mut rest)?;
                }
            }
            _ => matches.arguments.push(word.clone()),
        }
    }
    if !matches.help {
        count_arguments(spec, &matches)?;
    }
    Ok(matches)
}

fn take<'a>(
    matches: &mut Matches,
    option: &'static OptionSpec,
    attached: Option<String>,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    let long = option.long;
    if matches.has(long) && !option.repeated {
        return Err(format!("{long} is given twice"));
    }
    let value = match (option.value, attached) {
        (None, None) => String::new(),
        (None, Some(_)) => return Err(format!("{long} takes no value")),
        (Some(_), Some(value)) => value,
        (Some(what), None) => rest.next().cloned().ok_or_else(|| format!("{long} needs a value: {long} {what}"))?,
    };
    matches.options.push((long, value));
    Ok(())
}

fn count_arguments(spec: &Spec, matches: &Matches) -> Result<(), String> {
    let given = matches.arguments.len();
    if let Some(missing) = spec.arguments.iter().enumerate().find(|(at, a)| a.required && *at >= given) {
        return Err(format!("{} is missing: {}", missing.1.name, missing.1.about));
    }
    let unlimited = spec.arguments.last().is_some_and(|a| a.repeated);
    match matches.arguments.get(spec.arguments.len()) {
        Some(extra) if !unlimited => Err(format!("`{extra}` is one argument too many")),
        _ => Ok(()),
    }
}

fn unknown(spec: &Spec, name: &str) -> String {
    match nearest(name, spec.options.iter().map(|o| o.long)) {
        Some(near) => format!("{name}: no such option; did you mean {near}?"),
        None => format!("{name}: no such option; put -- before words that begin with a hyphen"),
    }
}

/// A negative number is an argument, not an option.
fn is_number(word: &str) -> bool {
    word.bytes().skip(1).all(|b| b.is_ascii_digit())
}

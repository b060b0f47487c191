//! Help texts, made from the table.

use alloc::{format, string::String, vec::Vec};

use super::table::{Argument, OptionSpec, Spec};

/// The usage line of a command: `dom create [-c] [-p] FILE [KEY=VALUE]...`.
pub fn usage(spec: &Spec, prefix: &str) -> String {
    let options = spec.options.iter().map(option_usage);
    let arguments = spec.arguments.iter().map(argument_usage);
    let words: Vec<String> = core::iter::once(format!("{prefix}{}", spec.name)).chain(options).chain(arguments).collect();
    words.join(" ")
}

/// What `--help` prints.
pub fn help(spec: &Spec, prefix: &str) -> String {
    if !spec.subcommands.is_empty() {
        return overview(spec.subcommands, &format!("{prefix}{} ", spec.name));
    }
    let options = spec.options.iter().map(|o| (option_heading(o), o.about));
    let arguments = spec.arguments.iter().map(|a| (String::from(a.name), a.about));
    let rows: Vec<(String, &str)> = options.chain(arguments).collect();
    let details = if rows.is_empty() { String::new() } else { format!("\n{}", columns(&rows)) };
    let (name, about, example) = (spec.name, spec.about, spec.example);
    format!("{prefix}{name}: {about}\n\nusage: {}\n{details}\nexample: {example}\n", usage(spec, prefix))
}

/// All commands of a table, a line each.
pub fn overview(table: &[Spec], prefix: &str) -> String {
    let rows: Vec<(String, &str)> = table.iter().map(|s| (format!("{prefix}{}", s.name), s.about)).collect();
    format!("{}\n`{prefix}COMMAND --help` explains a command and gives an example.\n", columns(&rows))
}

fn columns(rows: &[(String, &str)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("  {left:width$}  {right}\n")).collect()
}

fn option_usage(option: &OptionSpec) -> String {
    let name = option.short.map_or(String::from(option.long), |letter| format!("-{letter}"));
    let value = option.value.map(|v| format!(" {v}")).unwrap_or_default();
    format!("[{name}{value}]{}", if option.repeated { "..." } else { "" })
}

fn option_heading(option: &OptionSpec) -> String {
    let short = option.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = option.value.map(|v| format!(" {v}")).unwrap_or_default();
    format!("{short}{}{value}", option.long)
}

fn argument_usage(argument: &Argument) -> String {
    let dots = if argument.repeated { "..." } else { "" };
    if argument.required { format!("{}{dots}", argument.name) } else { format!("[{}]{dots}", argument.name) }
}

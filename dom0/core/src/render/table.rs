//! Columns of text.

use alloc::{format, string::String, vec::Vec};

/// On which side a column's cells are flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Where its cells are flush.
    pub align: Align,
    /// Blanks before it.
    pub gap: usize,
    /// Characters that it has at least.
    pub width: usize,
}

/// A column as wide as its cells; `width` can be set to more.
pub const fn column(title: &'static str, align: Align, gap: usize) -> Column {
    Column { title, align, gap, width: 0 }
}

/// Lays out rows under headings. Columns grow with their cells; no line ends with blanks.
pub fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, c)| rows.iter().map(|r| r[at].chars().count()).chain([c.title.len(), c.width]).max().unwrap_or(0))
        .collect();
    let line = |cells: [&str; N]| {
        let mut text = String::new();
        for ((cell, column), width) in cells.iter().zip(&columns).zip(&widths) {
            text.extend(core::iter::repeat_n(' ', column.gap));
            match column.align {
                Align::Left => text.push_str(&format!("{cell:<width$}")),
                Align::Right => text.push_str(&format!("{cell:>width$}")),
            }
        }
        format!("{}\n", text.trim_end())
    };
    let heading = line(columns.map(|c| c.title));
    rows.iter().fold(heading, |text, row| text + &line(row.each_ref().map(String::as_str)))
}

/// Facts as `name: value` lines, the values flush.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{:<width$} {value}\n", format!("{name}:"))).collect()
}

/// Nanoseconds as seconds with one decimal, without floating point.
pub fn seconds(nanoseconds: u64) -> String {
    let tenths = nanoseconds / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_grow_and_lines_end_clean() {
        let columns = [column("A", Align::Left, 0), column("N", Align::Right, 2), column("B", Align::Left, 1)];
        let row = |a: &str, n: &str, b: &str| [a.into(), n.into(), b.into()];
        let text = table(columns, &[row("long", "7", "x"), row("s", "123", "")]);
        assert_eq!(text, "A       N B\nlong    7 x\ns     123\n");
    }

    #[test]
    fn tenths_are_cut_not_rounded() {
        assert_eq!(seconds(0), "0.0");
        assert_eq!(seconds(449_999_999), "0.4");
        assert_eq!(seconds(61_000_000_000), "61.0");
    }
}

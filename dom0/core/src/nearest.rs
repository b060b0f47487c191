//! The nearest known word, for messages about unknown ones. Own lines because `strsim` needs std.

use alloc::vec::Vec;

/// The candidate that fewest edits turn into `word`; `None` if even that one is not much like it.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = candidates.into_iter().map(|c| (distance(word, c), c)).min()?;
    let tolerated = 1 + word.chars().take(64).count() / 3;
    (best.0 <= tolerated).then_some(best.1)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    // Nobody's command or key is longer, and what is not looked at costs nothing.
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = alloc::vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = alloc::vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_slips_are_recognised() {
        let known = ["memory", "maxmem", "vcpus", "kernel"];
        assert_eq!(nearest("memroy", known), Some("memory"));
        assert_eq!(nearest("vcpu", known), Some("vcpus"));
        assert_eq!(nearest("Kernel", known), Some("kernel"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}

//! The spoken part of the British National Corpus: extra blanks go, and so do empty lines.

use super::blanks::{self, remove_extra_blanks};
use super::simple_wikipedia;

/// Removes extra blanks, then each pair of line ends, so that the texts around it are glued
/// together.
pub(super) fn clean(text: &str) -> String {
    remove_extra_blanks(text).replace("\n\n", "")
}

/// A place for a cut: not within blanks or empty lines.
pub(super) fn is_cut(text: &str, at: usize) -> bool {
    blanks::is_cut(text, at) && simple_wikipedia::is_cut(text, at)
}

#[cfg(test)]
mod tests {
    use super::clean;

    /// Expectations: the authors' `cleanup_bnc_spoken` under CPython 3.11.
    #[test]
    fn pairs_of_line_ends_vanish() {
        assert_eq!(clean("Yeah  .\n\nNo .\nWell , er\n"), "Yeah.No.\nWell, er\n");
        assert_eq!(clean("a\n\n\nb\n\n\n\nc\n \nd"), "a\nbc\n \nd");
    }
}

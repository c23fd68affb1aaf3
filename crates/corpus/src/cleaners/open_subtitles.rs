//! OpenSubtitles: the lines that credit a subtitler go.

use std::sync::LazyLock;

use regex::Regex;

/// "subtitle" as Python matches it without regard to case, which takes all four kinds of i (and the
/// long s, as the `regex` crate does) for one letter.
static SUBTITLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(?i)subt[iıİ]tle").expect("the pattern is valid"));

/// Removes each line that has "subtitle" in it; a last line without its line end stays, as in the
/// authors' code.
pub(super) fn clean(text: &str) -> String {
    text.split_inclusive('\n')
        .filter(|line| !(line.ends_with('\n') && SUBTITLE.is_match(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::clean;

    /// Expectations: the authors' `cleanup_open_subtitles` under CPython 3.11.
    #[test]
    fn credit_lines_go() {
        assert_eq!(clean("- Hi.\nSubtitles by Bob\nEnglish SUBTITLED\nBye.\n"), "- Hi.\nBye.\n");
        assert_eq!(clean("subtitles\n\nsubtitles"), "\nsubtitles");
        assert_eq!(clean("ſubtitle\nSUBTİTLE\nSUBTıTLE\nſuBtItLe\nsub title\n"), "sub title\n");
        assert_eq!(clean("one\x0Bsubtitle\u{2028}two\nthree\n"), "three\n");
    }
}

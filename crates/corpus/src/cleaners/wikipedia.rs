//! English Wikipedia: section headings lose their signs, lines their outer white space, and empty
//! lines go.

use std::sync::LazyLock;

use regex::Regex;

use crate::text::{python_splitlines, python_strip};

/// The rest of a line from `= = = ` on, when it ends in ` = = =`.
static HEADING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("= = = (.+?) = = =\n").expect("the pattern is valid"));

/// Unwraps headings together with their line ends, and strips each line. The last line end goes.
pub(super) fn clean(text: &str) -> String {
    let unwrapped = HEADING.replace_all(text, "$1");
    let lines: Vec<&str> = python_splitlines(&unwrapped).map(python_strip).collect();
    lines.join("\n")
}

/// A place for a cut: between two lines, of which the first is no heading.
pub(super) fn is_cut(text: &str, at: usize) -> bool {
    text[..at].strip_suffix('\n').is_some_and(|before| !before.ends_with('='))
}

/// Drops the first character of the whole (the authors expect an empty first line), then removes
/// each pair of line ends. The text comes in parts.
#[derive(Debug, Default)]
pub(super) struct Finish {
    has_begun: bool,
    /// A line feed at the end of the parts, which makes a pair with one that follows.
    has_line_feed: bool,
}

impl Finish {
    /// What becomes of the next part, as far as it is known yet.
    pub(super) fn push(&mut self, part: &str) -> String {
        let mut rest = part;
        if !self.has_begun
            && let Some(first) = part.chars().next()
        {
            self.has_begun = true;
            rest = &part[first.len_utf8()..];
        }
        let mut finished = String::with_capacity(rest.len() + 1);
        for line in rest.split_inclusive('\n') {
            let (text, ends) = line.strip_suffix('\n').map_or((line, false), |text| (text, true));
            if !text.is_empty() {
                finished.push_str(self.end());
                finished.push_str(text);
                self.has_line_feed = false;
            }
            self.has_line_feed ^= ends;
        }
        finished
    }

    /// The text that is left at the end.
    pub(super) fn end(&self) -> &'static str {
        if self.has_line_feed { "\n" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::{Finish, clean};
    use crate::pieces::{between_characters, cut};

    /// Expectations: the authors' `cleanup_wikipedia` under CPython 3.11.
    #[test]
    fn headings_blank_ends_and_empty_lines_go() {
        let cases = [
            (
                "\n = = = Early life = = = \n \n He was born .\n",
                "= = = Early life = = =He was born .",
            ),
            ("\n = = = Early life = = =\n He was born .\n", "Early life He was born ."),
            ("x = = = = Deep = = = =\ny", " = Deep =y"),
            ("\n= = = a = = = b = = =\nc", "a = = = bc"),
            ("\n= = =  = = =\nc", "= = =  = = =\nc"),
            ("é first\r\n\x1Cline\x1C\u{85}third", " firstlinethird"),
            ("\n = Title = \n\n\n text\x0Cpage", "= Title =\ntext\npage"),
            ("\n a \n \n b \n\n", "ab\n"),
            ("", ""),
            ("x", ""),
        ];
        for (raw, expected) in cases {
            let mut finish = Finish::default();
            assert_eq!(finish.push(&clean(raw)) + finish.end(), expected, "{raw:?}");
        }
    }

    #[test]
    fn parts_of_any_size_are_finished_as_the_whole() {
        for text in ["", "\n", "é\n\n\n", "x\n\n\n\n\na\nb\n\nc\n", "\n\n\n\n\n", "xa\n\n \n\n\n"]
        {
            let mut characters = text.chars();
            characters.next();
            let expected = characters.as_str().replace("\n\n", "");
            for bytes in [1, 2, 3, 7, 64] {
                let mut finish = Finish::default();
                let parts = cut(text, bytes, between_characters).into_iter();
                let found: String = parts.map(|part| finish.push(part)).collect();
                assert_eq!(found + finish.end(), expected, "{text:?} in parts of {bytes}");
            }
        }
    }
}

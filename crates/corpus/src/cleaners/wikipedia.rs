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

/// Drops the first character of the whole (the authors expect an empty first line), then removes
/// each pair of line ends.
pub(super) fn finish(text: &str) -> String {
    let mut rest = text.chars();
    rest.next();
    rest.as_str().replace("\n\n", "")
}

#[cfg(test)]
mod tests {
    use super::{clean, finish};

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
            assert_eq!(finish(&clean(raw)), expected, "{raw:?}");
        }
    }
}

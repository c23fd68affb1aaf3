//! The Children's Book Test, a tokenised text: extra blanks go, and so does the blank before a
//! contraction.

use std::sync::LazyLock;

use regex::Regex;

use super::blanks::{self, remove_extra_blanks};

/// A blank between a word and an apostrophe that begins one. Python's `\w` is letters, numbers and
/// `_`; the `\w` of the `regex` crate has marks besides.
static SPLIT_CONTRACTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([\p{L}\p{N}_]) (['’][\p{L}\p{N}_])").expect("the pattern is valid")
});

/// Removes extra blanks, and the one left before `'s`, `’ll` and their like.
pub(super) fn clean(text: &str) -> String {
    // Tabs and no-break spaces, which the authors' pattern also has, are plain spaces by now.
    SPLIT_CONTRACTION.replace_all(&remove_extra_blanks(text), "$1$2").into_owned()
}

/// A place for a cut: not within blanks, and behind nothing that a contraction can go on from.
pub(super) fn is_cut(text: &str, at: usize) -> bool {
    let goes_on = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '\'' | '’');
    blanks::is_cut(text, at) && !text[..at].ends_with(goes_on)
}

#[cfg(test)]
mod tests {
    use super::clean;

    /// Expectations: the authors' `cleanup_cbt` under CPython 3.11.
    #[test]
    fn contractions_join_their_words() {
        let cases = [
            ("It 's  Tom \u{A0}’s , is n't it ?", "It's Tom’s, is n't it?"),
            ("he said 'yes ' and 'no '", "he said'yes ' and'no '"),
            ("`` 'tis ''", "`` 'tis ''"),
            // Matches do not overlap.
            ("a 'b 'c", "a'b 'c"),
            ("the '60s , 1 '2 _ '_", "the'60s, 1'2 _'_"),
            ("é 'é ½ 'x", "é'é ½'x"),
            // A combining mark is no part of a word to Python.
            ("e\u{301} 's e '\u{301}s", "e\u{301} 's e '\u{301}s"),
            ("x\n'y z '\n", "x\n'y z '\n"),
        ];
        for (raw, expected) in cases {
            assert_eq!(clean(raw), expected, "{raw:?}");
        }
    }
}

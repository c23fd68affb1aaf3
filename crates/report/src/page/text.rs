//! Text from files of others, made fit for a page.

use crate::format::is_unseen;

/// Text whose control characters (but line feeds and tabs) and marks of direction are shown as
/// escapes, so that it cannot look like something else than it is.
pub fn shown(text: &str) -> String {
    let is_hidden = |letter: char| is_unseen(letter) && !matches!(letter, '\n' | '\t');
    let show = |letter: char| match is_hidden(letter) {
        true => letter.escape_unicode().to_string(),
        false => letter.to_string(),
    };
    match text.contains(is_hidden) {
        true => text.chars().map(show).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(shown("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(shown("\u{202e}gnp\u{0}\r"), "\\u{202e}gnp\\u{0}\\u{d}");
    }
}

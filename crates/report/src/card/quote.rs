//! Texts of others within YAML and Markdown.

use crate::format::visible;

/// A text as a YAML scalar in double quotes (YAML 1.2, 7.3.1, which parsers of 1.1 read the same
/// way). What is not plainly a letter, a digit or ASCII is escaped: parsers refuse some characters
/// and take others for line breaks.
pub(super) fn yaml(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        ' '..='~' => letter.to_string(),
        letter if letter.is_alphanumeric() => letter.to_string(),
        letter => match u32::from(letter) {
            code @ 0..=0xff => format!("\\x{code:02x}"),
            code @ 0..=0xffff => format!("\\u{code:04x}"),
            code => format!("\\U{code:08x}"),
        },
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// A text as one line of Markdown without any markup; also within a table.
pub(super) fn text(text: &str) -> String {
    let is_markup = |letter: char| "\\`*_[]<>|&~$#".contains(letter);
    let mut markdown = String::new();
    for word in visible(text).split_whitespace() {
        if !markdown.is_empty() {
            markdown.push(' ');
        }
        for letter in word.chars() {
            if is_markup(letter) {
                markdown.push('\\');
            }
            markdown.push(letter);
        }
    }
    markdown
}

/// A text as a block of code, whose fence is longer than any in it.
pub(super) fn code(language: &str, text: &str) -> String {
    let text = visible(text.trim_end());
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_scalars_hold_any_text() {
        let cases = [
            ("en", "\"en\""),
            ("a: \"b\" # c\\", "\"a: \\\"b\\\" # c\\\\\""),
            ("\u{e9}t\u{e9} 語", "\"\u{e9}t\u{e9} 語\""),
            ("a\nb\t\u{0}\u{7f}\u{85}", "\"a\\x0ab\\x09\\x00\\x7f\\x85\""),
            ("\u{2028}\u{202e}\u{feff}\u{1f600}", "\"\\u2028\\u202e\\ufeff\\U0001f600\""),
        ];
        for (text, expected) in cases {
            assert_eq!(yaml(text), expected);
        }
    }

    #[test]
    fn markdown_of_a_text_has_no_markup() {
        assert_eq!(text("teacher-gpt2, 59.5 %"), "teacher-gpt2, 59.5 %");
        assert_eq!(text("a_b <b>|c|</b> [x](y)"), "a\\_b \\<b\\>\\|c\\|\\</b\\> \\[x\\](y)");
        assert_eq!(text(" two\n\n# lines "), "two \\# lines");
    }

    #[test]
    fn a_fence_is_longer_than_those_in_the_text() {
        assert_eq!(code("toml", "a = 1\n"), "```toml\na = 1\n```");
        assert_eq!(code("toml", "a\n````\nb"), "`````toml\na\n````\nb\n`````");
    }
}

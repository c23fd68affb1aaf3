//! QED (subtitles of talks): lines that shout are brought back to sentence case.

use super::capitalize::capitalize;
use crate::text::{is_python_space, python_splitlines, python_strip};

/// Strips each line; one that is at least half upper case is first rewritten as capitalised
/// sentences.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (index, line) in python_splitlines(text).enumerate() {
        if index > 0 {
            clean.push('\n');
        }
        if shouts(line) {
            clean.push_str(python_strip(&to_sentence_case(line)));
        } else {
            clean.push_str(python_strip(line));
        }
    }
    clean
}

/// Whether upper case makes up half of a line or more, leaving aside what stands in parentheses and
/// `.` `!` `?`.
///
/// A line with nothing else does not shout (the authors' code would divide by zero).
fn shouts(line: &str) -> bool {
    let (mut upper, mut all) = (0, 0);
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '(' if rest.contains(')') => rest = rest.split_once(')').map_or("", |(_, after)| after),
            '.' | '!' | '?' => {}
            _ => {
                all += 1;
                upper += usize::from(character.is_uppercase());
            }
        }
    }
    all > 0 && 2 * upper >= all
}

/// Takes every `l` for an `I` that was read wrongly, then capitalises each piece between `.` `!`
/// `?`.
fn to_sentence_case(line: &str) -> String {
    let mended = line.replace('l', "I");
    let mut result = String::with_capacity(mended.len());
    let mut rest = mended.as_str();
    while let Some(end) = rest.find(['.', '!', '?']) {
        let after = rest[end + 1..].trim_start_matches(is_python_space);
        result.push_str(&capitalize(&rest[..end]));
        result.push_str(&rest[end..rest.len() - after.len()]);
        rest = after;
    }
    result.push_str(&capitalize(rest));
    result
}

#[cfg(test)]
mod tests {
    use super::clean;

    /// Expectations: the authors' `cleanup_qed` under CPython 3.11, where it does not divide by
    /// zero.
    #[test]
    fn shouting_lines_come_back_to_sentence_case() {
        let cases = [
            ("  Plain line \n\n\tnext ", "Plain line\n\nnext"),
            ("HELLO THERE. lT lS ME!  WHAT?NO", "Hello there. It is me!  What?No"),
            // Half upper case is enough; a little less is not.
            ("ABcd", "Abcd"),
            ("ABcde", "ABcde"),
            // Spaces count, so a line of short words in capitals can stay below half.
            ("A B cd", "A B cd"),
            ("(laughs) OH NO", "(iaughs) oh no"),
            ("(LAUGHS) oh no", "(LAUGHS) oh no"),
            ("(a)(B) c) D", "(a)(B) c) D"),
            ("(NO END", "(no end"),
            ("A (b\u{2028}c) D", "A (b\nc) D"),
            ("...\n ?! \n(applause)\n", "...\n?!\n(applause)"),
            ("ΟΔΟΣ. ΣΑΣ ΑΣ!", "Οδος. Σας ας!"),
            ("ǄUNGLA. ǄUNGLA", "ǅungla. ǅungla"),
            ("ⒶⒷ Ⅳ", "Ⓐⓑ ⅳ"),
            ("\x1FOH. \x1FNO\x1F", "oh. \x1FNo"),
        ];
        for (raw, expected) in cases {
            assert_eq!(clean(raw), expected, "{raw:?}");
        }
    }
}

//! Blanks left over from transcription, shared by several sources.

/// Turns each run of blanks (space, tab, no-break space) into one space, and into none before `.`
/// `,` `;` `!` `?`.
pub(super) fn remove_extra_blanks(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if !is_blank(character) {
            clean.push(character);
            continue;
        }
        while characters.next_if(|&next| is_blank(next)).is_some() {}
        if !characters.peek().is_some_and(|&next| matches!(next, '.' | ',' | ';' | '!' | '?')) {
            clean.push(' ');
        }
    }
    clean
}

/// Space, tab or no-break space, but no line end.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{A0}')
}

/// A place for a cut: a run of blanks that ends there would be looked at as if nothing followed.
pub(super) fn is_cut(text: &str, at: usize) -> bool {
    !text[..at].ends_with(is_blank)
}

#[cfg(test)]
mod tests {
    use super::remove_extra_blanks;

    /// Expectations: the authors' `cleanup_extra_spaces` under CPython 3.11.
    #[test]
    fn runs_of_blanks_shrink_and_vanish_before_punctuation() {
        let cases = [
            ("you  want \t some\u{A0}milk ?", "you want some milk?"),
            ("oh , no  ; . . . !", "oh, no;...!"),
            ("  indented \n  .next", " indented \n.next"),
            ("kept : ' \" )", "kept : ' \" )"),
            ("wide\u{3000}\u{2003}blanks\x0Bstay .", "wide\u{3000}\u{2003}blanks\x0Bstay."),
            ("\t", " "),
            ("", ""),
        ];
        for (raw, expected) in cases {
            assert_eq!(remove_extra_blanks(raw), expected, "{raw:?}");
        }
    }
}

//! Python's `str.capitalize`.

/// The first character in title case, the others in lower case, a Greek sigma at a word's end in
/// its final form.
pub(super) fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return String::new();
    };
    // The whole text is lowered, not its tail alone: a final sigma is known by what stands before
    // it.
    let lower = text.to_lowercase();
    let tail = first.to_lowercase().map(char::len_utf8).sum::<usize>();
    title_case(first) + &lower[tail..]
}

/// A character's title case by Unicode's full mapping.
///
/// That is its upper case but for three kinds: characters that are or have a title form of their
/// own (digraphs, Greek with iota subscript, Georgian, which has no title case), and those whose
/// upper case is several characters, of which only the first one stays upper.
fn title_case(character: char) -> String {
    let code = character as u32;
    match character {
        'Ǆ'..='ǆ' => 'ǅ'.into(),
        'Ǉ'..='ǉ' => 'ǈ'.into(),
        'Ǌ'..='ǌ' => 'ǋ'.into(),
        'Ǳ'..='ǳ' => 'ǲ'.into(),
        'ა'..='ჺ' | 'ჽ'..='ჿ' => character.into(),
        'ᾀ'..='ᾯ' => char::from_u32(code | 8).unwrap_or(character).into(),
        'ᾳ' | 'ᾼ' => 'ᾼ'.into(),
        'ῃ' | 'ῌ' => 'ῌ'.into(),
        'ῳ' | 'ῼ' => 'ῼ'.into(),
        _ => first_upper(character),
    }
}

/// The upper case of a character, of which all but the first letter are lowered again: `Ss` from
/// `ß`.
fn first_upper(character: char) -> String {
    let mut upper = character.to_uppercase();
    let first = upper.next().unwrap_or(character);
    let mut title = String::from(first);
    for other in upper {
        match other {
            // Greek iota subscript is raised to a capital iota; below a capital letter it stays a
            // mark.
            '\u{399}' if ('\u{1F80}'..'\u{2000}').contains(&character) => title.push('\u{345}'),
            _ if first.is_uppercase() => title.extend(other.to_lowercase()),
            _ => title.push(other),
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use super::capitalize;

    /// Expectations: CPython 3.11.
    #[test]
    fn capitalizes_as_python_does() {
        let cases = [
            ("", ""),
            ("hELLO wORLD", "Hello world"),
            (" hELLO", " hello"),
            ("éCOLE", "École"),
            ("ßA", "Ssa"),
            ("ﬃX", "Ffix"),
            ("ﬗ", "Մխ"),
            ("ŉA", "ʼNa"),
            ("ΐΣ", "Ι\u{308}\u{301}ς"),
            ("ǆǄ", "ǅǆ"),
            ("ǲ", "ǲ"),
            ("აᲐ", "აა"),
            ("ᾀᾈ", "ᾈᾀ"),
            ("ᾳ", "ᾼ"),
            ("ᾷ", "Α\u{342}\u{345}"),
            ("ῴ", "Ώ\u{345}"),
            ("İİ", "İi\u{307}"),
            ("ΣΑΣ ΑΣ Σ", "Σας ας σ"),
            ("ΑΣ'Α ΑΣ'", "Ασ'α ας'"),
            ("ıJ", "Ij"),
        ];
        for (raw, expected) in cases {
            assert_eq!(capitalize(raw), expected, "{raw:?}");
        }
    }
}

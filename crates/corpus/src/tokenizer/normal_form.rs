//! Unicode normal forms, found piece by piece, the library being asked once for each.

use std::borrow::Cow;

use tokenizers::{NormalizedString, Normalizer};

use super::memory::Memory;

/// Brings texts into the normal form of one normalizer, and remembers those of short pieces.
#[derive(Debug, Default)]
pub(super) struct NormalForms {
    known: Memory<Box<str>>,
}

impl NormalForms {
    /// The normal form of a text. `normalizer` must be one of NFC, NFD, NFKC and NFKD, the same at
    /// every call.
    ///
    /// A piece is an ASCII character with what follows it up to the next one. The normal forms of
    /// the pieces are the normal form of the text: ASCII characters are their own normal forms
    /// and starters, so that no mark moves across one, and none is ever joined to what stands
    /// before it.
    pub(super) fn of<'t>(&mut self, text: &'t str, normalizer: &impl Normalizer) -> Cow<'t, str> {
        if text.is_ascii() {
            return text.into();
        }
        let bytes = text.as_bytes();
        let mut normal = String::with_capacity(text.len());
        let mut done = 0;
        while let Some(distance) = bytes[done..].iter().position(|byte| !byte.is_ascii()) {
            let other = done + distance;
            let end = bytes[other..]
                .iter()
                .position(u8::is_ascii)
                .map_or(bytes.len(), |length| other + length);
            // What was done ends before an ASCII character, so that only a text's first piece can
            // lack one.
            let start = other.saturating_sub(1);
            normal.push_str(&text[done..start]);
            self.push_piece(&text[start..end], normalizer, &mut normal);
            done = end;
        }
        normal.push_str(&text[done..]);
        normal.into()
    }

    fn push_piece(&mut self, piece: &str, normalizer: &impl Normalizer, normal: &mut String) {
        if let Some(form) = self.known.get(piece) {
            normal.push_str(form);
            return;
        }
        let form = by_library(piece, normalizer);
        normal.push_str(&form);
        self.known.keep(piece, form.into());
    }
}

/// The slow reference: the library's normal form of a whole text.
fn by_library(text: &str, normalizer: &impl Normalizer) -> String {
    let mut form = NormalizedString::from(text);
    normalizer.normalize(&mut form).expect("a Unicode normal form cannot fail");
    form.get().to_owned()
}

#[cfg(test)]
mod tests {
    use tokenizers::normalizers::unicode::{NFC, NFD, NFKC, NFKD};

    use super::super::test_texts;
    use super::*;

    fn agree(normalizer: &impl Normalizer) {
        let mut forms = NormalForms::default();
        for text in test_texts::texts() {
            let expected = by_library(&text, normalizer);
            for _ in 0..2 {
                assert_eq!(forms.of(&text, normalizer), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn normal_forms_are_those_of_the_library() {
        agree(&NFC);
        agree(&NFD);
        agree(&NFKC);
        agree(&NFKD);
    }

    /// Every character between ASCII ones, and after a letter with a mark to come.
    #[test]
    fn no_character_acts_across_ascii() {
        let (mut composed, mut decomposed) = (NormalForms::default(), NormalForms::default());
        for block in test_texts::all_characters().chunks(4096) {
            let text: String = block
                .iter()
                .flat_map(|&character| ['e', character, '\u{301}', '<', character])
                .collect();
            assert_eq!(composed.of(&text, &NFKC), by_library(&text, &NFKC));
            assert_eq!(decomposed.of(&text, &NFD), by_library(&text, &NFD));
        }
    }
}

//! A validation part of a corpus, held out by lines. Texts are read once to count their lines, and
//! again whenever a part is read.

use std::ops::Range;

use crate::error::{CorpusError, Result};
use crate::text::PythonLines;
use crate::texts::Text;

/// Splits each text by lines, the last `fraction` of them being held out: (training, validation).
///
/// As in BabyLlama-2, lines are those of Python's `splitlines`, the first `round((1 - fraction) *
/// lines)` (a half to even) are for training, and neither part ends in a line end. A text too short
/// to give a line to one of the two is left out there; if that leaves nothing, it is an error.
///
/// # Errors
/// When a text cannot be read, the fraction is out of range, or a part would be left without text.
pub fn split_validation<'a>(
    texts: &[Text<'a>],
    fraction: f64,
) -> Result<(Vec<Text<'a>>, Vec<Text<'a>>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(CorpusError::ValidationFraction { fraction });
    }
    let (mut train, mut validation, mut all_lines) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        let lines = count_lines(text)?;
        let train_lines = ((1.0 - fraction) * lines as f64).round_ties_even() as usize;
        let train_lines = train_lines.min(lines);
        for (part, range) in [(&mut train, 0..train_lines), (&mut validation, train_lines..lines)] {
            if !range.is_empty() {
                part.push(only_lines(text.clone(), range));
            }
        }
        all_lines += lines;
    }
    if train.is_empty() || validation.is_empty() {
        return Err(CorpusError::TooFewLines { lines: all_lines, fraction });
    }
    Ok((train, validation))
}

/// Lines of Python's `splitlines`.
fn count_lines(text: &Text<'_>) -> Result<usize> {
    let mut lines = PythonLines::default();
    for part in text.parts() {
        lines.push(&part?, |_, _| ());
    }
    Ok(lines.count())
}

/// Some of Python's lines, joined by line feeds.
fn only_lines(text: Text<'_>, range: Range<usize>) -> Text<'_> {
    text.changed(move |parts| {
        let (mut lines, mut last, range) = (PythonLines::default(), None, range.clone());
        Box::new(parts.map_while(move |part| {
            (lines.count() <= range.end).then(|| {
                let mut taken = String::new();
                lines.push(&part?, |line, stretch| {
                    if range.contains(&line) {
                        if last.is_some_and(|last| last != line) {
                            taken.push('\n');
                        }
                        taken.push_str(stretch);
                        last = Some(line);
                    }
                });
                Ok(taken)
            })
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{NamedText, python_splitlines};
    use crate::texts::in_memory;
    use crate::texts::test_texts::{in_parts, named, read};

    fn split_validation(
        texts: &[NamedText],
        fraction: f64,
    ) -> Result<(Vec<NamedText>, Vec<NamedText>)> {
        let (train, validation) = super::split_validation(&in_memory(texts), fraction)?;
        Ok((read(&train), read(&validation)))
    }

    /// The slow reference: the lines of a whole text.
    fn split_whole(text: &str, fraction: f64) -> (String, String) {
        let lines: Vec<&str> = python_splitlines(text).collect();
        let train_lines = ((1.0 - fraction) * lines.len() as f64).round_ties_even() as usize;
        let (first, last) = lines.split_at(train_lines.min(lines.len()));
        (first.join("\n"), last.join("\n"))
    }

    #[test]
    fn the_last_lines_are_held_out() {
        let text = (1..=20).map(|line| format!("{line}\n")).collect::<String>();
        let (train, validation) = split_validation(&[named("a.train", text)], 0.05).unwrap();
        assert_eq!(
            train,
            [named(
                "a.train",
                (1..=19).map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
            )]
        );
        assert_eq!(validation, [named("a.train", "20")]);
    }

    #[test]
    fn lines_and_rounding_are_pythons() {
        let train_lines = |text: &str, fraction| {
            let (train, _) = split_validation(&[named("a", text)], fraction).unwrap();
            python_splitlines(&train[0].1).count()
        };
        // round(0.5 * 5) is 2 and round(0.5 * 7) is 4.
        assert_eq!(train_lines("1\n2\n3\n4\n5", 0.5), 2);
        assert_eq!(train_lines("1\n2\n3\n4\n5\n6\n7\n", 0.5), 4);
        // (1 - 0.05) * 10 is 9.5, whose even neighbour would leave nothing to validate on.
        assert!(split_validation(&[named("a", "x\n".repeat(10))], 0.05).is_err());
        assert_eq!(train_lines(&"x\n".repeat(18_000), 0.05), 17_100);
        let (train, validation) =
            split_validation(&[named("a", "1\u{2028}2\n\n4\x0C")], 0.5).unwrap();
        assert_eq!((train[0].1.as_str(), validation[0].1.as_str()), ("1\n2", "\n4"));
    }

    #[test]
    fn short_texts_are_all_for_training_unless_there_is_nothing_else() {
        let texts = [named("a", "one\ntwo\n"), named("b", "x\n".repeat(20)), named("c", "")];
        let (train, validation) = split_validation(&texts, 0.05).unwrap();
        assert_eq!(train[0], named("a", "one\ntwo"));
        assert_eq!((train.len(), &validation[..]), (2, &[named("b", "x")][..]));

        let message = split_validation(&texts[..1], 0.05).unwrap_err().to_string();
        assert_eq!(
            message,
            "the corpus has 2 lines, too few to hold out 0.05 of each file for validation"
        );
        for fraction in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(matches!(
                split_validation(&texts, fraction),
                Err(CorpusError::ValidationFraction { .. })
            ));
        }
    }

    #[test]
    fn parts_of_any_size_are_split_as_the_whole() {
        let texts = [
            "1\u{2028}2\n\n4\x0C",
            "a\r\nb\r\rc\r\n\r\n",
            "one\n\n\n\x1C\x1D\u{85}two𝄞\n𝄞\u{2029}end",
            "\n\n\n\n\n\n\n\n",
            &"no line end at all ".repeat(20),
            &"𝄞🎵\n".repeat(30),
        ];
        for text in texts {
            let named = [named("a", text), named("b", "x\n".repeat(30))];
            for fraction in [0.05, 0.3, 0.5, 0.9] {
                let (train, validation) = split_whole(text, fraction);
                for bytes in [1, 2, 3, 7, 64] {
                    let parts = super::split_validation(&in_parts(&named, bytes), fraction);
                    let (first, last) = parts.unwrap();
                    let find = |texts: &[Text<'_>]| {
                        let found = texts.iter().find(|text| text.name() == "a");
                        found.map_or(String::new(), |text| text.read().unwrap())
                    };
                    assert_eq!(find(&first), train, "{text:?} in parts of {bytes}");
                    assert_eq!(find(&last), validation, "{text:?} in parts of {bytes}");
                }
            }
        }
    }
}

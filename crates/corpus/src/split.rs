//! Parts of a corpus: a validation part held out by lines, and a subset by number of words.

use base::rng::Rng;
use rayon::prelude::*;

use crate::error::{CorpusError, Result};
use crate::text::{NamedText, count_words, python_splitlines};

/// Words in a run of neighbouring lines that a subset takes or leaves as a whole, so that its text
/// stays coherent.
const RUN_WORDS: usize = 2000;

/// Splits each text by lines, the last `fraction` of them being held out: (training, validation).
///
/// As in BabyLlama-2, lines are those of Python's `splitlines`, the first `round((1 - fraction) *
/// lines)` (a half to even) are for training, and neither part ends in a line end. A text too short
/// to give a line to one of the two is left out there; if that leaves nothing, it is an error.
pub fn split_validation(
    texts: &[NamedText],
    fraction: f64,
) -> Result<(Vec<NamedText>, Vec<NamedText>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(CorpusError::ValidationFraction { fraction });
    }
    let (mut train, mut validation, mut all_lines) = (Vec::new(), Vec::new(), 0);
    for (name, text) in texts {
        let lines: Vec<&str> = python_splitlines(text).collect();
        let train_lines = ((1.0 - fraction) * lines.len() as f64).round_ties_even() as usize;
        let (first, last) = lines.split_at(train_lines.min(lines.len()));
        for (part, lines) in [(&mut train, first), (&mut validation, last)] {
            if !lines.is_empty() {
                part.push((name.clone(), lines.join("\n")));
            }
        }
        all_lines += lines.len();
    }
    if train.is_empty() || validation.is_empty() {
        return Err(CorpusError::TooFewLines { lines: all_lines, fraction });
    }
    Ok((train, validation))
}

/// A subset of about `words` words: runs of neighbouring lines, drawn at random, in their original
/// order.
///
/// Each text gives in proportion to its size; one that gives nothing is left out. The last run
/// taken from a text is cut at the line that comes nearest, and what it misses is made up for in
/// the next text. A corpus that has no more than `words` comes back whole. The result is a pure
/// function of the arguments.
pub fn subset_by_words(texts: &[NamedText], words: usize, seed: u64) -> Vec<NamedText> {
    let sizes: Vec<usize> = texts.par_iter().map(|(_, text)| count_words(text)).collect();
    let all: usize = sizes.iter().sum();
    if words >= all {
        return texts.to_vec();
    }
    let rng = Rng::new(seed, "corpus subset");
    let (mut seen, mut taken) = (0, 0);
    let mut subset = Vec::new();
    for (index, ((name, text), size)) in texts.iter().zip(sizes).enumerate() {
        seen += size;
        let due = (words as u128 * seen as u128 / all as u128) as usize;
        let (part, part_words) = draw_runs(text, due.saturating_sub(taken), rng.at(index as u64));
        taken += part_words;
        if part_words > 0 {
            subset.push((name.clone(), part));
        }
    }
    subset
}

/// Draws runs of lines until they hold about `words` words; returns them in order, and their words.
fn draw_runs(text: &str, words: usize, rng: Rng) -> (String, usize) {
    let runs = runs_of_lines(text);
    let mut kept = vec![0; runs.len()];
    let mut taken = 0;
    for run in rng.permutation(runs.len()) {
        for &(_, line_words) in &runs[run as usize] {
            // Past the half of this line, the text is nearer to its due without it.
            if taken + line_words.div_ceil(2) > words {
                let part = runs.iter().zip(&kept).flat_map(|(run, &lines)| &run[..lines]);
                return (part.map(|&(line, _)| line).collect(), taken);
            }
            taken += line_words;
            kept[run as usize] += 1;
        }
    }
    (text.to_owned(), taken)
}

/// The lines of a text with their line ends and numbers of words, in runs of at least [`RUN_WORDS`]
/// but for the last.
fn runs_of_lines(text: &str) -> Vec<Vec<(&str, usize)>> {
    let mut runs = Vec::new();
    let (mut run, mut run_words) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let line_words = count_words(line);
        run.push((line, line_words));
        run_words += line_words;
        if run_words >= RUN_WORDS {
            runs.push(std::mem::take(&mut run));
            run_words = 0;
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, text: impl Into<String>) -> NamedText {
        (name.into(), text.into())
    }

    fn numbered(count: usize, words_per_line: usize) -> String {
        (0..count)
            .map(|line| format!("{}line{line}\n", "word ".repeat(words_per_line - 1)))
            .collect()
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
    fn a_subset_is_proportional_in_order_and_repeatable() {
        let texts = [
            named("a", numbered(8000, 10)),
            named("b", numbered(4000, 5)),
            named("c", "few words\n"),
        ];
        let subset = subset_by_words(&texts, 25_000, 7);
        let words: Vec<usize> = subset.iter().map(|(_, text)| count_words(text)).collect();
        assert!(words.iter().sum::<usize>().abs_diff(25_000) <= 5, "{words:?}");
        assert!(words[0].abs_diff(20_000) <= 10 && words[1].abs_diff(5000) <= 10, "{words:?}");

        for ((_, part), (_, whole)) in subset.iter().zip(&texts) {
            let mut lines = whole.split_inclusive('\n');
            assert!(
                part.split_inclusive('\n').all(|line| lines.any(|other| other == line)),
                "order is kept"
            );
        }
        assert_eq!(subset, subset_by_words(&texts, 25_000, 7));
        assert_ne!(subset, subset_by_words(&texts, 25_000, 8));
    }

    #[test]
    fn a_subset_is_made_of_long_runs() {
        let texts = [named("a", numbered(20_000, 10))];
        let subset = subset_by_words(&texts, 20_000, 1);
        let numbers: Vec<usize> = subset[0]
            .1
            .lines()
            .map(|line| line.rsplit_once("line").unwrap().1.parse().unwrap())
            .collect();
        let breaks = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!((5..10).contains(&breaks), "{breaks} breaks in ten runs of 2,000 words");
    }

    #[test]
    fn a_corpus_that_is_no_larger_comes_back_whole() {
        let texts = [named("a", "one two\n three"), named("b", "four")];
        assert_eq!(subset_by_words(&texts, 4, 0), texts);
        assert_eq!(subset_by_words(&texts, 9, 0), texts);
        assert_eq!(subset_by_words(&texts, 0, 0), []);
    }
}

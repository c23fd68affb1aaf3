//! A subset of a corpus by number of words. Texts are read once or twice to draw what is taken, and
//! again whenever that is read.

use std::ops::ControlFlow;

use base::rng::Rng;

use crate::error::Result;
use crate::stats::WordCount;
use crate::texts::Text;

/// Words in a run of neighbouring lines that a subset takes or leaves as a whole, so that its text
/// stays coherent.
const RUN_WORDS: usize = 2000;

/// A subset of about `words` words: runs of neighbouring lines, drawn at random, in their original
/// order.
///
/// Each text gives in proportion to its size; one that gives nothing is left out. The last run
/// taken from a text is cut at the line that comes nearest, and what it misses is made up for in
/// the next text. A corpus that has no more than `words` comes back whole. The result is a pure
/// function of the arguments.
///
/// # Errors
/// When a text cannot be read.
pub fn subset_by_words<'a>(texts: &[Text<'a>], words: usize, seed: u64) -> Result<Vec<Text<'a>>> {
    let runs = texts.iter().map(runs_of_lines).collect::<Result<Vec<_>>>()?;
    let size = |runs: &Vec<Run>| runs.iter().map(|run| run.words).sum::<usize>();
    let all: usize = runs.iter().map(size).sum();
    if words >= all {
        return Ok(texts.to_vec());
    }
    let rng = Rng::new(seed, "corpus subset");
    let (mut seen, mut taken) = (0, 0);
    let mut subset = Vec::new();
    for (index, (text, runs)) in texts.iter().zip(&runs).enumerate() {
        seen += size(runs);
        let due = (words as u128 * seen as u128 / all as u128) as usize;
        let drawn = draw_runs(text, runs, due.saturating_sub(taken), rng.at(index as u64))?;
        taken += drawn.words;
        if drawn.words > 0 {
            subset.push(only_runs(text.clone(), drawn.kept));
        }
    }
    Ok(subset)
}

/// A run of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    words: usize,
    /// The words that must be due for the run to be taken whole: up to the half of each line.
    reach: usize,
}

/// What is taken of a text.
struct Drawn {
    /// How many lines of each run.
    kept: Vec<usize>,
    words: usize,
}

/// Draws runs of lines until they hold about `words` words.
fn draw_runs(text: &Text<'_>, runs: &[Run], words: usize, rng: Rng) -> Result<Drawn> {
    let mut drawn = Drawn { kept: vec![0; runs.len()], words: 0 };
    for run in rng.permutation(runs.len()) {
        let index = run as usize;
        if drawn.words + runs[index].reach > words {
            (drawn.kept[index], drawn.words) = first_lines(text, index, drawn.words, words)?;
            break;
        }
        drawn.kept[index] = usize::MAX;
        drawn.words += runs[index].words;
    }
    Ok(drawn)
}

/// How many lines of a run are taken when `taken` words of `words` are there, and the words then.
fn first_lines(text: &Text<'_>, run: usize, taken: usize, words: usize) -> Result<(usize, usize)> {
    let mut kept = (0, taken);
    each_line(text, |line| {
        if line.run == run {
            if taken + line.reach() > words {
                return ControlFlow::Break(());
            }
            kept = (line.index + 1, taken + line.before + line.words.count());
        }
        ControlFlow::Continue(())
    })?;
    Ok(kept)
}

/// The runs of a text: at least [`RUN_WORDS`] words each but for the last.
fn runs_of_lines(text: &Text<'_>) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    each_line(text, |line| {
        runs.resize(line.run + 1, Run::default());
        let run = &mut runs[line.run];
        run.words += line.words.count();
        run.reach = run.reach.max(line.reach());
        ControlFlow::Continue(())
    })?;
    Ok(runs)
}

/// Calls `visit` with each line once its words are known, until it breaks off.
fn each_line(text: &Text<'_>, mut visit: impl FnMut(&Line) -> ControlFlow<()>) -> Result<()> {
    let (mut line, mut is_open) = (Line::default(), false);
    for part in text.parts() {
        for stretch in part?.split_inclusive('\n') {
            line.words.add(WordCount::of(stretch));
            is_open = !stretch.ends_with('\n');
            if !is_open {
                if visit(&line).is_break() {
                    return Ok(());
                }
                line = line.next();
            }
        }
    }
    if is_open {
        let _ = visit(&line);
    }
    Ok(())
}

/// The text of the first lines of each run.
fn only_runs(text: Text<'_>, kept: Vec<usize>) -> Text<'_> {
    text.changed(move |parts| {
        let (mut line, kept) = (Line::default(), kept.clone());
        Box::new(parts.map(move |part| {
            let part = part?;
            let mut taken = String::with_capacity(part.len());
            for stretch in part.split_inclusive('\n') {
                line.words.add(WordCount::of(stretch));
                if kept.get(line.run).is_some_and(|&lines| line.index < lines) {
                    taken.push_str(stretch);
                }
                if stretch.ends_with('\n') {
                    line = line.next();
                }
            }
            Ok(taken)
        }))
    })
}

/// A line of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    run: usize,
    /// The line's number in the run.
    index: usize,
    /// Words of the run before it.
    before: usize,
    /// The line's own words, as far as they are known.
    words: WordCount,
}

impl Line {
    /// The words of the run up to the half of the line; past it, a text of fewer words is nearer to
    /// them without the line.
    fn reach(&self) -> usize {
        self.before + self.words.count().div_ceil(2)
    }

    /// The line after this one, which is complete.
    fn next(&self) -> Self {
        let before = self.before + self.words.count();
        match before >= RUN_WORDS {
            true => Self { run: self.run + 1, ..Self::default() },
            false => Self { index: self.index + 1, before, words: WordCount::default(), ..*self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{NamedText, count_words};
    use crate::texts::in_memory;
    use crate::texts::test_texts::{in_parts, named, read};

    fn subset_by_words(texts: &[NamedText], words: usize, seed: u64) -> Vec<NamedText> {
        read(&super::subset_by_words(&in_memory(texts), words, seed).unwrap())
    }

    fn numbered(count: usize, words_per_line: usize) -> String {
        (0..count)
            .map(|line| format!("{}line{line}\n", "word ".repeat(words_per_line - 1)))
            .collect()
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

    /// The slow reference: draws from the runs of a whole text.
    fn draw_whole(text: &str, words: usize, rng: Rng) -> (String, usize) {
        let runs = runs_of_whole(text);
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

    /// The lines of a text with their line ends and words, in runs of at least [`RUN_WORDS`] words
    /// but for the last.
    fn runs_of_whole(text: &str) -> Vec<Vec<(&str, usize)>> {
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

    #[test]
    fn parts_of_any_size_are_drawn_as_the_whole() {
        let lines = (0..3000).map(|line| match line % 7 {
            0 => "\n".to_owned(),
            1 => "  \n".to_owned(),
            2 => format!("{}\n", "word ".repeat(40)),
            _ => format!("𝄞 {} é\u{2003}x\n", "and on ".repeat(line % 13)),
        });
        let text = lines.collect::<String>() + "no end";
        for text in [text.as_str(), &"endless ".repeat(9000), "one\n", "\n\n\n", ""] {
            let named = [named("a", text)];
            for bytes in [1, 2, 3, 7, 64] {
                let parts = &in_parts(&named, bytes)[0];
                let runs = runs_of_lines(parts).unwrap();
                for words in [0, 1, 50, 1000, 1999, 2000, 2050, 7777, 1 << 30] {
                    let rng = Rng::new(words as u64, "test");
                    let drawn = draw_runs(parts, &runs, words, rng).unwrap();
                    let found = only_runs(parts.clone(), drawn.kept).read().unwrap();
                    assert_eq!((found, drawn.words), draw_whole(text, words, rng), "{words}");
                }
            }
        }
    }
}

//! The scores that tables and figures of the page show: which ones, under which names, and which of
//! them compare with each other.

use std::collections::{BTreeMap, BTreeSet};

use eval::{BENCHMARKS, Benchmark, Kind, Rules};
use report::page::Block;

use super::found::{Found, FoundScores};
use super::named;
use crate::evaluation::all::model_scores::ModelScores;
use crate::failures::Failures;
use crate::{held_out, scored_items};

/// Scores under the name that they have on the page, with where they were found.
pub(super) type Scored<'a> = (String, &'a Found, &'a FoundScores);

/// All scores, each under the name that it has on the page.
pub(super) fn scored(all: &[Found]) -> Vec<Scored<'_>> {
    let several = all.len() > 1;
    let of = |found: &'_ Found| -> Vec<(String, usize)> {
        let scores = found.scores.iter().enumerate();
        scores.map(|(index, one)| (named(found, &one.scores.name, several), index)).collect()
    };
    all.iter()
        .flat_map(|found| {
            of(found).into_iter().map(move |(name, index)| (name, found, &found.scores[index]))
        })
        .collect()
}

/// The same, and behind them those of second sets of a benchmark's items, of third ones, and so on.
pub(super) fn sets<'a>(all: &'a [Found]) -> Vec<Vec<Scored<'a>>> {
    let first = scored(all);
    let count = first.iter().map(|(.., one)| one.further.len()).max().unwrap_or(0);
    let set = |number: usize| {
        let of_model =
            |(name, found, one): Scored<'a>| Some((name, found, one.further.get(number)?));
        scored(all).into_iter().filter_map(of_model).collect()
    };
    let further: Vec<Vec<Scored<'a>>> = (0..count).map(set).collect();
    [first].into_iter().chain(further).collect()
}

/// The name of a set of a benchmark's items; none where there is one set.
pub(super) fn set_of(scored: &[Scored<'_>], benchmark: &dyn Benchmark) -> Option<String> {
    let names = scored.iter().filter_map(|(.., one)| one.set_names.get(benchmark.name()).cloned());
    let mut names: Vec<String> = names.collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// A sentence on the sets that scores are of, where there are several.
pub(super) fn sets_of(scored: &[Scored<'_>]) -> String {
    let set = |benchmark: &&'static dyn Benchmark| {
        Some(format!("{} of {}", benchmark.title(), set_of(scored, *benchmark)?))
    };
    let sets: Vec<String> = BENCHMARKS.iter().filter_map(set).collect();
    match sets.is_empty() {
        true => String::new(),
        false => format!("Of models with several sets of pairs: {}.", sets.join(", ")),
    }
}

/// Scores as tables and figures show them.
pub(super) struct Shown<'a> {
    /// With the names of the page, and letters where they do not all compare.
    pub(super) scores: Vec<ModelScores>,
    /// The rules that they were scored by: those of most.
    pub(super) rules: Rules,
    /// What failed of them.
    pub(super) failures: Failures,
    /// Of benchmarks whose scores do not all compare, a sentence on the letters, by name.
    sentences: BTreeMap<&'static str, String>,
    /// What they were found as.
    scored: Vec<&'a Scored<'a>>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(scored: &'a [Scored<'a>]) -> Self {
        let rules = scored.iter().find_map(|(.., one)| one.rules).unwrap_or(Rules::Year2024);
        let is_same = |(.., one): &&Scored<'_>| one.rules.is_none_or(|own| own == rules);
        let scored: Vec<&Scored<'_>> = scored.iter().filter(is_same).collect();
        let renamed = scored.iter().map(|(name, _, one)| {
            let mut scores = one.scores.clone();
            scores.name.clone_from(name);
            scores
        });
        let scores = renamed.collect();
        let several = scored.iter().any(|(name, _, one)| *name != one.scores.name);
        let mut folders: Vec<&Found> = Vec::new();
        for (_, found, _) in &scored {
            if !folders.iter().any(|known| std::ptr::eq(*known, *found)) {
                folders.push(found);
            }
        }
        let failures = folders.into_iter().fold(Failures::default(), |all, found| {
            all.and(found.failures.clone().renamed(|model| named(found, model, several)))
        });
        let mut shown = Self { scores, rules, failures, sentences: BTreeMap::new(), scored };
        for &benchmark in BENCHMARKS {
            shown.add_letters(benchmark);
        }
        shown
    }

    /// Gives the scores of a benchmark letters, where they do not all compare.
    fn add_letters(&mut self, benchmark: &'static dyn Benchmark) {
        match benchmark.kind() {
            Kind::HeldOutLoss => {
                let held_out =
                    |(.., one): &&'a Scored<'a>| one.held_out_loss.map(|_| &one.held_out);
                let all = self.scored.iter().map(held_out);
                let found = held_out::letters(&all.collect::<Vec<_>>());
                self.add(benchmark, found);
            }
            // Parts of a benchmark have marks of their own: letters are of scores of one title.
            Kind::ZeroShot(_) => {
                let title = |(.., one): &&'a Scored<'a>| {
                    Some(one.scores.outcome(benchmark)?.result.title())
                };
                let titles: Vec<Option<String>> = self.scored.iter().map(title).collect();
                let different: BTreeSet<&String> = titles.iter().flatten().collect();
                for title in different {
                    let items = |((.., one), own): (&&'a Scored<'a>, &Option<String>)| {
                        one.items_hash(benchmark).filter(|_| own.as_ref() == Some(title))
                    };
                    let all = self.scored.iter().zip(&titles).map(items);
                    let found = scored_items::letters(&all.collect::<Vec<_>>());
                    self.add(benchmark, found);
                }
            }
            Kind::FineTuned(_) | Kind::AgeOfAcquisition => {}
        }
    }

    /// Adds letters, and the sentence on them, where there are some.
    fn add(&mut self, benchmark: &dyn Benchmark, (letters, sentence): (Vec<String>, String)) {
        if sentence.is_empty() {
            return;
        }
        self.sentences.insert(benchmark.name(), sentence);
        let lettered = self.scores.iter_mut().zip(letters).filter(|(_, it)| !it.is_empty());
        lettered.for_each(|(scores, letter)| {
            scores.letters.insert(benchmark.name(), letter);
        });
    }

    /// The sentence on the letters of a benchmark.
    pub(super) fn sentence(&self, benchmark: &dyn Benchmark) -> String {
        self.sentences.get(benchmark.name()).cloned().unwrap_or_default()
    }

    /// The sentences of all benchmarks, each once.
    pub(super) fn all_sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.sentences.values().cloned().collect();
        sentences.sort();
        sentences.dedup();
        sentences
    }
}

/// The models that tables and figures of benchmarks leave out, as other rules scored them.
pub(super) fn other_rules(all: &[Found], rules: Rules) -> Option<Block> {
    let scored = scored(all);
    let others = scored.iter().filter_map(|(name, _, one)| {
        let own = one.rules.filter(|own| *own != rules)?;
        Some(format!("{name} ({})", own.name()))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| Block::Missing {
        what: format!("scores of {} beside the others", others.join(", ")),
        why: format!("scores of different rules do not compare; these are by {}.", rules.name()),
    })
}

//! The models whose answers to a benchmark stand beside each other: those to the same items.

use eval::Benchmark;
use report::format::by_reason;

use super::found::FoundScores;
use super::shown::Scored;
use super::tasks::{self, Answers};

/// The models whose answers to a benchmark are compared.
pub(super) struct Comparable<'a> {
    /// Those that answered the same items, the one that others are compared with first, with where
    /// the items are.
    pub(super) models: Vec<(Answers<'a>, &'a FoundScores)>,
    /// A sentence on the others, with the reasons; empty where there are none.
    pub(super) left_out: String,
}

impl<'a> Comparable<'a> {
    /// What they are answers to; none where there are none.
    pub(super) fn title(&self) -> Option<String> {
        self.models.first().map(|(answers, one)| one.title(answers.outcome))
    }

    pub(super) fn answers(&self) -> Vec<Answers<'a>> {
        self.models.iter().map(|(answers, _)| *answers).collect()
    }
}

/// A model's answers with its place among others.
type Ranked<'a> = (u8, Answers<'a>, &'a FoundScores);

/// The answers to a benchmark of the models that answered the same items: of different ones those
/// that most models answered.
pub(super) fn comparable<'a>(
    scored: &'a [Scored<'a>],
    benchmark: &dyn Benchmark,
) -> Comparable<'a> {
    let mut answers: Vec<Ranked<'_>> = Vec::new();
    for (name, found, one) in scored {
        let Some(outcome) = one.scores.outcome(benchmark) else { continue };
        let model = found.models.iter().find(|model| model.name == one.scores.name);
        // Twins first, then students, teachers, ensembles.
        let rank = match model {
            Some(model) if model.has_teachers => 1,
            Some(model) if model.is_teacher => 2,
            Some(_) => 0,
            None if found.models.is_empty() => 0,
            None => 3,
        };
        answers.push((rank, Answers { model: name, outcome }, one));
    }
    answers.sort_by_key(|(rank, ..)| *rank);
    let is_alike = |(_, one, of_one): &Ranked<'_>, (_, other, of_other): &Ranked<'_>| {
        tasks::is_same(one.outcome, other.outcome)
            && one.outcome.result.rules == other.outcome.result.rules
            && of_one.has_items_of(of_other, benchmark)
    };
    let alike = |one: &Ranked<'_>| answers.iter().filter(|other| is_alike(one, other)).count();
    // Of equal counts the first.
    let most = answers.iter().rev().max_by_key(|one| alike(one)).copied();
    let Some(base) = most else {
        return Comparable { models: Vec::new(), left_out: String::new() };
    };
    let (models, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|one| is_alike(&base, one));
    let why = |(_, other, _): &Ranked<'_>| {
        let rules = other.outcome.result.rules;
        let why = match tasks::is_same(base.1.outcome, other.outcome) {
            false => tasks::difference(base.1.outcome, other.outcome),
            true if rules != base.1.outcome.result.rules => format!("scored by {}", rules.name()),
            true => "items with other texts".to_owned(),
        };
        (other.model.to_owned(), why)
    };
    let others = by_reason(others.iter().map(why));
    let others: Vec<String> =
        others.into_iter().map(|(models, why)| format!("{models} ({why})")).collect();
    let left_out = match others.is_empty() {
        true => String::new(),
        false => {
            format!("Left out, as only answers to the same items compare: {}.", others.join("; "))
        }
    };
    let models = models.into_iter().map(|(_, answers, one)| (answers, one)).collect();
    Comparable { models, left_out }
}

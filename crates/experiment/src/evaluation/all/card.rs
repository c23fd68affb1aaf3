//! Everything that was measured of one model or ensemble.

use eval::age_of_acquisition::AgeScore;
use eval::{Outcome, Rules, Suite, SuiteResult, TaskResult};

use crate::evaluation::LoadedModel;
use crate::evaluation::loss::LossResult;
use crate::finetuning::result::FinetuneResult;
use crate::finetuning::summary::by_seed;

/// A model's scores.
pub struct Card {
    /// A short name, for columns and folders.
    pub name: String,
    /// What it was loaded from.
    pub label: String,
    pub parameters: u64,
    pub loss: Option<LossResult>,
    /// The zero-shot suites with their answers.
    pub suites: Vec<Outcome>,
    pub ages: Option<AgeScore>,
    /// Fine-tuned tasks, one list a seed.
    finetuned: Vec<Vec<FinetuneResult>>,
}

impl Card {
    /// A card with nothing on it yet.
    pub fn new(name: &str, label: &str, group: &[LoadedModel]) -> Self {
        let parameters =
            group.iter().map(|loaded| loaded.model.config().parameter_count() as u64).sum();
        let (name, label) = (name.to_owned(), label.to_owned());
        Self {
            name,
            label,
            parameters,
            loss: None,
            suites: Vec::new(),
            ages: None,
            finetuned: Vec::new(),
        }
    }

    /// Adds what a seed, counted from 0, gave.
    pub fn add_finetuned(&mut self, seed: usize, results: Vec<FinetuneResult>) {
        if self.finetuned.len() <= seed {
            self.finetuned.resize(seed + 1, Vec::new());
        }
        self.finetuned[seed].extend(results);
    }

    pub fn suite(&self, suite: Suite) -> Option<&Outcome> {
        self.suites.iter().find(|outcome| outcome.result.suite == suite)
    }

    /// A fine-tuned suite, seed by seed.
    pub fn finetuned_suites(&self, suite: Suite, rules: Rules) -> Vec<SuiteResult> {
        by_seed(&self.finetuned, suite, rules, false)
    }

    /// All fine-tuned tasks with their seeds, which a recipe may choose task by task.
    pub fn every_finetuned(&self) -> impl Iterator<Item = (Suite, u64, &TaskResult)> {
        let results = self.finetuned.iter().flatten();
        results.filter_map(|result| {
            Some((result.suite()?, result.course.settings.seed, &result.score))
        })
    }

    /// What the first seed gave.
    pub fn first_seed(&self) -> &[FinetuneResult] {
        self.finetuned.first().map_or(&[], Vec::as_slice)
    }
}

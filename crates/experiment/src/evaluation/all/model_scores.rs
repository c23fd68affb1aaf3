//! Everything that was measured of one model or ensemble.

use std::collections::BTreeMap;

use eval::{Benchmark, BenchmarkResult, Measured, Outcome, Rules, TaskResult};

use crate::evaluation::LoadedModel;
use crate::finetuning::result::FinetuneResult;
use crate::finetuning::summary::by_seed;

/// The scores of a model.
#[derive(Clone)]
pub struct ModelScores {
    /// A short name, for columns and folders.
    pub name: String,
    /// What it was loaded from.
    pub label: String,
    /// Parameters of all models of an ensemble together; 0 where it is not known.
    pub parameters: u64,
    /// Numbers in units of their own.
    pub measured: Vec<Measured>,
    /// Scores of choices with the answers behind them.
    pub outcomes: Vec<Outcome>,
    /// By the name of a benchmark whose scores of several models do not all compare, a letter that
    /// those have in common which do.
    pub letters: BTreeMap<&'static str, String>,
    /// Fine-tuned tasks, one list a seed.
    finetuned: Vec<Vec<FinetuneResult>>,
}

impl ModelScores {
    /// Scores of a group of models of which nothing is measured yet.
    pub fn new(name: &str, label: &str, group: &[LoadedModel]) -> Self {
        let parameters =
            group.iter().map(|loaded| loaded.model.config().parameter_count() as u64).sum();
        Self::of(name, label, parameters)
    }

    /// Scores of models with `parameters` weights together, of which nothing is measured yet.
    pub fn of(name: &str, label: &str, parameters: u64) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            parameters,
            measured: Vec::new(),
            outcomes: Vec::new(),
            letters: BTreeMap::new(),
            finetuned: Vec::new(),
        }
    }

    /// Whether nothing is measured.
    pub fn is_empty(&self) -> bool {
        self.measured.is_empty() && self.outcomes.is_empty() && self.finetuned.is_empty()
    }

    /// Adds the results of a seed, counted from 0.
    pub fn add_finetuned(&mut self, seed: usize, results: Vec<FinetuneResult>) {
        if self.finetuned.len() <= seed {
            self.finetuned.resize(seed + 1, Vec::new());
        }
        self.finetuned[seed].extend(results);
    }

    /// The result of a benchmark that is a number in a unit of its own.
    pub fn measured(&self, benchmark: &dyn Benchmark) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.benchmark == benchmark)
    }

    /// The letter of a benchmark's score; empty where all scores compare.
    pub fn letter(&self, benchmark: &dyn Benchmark) -> &str {
        self.letters.get(benchmark.name()).map_or("", String::as_str)
    }

    /// The result of a benchmark of choices.
    pub fn outcome(&self, benchmark: &dyn Benchmark) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.result.benchmark == benchmark)
    }

    /// A benchmark's scores by its tasks: one result of choices, one for each seed of a fine-tuned
    /// benchmark, none of others.
    pub fn results(&self, benchmark: &'static dyn Benchmark, rules: Rules) -> Vec<BenchmarkResult> {
        match self.outcome(benchmark) {
            Some(outcome) => vec![outcome.result.clone()],
            None => by_seed(&self.finetuned, benchmark, rules, false),
        }
    }

    /// All fine-tunings, those of the first seed first.
    pub fn finetuned(&self) -> impl Iterator<Item = &FinetuneResult> {
        self.finetuned.iter().flatten()
    }

    /// All fine-tuned tasks with their seeds, which a recipe may choose task by task.
    pub fn every_finetuned(
        &self,
    ) -> impl Iterator<Item = (&'static dyn Benchmark, u64, &TaskResult)> {
        self.finetuned().filter_map(|result| {
            Some((result.benchmark()?, result.course.settings.seed, &result.score))
        })
    }

    /// The results of the first seed.
    pub fn first_seed(&self) -> &[FinetuneResult] {
        self.finetuned.first().map_or(&[], Vec::as_slice)
    }
}

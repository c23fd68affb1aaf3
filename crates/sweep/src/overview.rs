//! How far a sweep is, in numbers: for a terminal, a table, a file.

use std::collections::BTreeMap;

use eval::statistics::Spread;
use report::figures::least_squares;

use crate::best::ranked;
use crate::error::Result;
use crate::sweep::Sweep;
pub use crate::trial::Standing;
use crate::trial::{Trial, key};

/// A trial in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialLine {
    /// Its number.
    pub number: u64,
    /// How it stands.
    pub standing: Standing,
    /// Its result, or its newest report.
    pub value: Option<f64>,
    /// The share of its training that is done.
    pub share: f64,
    /// Values by name, as they are stored.
    pub settings: Vec<(String, String)>,
    /// Scores of a complete trial, by name.
    pub scores: BTreeMap<String, f64>,
    /// Time of its steps.
    pub seconds: Option<f64>,
    /// Why it was stopped, or failed.
    pub why: Option<String>,
    /// Who trains it.
    pub worker: Option<String>,
    /// The seed of its training.
    pub seed: Option<u64>,
}

/// A study in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// Trials in all, as far as they were asked for.
    pub total: u64,
    /// The trials, in order of number.
    pub trials: Vec<TrialLine>,
    /// Numbers of the complete trials, the best first.
    pub ranked: Vec<u64>,
    /// Seconds of steps that a trial took on average, whatever its end.
    pub mean_seconds: Option<f64>,
    /// Whether the search has what it was to reach, and ends.
    pub has_reached_target: bool,
}

impl Sweep {
    /// The study in numbers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn overview(&mut self) -> Result<Overview> {
        let (terms, trials) = (self.terms(), self.trials()?);
        let ranked = ranked(&trials, terms).iter().map(|trial| trial.number()).collect();
        let lines: Vec<TrialLine> = trials.iter().map(|trial| self.line(trial)).collect();
        let seconds: Vec<f64> = lines.iter().filter_map(|line| line.seconds).collect();
        let parts = self.parts()?;
        Ok(Overview {
            name: self.name.clone(),
            total: parts.total().max(lines.len() as u64),
            has_reached_target: parts.has_reached_target(&trials),
            trials: lines,
            ranked,
            mean_seconds: Spread::of(&seconds, 0.95).map(|of| of.mean),
        })
    }

    fn line(&self, trial: &Trial) -> TrialLine {
        let settings = self.file.space.settings(&trial.stored);
        let settings = settings.iter().map(|(key, value)| (key.clone(), value.to_string()));
        let newest = self.terms().result(&trial.values());
        TrialLine {
            number: trial.number(),
            standing: Standing::of(trial),
            value: trial.row.value.or(newest),
            share: trial.reports.last().map_or(0.0, |(place, _)| place.share),
            settings: settings.collect(),
            scores: trial.row.user(key::SCORES).unwrap_or_default(),
            seconds: trial.row.user(key::SECONDS),
            why: trial.row.user(key::WHY),
            worker: trial.row.lease.as_ref().map(|(worker, _)| worker.clone()),
            seed: trial.row.user(key::SEED),
        }
    }
}

impl Overview {
    /// The number of trials with a standing.
    pub fn count(&self, standing: Standing) -> usize {
        self.trials.iter().filter(|trial| trial.standing == standing).count()
    }

    /// Trials that are still to begin or to end; those that wait at a rung are none.
    pub fn unfinished(&self) -> u64 {
        let open = [Standing::Running, Standing::Queued].map(|standing| self.count(standing));
        let begun = self.trials.len() as u64;
        if self.has_reached_target {
            return self.count(Standing::Running) as u64;
        }
        self.total.saturating_sub(begun) + open.iter().sum::<usize>() as u64
    }

    /// Seconds of training steps that are left, if trials go on as those that are complete or
    /// stopped did.
    pub fn seconds_left(&self) -> Option<f64> {
        let unfinished = self.unfinished();
        self.mean_seconds.filter(|_| unfinished > 0).map(|mean| mean * unfinished as f64)
    }

    /// The best complete trial.
    pub fn best(&self) -> Option<&TrialLine> {
        let number = self.ranked.first()?;
        self.trials.iter().find(|trial| trial.number == *number)
    }

    /// The share of the variance of one number over the complete trials that a straight line in
    /// another explains, and how many trials have both: R², as in figure 2 of BabyLlama-2.
    pub fn r_squared(&self, of: &str, by: &str) -> Option<(f64, usize)> {
        let value = |trial: &TrialLine, name: &str| match name {
            VALUE => trial.value,
            name => trial.scores.get(name).copied(),
        };
        let complete = self.trials.iter().filter(|trial| trial.standing == Standing::Complete);
        let pairs: Vec<(f64, f64)> = complete
            .filter_map(|trial| Some((value(trial, by)?, value(trial, of)?)))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect();
        let line = least_squares(&pairs).filter(|line| line.n >= FEWEST_PAIRS)?;
        Some((line.r_squared?, line.n))
    }

    /// Names of the scores that complete trials have.
    pub fn score_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.trials.iter().flat_map(|trial| trial.scores.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Fewer pairs are on a straight line, or nearly so.
const FEWEST_PAIRS: usize = 3;

/// The name of a trial's result among its numbers.
pub const VALUE: &str = "value";

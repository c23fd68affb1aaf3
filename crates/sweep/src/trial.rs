//! A trial of a sweep: a row of the store in the sweep's own terms.

use report::format::counted;
use serde::{Deserialize, Serialize};

use crate::distribution::{Distribution, DistributionError};
use crate::error::Result;
use crate::recipe::At;
use crate::sampler::{Outcome, Past, ProposalSource};
use crate::space::{Point, Space, Stored};
use crate::stopping::{Curve, CurveState, NewTrial, StopRule, Why};
use crate::store::{Direction, Parameter, TrialRow, TrialState};

/// Keys of attributes.
pub mod key {
    /// User attribute: the folder of the trial's run.
    pub const RUN: &str = "run";
    /// User attribute: the seed of its training.
    pub const SEED: &str = "seed";
    /// User attribute: epochs from the first step to the last; of a training by steps, only once
    /// it is at its end.
    pub const EPOCHS: &str = "epochs";
    /// User attribute: its lowest report.
    pub const BEST: &str = "best_loss";
    /// User attribute: time of its steps.
    pub const SECONDS: &str = "seconds";
    /// User attribute: what computed the products.
    pub const DEVICE: &str = "device";
    /// User attribute: why it was stopped, or has no result.
    pub const WHY: &str = "why";
    /// User attribute: scores by name.
    pub const SCORES: &str = "scores";
    /// System attribute: what its point follows from.
    pub const PROPOSAL: &str = "babyllama:proposal";
    /// System attribute: for each report, its step of training, epochs, and share of the whole.
    pub const REPORTS: &str = "babyllama:reports";
    /// System attribute: the bracket of the trial, and the first rung at which it is compared.
    pub const START: &str = "babyllama:start";
    /// System attribute: the rung at which it waits.
    pub const WAITS_AT: &str = "babyllama:waits_at";
    /// System attribute: `queued` or `paused`.
    pub const STATUS: &str = "babyllama:status";
    /// System attribute: how often its worker was lost.
    pub const LOST: &str = "babyllama:lost";
    /// System attribute: decisions at rungs, by rung.
    pub const RUNG: &str = "babyllama:rung:";
    /// System attribute of Optuna: given values of a trial that waits.
    pub const FIXED: &str = "fixed_params";
    /// System attribute of Optuna's own retries: the number of the trial that is tried again.
    pub const FAILED_TRIAL: &str = "failed_trial";
}

/// What a point follows from, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredProposal {
    /// The model that proposed it; `None` of a given point.
    pub source: Option<ProposalSource>,
    /// The model's inputs.
    pub model_hash: String,
    /// Every trial that was there.
    pub seen: Vec<Seen>,
    /// Whether some values were given.
    pub given: bool,
    /// The place among the recipe's own points, where it is one of them.
    pub index: Option<usize>,
}

impl StoredProposal {
    /// The proposal of a point whose values were all given.
    pub(crate) fn of_given(index: Option<usize>) -> Self {
        let (model_hash, seen) = (String::new(), Vec::new());
        Self { source: None, model_hash, seen, given: true, index }
    }
}

/// A trial as a proposal found it; stored as a list of number, reports and a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, usize, char)", into = "(u64, usize, char)")]
pub struct Seen {
    /// The trial's number.
    pub number: u64,
    /// How many reports it had.
    pub reports: usize,
    /// How it stood; a queued trial is stored as a running one.
    pub state: Standing,
}

impl Seen {
    /// A trial as it is now.
    pub fn of(trial: &Trial) -> Self {
        let state = Standing::of(trial);
        Self { number: trial.number(), reports: trial.reports.len(), state }
    }
}

impl From<(u64, usize, char)> for Seen {
    fn from((number, reports, letter): (u64, usize, char)) -> Self {
        Self { number, reports, state: Standing::of_letter(letter) }
    }
}

impl From<Seen> for (u64, usize, char) {
    fn from(seen: Seen) -> Self {
        (seen.number, seen.reports, seen.state.letter())
    }
}

/// Where a report was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportPlace {
    /// Steps of training.
    pub step: u64,
    /// Epochs of training.
    pub epoch: f64,
    /// Of the whole training, 1 at its end.
    pub share: f64,
}

/// Whether a RUNNING trial is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Any worker may continue it.
    Queued,
    /// It waits at a rung.
    Paused,
}

/// How a trial stands, by its state in the store, its [`Status`] and its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a result.
    Complete,
    /// It was stopped.
    Stopped,
    /// It has no result.
    Failed,
    /// A worker trains it.
    Running,
    /// It waits at a rung.
    Paused,
    /// Any worker may begin or continue it.
    Queued,
}

impl Standing {
    /// How a trial stands.
    pub fn of(trial: &Trial) -> Self {
        match (trial.row.state, trial.status) {
            (TrialState::Complete, _) => Self::Complete,
            (TrialState::Pruned, _) => Self::Stopped,
            (TrialState::Fail, _) => Self::Failed,
            (TrialState::Waiting, _) => Self::Queued,
            (TrialState::Running, Some(Status::Paused)) => Self::Paused,
            (TrialState::Running, Some(Status::Queued)) => Self::Queued,
            // A worker without heartbeats is taken for lost; the next one goes on.
            (TrialState::Running, None) if trial.is_own() && !trial.is_worked_on() => Self::Queued,
            (TrialState::Running, None) => Self::Running,
        }
    }

    /// A word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Queued => "queued",
        }
    }

    /// The letter that is stored with a proposal. Running and queued trials have one letter: which
    /// of them a worker has at the moment is nothing that a proposal follows from.
    pub fn letter(self) -> char {
        match self {
            Self::Complete => 'c',
            Self::Stopped => 's',
            Self::Failed => 'f',
            Self::Paused => 'p',
            Self::Running | Self::Queued => 'r',
        }
    }

    /// The standing of a stored letter.
    fn of_letter(letter: char) -> Self {
        let others = [Self::Complete, Self::Stopped, Self::Failed, Self::Paused];
        others.into_iter().find(|state| state.letter() == letter).unwrap_or(Self::Running)
    }
}

impl TryFrom<&Parameter> for Stored {
    type Error = DistributionError;

    fn try_from(row: &Parameter) -> std::result::Result<Self, DistributionError> {
        let distribution = Distribution::from_json(&row.distribution)?;
        Ok(Self { name: row.name.clone(), distribution, value: row.value })
    }
}

impl From<&Stored> for Parameter {
    fn from(stored: &Stored) -> Self {
        let distribution = stored.distribution.to_json();
        Self { name: stored.name.clone(), value: stored.value, distribution }
    }
}

/// A trial in the sweep's terms.
#[derive(Clone, Debug)]
pub struct Trial {
    /// As it is stored.
    pub row: TrialRow,
    /// Its parameters.
    pub stored: Vec<Stored>,
    /// Its point; empty where its parameters are not of the space.
    pub point: Option<Point>,
    /// Whether a RUNNING trial is worked on; `None` where it is.
    pub status: Option<Status>,
    /// What it reported and where, in order.
    pub reports: Vec<(ReportPlace, f64)>,
}

impl Trial {
    /// A row in terms of a space.
    ///
    /// # Errors
    /// When a parameter's distribution cannot be read.
    pub fn of(row: TrialRow, space: &Space) -> Result<Self> {
        // A trial of Python may have parameters of another kind; it then has no point.
        let stored: Vec<Stored> =
            row.parameters.iter().filter_map(|row| Stored::try_from(row).ok()).collect();
        let point = match stored.len() == row.parameters.len() && !stored.is_empty() {
            true => space.point_of_stored(&stored).ok(),
            false => None,
        };
        let places: Vec<ReportPlace> = row.system(key::REPORTS).unwrap_or_default();
        let reports = row.reports.iter().map(|(&step, &value)| {
            let place = usize::try_from(step - 1).ok().and_then(|index| places.get(index));
            // Python's trials report by epochs, and do not state where they end.
            let unknown = ReportPlace { step: 0, epoch: step as f64, share: 0.0 };
            (place.copied().unwrap_or(unknown), value)
        });
        let reports = reports.collect();
        let status = row.system(key::STATUS);
        Ok(Self { stored, point, status, reports, row })
    }

    /// The trial's number.
    pub fn number(&self) -> u64 {
        self.row.number
    }

    /// What its point follows from.
    pub fn proposal(&self) -> Option<StoredProposal> {
        self.row.system(key::PROPOSAL)
    }

    /// Whether this program trains it.
    pub fn is_own(&self) -> bool {
        self.row.user.contains_key(key::SEED)
    }

    /// Whether a worker has it whose lease holds.
    pub fn is_worked_on(&self) -> bool {
        self.row.state == TrialState::Running
            && self.row.lease.as_ref().is_some_and(|(_, left)| *left > 0.0)
    }

    /// Its bracket.
    pub fn start(&self) -> NewTrial {
        self.row.system(key::START).unwrap_or_default()
    }

    /// What it reported, in order.
    pub fn values(&self) -> Vec<f64> {
        self.reports.iter().map(|(_, value)| *value).collect()
    }
}

/// How reports become budgets and costs.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What is better.
    pub direction: Direction,
    /// Which report counts.
    pub at: At,
    /// Whether budgets are shares of a trial's own training, or epochs.
    pub by_share: bool,
}

impl Terms {
    /// A value as a cost: less is better.
    pub fn cost(&self, value: f64) -> f64 {
        match self.direction {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }

    /// The budgets and costs of a trial's first `count` reports.
    pub fn curve(&self, trial: &Trial, count: usize) -> Vec<(f64, f64)> {
        let mut lowest = f64::INFINITY;
        let reports = trial.reports.iter().take(count).map(|(place, value)| {
            let (cost, budget) = (self.cost(*value), self.budget(place));
            // NaN is no cost, and lowers none.
            lowest = lowest.min(cost);
            match self.at {
                At::Best if lowest.is_finite() => (budget, lowest),
                _ => (budget, cost),
            }
        });
        reports.collect()
    }

    fn budget(&self, place: &ReportPlace) -> f64 {
        if self.by_share { place.share } else { place.epoch }
    }

    /// A decision in a line, with values as they are reported.
    pub fn line(&self, why: &Why) -> String {
        let Why { rung, value, threshold, n } = *why;
        let (value, trials) = (self.cost(value), counted(n as u64, "trial"));
        match threshold.map(|threshold| self.cost(threshold)) {
            Some(threshold) => {
                format!("rung {rung}: {value:.4}, and {threshold:.4} is needed, by {trials} there")
            }
            None => format!("rung {rung}: {value:.4}, one of {trials} there"),
        }
    }

    /// A trial as stopping rules see it.
    pub fn of_rule(&self, trial: &Trial) -> Curve {
        let state = match Standing::of(trial) {
            Standing::Complete => CurveState::Complete,
            Standing::Stopped => CurveState::Stopped,
            Standing::Failed => CurveState::Failed,
            Standing::Paused => {
                CurveState::Paused { rung: trial.row.system(key::WAITS_AT).unwrap_or(0) }
            }
            Standing::Running | Standing::Queued => CurveState::Running,
        };
        let (number, reports) = (trial.number(), self.curve(trial, usize::MAX));
        Curve { number, reports, state, end: self.end(trial), start: trial.start() }
    }

    /// The budget at a trial's end; without end where that is not known yet.
    fn end(&self, trial: &Trial) -> f64 {
        match self.by_share {
            true => 1.0,
            false => trial.row.user(key::EPOCHS).unwrap_or(f64::INFINITY),
        }
    }

    /// The result of a trial that reported these values.
    pub fn result(&self, values: &[f64]) -> Option<f64> {
        match self.at {
            At::Last => values.last().copied(),
            At::Best => self.best(values),
        }
    }

    /// The best of some values, without those that are no number.
    pub fn best(&self, values: &[f64]) -> Option<f64> {
        let values = values.iter().copied().filter(|value| !value.is_nan());
        match self.direction {
            Direction::Minimize => values.reduce(f64::min),
            Direction::Maximize => values.reduce(f64::max),
        }
    }

    /// A trial as samplers see it, as it stood when a proposal found it; its reports are those
    /// that can be compared by the rule. `None` where it has no point.
    pub fn of_sampler(&self, trial: &Trial, rule: &StopRule, seen: &Seen) -> Option<Past> {
        let point = trial.point.clone()?;
        let curve = self.curve(trial, seen.reports);
        let last = curve.last().map(|(_, cost)| *cost).filter(|cost| !cost.is_nan());
        let result = trial.row.value.map(|value| self.cost(value)).or(last);
        let outcome = match seen.state {
            Standing::Complete => result.map_or(Outcome::Failed, Outcome::Complete),
            Standing::Stopped => result.map_or(Outcome::Failed, Outcome::Stopped),
            Standing::Failed => Outcome::Failed,
            Standing::Paused => last.map_or(Outcome::Running, Outcome::Stopped),
            Standing::Running | Standing::Queued => Outcome::Running,
        };
        let complete = match outcome {
            Outcome::Complete(cost) => Some(cost),
            _ => None,
        };
        let curve = Curve { reports: curve, ..self.of_rule(trial) };
        let reports = rule.comparable(&curve, complete);
        Some(Past { number: trial.number(), point, outcome, reports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text is what stores of earlier versions hold.
    #[test]
    fn what_a_proposal_has_seen_is_stored_as_lists() {
        let text = r#"[[0,9,"c"],[1,3,"s"],[2,0,"f"],[3,1,"p"],[4,2,"r"]]"#;
        let seen: Vec<Seen> = serde_json::from_str(text).unwrap();
        assert_eq!(seen[1], Seen { number: 1, reports: 3, state: Standing::Stopped });
        assert_eq!(seen[4].state, Standing::Running);
        assert_eq!(serde_json::to_string(&seen).unwrap(), text);
        let queued = Seen { state: Standing::Queued, ..seen[4] };
        assert_eq!(serde_json::to_string(&queued).unwrap(), r#"[4,2,"r"]"#);
    }
}

//! What a sweep's decisions follow from, apart from its store: seeds, brackets, proposals.

use std::collections::BTreeSet;

use base::rng::Rng;

use crate::definition::Part;
use crate::distribution::DistributionError;
use crate::error::Result;
use crate::recipe::{Enqueued, Seeds, SweepRecipe};
use crate::sampler::{self, Past};
use crate::space::{Space, Stored};
use crate::stopping::{Curve, NewTrial, StopRule};
use crate::store::TrialState;
use crate::sweep::{Sweep, cpu};
use crate::target::{Assignment, Target};
use crate::trial::{Seen, StoredProposal, Terms, Trial, key};

/// The parts of a sweep that a decision follows from.
pub struct SweepParts {
    name: String,
    recipe: SweepRecipe,
    pub(crate) space: Space,
    enqueue: Vec<Enqueued>,
    part: Part,
    pub(crate) terms: Terms,
    target: Box<dyn Target>,
}

impl Sweep {
    /// What decisions follow from.
    ///
    /// # Errors
    /// When the recipe cannot be used.
    pub fn parts(&self) -> Result<SweepParts> {
        Ok(SweepParts {
            name: self.name.clone(),
            recipe: self.file.recipe.clone(),
            space: self.file.space.clone(),
            enqueue: self.file.enqueue.clone(),
            part: self.definition.part.clone(),
            terms: self.terms(),
            target: self.target(cpu())?,
        })
    }
}

impl SweepParts {
    /// When trials are stopped.
    pub(crate) fn rule(&self) -> StopRule {
        self.recipe.stop_rule(&self.part)
    }

    /// How often a trial whose worker was lost is begun again.
    pub(crate) fn retries(&self) -> u64 {
        self.recipe.retries
    }

    /// The trials as the rule sees them.
    pub(crate) fn curves(&self, trials: &[Trial]) -> Vec<Curve> {
        trials.iter().map(|trial| self.terms.of_rule(trial)).collect()
    }

    /// Whether a search has what it was to reach.
    pub(crate) fn has_reached_target(&self, trials: &[Trial]) -> bool {
        let Some(target) = self.recipe.objective.target else { return false };
        if matches!(self.part, Part::Confirm { .. }) {
            return false;
        }
        let wanted = self.terms.cost(target);
        let complete = trials.iter().filter(|trial| trial.row.state == TrialState::Complete);
        complete.filter_map(|trial| trial.row.value).any(|value| self.terms.cost(value) <= wanted)
    }

    /// Trials in all.
    pub fn total(&self) -> u64 {
        match &self.part {
            Part::Confirm { trainings, .. } => trainings.len() as u64,
            _ => self.recipe.trials,
        }
    }

    /// Whether a new trial may begin: of a confirmation, for a training that no trial has.
    pub(crate) fn has_room(&self, trials: &[Trial]) -> bool {
        match self.part {
            Part::Confirm { .. } => self.next_own(trials).is_some(),
            _ => (trials.len() as u64) < self.recipe.trials,
        }
    }

    /// The first of the points that the recipe or the confirmation has itself and no trial has.
    fn next_own(&self, trials: &[Trial]) -> Option<usize> {
        let known = match &self.part {
            Part::Confirm { trainings, .. } => trainings.len(),
            _ => self.enqueue.len(),
        };
        let taken = trials.iter().filter_map(|trial| trial.proposal()?.index);
        let taken: BTreeSet<usize> = taken.collect();
        (0..known).find(|index| !taken.contains(index))
    }

    /// The seed of a trial's training; `index` is its place among the trainings of a confirmation.
    pub(crate) fn seed(&self, number: u64, index: Option<usize>) -> u64 {
        let training = match &self.part {
            Part::Confirm { trainings, .. } => index.and_then(|index| trainings.get(index)),
            _ => None,
        };
        match (training, self.recipe.seeds) {
            (Some(training), _) => training.seed,
            (None, Seeds::Fixed(seed)) => seed,
            // 32 bits, so that it stays readable.
            (None, Seeds::Fresh) => {
                Rng::new(self.recipe.seed, "seed of a trial").bits(number) >> 32
            }
        }
    }

    /// The point of a new trial and what it follows from: the first of the recipe's own points that
    /// no trial has, or else what the sampler proposes.
    pub(crate) fn propose(
        &self,
        number: u64,
        trials: &[Trial],
        start: NewTrial,
    ) -> Result<(Vec<Stored>, StoredProposal)> {
        self.propose_from(number, trials, self.seen(trials), self.next_own(trials), start)
    }

    /// The point of a trial that was put into the store, and what it follows from. What it leaves
    /// open is proposed in a search and stays the recipe's own in a confirmation, where a training
    /// that failed is tried again as it was.
    ///
    /// # Errors
    /// When the point is not of the space.
    pub(crate) fn propose_waiting(
        &self,
        trial: &Trial,
        others: &[Trial],
        start: NewTrial,
    ) -> Result<(Vec<Stored>, StoredProposal)> {
        let (number, seen) = (trial.number(), self.seen(others));
        let is_confirmation = matches!(self.part, Part::Confirm { .. });
        if let Some(index) = failed(trial, others).filter(|_| is_confirmation) {
            return self.propose_from(number, others, seen, Some(index), start);
        }
        let fixed: Option<serde_json::Map<String, serde_json::Value>> =
            trial.row.system(key::FIXED);
        let given = match fixed {
            Some(fixed) => self.space.stored_of_fixed(&fixed)?,
            None => trial.stored.clone(),
        };
        if is_confirmation {
            return Ok((given, StoredProposal::of_given(None)));
        }
        let proposal = self.sampled(number, others, &seen, start);
        let stored = self.space.fill(&given, &proposal.point)?;
        let (source, model_hash) = (Some(proposal.source), proposal.model_hash);
        Ok((stored, StoredProposal { source, model_hash, seen, given: true, index: None }))
    }

    /// The bracket of a new trial.
    pub(crate) fn start(&self, number: u64, trials: &[Trial]) -> NewTrial {
        self.rule().next_new(&self.curves(trials), &self.name, number)
    }

    /// Epochs of a trial, where they are known before its training; not where its settings cannot
    /// be used, of which it then fails.
    pub(crate) fn epochs(&self, stored: &[Stored], seed: u64) -> Option<f64> {
        let settings = self.space.settings(stored);
        self.target.epochs(&Assignment { settings, seed }).ok().flatten()
    }

    /// How all trials stand.
    pub(crate) fn seen(&self, trials: &[Trial]) -> Vec<Seen> {
        // Trials that Python runs or that wait get their parameters one by one.
        let is_settled = |trial: &&Trial| trial.row.state.is_finished() || trial.is_own();
        trials.iter().filter(is_settled).map(Seen::of).collect()
    }

    /// The point of a trial as the others once stood; `index` is its place among the recipe's own
    /// points, where it is one of them.
    ///
    /// # Errors
    /// When the recipe's point is not of the space.
    pub fn propose_from(
        &self,
        number: u64,
        trials: &[Trial],
        seen: Vec<Seen>,
        index: Option<usize>,
        start: NewTrial,
    ) -> Result<(Vec<Stored>, StoredProposal)> {
        if let (Part::Confirm { trainings, .. }, Some(index)) = (&self.part, index)
            && let Some(training) = trainings.get(index)
        {
            let stored = training.parameters.iter().map(Stored::try_from);
            let stored: std::result::Result<_, DistributionError> = stored.collect();
            return Ok((stored?, StoredProposal::of_given(Some(index))));
        }
        let proposal = self.sampled(number, trials, &seen, start);
        let own = index.and_then(|index| self.enqueue.get(index));
        let stored = match own {
            None => self.space.stored(&proposal.point),
            Some(own) => {
                let given = self.space.stored_of_values(&own.values)?;
                self.space.fill(&given, &proposal.point)?
            }
        };
        let (source, model_hash) = (Some(proposal.source), proposal.model_hash);
        let given = own.is_some();
        Ok((stored, StoredProposal { source, model_hash, seen, given, index }))
    }

    /// What the sampler proposes, given how the trials once stood.
    pub(crate) fn sampled(
        &self,
        number: u64,
        trials: &[Trial],
        seen: &[Seen],
        start: NewTrial,
    ) -> sampler::Proposal {
        let rule = self.rule();
        let past = seen.iter().filter_map(|seen| {
            let trial = trials.iter().find(|trial| trial.number() == seen.number)?;
            if rule.separates_brackets() && trial.start().bracket != start.bracket {
                return None;
            }
            self.terms.of_sampler(trial, &rule, seen)
        });
        let past: Vec<Past> = past.collect();
        sampler::propose(self.recipe.sampler, &self.space, self.recipe.seed, number, &past)
    }
}

/// The place among the recipe's or the confirmation's own points of the failed trial that another
/// tries again.
fn failed(trial: &Trial, others: &[Trial]) -> Option<usize> {
    let number: u64 = trial.row.system(key::FAILED_TRIAL)?;
    others.iter().find(|other| other.number() == number)?.proposal()?.index
}

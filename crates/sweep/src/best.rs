//! The best trials of a study, and the recipe of one.

use experiment::recipe;
use indexmap::IndexMap;
use toml::Value;

use crate::definition::Part;
use crate::error::{Result, refuse};
use crate::store::TrialState;
use crate::sweep::{Sweep, place};
use crate::target::Assignment;
use crate::trial::{Terms, Trial, key};

/// Complete trials with a finite result, the best first; equal ones by number.
pub fn ranked(trials: &[Trial], terms: Terms) -> Vec<&Trial> {
    let result = |trial: &&Trial| trial.row.value.is_some_and(f64::is_finite);
    let complete = trials.iter().filter(|trial| trial.row.state == TrialState::Complete);
    // A trial of Python's with other parameters is none of the space.
    let complete = complete.filter(|trial| trial.is_own() || trial.point.is_some());
    let mut ranked: Vec<&Trial> = complete.filter(result).collect();
    let cost = |trial: &Trial| terms.cost(trial.row.value.unwrap_or(f64::INFINITY));
    ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then(a.number().cmp(&b.number())));
    ranked
}

impl Sweep {
    /// The best trial so far.
    ///
    /// # Errors
    /// When none is complete.
    pub fn best(&mut self) -> Result<Trial> {
        let (terms, trials) = (self.terms(), self.trials()?);
        match ranked(&trials, terms).first() {
            Some(trial) => Ok((*trial).clone()),
            None => refuse(format_args!(
                "no trial of {} is complete; `babyllama sweep status` shows how far it is",
                self.name
            )),
        }
    }

    /// The settings of a trial, rounded to `digits` significant digits where they are given.
    pub fn settings(&self, trial: &Trial, digits: Option<usize>) -> IndexMap<String, Value> {
        let mut settings = self.file.space.settings(&trial.stored);
        if let Some(digits) = digits {
            for value in settings.values_mut() {
                if let Value::Float(number) = value {
                    *number = rounded(*number, digits);
                }
            }
        }
        settings
    }

    /// A recipe with the settings of a trial: of a run with that model and what it needs, or of a
    /// fine-tuning.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn recipe_of(&self, trial: &Trial, digits: Option<usize>) -> Result<String> {
        if trial.stored.is_empty() && !matches!(self.definition.part, Part::Confirm { .. }) {
            return refuse(format_args!("trial {} has no settings yet", trial.number()));
        }
        let settings = self.settings(trial, digits);
        let assignment = Assignment { settings: settings.clone(), seed: 1 };
        self.target(crate::sweep::cpu())?.check(&assignment)?;
        if let Some(target) = self.finetune_target()? {
            let seed = trial.row.user::<u64>(key::SEED);
            return Ok(target.recipe(&assignment)?.of_task(&target.task, seed)?);
        }
        let model = self.model()?;
        let overrides = crate::recipe::overrides_of(&model, &settings);
        let mut recipe = recipe::load(&self.folder.join(place::BASE), &overrides)?;
        // The same recipe then trains the same bits.
        if let Some(section) = recipe.models.get_mut(&model) {
            section.train.seed = trial.row.user(key::SEED).or(section.train.seed);
        }
        let needed = experiment::run::needed(&recipe, &model);
        recipe.models.retain(|name, _| *name == model || needed.contains(name));
        let kept = |names: &Vec<String>| names.iter().all(|name| recipe.models.contains_key(name));
        recipe.evaluate.ensembles.retain(kept);
        recipe.evaluate.seeds.retain(|_, names| kept(names));
        Ok(recipe.resolved()?)
    }
}

/// A number with `digits` significant digits.
fn rounded(number: f64, digits: usize) -> f64 {
    let digits = digits.clamp(1, 17);
    format!("{number:.*e}", digits - 1).parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn numbers_keep_their_significant_digits() {
        assert_eq!(rounded(6.755387752e-4, 2), 6.8e-4);
        assert_eq!(rounded(0.98765, 2), 0.99);
        assert_eq!(rounded(1234.5, 1), 1000.0);
        assert_eq!(rounded(0.0, 2), 0.0);
        assert_eq!(rounded(0.1 + 0.2, 17), 0.1 + 0.2);
    }
}

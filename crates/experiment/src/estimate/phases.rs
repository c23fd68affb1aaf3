//! What the phases of a training read, before anything runs.

use train::TrainSettings;
use train::optimizers::OptimizerSettings;
use train::settings::Objective;

/// What a training reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// For each phase: tokens, and how often each passes through the model forwards and backwards.
    pub phases: Vec<(f64, f64)>,
    /// Tokens of the steps in which teachers are read, where there are any: not of gradient ascent,
    /// nor of those that predict masked tokens.
    pub taught: f64,
    /// Held-out evaluations: one after each epoch, and at the end of each phase.
    pub evaluations: f64,
}

impl Reading {
    /// Of a training on a text of `tokens`, of which `share` has the part in some files.
    pub(super) fn of(
        settings: &TrainSettings,
        tokens: f64,
        share: impl Fn(&[String]) -> f64,
    ) -> Self {
        let mut reading = Self::default();
        for settings in settings.resolved_phases() {
            let text = tokens * share(&settings.sources);
            let seen = match settings.max_steps {
                0 => settings.epochs * text,
                steps => steps as f64 * (settings.batch_size * settings.sequence_length) as f64,
            };
            let climbs = settings.sam.is_some_and(|sam| sam.rho > 0.0);
            reading.phases.push((seen, if climbs { 2.0 } else { 1.0 }));
            if settings.objective != Objective::Ascent {
                reading.taught += seen * (1.0 - settings.hybrid.map_or(0.0, |of| of.steps));
            }
            if text > 0.0 {
                reading.evaluations += match settings.same_batch {
                    true => 1.0,
                    false => (seen / text).ceil().max(1.0),
                };
            }
        }
        if settings.average.is_some() {
            reading.evaluations *= 2.0;
        }
        reading
    }

    /// Tokens of all phases.
    pub(super) fn seen(&self) -> f64 {
        self.phases.iter().map(|(tokens, _)| tokens).sum()
    }
}

/// Bytes of optimizer state for each weight: of the phase whose optimizer keeps the most.
pub(super) fn optimizer_bytes(settings: &TrainSettings) -> usize {
    let phases = settings.resolved_phases();
    let bytes = |settings| OptimizerSettings::from(settings).bytes_per_weight();
    phases.iter().map(bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(phases: &str) -> TrainSettings {
        let text = format!("batch_size = 4\nsequence_length = 8\nepochs = 2.5\n{phases}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_training_without_phases_reads_its_epochs_or_steps() {
        let found = Reading::of(&settings(""), 1000.0, |_| 1.0);
        let phases = vec![(2500.0, 1.0)];
        assert_eq!(found, Reading { phases, taught: 2500.0, evaluations: 3.0 });
        let found = Reading::of(&settings("max_steps = 5"), 1000.0, |_| 1.0);
        assert_eq!(found, Reading { phases: vec![(160.0, 1.0)], taught: 160.0, evaluations: 1.0 });
    }

    #[test]
    fn teachers_are_not_read_in_ascent_nor_where_masked_tokens_are_predicted() {
        let phases = "hybrid = { steps = 0.25 }\n[[phases]]\nepochs = 2\n\
                      [[phases]]\nepochs = 1\nhybrid = { steps = 0 }\n\
                      [[phases]]\nmax_steps = 15\nobjective = 'ascent'";
        let found = Reading::of(&settings(phases), 1000.0, |_| 1.0);
        assert_eq!((found.taught, found.seen()), (2000.0 * 0.75 + 1000.0, 3480.0));
    }

    #[test]
    fn the_optimizer_that_keeps_the_most_counts() {
        let of = |keys: &str| optimizer_bytes(&settings(keys));
        assert_eq!(of("optimizer = 'lion'"), 4);
        let phases = "optimizer = 'lion'\n[[phases]]\nepochs = 1\n[[phases]]\nepochs = 1\n\
                      optimizer = 'adamw'";
        assert_eq!(of(phases), 8);
    }

    #[test]
    fn phases_add_up_with_what_they_read_of_the_text() {
        let phases = "average = { kind = 'ema_steps' }\n[[phases]]\nepochs = 2\nsources = ['a']\n\
                      [[phases]]\nepochs = 1\nsam = { rho = 0.05 }\n\
                      [[phases]]\nmax_steps = 15\nbatch_size = 1\nsame_batch = true";
        let share = |sources: &[String]| if sources.is_empty() { 1.0 } else { 0.25 };
        let found = Reading::of(&settings(phases), 1000.0, share);
        assert_eq!(found.phases, [(500.0, 1.0), (1000.0, 2.0), (120.0, 1.0)]);
        assert_eq!((found.seen(), found.evaluations), (1620.0, 8.0));
    }
}

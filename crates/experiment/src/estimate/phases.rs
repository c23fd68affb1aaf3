//! What the phases of a training read, before anything runs.

use engine::Layout;
use train::optimizers::OptimizerSettings;
use train::settings::{Objective, require_epoch_end};
use train::{TrainError, TrainSettings};

use super::signals::Taught;
use super::text::TextSize;

/// The memory of the weights in a phase, by their decay.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseDecay {
    /// The phase's name or number; none of a training without phases.
    pub phase: Option<String>,
    /// Epochs that the weights remember, at the phase's highest learning rate.
    pub tau: f64,
    /// Epochs of the phase.
    pub epochs: f64,
}

/// What the phases of a training have of a text.
pub(super) struct PhaseText<'a> {
    settings: &'a TrainSettings,
    text: &'a TextSize,
}

impl<'a> PhaseText<'a> {
    pub(super) fn new(settings: &'a TrainSettings, text: &'a TextSize) -> Self {
        Self { settings, text }
    }

    /// The settings of each phase, with its name or number where there are phases.
    fn phases(&self) -> Vec<(Option<String>, TrainSettings)> {
        let phases = &self.settings.phases;
        let name = |index: usize| {
            let phase = phases.get(index)?;
            Some(phase.name.clone().unwrap_or_else(|| (index + 1).to_string()))
        };
        let resolved = self.settings.resolved_phases().into_iter().enumerate();
        resolved.map(|(index, settings)| (name(index), settings)).collect()
    }

    fn steps_per_epoch(&self, settings: &TrainSettings) -> f64 {
        let tokens = self.text.training * self.text.share(&settings.sources);
        let sequences = (tokens / settings.sequence_length as f64).floor().max(1.0);
        (sequences / settings.batch_size as f64).ceil()
    }

    /// The epochs of a phase.
    fn epochs(&self, settings: &TrainSettings) -> f64 {
        match settings.max_steps {
            0 => settings.epochs,
            steps => steps as f64 / self.steps_per_epoch(settings),
        }
    }

    /// The memory of the weights in each phase in which they decay.
    pub(super) fn decay(&self) -> Vec<PhaseDecay> {
        let of_one = |(phase, settings): (Option<String>, TrainSettings)| {
            let of_epoch = self.steps_per_epoch(&settings);
            let tau = settings.decay_epochs(of_epoch)?;
            Some(PhaseDecay { phase, tau, epochs: self.epochs(&settings) })
        };
        self.phases().into_iter().filter_map(of_one).collect()
    }

    /// Refuses what a run refuses once it has the text: a phase whose files have no sequence,
    /// held-out text without one, a memory of the weights shorter than a step, and snapshots of
    /// epochs that the training does not reach.
    ///
    /// # Errors
    /// Names the phase or its setting. An estimated text must be `margin` times too short.
    pub(super) fn check(&self, margin: f64) -> Result<(), TrainError> {
        for (index, (name, settings)) in self.phases().into_iter().enumerate() {
            let tokens = self.text.longest_piece(&settings.sources);
            let sequence_length = settings.sequence_length;
            if tokens * margin < sequence_length as f64 {
                let (which, tokens) = ("training", tokens as usize);
                return Err(match name {
                    None => TrainError::TooShort { which, tokens, sequence_length },
                    Some(name) => TrainError::TooShortPhase { name, tokens, sequence_length },
                });
            }
            let steps = (self.steps_per_epoch(&settings) * margin).floor() as u64;
            settings.with_weight_decay(steps).map_err(|error| match name {
                None => error,
                Some(_) => error.within(&format!("phases[{index}]")),
            })?;
        }
        let (held_out, sequence_length) = (self.text.held_out, self.settings.sequence_length);
        if held_out * margin < sequence_length as f64 {
            let (which, tokens) = ("validation", held_out as usize);
            return Err(TrainError::TooShort { which, tokens, sequence_length });
        }
        // How many steps an epoch has is not known to the last one.
        const STEPS_MARGIN: f64 = 1.1;
        let epochs: f64 = self.phases().iter().map(|(_, settings)| self.epochs(settings)).sum();
        for (index, &epoch) in self.settings.snapshots.iter().enumerate() {
            let ends = epoch as f64 <= epochs * margin.max(STEPS_MARGIN);
            require_epoch_end(ends, index, epoch)?;
        }
        Ok(())
    }

    /// Floating-point operations of the optimizers in the whole training.
    pub(super) fn optimizer_flops(&self, layout: &Layout) -> f64 {
        let of_one = |(_, settings): (_, TrainSettings)| {
            let steps = match settings.max_steps {
                0 => settings.epochs * self.steps_per_epoch(&settings),
                steps => steps as f64,
            };
            steps * OptimizerSettings::from(&settings).flops_per_update(layout)
        };
        self.phases().into_iter().map(of_one).sum()
    }
}

/// What a training reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// For each phase: tokens, and how often each passes through the model forwards and backwards.
    pub phases: Vec<(f64, f64)>,
    /// The steps in which teachers are read, where there are any: not those of gradient ascent, nor
    /// those that predict masked tokens.
    pub taught: Taught,
    /// Held-out evaluations: one after each epoch, and at the end of each phase.
    pub evaluations: f64,
}

impl Reading {
    /// What a training reads of a text of `tokens`, of which `share` has the part in some files.
    pub(super) fn of(
        settings: &TrainSettings,
        tokens: f64,
        share: impl Fn(&[String]) -> f64,
    ) -> Self {
        let mut reading = Self::default();
        let (mut of_teachers, mut sources) = (0.0, Some(Vec::new()));
        for settings in settings.resolved_phases() {
            let text = tokens * share(&settings.sources);
            let seen = match settings.max_steps {
                0 => settings.epochs * text,
                steps => steps as f64 * (settings.batch_size * settings.sequence_length) as f64,
            };
            let climbs = settings.sam.is_some_and(|sam| sam.rho > 0.0);
            let passes = if climbs { 2.0 } else { 1.0 };
            reading.phases.push((seen, passes));
            if settings.objective != Objective::Ascent {
                let taught = seen * (1.0 - settings.hybrid.map_or(0.0, |of| of.steps));
                reading.taught.seen += taught;
                of_teachers += passes * taught;
                // No names stand for the whole text.
                let names = Some(settings.sources).filter(|names| !names.is_empty());
                sources = sources.zip(names).map(|(all, names)| [all, names].concat());
            }
            if text > 0.0 {
                let ends = match settings.same_batch {
                    true => 1.0,
                    false => (seen / text).ceil().max(1.0),
                };
                // The average is evaluated beside the last weights.
                reading.evaluations += if settings.average.is_some() { 2.0 * ends } else { ends };
            }
        }
        if reading.taught.seen > 0.0 {
            reading.taught.distinct = tokens * share(&sources.unwrap_or_default());
            reading.taught.passes = of_teachers / reading.taught.seen;
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
        let taught = Taught { seen: 2500.0, distinct: 1000.0, passes: 1.0 };
        assert_eq!(found, Reading { phases, taught, evaluations: 3.0 });
        let found = Reading::of(&settings("max_steps = 5"), 1000.0, |_| 1.0);
        let taught = Taught { seen: 160.0, ..taught };
        assert_eq!(found, Reading { phases: vec![(160.0, 1.0)], taught, evaluations: 1.0 });
    }

    #[test]
    fn teachers_are_not_read_in_ascent_nor_where_masked_tokens_are_predicted() {
        let phases = "hybrid = { steps = 0.25 }\n[[phases]]\nepochs = 2\n\
                      [[phases]]\nepochs = 1\nhybrid = { steps = 0 }\n\
                      [[phases]]\nmax_steps = 15\nobjective = 'ascent'";
        let found = Reading::of(&settings(phases), 1000.0, |_| 1.0);
        assert_eq!((found.taught.seen, found.seen()), (2000.0 * 0.75 + 1000.0, 3480.0));
    }

    #[test]
    fn teachers_are_read_in_every_pass_and_of_the_sources_of_any_phase() {
        let share =
            |names: &[String]| if names.is_empty() { 1.0 } else { 0.1 * names.len() as f64 };
        let phases = "[[phases]]\nepochs = 2\nsources = ['a', 'b']\nsam = { rho = 0.05 }\n\
                      [[phases]]\nepochs = 4\nsources = ['c']";
        let found = Reading::of(&settings(phases), 1000.0, share).taught;
        assert_eq!((found.seen, found.passes), (800.0, 1.5));
        assert!((found.distinct - 300.0).abs() < 1e-9);
        let whole = format!("{phases}\n[[phases]]\nepochs = 1");
        assert_eq!(Reading::of(&settings(&whole), 1000.0, share).taught.distinct, 1000.0);
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
    fn every_phase_has_the_memory_of_its_own_text_and_rate() {
        let text = TextSize {
            training: 3200.0,
            held_out: 320.0,
            sources: vec![("a".to_owned(), 0.25), ("b".to_owned(), 0.25), ("c".to_owned(), 0.5)],
            ..TextSize::default()
        };
        let settings = settings(
            "learning_rate = 0.1\nweight_decay = 0.5\n[[phases]]\nepochs = 2\nsources = ['a']\n\
             [[phases]]\nname = 'last'\nmax_steps = 50\nlearning_rate = 0.05\n[[phases]]\n\
             epochs = 1\nweight_decay = 0\n[[phases]]\nepochs = 1\nweight_decay_epochs = 0.3",
        );
        let phases = PhaseText::new(&settings, &text);
        // 25 and 100 steps of 32 tokens.
        let expected = [("1", 0.8, 2.0), ("last", 0.4, 0.5), ("4", 0.3, 1.0)]
            .map(|(name, tau, epochs)| PhaseDecay { phase: Some(name.to_owned()), tau, epochs });
        let found = phases.decay();
        assert_eq!(found.len(), 3);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((&found.phase, found.epochs), (&expected.phase, expected.epochs));
            assert!((found.tau - expected.tau).abs() < 1e-12, "{found:?}");
        }
        assert!(phases.check(1.0).is_ok());
    }

    #[test]
    fn what_a_run_would_refuse_of_its_text_is_found() {
        let text = TextSize {
            training: 40.0,
            held_out: 40.0,
            sources: [("a", 0.15), ("b", 0.7), ("c", 0.15)].map(|(n, s)| (n.to_owned(), s)).into(),
            ..TextSize::default()
        };
        let message = |phase: &str, margin| {
            let settings = settings(&format!("[[phases]]\nepochs = 1\n[[phases]]\n{phase}"));
            let found = PhaseText::new(&settings, &text).check(margin);
            found.err().map(|error| error.to_string()).unwrap_or_default()
        };
        // Two files of six tokens each, which are no neighbours.
        let apart = "name = 'apart'\nepochs = 1\nsources = ['a', 'c']";
        assert!(message(apart, 1.0).contains("phase apart have 6 tokens in one piece"));
        assert_eq!(message(apart, 1.5), "");
        assert_eq!(message("epochs = 1\nsources = ['a', 'b']", 1.0), "");
        let found = message("epochs = 1\nweight_decay_epochs = 0.4", 1.0);
        assert!(
            found.starts_with("`phases[1].weight_decay_epochs` is 0.4 (0.80 steps)"),
            "{found}"
        );
        // Of two and a half epochs.
        let snapshots = |epoch: u64| settings(&format!("snapshots = [{epoch}]"));
        let refused = PhaseText::new(&snapshots(3), &text).check(1.0).unwrap_err().to_string();
        assert!(refused.starts_with("`snapshots[0]` is 3; no epoch of that number"), "{refused}");
        assert!(PhaseText::new(&snapshots(2), &text).check(1.0).is_ok());
        let short = TextSize { held_out: 3.0, ..text.clone() };
        let refused = PhaseText::new(&snapshots(2), &short).check(1.0).unwrap_err().to_string();
        assert!(refused.starts_with("the validation text has 3 tokens"), "{refused}");
    }

    #[test]
    fn operations_of_the_optimizer_are_those_of_the_phases_that_have_it() {
        let text = TextSize { training: 3200.0, ..TextSize::default() };
        let mut layout = Layout::default();
        layout.add("weight", 4, 10, engine::Role::Matrix);
        layout.add("gain", 1, 4, engine::Role::NormGain);
        let flops = |keys: &str| PhaseText::new(&settings(keys), &text).optimizer_flops(&layout);
        assert_eq!(flops("optimizer = 'adamw'"), 0.0);
        // Five iterations of products of 4 by 10, 4 by 4 and 4 by 10.
        let update = 5.0 * 2.0 * (4 * 4 * 10 + 4 * 4 * 4 + 4 * 4 * 10) as f64;
        assert_eq!(flops("optimizer = 'normuon'"), 250.0 * update);
        let phases = "[[phases]]\nepochs = 1\n[[phases]]\nmax_steps = 7\noptimizer = 'muon'";
        assert_eq!(flops(phases), 7.0 * update);
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

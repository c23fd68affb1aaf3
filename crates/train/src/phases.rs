//! The phases of a training: parts in which settings differ, one after the other. A training
//! without phases is one phase.
//!
//! Everything is a pure function of settings, seed, text and step, so that a run goes on in any
//! phase to the same bits.

use std::ops::Range;

use crate::batch_plan::BatchPlan;
use crate::data::{SourceRange, TokenSource};
use crate::documents;
use crate::error::TrainError;
use crate::schedule::Schedule;
use crate::settings::{
    DataOrder, PhaseSettings, ScheduleKind, SettingError, TrainSettings, require,
};

/// A part of a training.
pub struct Phase {
    /// The phase's name, or its number.
    pub name: String,
    /// The settings that hold in the phase.
    pub settings: TrainSettings,
    /// The sequences of each of the phase's steps, which are counted from 0.
    pub plan: BatchPlan,
    /// Steps of the training before the phase.
    pub first_step: u64,
    /// Epochs of the training before the phase.
    pub first_epoch: f64,
    /// Updates before the phase since the optimizer of all parameters began anew: 0 where it does
    /// so here.
    pub optimizer_steps: u64,
    schedule: Schedule,
    /// The step of the schedule at which the phase begins.
    schedule_start: u64,
}

impl Phase {
    /// Number of steps of the phase.
    pub fn steps(&self) -> u64 {
        self.plan.total_steps
    }

    /// Steps of the training up to the phase's end.
    pub fn end(&self) -> u64 {
        self.first_step + self.steps()
    }

    /// The learning rate of the step after `done` finished ones of the whole training.
    pub fn learning_rate(&self, done: u64) -> f64 {
        self.schedule.learning_rate(self.schedule_start + done - self.first_step)
    }

    /// Updates since the optimizer of all parameters began anew, up to the end of the step after
    /// `done` finished ones of the whole training.
    pub fn optimizer_step(&self, done: u64) -> u64 {
        self.optimizer_steps + done - self.first_step + 1
    }

    /// Epochs of the training after `done` steps. What phases add up to a whole number but for
    /// rounding is that number.
    pub fn epoch(&self, done: u64) -> f64 {
        const ROUNDING: f64 = 1e-9;
        let of_phase = (done - self.first_step) as f64 / self.plan.steps_per_epoch() as f64;
        let epoch = self.first_epoch + of_phase;
        let whole = epoch.round();
        if (epoch - whole).abs() < ROUNDING { whole } else { epoch }
    }

    /// Steps of the training after which the text of the phase has been read a whole number of
    /// times, and the phase's end.
    pub fn epoch_ends(&self) -> impl DoubleEndedIterator<Item = u64> {
        let of_epoch = self.plan.steps_per_epoch();
        let epochs = 1..=self.steps().div_ceil(of_epoch);
        epochs.map(move |epoch| self.end().min(self.first_step + epoch * of_epoch))
    }
}

/// The phases of a training in their order, at least one.
pub struct Phases(Vec<Phase>);

impl Phases {
    /// The phases of the settings, for a text.
    ///
    /// # Errors
    /// When a phase names a file that the text has not, or has no sequence to read.
    pub fn new(
        settings: &TrainSettings,
        seed: u64,
        text: &dyn TokenSource,
    ) -> Result<Self, TrainError> {
        let parts = match settings.phases.is_empty() {
            true => vec![PhaseSettings::default()],
            false => settings.phases.clone(),
        };
        let mut phases: Vec<Phase> = Vec::new();
        for (index, (part, settings)) in parts.iter().zip(settings.resolved_phases()).enumerate() {
            let previous = phases.last();
            let first_epoch = previous.map_or(0.0, |phase| phase.epoch(phase.end()));
            // No two phases share the number of an epoch, nor the order that follows from it.
            let epoch_number = previous.map_or(0, |phase| phase.plan.next_epoch());
            let plan = plan(&settings, seed, text, epoch_number)
                .map_err(|error| in_phase(index, part, error))?;
            let resets = part.resets_optimizer();
            phases.push(Phase {
                name: part.name.clone().unwrap_or_else(|| (index + 1).to_string()),
                first_step: previous.map_or(0, Phase::end),
                first_epoch,
                optimizer_steps: previous
                    .filter(|_| !resets)
                    .map_or(0, |phase| phase.optimizer_steps + phase.steps()),
                schedule: Schedule::new(&settings, plan.total_steps, plan.steps_per_epoch()),
                schedule_start: 0,
                settings: settings
                    .with_weight_decay(plan.steps_per_epoch())
                    .map_err(|error| in_phase(index, part, error.into()))?,
                plan,
            });
        }
        share_schedule(settings, &parts, &mut phases)?;
        Ok(Self(phases))
    }

    /// Steps of the whole training.
    pub fn total_steps(&self) -> u64 {
        self.0.last().map_or(0, Phase::end)
    }

    /// Tokens that are read in the first `done` steps.
    pub fn tokens(&self, done: u64) -> u64 {
        let begun = self.0.iter().filter(|phase| phase.first_step < done);
        let of_one = |phase: &Phase| {
            let steps = done.min(phase.end()) - phase.first_step;
            phase.plan.sequences_after(steps) * phase.settings.sequence_length as u64
        };
        begun.map(of_one).sum()
    }

    /// The phase of the step after `done` finished ones, to be changed; after the last step, the
    /// last phase.
    pub fn at(&mut self, done: u64) -> &mut Phase {
        let place = self.place(done);
        &mut self.0[place]
    }

    /// The phase of the step after `done` finished ones; after the last step, the last phase.
    pub fn of(&self, done: u64) -> &Phase {
        &self.0[self.place(done)]
    }

    /// The steps after which an epoch or a phase is at its end, in their order.
    pub fn epoch_ends(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.0.iter().flat_map(Phase::epoch_ends)
    }

    /// Whether after `done` steps an epoch or a phase is at its end.
    pub fn is_epoch_end(&self, done: u64) -> bool {
        // Asked after every step, so without a walk over the epochs.
        let ends = |phase: &Phase| {
            let steps = done - phase.first_step;
            done == phase.end() || steps.is_multiple_of(phase.plan.steps_per_epoch())
        };
        done > 0 && ends(self.of(done - 1))
    }

    /// The place among the phases of the step after `done` finished ones.
    pub fn place(&self, done: u64) -> usize {
        self.0.iter().position(|phase| done < phase.end()).unwrap_or(self.0.len() - 1)
    }

    /// All of them.
    pub fn all(&self) -> &[Phase] {
        &self.0
    }
}

/// Phases without a schedule of their own share one over all their steps.
fn share_schedule(
    settings: &TrainSettings,
    parts: &[PhaseSettings],
    phases: &mut [Phase],
) -> Result<(), SettingError> {
    let shares = |part: &PhaseSettings| !part.has_own_schedule();
    let of_both = parts.iter().zip(phases.iter());
    let total = of_both.filter(|(part, _)| shares(part)).map(|(_, phase)| phase.steps()).sum();
    let (mut start, mut of_epoch) = (0, None);
    for (_, phase) in parts.iter().zip(phases).filter(|(part, _)| shares(part)) {
        let own = phase.plan.steps_per_epoch();
        let of_epoch = *of_epoch.get_or_insert(own);
        let fits = settings.schedule != ScheduleKind::Cyclic || own == of_epoch;
        let rule = "phases that share it have epochs of different lengths; give each its own";
        require(fits, "schedule", &"cyclic", rule)?;
        phase.schedule = Schedule::new(settings, total, of_epoch);
        phase.schedule_start = start;
        start += phase.steps();
    }
    Ok(())
}

fn plan(
    settings: &TrainSettings,
    seed: u64,
    text: &dyn TokenSource,
    first_epoch: u64,
) -> Result<BatchPlan, TrainError> {
    let parts = parts(&settings.sources, text)?;
    let documents = match settings.order {
        DataOrder::Documents => {
            let rule = "it is not known where the documents of this text begin";
            let starts = text.documents();
            require(starts.is_some(), "order", &"documents", rule)?;
            documents::within(starts.unwrap_or_default(), &parts, text.len())
        }
        DataOrder::Shuffled | DataOrder::File => Vec::new(),
    };
    BatchPlan::of_parts(settings, seed, text.len(), parts, documents, first_epoch)
}

/// The tokens of some files of a text, neighbours joined; without names, of all.
///
/// # Errors
/// When the text has no such file.
pub fn parts(names: &[String], text: &dyn TokenSource) -> Result<Vec<Range<usize>>, SettingError> {
    if names.is_empty() {
        return Ok(std::iter::once(0..text.len()).collect());
    }
    let sources = text.sources();
    for (index, name) in names.iter().enumerate() {
        let known = |source: &SourceRange| source.name == *name;
        if !sources.iter().any(known) {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            return Err(SettingError {
                setting: format!("sources[{index}]"),
                value: format!("{name:?}"),
                rule: match names.is_empty() {
                    true => "the files of this text are not known".into(),
                    false => format!("the files of the text are {}", names.join(", ")).into(),
                },
            });
        }
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    for source in sources.iter().filter(|source| names.contains(&source.name)) {
        match parts.last_mut() {
            Some(last) if last.end == source.tokens.start => last.end = source.tokens.end,
            _ => parts.push(source.tokens.clone()),
        }
    }
    Ok(parts)
}

fn in_phase(index: usize, part: &PhaseSettings, error: TrainError) -> TrainError {
    match error {
        TrainError::Setting(error) if *part != PhaseSettings::default() => {
            error.within(&format!("phases[{index}]")).into()
        }
        TrainError::TooShort { tokens, sequence_length, .. }
            if *part != PhaseSettings::default() =>
        {
            let name = part.name.clone().unwrap_or_else(|| (index + 1).to_string());
            TrainError::TooShortPhase { name, tokens, sequence_length }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of two files: tokens 0 to 20 and 20 to 43.
    struct TwoFiles(Vec<u32>, Vec<SourceRange>);

    impl TokenSource for TwoFiles {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
            self.0.read(range, ids);
        }

        fn sources(&self) -> &[SourceRange] {
            &self.1
        }

        fn documents(&self) -> Option<&[usize]> {
            Some(&[0, 5, 12, 20, 30])
        }
    }

    fn text() -> TwoFiles {
        let source = |name: &str, tokens| SourceRange { name: name.into(), tokens };
        TwoFiles((0..43).collect(), vec![source("one", 0..20), source("two", 20..43)])
    }

    fn settings(phases: &str) -> TrainSettings {
        TrainSettings {
            sequence_length: 4,
            batch_size: 2,
            learning_rate: 1.0,
            schedule: crate::settings::ScheduleKind::Linear,
            phases: serde_json::from_str(phases).unwrap(),
            ..TrainSettings::default()
        }
    }

    fn phases(text_of_phases: &str) -> Phases {
        Phases::new(&settings(text_of_phases), 1, &text()).unwrap()
    }

    fn sequences(phases: &mut Phases, done: u64) -> Vec<u32> {
        let phase = phases.at(done);
        let within = done - phase.first_step;
        phase.plan.step(within).unwrap().sequences
    }

    #[test]
    fn a_training_without_phases_is_one() {
        let mut found = phases("[]");
        let mut plan = BatchPlan::new(&settings("[]"), 1, 43).unwrap();
        assert_eq!((found.all().len(), found.total_steps()), (1, plan.total_steps));
        for done in 0..plan.total_steps {
            assert_eq!(sequences(&mut found, done), plan.step(done).unwrap().sequences);
        }
    }

    #[test]
    fn phases_follow_each_other_with_their_own_files() {
        // Five sequences are in the first file, ten in both together.
        let mut found = phases(r#"[{"epochs": 2.0, "sources": ["one"]}, {"epochs": 1.0}]"#);
        let steps: Vec<u64> = found.all().iter().map(Phase::steps).collect();
        assert_eq!((steps, found.total_steps()), (vec![6, 5], 11));
        let of_phase = |found: &mut Phases, steps: Range<u64>| {
            let mut all: Vec<u32> = steps.flat_map(|done| sequences(found, done)).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(of_phase(&mut found, 0..3), [0, 1, 2, 3, 4]);
        assert_eq!(of_phase(&mut found, 3..6), [0, 1, 2, 3, 4]);
        assert_eq!(of_phase(&mut found, 6..11), (0..10).collect::<Vec<u32>>());
        let order: Vec<Vec<u32>> = (0..6).map(|done| sequences(&mut found, done)).collect();
        assert_ne!(order[..3], order[3..]);
        // The second file has no sequence of its own grid before token 20.
        let mut second = phases(r#"[{"epochs": 1.0, "sources": ["two"]}]"#);
        assert_eq!(of_phase(&mut second, 0..3), [5, 6, 7, 8, 9]);
        let tokens: Vec<u64> = (0..=11).map(|done| found.tokens(done)).collect();
        assert_eq!(tokens, [0, 8, 16, 20, 28, 36, 40, 48, 56, 64, 72, 80]);
        assert_eq!(found.at(8).epoch(8), 2.4);
        assert_eq!(found.epoch_ends().collect::<Vec<u64>>(), [3, 6, 11]);
        let ends: Vec<u64> = (0..=11).filter(|&done| found.is_epoch_end(done)).collect();
        assert_eq!(ends, [3, 6, 11]);
        // A phase may end within an epoch.
        let cut = phases(r#"[{"max_steps": 4, "sources": ["one"]}, {"epochs": 2.0}]"#);
        assert_eq!(cut.epoch_ends().collect::<Vec<u64>>(), [3, 4, 9, 14]);
        let ends: Vec<u64> = (0..=14).filter(|&done| cut.is_epoch_end(done)).collect();
        assert_eq!(ends, [3, 4, 9, 14]);
    }

    #[test]
    fn a_phase_begins_with_a_new_order_wherever_the_one_before_ends() {
        for part in ["0.4", "0.5", "0.2", "1.0", "1.5"] {
            let part = format!(r#"{{"epochs": {part}}}"#);
            let mut found = phases(&format!("[{part}, {part}, {part}, {part}]"));
            let mut orders: Vec<Vec<u32>> = Vec::new();
            for phase in &mut found.0 {
                // The whole order, of which a short phase reads the beginning.
                let steps = 0..phase.plan.steps_per_epoch();
                let step = |done| phase.plan.step(done).unwrap().sequences;
                orders.push(steps.flat_map(step).collect());
            }
            orders.sort_unstable();
            orders.dedup();
            assert_eq!(orders.len(), 4, "{part}");
        }
    }

    /// Ten fifths are two epochs, though their sum in floating point is less.
    #[test]
    fn phases_add_up_to_whole_epochs() {
        let steps = phases("[]").all()[0].plan.steps_per_epoch();
        let parts = vec![r#"{"max_steps": 1}"#; 3 * steps as usize].join(", ");
        let found = phases(&format!("[{parts}]"));
        let whole: Vec<f64> = found.all().iter().map(|phase| phase.epoch(phase.end())).collect();
        let of = |epoch: u64| whole[(epoch * steps - 1) as usize];
        assert_eq!([of(1), of(2), of(3)], [1.0, 2.0, 3.0]);
    }

    #[test]
    fn phases_share_a_schedule_unless_they_have_their_own() {
        let mut found = phases(
            r#"[{"max_steps": 4}, {"max_steps": 2, "learning_rate": 0.5, "schedule": "constant"},
                {"max_steps": 6}]"#,
        );
        let rates: Vec<f64> = (0..12).map(|done| found.at(done).learning_rate(done)).collect();
        let expected: Vec<f64> = (0..4).map(|done| 1.0 - done as f64 / 10.0).collect();
        assert_eq!(rates[..4], expected);
        assert_eq!(rates[4..6], [0.5, 0.5]);
        assert_eq!(rates[6], 1.0 - 0.4);
    }

    #[test]
    fn an_optimizer_counts_its_steps_from_where_it_begins() {
        let mut found = phases(
            r#"[{"max_steps": 4}, {"max_steps": 2}, {"max_steps": 3, "reset_optimizer": true}]"#,
        );
        let steps: Vec<u64> = (0..9).map(|done| found.at(done).optimizer_step(done)).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6, 1, 2, 3]);
        let before: Vec<u64> = found.all().iter().map(|phase| phase.optimizer_steps).collect();
        assert_eq!(before, [0, 4, 0]);
    }

    #[test]
    fn documents_are_cut_anew_in_every_epoch() {
        let mut found = phases(r#"[{"epochs": 3.0, "sources": ["one"], "order": "documents"}]"#);
        let text = text();
        let mut epochs: Vec<Vec<u32>> = (0..3)
            .map(|epoch| {
                let steps = 3 * epoch..3 * (epoch + 1);
                let mut all: Vec<u32> = steps
                    .flat_map(|done| {
                        let step = found.at(done).plan.step(done).unwrap();
                        step.micro_batch(&text, &step.sequences).batch.ids.to_vec()
                    })
                    .collect();
                let order = all.clone();
                all.sort_unstable();
                // The 20 tokens of the first file are five sequences, whatever their order is.
                assert_eq!(all, (0..20).collect::<Vec<u32>>());
                order
            })
            .collect();
        epochs.dedup();
        assert_eq!(epochs.len(), 3);
    }

    #[test]
    fn one_batch_is_read_again_where_asked() {
        let mut found = phases(r#"[{"max_steps": 3, "same_batch": true, "batch_size": 1}]"#);
        let first = sequences(&mut found, 0);
        assert!(first.len() == 1 && (1..3).all(|done| sequences(&mut found, done) == first));
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_those_that_are() {
        let message = |phases: &str| {
            let found = Phases::new(&settings(phases), 1, &text());
            found.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(
            message(r#"[{"epochs": 1.0}, {"epochs": 1.0, "sources": ["three"]}]"#),
            "`phases[1].sources[0]` is \"three\"; the files of the text are one, two"
        );
        let short = settings(r#"[{"epochs": 1.0, "sources": ["one"]}]"#);
        let short = TrainSettings { sequence_length: 32, ..short };
        let found = Phases::new(&short, 1, &text()).err().unwrap().to_string();
        assert!(
            found.contains("phase 1 have 20 tokens in one piece at most, fewer than one"),
            "{found}"
        );
    }
}

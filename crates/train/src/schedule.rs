//! The learning rate of every step, as transformers' schedules of the same names; `cyclic` alone is
//! this program's own.

use std::f64::consts::PI;

use crate::settings::{
    COOLDOWN_SHARE, Cooldown, MIN_LEARNING_RATE_RATIO, ScheduleKind, TrainSettings,
};

/// A learning-rate schedule over a known number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    learning_rate: f64,
    warmup_steps: u64,
    total_steps: u64,
    cooldown: Cooldown,
    cooldown_steps: u64,
    /// Steps of a cycle, which need not be whole.
    cycle_steps: f64,
    /// The lowest rate after warm-up, relative to the highest, of a schedule that has one.
    min_ratio: f64,
}

impl Schedule {
    /// The schedule that the settings describe. A warm-up ratio counts only when there are no
    /// warm-up steps.
    pub fn new(settings: &TrainSettings, total_steps: u64, steps_per_epoch: u64) -> Self {
        let warmup_steps = match settings.warmup_steps {
            0 => (settings.warmup_ratio * total_steps as f64).ceil() as u64,
            steps => steps,
        };
        let (kind, rate) = (settings.schedule, settings.learning_rate);
        let cooldown_steps = (settings.cooldown_share * total_steps as f64).round() as u64;
        let cycle_steps = settings.cycle_epochs * steps_per_epoch as f64;
        Self {
            cooldown: settings.cooldown,
            cooldown_steps,
            cycle_steps: cycle_steps.max(1.0),
            min_ratio: settings.min_learning_rate_ratio,
            ..Self::with_warmup(kind, rate, warmup_steps, total_steps)
        }
    }

    /// A schedule of a kind, whose highest rate is `learning_rate`. A cooldown takes the last fifth
    /// of all steps, a cycle all of them, and a lowest rate is a tenth of the highest.
    pub fn with_warmup(
        kind: ScheduleKind,
        learning_rate: f64,
        warmup_steps: u64,
        total_steps: u64,
    ) -> Self {
        Self {
            kind,
            learning_rate,
            warmup_steps,
            total_steps,
            cooldown: Cooldown::Linear,
            cooldown_steps: (COOLDOWN_SHARE * total_steps as f64).round() as u64,
            cycle_steps: total_steps.max(1) as f64,
            min_ratio: MIN_LEARNING_RATE_RATIO,
        }
    }

    /// This schedule with another lowest rate, relative to the highest, where it has one.
    pub fn down_to(self, min_ratio: f64) -> Self {
        Self { min_ratio, ..self }
    }

    /// The rate of the update after `done` finished ones: the first update of a warm-up has rate 0.
    pub fn learning_rate(&self, done: u64) -> f64 {
        self.learning_rate * self.factor(done)
    }

    fn factor(&self, done: u64) -> f64 {
        if self.kind == ScheduleKind::Constant {
            return 1.0;
        }
        if done < self.warmup_steps {
            return done as f64 / self.warmup_steps as f64;
        }
        let after_warmup = (done - self.warmup_steps) as f64;
        let progress =
            after_warmup / self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        match self.kind {
            ScheduleKind::Cosine => half_cosine(progress).max(0.0),
            ScheduleKind::CosineWithMinLr => {
                self.min_ratio + (1.0 - self.min_ratio) * half_cosine(progress.min(1.0))
            }
            ScheduleKind::Linear => (1.0 - progress).max(0.0),
            ScheduleKind::Constant | ScheduleKind::ConstantWithWarmup => 1.0,
            ScheduleKind::WarmupStableDecay => self.after_stable(done),
            ScheduleKind::Cyclic => self.in_cycle(done),
        }
    }

    /// The factor of a step with a cooldown; warm-up is over.
    fn after_stable(&self, done: u64) -> f64 {
        let steps = self.cooldown_steps.min(self.total_steps.saturating_sub(self.warmup_steps));
        let stable = self.total_steps - steps.min(self.total_steps);
        if done < stable {
            return 1.0;
        }
        let progress = ((done - stable) as f64 / steps.max(1) as f64).min(1.0);
        match self.cooldown {
            Cooldown::Linear => 1.0 - progress,
            Cooldown::OneMinusSquareRoot => 1.0 - progress.sqrt(),
        }
    }

    /// The factor of a step of a cycle. Cycles are counted from the first step, so that they end
    /// with epochs; of the one with the end of warm-up the rest counts.
    fn in_cycle(&self, done: u64) -> f64 {
        let begin_of = |cycle: f64| (cycle * self.cycle_steps).round() as u64;
        let mut cycle = (done as f64 / self.cycle_steps).floor();
        if done < begin_of(cycle) {
            cycle -= 1.0;
        } else if done >= begin_of(cycle + 1.0) {
            cycle += 1.0;
        }
        let (begin, end) = (begin_of(cycle).max(self.warmup_steps), begin_of(cycle + 1.0));
        half_cosine((done - begin) as f64 / (end - begin) as f64)
    }
}

/// Half a cosine from 1 down to 0.
fn half_cosine(progress: f64) -> f64 {
    0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, warmup_steps: u64, total_steps: u64) -> Schedule {
        Schedule::with_warmup(kind, 1.0, warmup_steps, total_steps)
    }

    #[test]
    fn cosine_factors_are_those_of_transformers() {
        let cosine = schedule(ScheduleKind::Cosine, 200, 2000);
        for (done, expected) in [
            (0, 0.0),
            (1, 0.005),
            (199, 0.995),
            (200, 1.0),
            (500, 0.9330127),
            (1000, 0.58682409),
            (1999, 7.6e-7),
        ] {
            assert!(
                (cosine.factor(done) - expected).abs() < 5e-8,
                "{done}: {}",
                cosine.factor(done)
            );
        }
    }

    #[test]
    fn linear_falls_to_zero_and_constant_ignores_warmup() {
        let linear = schedule(ScheduleKind::Linear, 10, 110);
        assert_eq!(
            (linear.factor(5), linear.factor(10), linear.factor(60), linear.factor(110)),
            (0.5, 1.0, 0.5, 0.0)
        );
        assert_eq!(schedule(ScheduleKind::Constant, 10, 110).factor(0), 1.0);
    }

    #[test]
    fn a_cooldown_takes_the_last_steps_alone() {
        let schedule = |cooldown, share, warmup_steps| {
            let settings = TrainSettings {
                schedule: ScheduleKind::WarmupStableDecay,
                learning_rate: 1.0,
                cooldown_share: share,
                cooldown,
                warmup_steps,
                ..TrainSettings::default()
            };
            Schedule::new(&settings, 100, 10)
        };
        let linear = schedule(Cooldown::Linear, 0.2, 10);
        let found = [0, 5, 10, 79, 80, 85, 99, 100].map(|done| linear.factor(done));
        assert_eq!(found, [0.0, 0.5, 1.0, 1.0, 1.0, 0.75, 1.0 - 0.95, 0.0]);
        let root = schedule(Cooldown::OneMinusSquareRoot, 0.25, 10);
        let found = [10, 75, 81, 84, 91, 100].map(|done| root.factor(done));
        let expected = [1.0, 1.0, 1.0 - 0.24f64.sqrt(), 1.0 - 0.6, 1.0 - 0.8, 0.0];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-15), "{found:?}");
        // All of the steps that warm-up leaves, and none at all.
        let whole = schedule(Cooldown::Linear, 1.0, 20);
        assert_eq!([10, 20, 60].map(|done| whole.factor(done)), [0.5, 1.0, 0.5]);
        assert_eq!(schedule(Cooldown::Linear, 0.0, 0).factor(99), 1.0);
        let late = schedule(Cooldown::Linear, 0.5, 200);
        assert_eq!([99, 150].map(|done| late.factor(done)), [0.495, 0.75]);
    }

    #[test]
    fn cycles_begin_with_epochs_at_the_highest_rate() {
        let settings = TrainSettings {
            schedule: ScheduleKind::Cyclic,
            learning_rate: 1.0,
            cycle_epochs: 2.0,
            warmup_steps: 4,
            ..TrainSettings::default()
        };
        let cyclic = Schedule::new(&settings, 60, 10);
        let found = [0, 2, 4, 12, 20, 30, 40, 50].map(|done| cyclic.factor(done));
        let expected = [0.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-15), "{found:?}");
        assert!(cyclic.factor(19) < 0.01 && cyclic.factor(39) < 0.01);
        // A cycle of less than a step is one of a step, and a warm-up may be longer than a cycle.
        let settings = TrainSettings { cycle_epochs: 1e-3, ..settings };
        assert_eq!(Schedule::new(&settings, 60, 10).factor(17), 1.0);
        let settings = TrainSettings { cycle_epochs: 1.0, warmup_steps: 15, ..settings };
        let cyclic = Schedule::new(&settings, 60, 10);
        let found = [14, 15, 20].map(|done| cyclic.factor(done));
        assert_eq!(found, [14.0 / 15.0, 1.0, 1.0]);
    }

    /// `tools/golden/schedules.py`: transformers' own schedulers.
    #[test]
    fn every_factor_is_that_of_transformers() {
        #[derive(serde::Deserialize)]
        struct Case {
            settings: TrainSettings,
            total_steps: u64,
            steps_per_epoch: u64,
            steps: Vec<u64>,
            factors: Vec<f64>,
        }
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/schedules.json")).unwrap();
        assert!(cases.len() >= 18);
        for case in cases {
            let settings = TrainSettings { learning_rate: 1.0, ..case.settings };
            let schedule = Schedule::new(&settings, case.total_steps, case.steps_per_epoch);
            for (step, factor) in case.steps.iter().zip(&case.factors) {
                assert!(
                    (schedule.factor(*step) - factor).abs() < 1e-12,
                    "{:?} at {step}",
                    settings.schedule
                );
            }
        }
    }

    #[test]
    fn a_ratio_counts_only_without_warmup_steps() {
        let settings = TrainSettings { warmup_ratio: 0.101, ..TrainSettings::default() };
        assert_eq!(Schedule::new(&settings, 100, 10).warmup_steps, 11);
        assert_eq!(
            Schedule::new(&TrainSettings { warmup_steps: 7, ..settings }, 100, 10).warmup_steps,
            7
        );
    }
}

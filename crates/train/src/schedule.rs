//! The learning rate of every step, as transformers' schedules of the same names.

use crate::settings::{ScheduleKind, TrainSettings};

/// A learning-rate schedule over a known number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    learning_rate: f64,
    warmup_steps: u64,
    total_steps: u64,
}

impl Schedule {
    /// The schedule that the settings describe. A warm-up ratio counts only when there are no
    /// warm-up steps.
    pub fn new(settings: &TrainSettings, total_steps: u64) -> Self {
        let warmup_steps = match settings.warmup_steps {
            0 => (settings.warmup_ratio * total_steps as f64).ceil() as u64,
            steps => steps,
        };
        Self::with_warmup(settings.schedule, settings.learning_rate, warmup_steps, total_steps)
    }

    /// A schedule of a kind, whose highest rate is `learning_rate`.
    pub fn with_warmup(
        kind: ScheduleKind,
        learning_rate: f64,
        warmup_steps: u64,
        total_steps: u64,
    ) -> Self {
        Self { kind, learning_rate, warmup_steps, total_steps }
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
            ScheduleKind::Cosine => {
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
            ScheduleKind::Linear => (1.0 - progress).max(0.0),
            ScheduleKind::Constant | ScheduleKind::ConstantWithWarmup => 1.0,
        }
    }
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

    /// `tools/golden/schedules.py`: transformers' own schedulers.
    #[test]
    fn every_factor_is_that_of_transformers() {
        #[derive(serde::Deserialize)]
        struct Case {
            schedule: ScheduleKind,
            warmup_steps: u64,
            total_steps: u64,
            steps: Vec<u64>,
            factors: Vec<f64>,
        }
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/schedules.json")).unwrap();
        assert!(cases.len() >= 9);
        for case in cases {
            let schedule = schedule(case.schedule, case.warmup_steps, case.total_steps);
            for (step, factor) in case.steps.iter().zip(&case.factors) {
                assert!(
                    (schedule.factor(*step) - factor).abs() < 1e-12,
                    "{:?} at {step}",
                    case.schedule
                );
            }
        }
    }

    #[test]
    fn a_ratio_counts_only_without_warmup_steps() {
        let settings = TrainSettings { warmup_ratio: 0.101, ..TrainSettings::default() };
        assert_eq!(Schedule::new(&settings, 100).warmup_steps, 11);
        assert_eq!(
            Schedule::new(&TrainSettings { warmup_steps: 7, ..settings }, 100).warmup_steps,
            7
        );
    }
}

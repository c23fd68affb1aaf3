//! What takes time: operations of training steps and of forward passes, and bytes that go to disk.

use super::signals::Cost;

/// Work on one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Work of training: tokens, and the floating-point operations of each, teachers' included.
    pub training: Vec<(f64, f64)>,
    /// Floating-point operations of held-out evaluations and scores.
    pub reading: f64,
    /// Bytes of weights, checkpoints and caches.
    pub written: f64,
}

impl Work {
    /// All floating-point operations.
    pub fn flops(&self) -> f64 {
        self.training.iter().map(|(tokens, flops)| tokens * flops).sum::<f64>() + self.reading
    }

    /// The work that is left after a share of it, 0 to 1.
    pub fn after(&self, share: f64) -> Self {
        let mut done: f64 = share * self.training.iter().map(|(tokens, _)| tokens).sum::<f64>();
        let rest = |&(tokens, flops): &(f64, f64)| {
            let skipped = done.min(tokens);
            done -= skipped;
            (tokens - skipped, flops)
        };
        Self {
            training: self.training.iter().map(rest).collect(),
            reading: self.reading * (1.0 - share),
            written: self.written * (1.0 - share),
        }
    }

    /// This work with the cost of teachers, which need not be read in all steps.
    pub fn with_teachers(&self, cost: &Cost) -> Self {
        let (tokens, flops) = self
            .training
            .iter()
            .fold((0.0, 0.0), |(all, sum), (tokens, flops)| (all + tokens, sum + tokens * flops));
        let own = if tokens > 0.0 { flops / tokens } else { 0.0 };
        let taught: f64 = cost.phases.iter().map(|(tokens, _)| tokens).sum();
        let alone = (tokens - taught).max(0.0);
        let phases = cost.phases.into_iter().chain([(alone, 0.0)]);
        Self {
            training: phases
                .filter(|(tokens, _)| *tokens > 0.0)
                .map(|(tokens, flops)| (tokens, own + flops))
                .collect(),
            reading: self.reading,
            written: self.written + cost.disk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_first_is_not_left_to_do() {
        let all = Work { training: vec![(60.0, 5.0), (40.0, 3.0)], reading: 50.0, written: 8.0 };
        assert_eq!(all.after(0.0), all);
        let rest = all.after(0.75);
        assert_eq!(rest.training, [(0.0, 5.0), (25.0, 3.0)]);
        assert_eq!((rest.reading, rest.written), (12.5, 2.0));
        assert_eq!(all.after(1.0).flops(), 0.0);
    }

    #[test]
    fn teachers_are_read_beside_the_students_own_steps() {
        let own = Work { training: vec![(100.0, 3.0)], reading: 50.0, written: 8.0 };
        assert_eq!(own.flops(), 350.0);
        let cost = Cost { disk: 1000.0, phases: [(40.0, 2.0), (60.0, 0.5)] };
        let both = own.with_teachers(&cost);
        assert_eq!(both.training, [(40.0, 5.0), (60.0, 3.5)]);
        assert_eq!((both.flops(), both.written), (40.0 * 5.0 + 60.0 * 3.5 + 50.0, 1008.0));
        let online = Cost { disk: 0.0, phases: [(100.0, 2.0), (0.0, 0.0)] };
        assert_eq!(own.with_teachers(&online).training, [(100.0, 5.0)]);
        let partly = Cost { disk: 0.0, phases: [(80.0, 2.0), (0.0, 0.0)] };
        assert_eq!(own.with_teachers(&partly).training, [(80.0, 5.0), (20.0, 3.0)]);
    }
}

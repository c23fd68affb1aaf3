//! What takes time: operations of training steps and of forward passes, and bytes that go to disk.

use super::signals::Cost;

/// Work on one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Of training: tokens, and the floating-point operations of each, teachers' included.
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

    /// With what teachers cost.
    pub fn with_teachers(&self, cost: &Cost) -> Self {
        let (tokens, flops) = self
            .training
            .iter()
            .fold((0.0, 0.0), |(all, sum), (tokens, flops)| (all + tokens, sum + tokens * flops));
        let own = if tokens > 0.0 { flops / tokens } else { 0.0 };
        let phases = cost.phases.iter().filter(|(tokens, _)| *tokens > 0.0);
        Self {
            training: phases.map(|&(tokens, flops)| (tokens, own + flops)).collect(),
            reading: self.reading,
            written: self.written + cost.disk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}

//! When to stop and which evaluation is best, in the order in which transformers' Trainer and its
//! early stopping look at an evaluation.

/// Watches a metric of which higher is better.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u32,
    threshold: f64,
    best: Option<f64>,
    failures: u32,
}

/// What an evaluation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whether it is better than all before it, by however little; on a tie the earlier one stays
    /// the best.
    pub best: bool,
    /// Evaluations in a row, this one included, that were not better by more than the threshold.
    pub failures: u32,
    /// Whether training stops here.
    pub stop: bool,
}

impl EarlyStopping {
    /// Stops after `patience` evaluations in a row that are not better than the best before them by
    /// more than `threshold`.
    pub fn new(patience: u32, threshold: f64) -> Self {
        Self { patience, threshold, best: None, failures: 0 }
    }

    /// The next evaluation. An improvement within the threshold moves the best on and still counts
    /// as a failure.
    pub fn observe(&mut self, metric: f64) -> Observation {
        let better =
            |by: f64| self.best.is_none_or(|best| metric > best && (metric - best).abs() > by);
        self.failures = if better(self.threshold) { 0 } else { self.failures + 1 };
        let best = better(0.0);
        if best {
            self.best = Some(metric);
        }
        Observation { best, failures: self.failures, stop: self.failures >= self.patience }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Per evaluation whether it is the best so far, the failures, and whether training stops.
    fn observe(patience: u32, metrics: &[f64]) -> Vec<(bool, u32, bool)> {
        let mut stopping = EarlyStopping::new(patience, 0.001);
        metrics
            .iter()
            .map(|&metric| stopping.observe(metric))
            .map(|seen| (seen.best, seen.failures, seen.stop))
            .collect()
    }

    #[test]
    fn small_gains_move_the_best_and_count_as_failures() {
        let seen = observe(3, &[0.5, 0.5005, 0.501, 0.5012]);
        assert_eq!(seen, [(true, 0, false), (true, 1, false), (true, 2, false), (true, 3, true)]);
    }

    #[test]
    fn a_tie_keeps_the_earlier_one() {
        let seen = observe(2, &[0.7, 0.7, 0.7]);
        assert_eq!(seen, [(true, 0, false), (false, 1, false), (false, 2, true)]);
    }

    #[test]
    fn a_gain_above_the_threshold_starts_the_count_again() {
        let seen = observe(2, &[0.0, 0.0, 0.1, 0.05, 0.2, 0.2, 0.1]);
        let failures: Vec<u32> = seen.iter().map(|seen| seen.1).collect();
        assert_eq!(failures, [0, 1, 0, 1, 0, 1, 2]);
        assert_eq!(
            seen.iter().map(|seen| seen.2).collect::<Vec<_>>(),
            [false, false, false, false, false, false, true]
        );
    }

    #[test]
    fn without_a_threshold_every_gain_counts() {
        let mut stopping = EarlyStopping::new(1, 0.0);
        assert!([0.5, 0.5 + 1e-12].iter().all(|&metric| !stopping.observe(metric).stop));
        assert!(stopping.observe(0.5).stop);
    }

    /// The three rules as transformers writes them: the callback looks first, the Trainer marks its
    /// best afterwards.
    #[test]
    fn agrees_with_the_rules_one_by_one() {
        let rng = base::rng::Rng::new(4, "metrics");
        for case in 0..200 {
            let (mut stopping, mut best, mut counter) =
                (EarlyStopping::new(4, 0.001), None::<f64>, 0);
            for at in 0..30 {
                let metric = 0.5 + rng.at(case).below(at, 12) as f64 * 0.0005;
                counter = match best {
                    None => 0,
                    Some(best) if metric > best && (metric - best).abs() > 0.001 => 0,
                    Some(_) => counter + 1,
                };
                let is_best = best.is_none_or(|best| metric > best);
                if is_best {
                    best = Some(metric);
                }
                let expected = Observation { best: is_best, failures: counter, stop: counter >= 4 };
                assert_eq!(stopping.observe(metric), expected);
            }
        }
    }
}

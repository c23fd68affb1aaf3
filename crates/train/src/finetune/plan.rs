//! Which examples every step reads.

use base::rng::Rng;

use super::{Example, FinetuneSettings};

/// The steps of fine-tuning on a number of examples.
pub(super) struct ExamplePlan {
    seed: u64,
    count: usize,
    batch_size: usize,
    drop_last: bool,
    pub total_steps: u64,
    /// The last epoch for which an order of the examples was made, with that order.
    order: Option<(u64, Vec<u32>)>,
}

impl ExamplePlan {
    /// The plan of `count` examples. Steps are counted as transformers does: an epoch's last batch
    /// holds what is left, and part of an epoch is whole steps, rounded up. Its rounding is part
    /// of that: 1.1 epochs of 100 steps are a little more than 110 in `f64`, and so 111 steps.
    pub(super) fn new(settings: &FinetuneSettings, count: usize) -> Self {
        let FinetuneSettings { seed, batch_size, drop_last, .. } = *settings;
        let mut plan = Self { seed, count, batch_size, drop_last, total_steps: 0, order: None };
        plan.total_steps = match settings.max_steps {
            0 => (settings.epochs * plan.steps_per_epoch() as f64).ceil() as u64,
            steps => steps,
        };
        plan
    }

    /// At least one: fewer examples than a batch are one.
    pub(super) fn steps_per_epoch(&self) -> u64 {
        match self.drop_last {
            true => (self.count / self.batch_size).max(1) as u64,
            false => self.count.div_ceil(self.batch_size) as u64,
        }
    }

    /// Epochs that `steps` steps make.
    pub(super) fn epochs(&self, steps: u64) -> f64 {
        steps as f64 / self.steps_per_epoch() as f64
    }

    /// The numbers of the examples of the step after `done` others: each epoch is a permutation, a
    /// pure function of (seed, epoch).
    pub(super) fn batch(&mut self, done: u64) -> &[u32] {
        let epoch = done / self.steps_per_epoch();
        let at = (done % self.steps_per_epoch()) as usize * self.batch_size;
        let same = self.order.take().filter(|(of, _)| *of == epoch);
        let shuffle =
            || (epoch, Rng::new(self.seed, "fine-tuning order").at(epoch).permutation(self.count));
        let (_, order) = self.order.insert(same.unwrap_or_else(shuffle));
        &order[at..(at + self.batch_size).min(self.count)]
    }
}

/// Tokens that go through the model at a time, so that memory does not grow with the batch; more
/// only where one example is longer, and fewer where the device has no memory for them.
pub(super) const MICRO_BATCH_TOKENS: usize = 4096;

/// A batch in parts of nearly equal numbers of tokens, about `limit` of them. Losses add up as
/// sums, so that a split changes nothing but rounding.
pub(super) fn micro_batches<'a>(batch: &[&'a Example], limit: usize) -> Vec<Vec<&'a Example>> {
    let total: usize = batch.iter().map(|example| example.ids.len()).sum();
    let parts = total.div_ceil(limit);
    let (mut groups, mut before, mut last) = (Vec::<Vec<&Example>>::new(), 0, usize::MAX);
    for &example in batch {
        let part = before * parts / total;
        if part != last {
            groups.push(Vec::new());
            last = part;
        }
        groups.last_mut().expect("the first example opens a part").push(example);
        before += example.ids.len();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(count: usize, batch_size: usize, epochs: f64, max_steps: u64) -> ExamplePlan {
        ExamplePlan::new(
            &FinetuneSettings { batch_size, epochs, max_steps, ..FinetuneSettings::default() },
            count,
        )
    }

    #[test]
    fn an_epoch_reads_everything_once_and_the_next_in_another_order() {
        let mut plan = plan(23, 5, 2.0, 0);
        assert_eq!((plan.steps_per_epoch(), plan.total_steps), (5, 10));
        let mut epochs = [0, 5].map(|first| {
            (first..first + 5).flat_map(|at| plan.batch(at).to_vec()).collect::<Vec<_>>()
        });
        assert_ne!(epochs[0], epochs[1]);
        let again: Vec<u32> = (0..5).flat_map(|at| plan.batch(at).to_vec()).collect();
        assert_eq!(again, epochs[0], "an epoch's order does not depend on what was asked before");
        epochs.iter_mut().for_each(|epoch| epoch.sort_unstable());
        assert!(epochs.iter().all(|epoch| epoch.iter().copied().eq(0..23)));
        assert_eq!(plan.batch(4).len(), 3, "the last batch holds what is left");
    }

    #[test]
    fn steps_are_counted_as_by_transformers() {
        assert_eq!(plan(139, 64, 10.0, 0).total_steps, 30);
        assert_eq!(plan(64, 64, 0.5, 0).total_steps, 1);
        assert_eq!(plan(130, 64, 1.5, 0).total_steps, 5);
        assert_eq!(plan(130, 64, 1.5, 7).total_steps, 7);
        assert_eq!(plan(100, 1, 1.1, 0).total_steps, 111);
        assert_eq!(plan(3, 64, 4.0, 0).steps_per_epoch(), 1);
    }

    #[test]
    fn parts_keep_the_order_and_the_limit() {
        let rng = Rng::new(1, "lengths");
        let example =
            |at| Example { ids: vec![1; 1 + rng.below(at, 30) as usize], label: at as u32 };
        let examples: Vec<Example> = (0..50).map(example).collect();
        let batch: Vec<&Example> = examples.iter().collect();
        for limit in [1, 30, 64, 100, 10_000] {
            let parts = micro_batches(&batch, limit);
            assert_eq!(parts.concat(), batch);
            let tokens =
                |part: &Vec<&Example>| part.iter().map(|example| example.ids.len()).sum::<usize>();
            assert!(
                parts.iter().all(|part| !part.is_empty() && tokens(part) < limit + 30),
                "{limit}"
            );
        }
        assert_eq!(micro_batches(&batch, 10_000).len(), 1);
        assert_eq!(micro_batches(&batch, 1).len(), 50, "one each where the limit allows no more");
    }
}

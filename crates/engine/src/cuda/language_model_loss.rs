//! The output layer and the language-model loss, a block of rows at a time.

use super::Cuda;
use super::kernels::LANGUAGE_MODEL_LOSS;
use super::output_layer::{OutputLayerGradient, RowSums, blocks, threads, vocab_of, wide_rows};
use crate::ops::language_model_loss::{
    LanguageModelLossKernels, OutputGradient, Projection, Target,
};

/// Bytes of an id or a row's number.
pub(super) const ID: usize = size_of::<u32>();

/// Targets row by row: those of `rows[i]` are `ids[starts[i]..starts[i + 1]]`.
#[derive(Debug, Default, PartialEq)]
struct TargetsByRow {
    rows: Vec<u32>,
    starts: Vec<u32>,
    ids: Vec<u32>,
}

impl TargetsByRow {
    /// # Panics
    /// When the targets are not in the order of their rows.
    fn new(targets: &[Target]) -> Self {
        assert!(
            targets.is_sorted_by_key(|target| target.row),
            "targets in the order of their rows"
        );
        let mut by_row =
            Self { ids: targets.iter().map(|target| target.id).collect(), ..Self::default() };
        by_row.starts.push(0);
        let mut seen = 0;
        for of_row in targets.chunk_by(|a, b| a.row == b.row) {
            seen += of_row.len() as u32;
            by_row.rows.push(of_row[0].row);
            by_row.starts.push(seen);
        }
        by_row
    }
}

impl LanguageModelLossKernels for Cuda {
    fn language_model_loss(
        &self,
        projection: Projection<'_>,
        targets: &[u32],
        scale: f32,
        gradient: Option<OutputGradient<'_>>,
    ) -> f64 {
        let vocab = projection.output.rows;
        let mut gradient =
            gradient.map(|gradient| OutputLayerGradient::new(self, projection, gradient));
        let d_logits = OutputLayerGradient::d_logits(&gradient);
        let logits = self.block_of_logits(targets.len(), vocab);
        let losses = RowSums::<1>::new(self, targets.len());
        let targets_there = self.upload(targets);
        for rows in blocks(targets.len(), vocab) {
            self.project(projection, &rows, projection.share, logits.pointer());
            let launch =
                self.kernels.get(LANGUAGE_MODEL_LOSS, "language_model_loss").with(logits.pointer());
            let launch =
                launch.with(targets_there.pointer() + (rows.start * ID) as u64).with(vocab as u32);
            let launch = launch.with(scale).with(d_logits).with(losses.at(0, rows.start));
            let launch = launch.with(vocab.is_multiple_of(8) as u32);
            // Safety: `language_model_loss(logits, targets, vocab, scale, gradient, losses, wide)`;
            // a block of logits and of their gradient has room for these rows.
            unsafe { launch.run(rows.len(), threads(vocab)) }
            if let Some(gradient) = &mut gradient {
                gradient.carry(&rows);
            }
        }
        let [sum] = losses.total();
        sum
    }

    fn log_probabilities(
        &self,
        projections: &[Projection<'_>],
        targets: &[Target],
        log_probabilities: &mut [f64],
    ) {
        assert_eq!(targets.len(), log_probabilities.len(), "a probability for each target");
        let vocab = vocab_of(projections);
        let by_row = TargetsByRow::new(targets);
        let [rows_there, starts, ids] =
            [&by_row.rows, &by_row.starts, &by_row.ids].map(|values| self.upload(values));
        let logits = self.block_of_logits(by_row.rows.len(), vocab);
        let found = self.scratch_bytes(size_of_val(log_probabilities));
        for rows in blocks(by_row.rows.len(), vocab) {
            let skipped = (rows.start * ID) as u64;
            self.project_rows(
                projections,
                rows_there.pointer() + skipped,
                rows.len(),
                logits.pointer(),
            );
            let launch =
                self.kernels.get(LANGUAGE_MODEL_LOSS, "log_probabilities").with(logits.pointer());
            let launch =
                launch.with(vocab as u32).with(starts.pointer() + skipped).with(ids.pointer());
            let launch = launch.with(found.pointer()).with(wide_rows(vocab));
            // Safety: `log_probabilities(logits, vocab, starts, ids, log_probabilities, wide)`;
            // `starts` has one more value than there are rows, and none exceeds the number of
            // targets.
            unsafe { launch.run(rows.len(), threads(vocab)) }
        }
        self.fetch(found.pointer(), log_probabilities);
    }

    fn logits(&self, projections: &[Projection<'_>], logits: &mut [f32]) {
        let rows = projections[0].hidden.rows;
        assert_eq!(logits.len(), rows * vocab_of(projections), "logits of {rows} rows");
        let there = self.scratch_bytes(size_of_val(logits));
        self.project_all(projections, &(0..rows), there.pointer());
        self.fetch(there.pointer(), logits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lie_between_the_starts_of_their_rows() {
        let targets = [(0, 3), (0, 9), (2, 5), (7, 1), (7, 1)].map(|(row, id)| Target { row, id });
        let expected = TargetsByRow {
            rows: vec![0, 2, 7],
            starts: vec![0, 2, 3, 5],
            ids: vec![3, 9, 5, 1, 1],
        };
        assert_eq!(TargetsByRow::new(&targets), expected);
        assert_eq!(
            TargetsByRow::new(&[]),
            TargetsByRow { starts: vec![0], ..TargetsByRow::default() }
        );
    }
}

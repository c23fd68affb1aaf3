//! The output layer of a model whose other weights are not in memory.

use std::sync::Arc;

use engine::ops::linear::LinearView;
use engine::{Device, Layout, Segment, Tensor};

use crate::families::ModelConfig;

/// What turns final states into logits, alone.
pub struct OutputLayer {
    /// `[vocab, hidden]`.
    pub weight: Tensor,
    /// `[1, vocab]`, if the model has one.
    pub bias: Option<Tensor>,
}

impl OutputLayer {
    /// An output layer of one value everywhere.
    pub fn filled(config: &ModelConfig, device: &Arc<dyn Device>, value: f32) -> Self {
        let output = config.architecture.decoder(config, &mut Layout::default()).output();
        let filled = |segment: Segment| {
            let mut tensor = Tensor::zeros(device, segment.rows, segment.columns);
            device.fill(tensor.view_mut(), value);
            tensor
        };
        Self { weight: filled(output.weight), bias: output.bias.map(filled) }
    }

    /// This output layer for the first `rows` rows of the vocabulary alone.
    ///
    /// # Panics
    /// When it has fewer rows.
    pub fn with_first_rows(self, rows: usize) -> Self {
        let device = self.weight.device();
        let columns = self.weight.columns();
        let weight = self.weight.to_vec();
        let first = Tensor::from_slice(device, rows, columns, &weight[..rows * columns]);
        let bias = self.bias.as_ref().map(|bias| {
            let bias = bias.to_vec();
            Tensor::from_slice(device, 1, rows, &bias[..rows])
        });
        Self { weight: first, bias }
    }

    /// The weights, to read.
    pub fn view(&self) -> LinearView<'_> {
        LinearView { weight: self.weight.view(), bias: self.bias.as_ref().map(Tensor::view) }
    }
}

//! The output layer of a model whose other weights are not in memory.

use engine::Tensor;
use engine::ops::linear::LinearView;

/// What turns final states into logits, alone.
pub struct OutputLayer {
    /// `[vocab, hidden]`.
    pub weight: Tensor,
    /// `[1, vocab]`, if the model has one.
    pub bias: Option<Tensor>,
}

impl OutputLayer {
    /// The weights, to read.
    pub fn view(&self) -> LinearView<'_> {
        LinearView { weight: self.weight.view(), bias: self.bias.as_ref().map(Tensor::view) }
    }
}

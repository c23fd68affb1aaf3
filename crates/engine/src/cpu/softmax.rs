//! A row's softmax at a temperature, as what turns a logit into the logarithm of its probability.
//! No probability is ever lost to underflow that way.

use super::math::{exp, long_sum_over, maximum};

#[derive(Clone, Copy)]
pub(super) struct Softmax {
    /// The largest logit.
    pub top: f32,
    pub inverse_temperature: f32,
    /// Logarithm of the sum of `e^((logit - top) / temperature)`.
    pub logsumexp: f32,
}

impl Softmax {
    #[inline(always)]
    pub(super) fn of(logits: &[f32], inverse_temperature: f32) -> Self {
        let top = maximum(logits);
        let sum = long_sum_over([logits], |[logit]| exp((logit - top) * inverse_temperature));
        Self { top, inverse_temperature, logsumexp: sum.ln() as f32 }
    }

    /// `ln softmax(logits / temperature)` of one logit.
    #[inline(always)]
    pub(super) fn log_probability(&self, logit: f32) -> f32 {
        (logit - self.top) * self.inverse_temperature - self.logsumexp
    }
}

//! AdamW and the gradient norm.

use std::ops::Range;

use rayon::prelude::*;

use super::{Cpu, memory, vectorised};
use crate::ops::optimizer::{AdamwConstants, AdamwStep, OptimizerKernels};
use crate::tensor::Tensor;

/// Values per task, and per partial sum.
const TASK: usize = 16_384;

vectorised! {
    fn update(
        values: &mut [f32],
        gradients: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        c: AdamwConstants,
    ) {
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((value, gradient), (m, v)) in values.iter_mut().zip(gradients).zip(moments) {
            let gradient = gradient * c.gradient_scale;
            *m = c.beta1 * *m + c.new_share1 * gradient;
            *v = c.beta2 * *v + c.new_share2 * gradient * gradient;
            let update = c.rate * *m / (v.sqrt() * c.root_scale + c.epsilon);
            *value = (*value * c.decay_before - update) * c.decay_after;
        }
    }
}

vectorised! {
    fn squares(values: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let (chunks, rest) = values.as_chunks::<8>();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += value as f64 * value as f64;
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += value as f64 * value as f64;
        }
        lanes.iter().sum()
    }
}

impl OptimizerKernels for Cpu {
    fn adamw(
        &self,
        values: &mut Tensor,
        gradients: &Tensor,
        first_moment: &mut Tensor,
        second_moment: &mut Tensor,
        range: Range<usize>,
        step: AdamwStep,
    ) {
        let constants = step.constants();
        memory::full_values_mut(values)[range.clone()]
            .par_chunks_mut(TASK)
            .zip(memory::full_values(gradients)[range.clone()].par_chunks(TASK))
            .zip(memory::full_values_mut(first_moment)[range.clone()].par_chunks_mut(TASK))
            .zip(memory::full_values_mut(second_moment)[range].par_chunks_mut(TASK))
            .for_each(|(((values, gradients), m), v)| update(values, gradients, m, v, constants));
    }

    fn sum_of_squares(&self, values: &Tensor) -> f64 {
        let length = values.rows() * values.columns();
        let partial: Vec<f64> =
            memory::full_values(values)[..length].par_chunks(TASK).map(squares).collect();
        partial.iter().sum()
    }
}

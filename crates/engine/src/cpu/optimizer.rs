//! Updates of parameters, and the gradient norm.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::TASK;
use super::values::Values;
use super::{Cpu, memory, slice, values, values_mut, vectorised};
use crate::ops::optimizer::{
    AdamwConstants, AdamwStep, LambConstants, LionConstants, LionStep, OptimizerKernels,
    UpdateConstants, UpdateStep,
};
use crate::tensor::{Tensor, View, ViewMut};

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
            let decays = c.cautious == 0 || update * *value >= 0.0;
            let before = if decays { c.decay_before } else { 1.0 };
            let after = if decays { c.decay_after } else { 1.0 };
            *value = (*value * before - update) * after;
        }
    }
}

vectorised! {
    fn lion(values: &mut [f32], gradients: &[f32], momentum: &mut [f32], c: LionConstants) {
        for ((value, gradient), m) in values.iter_mut().zip(gradients).zip(momentum) {
            let gradient = gradient * c.gradient_scale;
            let mixed = c.beta1 * *m + c.new_share1 * gradient;
            // The sign of 0 is 0.
            let update = (mixed > 0.0) as u32 as f32 - (mixed < 0.0) as u32 as f32;
            *m = c.beta2 * *m + c.new_share2 * gradient;
            let decays = c.cautious == 0 || update * *value >= 0.0;
            *value = *value * if decays { c.decay } else { 1.0 } - c.rate * update;
        }
    }
}

vectorised! {
    fn lamb_direction(
        values: &[f32],
        gradients: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        output: &mut [f32],
        c: LambConstants,
    ) {
        let moments = first.iter_mut().zip(second.iter_mut());
        let inputs = values.iter().zip(gradients);
        for ((output, (&value, gradient)), (m, v)) in output.iter_mut().zip(inputs).zip(moments) {
            let gradient = gradient * c.gradient_scale;
            *m = c.beta1 * *m + c.new_share1 * gradient;
            *v = c.beta2 * *v + c.new_share2 * gradient * gradient;
            let update = c.scale * *m / (v.sqrt() * c.root_scale + c.epsilon);
            let decays = c.cautious == 0 || update * value >= 0.0;
            *output = update + if decays { c.decay * value } else { 0.0 };
        }
    }
}

vectorised! {
    fn apply(values: &mut [f32], updates: &[f32], c: UpdateConstants) {
        for (value, &update) in values.iter_mut().zip(updates) {
            let decays = c.cautious == 0 || update * *value >= 0.0;
            *value = *value * if decays { c.decay } else { 1.0 } - c.rate * update;
        }
    }
}

vectorised! {
    pub(super) fn squares(values: &[f32]) -> f64 {
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

/// The sum of squares, in an order that depends on nothing but the number of values.
pub(super) fn sum_of_squares(values: Values<'_>) -> f64 {
    let partial: Vec<f64> =
        values.par_chunks(TASK).map(|values| squares(&values.to_f32())).collect();
    partial.iter().sum()
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

    fn lion(
        &self,
        values: &mut Tensor,
        gradients: &Tensor,
        momentum: &mut Tensor,
        range: Range<usize>,
        step: LionStep,
    ) {
        let constants = step.constants();
        memory::full_values_mut(values)[range.clone()]
            .par_chunks_mut(TASK)
            .zip(memory::full_values(gradients)[range.clone()].par_chunks(TASK))
            .zip(memory::full_values_mut(momentum)[range].par_chunks_mut(TASK))
            .for_each(|((values, gradients), momentum)| {
                lion(values, gradients, momentum, constants)
            });
    }

    fn lamb_direction(
        &self,
        values: &Tensor,
        gradients: &Tensor,
        first_moment: &mut Tensor,
        second_moment: &mut Tensor,
        range: Range<usize>,
        step: AdamwStep,
        output: ViewMut<'_>,
    ) {
        let constants = step.lamb_constants();
        let inputs = memory::full_values(values)[range.clone()]
            .par_chunks(TASK)
            .zip(memory::full_values(gradients)[range.clone()].par_chunks(TASK));
        let moments = memory::full_values_mut(first_moment)[range.clone()]
            .par_chunks_mut(TASK)
            .zip(memory::full_values_mut(second_moment)[range].par_chunks_mut(TASK));
        values_mut(output).par_chunks_mut(TASK).zip(inputs).zip(moments).for_each(
            |((output, (values, gradients)), (m, v))| {
                output.write(|output| lamb_direction(values, gradients, m, v, output, constants));
            },
        );
    }

    fn apply_update(
        &self,
        values: &mut Tensor,
        range: Range<usize>,
        update: View<'_>,
        step: UpdateStep,
    ) {
        let mut constants = step.constants();
        let to = &mut memory::full_values_mut(values)[range];
        assert_eq!(to.len(), update.rows * update.columns, "values to update");
        if step.by_norms {
            let norms = [sum_of_squares(Values::F32(to)), sum_of_squares(self::values(update))];
            let [of_values, of_update] = norms.map(f64::sqrt);
            if of_values > 0.0 && of_update > 0.0 {
                constants.rate = (step.rate * (of_values / of_update)) as f32;
            }
        }
        to.par_chunks_mut(TASK)
            .zip(self::values(update).par_chunks(TASK))
            .for_each(|(values, update)| apply(values, &update.to_f32(), constants));
    }

    fn sum_of_squares(&self, values: &Tensor) -> f64 {
        sum_of_squares(Values::F32(slice(values.view())))
    }
}

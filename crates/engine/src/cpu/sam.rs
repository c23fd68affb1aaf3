//! The climb of sharpness-aware minimisation.

use rayon::prelude::*;

use super::elementwise::{TASK, add_scaled};
use super::{Cpu, memory, vectorised};
use crate::ops::sam::SamKernels;
use crate::tensor::Tensor;

vectorised! {
    fn climb_adaptively(values: &mut [f32], gradients: &[f32], scale: f32) {
        for (value, gradient) in values.iter_mut().zip(gradients) {
            *value += scale * gradient * (*value * *value);
        }
    }
}

vectorised! {
    fn squared_products(values: &[f32], gradients: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        for (values, gradients) in values.chunks(8).zip(gradients.chunks(8)) {
            for (lane, (&value, &gradient)) in lanes.iter_mut().zip(values.iter().zip(gradients)) {
                let product = value as f64 * gradient as f64;
                *lane += product * product;
            }
        }
        lanes.iter().sum()
    }
}

impl SamKernels for Cpu {
    fn climb(&self, values: &mut Tensor, gradients: &Tensor, scale: f32, adaptive: bool) {
        let length = values.rows() * values.columns();
        let pieces = memory::full_values_mut(values)[..length]
            .par_chunks_mut(TASK)
            .zip(memory::full_values(gradients)[..length].par_chunks(TASK));
        pieces.for_each(|(values, gradients)| match adaptive {
            true => climb_adaptively(values, gradients, scale),
            false => add_scaled(gradients, scale, values),
        });
    }

    fn sum_of_squared_products(&self, values: &Tensor, gradients: &Tensor) -> f64 {
        let length = values.rows() * values.columns();
        let partial: Vec<f64> = memory::full_values(values)[..length]
            .par_chunks(TASK)
            .zip(memory::full_values(gradients)[..length].par_chunks(TASK))
            .map(|(values, gradients)| squared_products(values, gradients))
            .collect();
        partial.iter().sum()
    }
}

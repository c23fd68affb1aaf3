//! Mixtures of states.

use rayon::prelude::*;

use super::elementwise::{TASK, add_scaled, scaled};
use super::{Cpu, slice, slice_mut, values, values_mut};
use crate::ops::mixture::MixtureKernels;
use crate::tensor::{View, ViewMut};

/// What multiplies the states: the weights, or their softmax.
fn shares(weights: View<'_>, by_softmax: bool) -> Vec<f32> {
    let weights = slice(weights);
    if !by_softmax {
        return weights.to_vec();
    }
    let top = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = weights.iter().map(|weight| (weight - top).exp()).collect();
    let total: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

impl MixtureKernels for Cpu {
    fn mixture(
        &self,
        states: &[View<'_>],
        weights: View<'_>,
        by_softmax: bool,
        output: ViewMut<'_>,
    ) {
        let shares = shares(weights, by_softmax);
        values_mut(output).par_chunks_mut(TASK).enumerate().for_each(|(task, output)| {
            let range = task * TASK..task * TASK + output.len();
            output.write(|output| {
                for (index, (state, &share)) in states.iter().zip(&shares).enumerate() {
                    let state = values(*state).range(range.clone()).to_f32();
                    match index {
                        0 => scaled(&state, share, output),
                        _ => add_scaled(&state, share, output),
                    }
                }
            });
        });
    }

    fn mixture_state_gradient(
        &self,
        d_output: View<'_>,
        weights: View<'_>,
        by_softmax: bool,
        index: usize,
        d_state: ViewMut<'_>,
        accumulate: bool,
    ) {
        let share = shares(weights, by_softmax)[index];
        values_mut(d_state).par_chunks_mut(TASK).zip(values(d_output).par_chunks(TASK)).for_each(
            |(d_state, d_output)| match accumulate {
                true => d_state.update(|d_state| add_scaled(&d_output.to_f32(), share, d_state)),
                false => d_state.write(|d_state| scaled(&d_output.to_f32(), share, d_state)),
            },
        );
    }

    fn mixture_weights_gradient(
        &self,
        d_output: View<'_>,
        states: &[View<'_>],
        weights: View<'_>,
        by_softmax: bool,
        d_weights: ViewMut<'_>,
    ) {
        // The products of pieces of equal size, added in their order.
        let product = |state: &View<'_>| -> f32 {
            let pieces: Vec<f32> = values(d_output)
                .par_chunks(TASK)
                .zip(values(*state).par_chunks(TASK))
                .map(|(d_output, state)| d_output.dot(state))
                .collect();
            pieces.iter().map(|&piece| f64::from(piece)).sum::<f64>() as f32
        };
        let products: Vec<f32> = states.iter().map(product).collect();
        let shares = shares(weights, by_softmax);
        let mean: f32 = shares.iter().zip(&products).map(|(share, product)| share * product).sum();
        let terms = products.iter().zip(&shares);
        for (d_weight, (product, share)) in slice_mut(d_weights).iter_mut().zip(terms) {
            *d_weight += if by_softmax { share * (product - mean) } else { *product };
        }
    }
}

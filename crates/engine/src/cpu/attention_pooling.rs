//! Attention pooling. A task is one sequence.

use rayon::prelude::*;

use super::attention::{Shared, row, softmax};
use super::elementwise::add_scaled;
use super::{Cpu, slice, values_mut};
use crate::ops::attention_pooling::AttentionPoolingKernels;
use crate::spans::Spans;
use crate::tensor::{View, ViewMut};

/// The rows of every sequence, with its number.
fn sequences(spans: &Spans) -> Vec<(usize, std::ops::Range<usize>)> {
    spans.iter().enumerate().collect()
}

impl AttentionPoolingKernels for Cpu {
    fn attention_pooling(
        &self,
        states: View<'_>,
        scores: View<'_>,
        spans: &Spans,
        weights: ViewMut<'_>,
        output: ViewMut<'_>,
    ) {
        let columns = states.columns;
        let (weights, output) =
            (Shared::new(values_mut(weights), 1), Shared::new(values_mut(output), columns));
        sequences(spans).into_par_iter().for_each(|(sequence, rows)| {
            let mut of_tokens: Vec<f32> =
                rows.clone().flat_map(|token| row(scores, token, 0..1).to_f32().to_vec()).collect();
            softmax(&mut of_tokens);
            let mut mean = vec![0.0; columns];
            for (token, &weight) in rows.zip(&of_tokens) {
                let state = row(states, token, 0..columns).to_f32();
                add_scaled(&state, weight, &mut mean);
                // Safety: this task alone writes the rows of its sequence.
                unsafe { weights.row(token, 0..1) }.copy_from(&[weight]);
            }
            // Safety: this task alone writes the row of its sequence.
            unsafe { output.row(sequence, 0..columns) }.copy_from(&mean);
        });
    }

    fn attention_pooling_gradient(
        &self,
        d_output: View<'_>,
        states: View<'_>,
        weights: View<'_>,
        spans: &Spans,
        d_states: ViewMut<'_>,
        d_scores: ViewMut<'_>,
    ) {
        let columns = states.columns;
        let (d_states, d_scores) =
            (Shared::new(values_mut(d_states), columns), Shared::new(values_mut(d_scores), 1));
        let weights = slice(weights);
        sequences(spans).into_par_iter().for_each(|(sequence, rows)| {
            let d_mean = row(d_output, sequence, 0..columns);
            let d_weights: Vec<f32> =
                rows.clone().map(|token| d_mean.dot(row(states, token, 0..columns))).collect();
            let of_tokens = &weights[rows.clone()];
            let along: f32 = of_tokens.iter().zip(&d_weights).map(|(a, b)| a * b).sum();
            let d_mean = d_mean.to_f32();
            for (token, d_weight) in rows.zip(d_weights) {
                let weight = weights[token];
                let d_state: Vec<f32> = d_mean.iter().map(|d_mean| weight * d_mean).collect();
                // Safety: this task alone writes the rows of its sequence.
                unsafe {
                    d_states.row(token, 0..columns).copy_from(&d_state);
                    d_scores.row(token, 0..1).copy_from(&[weight * (d_weight - along)]);
                }
            }
        });
    }
}

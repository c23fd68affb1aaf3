//! Layers of experts and their routers.

use std::sync::Arc;

use super::{Case, compact, full};
use crate::ops::experts::{Expert, ExpertActivation};
use crate::ops::linear::Linear;
use crate::params::{Layout, Role};
use crate::parity::problem::Problem;
use crate::spans::Spans;

pub(super) fn cases() -> Vec<Case> {
    use ExpertActivation::{Gelu, Swiglu};
    vec![
        router(130, 64, 8),
        router(3, 17, 3),
        experts(&[64, 60], (64, 96, 8), Gelu, 16),
        experts(&[5, 0, 9], (17, 7, 3), Swiglu, 2),
        experts(&[1, 8], (40, 24, 2), Gelu, usize::MAX),
    ]
}

/// A router whose input is jittered and read by something else, too.
fn router(tokens: usize, width: usize, experts: usize) -> Case {
    let mut layout = Layout::default();
    let [first, second] =
        ["first", "second"].map(|name| layout.add(name, experts, width, Role::Matrix));
    let weight = layout.add("mixture", experts, experts, Role::Matrix);
    let mixture = Linear { weight, bias: None };
    let problem = Problem { dropout: true, ..Problem::new(layout, &[compact(tokens, width)]) };
    Case {
        operation: "router",
        shape: format!("[{tokens}, {width}] x [{experts}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                let jittered = tape.jitter(inputs[0].clone(), 0.1);
                let other = tape.router(&inputs[0], second);
                let logits = tape.router(&jittered, first);
                tape.linear_add(&logits, &mixture, other, 0.0)
            })
        }),
    }
}

/// Experts by logits that are given, so that all devices choose the same.
fn experts(
    lengths: &[usize],
    (hidden, inner, count): (usize, usize, usize),
    activation: ExpertActivation,
    capacity: usize,
) -> Case {
    let mut layout = Layout::default();
    let up_rows = if activation == ExpertActivation::Swiglu { 2 * inner } else { inner };
    let mut linear = |rows, columns| Linear {
        weight: layout.add("weight", rows, columns, Role::Matrix),
        bias: Some(layout.add("bias", 1, rows, Role::Bias)),
    };
    let experts: Arc<[Expert]> = (0..count)
        .map(|_| Expert { up: linear(up_rows, hidden), down: linear(hidden, inner) })
        .collect();
    let spans = Spans::from_lengths(lengths.iter().copied());
    let tokens = spans.tokens();
    let inputs = [compact(tokens, hidden), full(tokens, count), full(tokens, hidden)];
    let problem = Problem { dropout: true, ..Problem::new(layout, &inputs) };
    let room = if capacity == usize::MAX { "all".to_owned() } else { capacity.to_string() };
    Case {
        operation: "experts",
        shape: format!("{count} of [{hidden}, {inner}] for {room} tokens, lengths {lengths:?}"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                let routing = tape.route(&inputs[1], &spans, |_| capacity);
                let residual = inputs[2].clone();
                let (input, logits) = (&inputs[0], &inputs[1]);
                tape.experts_add(input, logits, &routing, &experts, activation, residual, 0.1)
            })
        }),
    }
}

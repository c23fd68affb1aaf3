//! Memory, embedding, products, norms, activations and dropout.

use std::sync::Arc;

use super::{Case, compact, full};
use crate::ops::attention::Heads;
use crate::ops::embed::Embedding;
use crate::ops::head_norm::HeadNorm;
use crate::ops::linear::Linear;
use crate::ops::mixture::Mixture;
use crate::ops::norm::Norm;
use crate::params::{Layout, Role, Segment};
use crate::parity::problem::{Output, Problem, random_ids, random_tensor};
use crate::spans::Spans;
use crate::tensor::{Precision, Tensor};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![memory(1000), memory(77)];
    for (tokens, width, vocab) in [(64, 64, 300), (7, 5, 3)] {
        cases.push(embed(tokens, width, vocab));
    }
    for (tokens, inner, outer) in [(96, 64, 128), (1, 33, 7), (130, 19, 65)] {
        cases.push(linear(tokens, inner, outer, false));
        cases.push(linear(tokens, inner, outer, true));
    }
    for (tokens, width) in [(64, 128), (3, 17), (300, 36), (37, 776)] {
        cases.push(norm("rms_norm", tokens, width, false));
        cases.push(norm("layer_norm", tokens, width, true));
    }
    for (tokens, heads) in [(64, (4, 2, 64)), (3, (3, 1, 5)), (130, (2, 2, 40))] {
        cases.push(head_norm(tokens, heads));
    }
    for (tokens, width) in [(64, 128), (5, 13)] {
        cases.extend([swiglu(tokens, width), geglu(tokens, width)]);
        cases.extend([activations(tokens, width), dropout(tokens, width)]);
        cases.extend([scale(tokens, width), pooling(tokens, width), multiply(tokens, width)]);
        cases.extend([mixture(tokens, width, false), mixture(tokens, width, true)]);
    }
    cases
}

fn memory(length: usize) -> Case {
    Case {
        operation: "fill, add, copy",
        shape: format!("[{length}]"),
        run: Box::new(move |device| {
            let mut sum = Tensor::uninitialised(device, 1, length);
            device.fill(sum.view_mut(), 0.5);
            device.add(random_tensor(device, 1, 1, length, Precision::Full).view(), sum.view_mut());
            let compact = random_tensor(device, 2, 1, length, Precision::Compact);
            device.add(compact.view(), sum.view_mut());
            vec![
                Output { name: "sum", values: sum.clone().to_vec() },
                Output { name: "copy", values: compact.clone().to_vec() },
            ]
        }),
    }
}

fn embed(tokens: usize, width: usize, vocab: usize) -> Case {
    let mut layout = Layout::default();
    let embedding = Embedding {
        tokens: layout.add("tokens", vocab, width, Role::Embedding),
        positions: Some(layout.add("positions", tokens, width, Role::Positions)),
        shared: Some(layout.add("shared", 1, width, Role::TokenTypes)),
        padding: Some(1),
    };
    let problem = Problem::new(layout, &[]);
    let ids: Arc<[u32]> = random_ids(3, tokens, vocab).into();
    let positions: Arc<[u32]> = (0..tokens as u32).map(|row| row % 16).collect();
    Case {
        operation: "embed",
        shape: format!("[{tokens}, {width}] of {vocab}"),
        run: Box::new(move |device| {
            problem.run(device, |tape, _| tape.embed(&embedding, &ids, &positions))
        }),
    }
}

fn linear(tokens: usize, inner: usize, outer: usize, residual: bool) -> Case {
    let mut layout = Layout::default();
    // An odd number of values first, so that nothing is aligned by chance.
    if inner % 2 == 1 {
        layout.add("before", 1, 3, Role::Bias);
    }
    let linear = Linear {
        weight: layout.add("weight", outer, inner, Role::Matrix),
        bias: Some(layout.add("bias", 1, outer, Role::Bias)),
    };
    let problem = Problem::new(layout, &[compact(tokens, inner), full(tokens, outer)]);
    Case {
        operation: if residual { "linear with residual" } else { "linear" },
        shape: format!("[{tokens}, {inner}] x [{outer}, {inner}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| match residual {
                true => tape.linear_add(&inputs[0], &linear, inputs[1].clone(), 0.0),
                false => tape.linear(&inputs[0], &linear),
            })
        }),
    }
}

fn norm(operation: &'static str, tokens: usize, width: usize, layer: bool) -> Case {
    let mut layout = Layout::default();
    let gain = layout.add("gain", 1, width, Role::NormGain);
    let bias = layer.then(|| layout.add("bias", 1, width, Role::Bias));
    let norm = Norm { gain, bias, epsilon: 1e-5 };
    let problem = Problem::new(layout, &[full(tokens, width)]);
    Case {
        operation,
        shape: format!("[{tokens}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.norm(&inputs[0], &norm))
        }),
    }
}

fn head_norm(tokens: usize, (num_heads, num_kv_heads, head_dim): (usize, usize, usize)) -> Case {
    let (rotary, causal, dropout) = (None, true, 0.0);
    let heads = Heads { num_heads, num_kv_heads, head_dim, rotary, causal, dropout };
    let mut layout = Layout::default();
    let gains = ["q", "k"].map(|name| layout.add(name, 1, head_dim, Role::NormGain));
    let norm = HeadNorm { gains: Segment::stack(&gains), epsilon: 1e-5 };
    let problem = Problem::new(layout, &[compact(tokens, heads.qkv_columns())]);
    Case {
        operation: "head_norm",
        shape: format!("[{tokens}], {num_heads}/{num_kv_heads} heads of {head_dim}"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.head_norm(inputs[0].clone(), &norm, &heads))
        }),
    }
}

fn swiglu(tokens: usize, width: usize) -> Case {
    let problem = Problem::new(Layout::default(), &[compact(tokens, 2 * width)]);
    Case {
        operation: "swiglu",
        shape: format!("[{tokens}, 2 * {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.swiglu(inputs[0].clone()))
        }),
    }
}

fn geglu(tokens: usize, width: usize) -> Case {
    let problem = Problem::new(Layout::default(), &[compact(tokens, 2 * width)]);
    Case {
        operation: "geglu",
        shape: format!("[{tokens}, 2 * {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.geglu(inputs[0].clone()))
        }),
    }
}

fn scale(tokens: usize, width: usize) -> Case {
    let problem = Problem::new(Layout::default(), &[compact(tokens, width)]);
    Case {
        operation: "scale",
        shape: format!("[{tokens}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.scale(&inputs[0], -0.3))
        }),
    }
}

fn multiply(tokens: usize, width: usize) -> Case {
    let inputs = [compact(tokens, width), compact(tokens, width)];
    let problem = Problem::new(Layout::default(), &inputs);
    Case {
        operation: "multiply",
        shape: format!("[{tokens}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.multiply(inputs[0].clone(), inputs[1].clone()))
        }),
    }
}

fn mixture(tokens: usize, width: usize, by_softmax: bool) -> Case {
    let mut layout = Layout::default();
    let weights = layout.add("weights", 1, 3, Role::Mixture);
    let problem = Problem::new(layout, &[full(tokens, width); 3]);
    let mixture = Mixture { weights, by_softmax };
    Case {
        operation: if by_softmax { "mixture by softmax" } else { "mixture" },
        shape: format!("3 of [{tokens}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| tape.mixture(inputs, &mixture))
        }),
    }
}

fn pooling(tokens: usize, width: usize) -> Case {
    let problem = Problem::new(Layout::default(), &[full(tokens, width), full(tokens, 1)]);
    let spans = Spans::from_lengths([1, tokens - 1]);
    Case {
        operation: "attention pooling",
        shape: format!("[{tokens}, {width}] of two sequences"),
        run: Box::new(move |device| {
            problem
                .run(device, |tape, inputs| tape.attention_pooling(&inputs[0], &inputs[1], &spans))
        }),
    }
}

fn activations(tokens: usize, width: usize) -> Case {
    let problem = Problem::new(Layout::default(), &[compact(tokens, width)]);
    Case {
        operation: "gelu, exact_gelu, relu, tanh",
        shape: format!("[{tokens}, {width}]"),
        run: Box::new(move |device| {
            let gelu = problem.run(device, |tape, inputs| tape.gelu(inputs[0].clone()));
            let exact = problem.run(device, |tape, inputs| tape.exact_gelu(inputs[0].clone()));
            let relu = problem.run(device, |tape, inputs| tape.relu(inputs[0].clone()));
            let tanh = problem.run(device, |tape, inputs| tape.tanh(inputs[0].clone()));
            [gelu, exact, relu, tanh].concat()
        }),
    }
}

fn dropout(tokens: usize, width: usize) -> Case {
    let mut layout = Layout::default();
    let linear = Linear { weight: layout.add("weight", width, width, Role::Matrix), bias: None };
    let inputs = [full(tokens, width), full(tokens, width)];
    let problem = Problem { dropout: true, ..Problem::new(layout, &inputs) };
    Case {
        operation: "dropout",
        shape: format!("[{tokens}, {width}]"),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                let dropped = tape.dropout(inputs[0].clone(), 0.3);
                let sum = tape.linear_add(&dropped, &linear, inputs[1].clone(), 0.1);
                tape.dropout_of_sequences(sum, 0.2)
            })
        }),
    }
}

//! Attention: rotary positions, groups, dropout, prefixes, caches.

use std::sync::Arc;

use super::{Case, compact};
use crate::ops::attention::{Heads, LayerCache, Rotary};
use crate::params::Layout;
use crate::parity::problem::{Output, Problem, random_tensor};
use crate::spans::Spans;
use crate::tape::Tape;
use crate::tensor::Precision;
use crate::{Device, Parameters};

pub(super) fn cases() -> Vec<Case> {
    let causal = heads(4, 4, 64);
    vec![
        trained(causal, &[128, 128]),
        trained(causal, &[1, 64, 65, 2, 33]),
        trained(Heads { rotary: None, ..causal }, &[70]),
        trained(Heads { rotary: partly(24), ..causal }, &[65, 3]),
        trained(Heads { rotary: partly(6), ..heads(3, 1, 20) }, &[1, 40]),
        trained(Heads { causal: false, ..causal }, &[31, 130]),
        trained(Heads { dropout: 0.2, ..causal }, &[100]),
        trained(heads(4, 2, 32), &[128, 7]),
        trained(heads(4, 1, 128), &[90]),
        trained(heads(3, 3, 20), &[40, 3]),
        shared(heads(4, 2, 64)),
        shared(heads(2, 2, 12)),
        cached(heads(4, 2, 64)),
        cached(Heads { rotary: partly(16), ..heads(4, 4, 64) }),
    ]
}

fn heads(num_heads: usize, num_kv_heads: usize, head_dim: usize) -> Heads {
    Heads {
        num_heads,
        num_kv_heads,
        head_dim,
        rotary: partly(head_dim),
        causal: true,
        dropout: 0.0,
    }
}

/// Rotary positions of so many channels.
fn partly(channels: usize) -> Option<Rotary> {
    Some(Rotary { theta: 10_000.0, channels })
}

fn describe(heads: &Heads) -> String {
    let Heads { num_heads, num_kv_heads, head_dim, .. } = heads;
    let rotary = match heads.rotary {
        None => String::new(),
        Some(rotary) if rotary.channels == *head_dim => ", rotary".to_owned(),
        Some(rotary) => format!(", {} rotary", rotary.channels),
    };
    let both = if heads.causal { "" } else { ", both ways" };
    let dropout = if heads.dropout > 0.0 { ", dropout" } else { "" };
    format!("{num_heads}/{num_kv_heads} heads of {head_dim}{rotary}{both}{dropout}")
}

fn trained(heads: Heads, lengths: &[usize]) -> Case {
    let spans = Spans::from_lengths(lengths.iter().copied());
    let positions: Arc<[u32]> = spans.positions().into();
    let inputs = [compact(spans.tokens(), heads.qkv_columns())];
    let problem =
        Problem { dropout: heads.dropout > 0.0, ..Problem::new(Layout::default(), &inputs) };
    Case {
        operation: "attention",
        shape: format!("{}, lengths {lengths:?}", describe(&heads)),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                tape.attention(inputs[0].clone(), &spans, &positions, &heads)
            })
        }),
    }
}

/// Sequences that begin with rows of others.
fn shared(heads: Heads) -> Case {
    let mut spans = Spans::from_lengths([20, 70]);
    spans.push(5, vec![0..5, 5..12]);
    spans.push(66, vec![0..3, 90..94]);
    let positions: Arc<[u32]> = spans.positions().into();
    let problem = Problem::new(Layout::default(), &[compact(spans.tokens(), heads.qkv_columns())]);
    Case {
        operation: "attention over prefixes",
        shape: describe(&heads),
        run: Box::new(move |device| {
            problem.infer(device, |tape, inputs| {
                tape.attention(inputs[0].clone(), &spans, &positions, &heads)
            })
        }),
    }
}

/// Tokens one after the other, as in generation.
fn cached(heads: Heads) -> Case {
    let run = move |device: &Arc<dyn Device>| {
        let parameters = Parameters::zeros(device, Arc::new(Layout::default()));
        let mut cache = LayerCache::new(device, 80, &heads);
        let mut values = Vec::new();
        for (seed, rows) in [(1, 70), (2, 1), (3, 1), (4, 3)] {
            let mut tape = Tape::inference(&parameters);
            let first = cache.length() as u32;
            let positions: Arc<[u32]> = (first..first + rows as u32).collect();
            let fused_qkv =
                random_tensor(device, seed, rows, heads.qkv_columns(), Precision::Compact);
            let fused_qkv = tape.input(fused_qkv);
            values.extend(
                tape.attention_cached(fused_qkv, &positions, &heads, &mut cache).value().to_vec(),
            );
        }
        vec![Output { name: "output", values }]
    };
    Case { operation: "attention with a cache", shape: describe(&heads), run: Box::new(run) }
}

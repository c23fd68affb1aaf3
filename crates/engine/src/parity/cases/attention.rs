//! Attention: rotary positions, groups, dropout, prefixes, caches, buckets of distances.

use std::sync::Arc;

use super::{Case, compact, full};
use crate::ops::attention::{Heads, LayerCache, Rotary};
use crate::ops::biased_attention::{BiasedHeads, SpanPairs};
use crate::ops::relative_attention::{DistanceBuckets, PositionColumns, RelativeHeads};
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
        relative((4, 64), PositionColumns::Halves, &[128, 65], 63, 0.0),
        relative((3, 20), PositionColumns::Interleaved, &[1, 70, 33, 2], 11, 0.2),
        relative((2, 128), PositionColumns::Halves, &[40], 63, 0.1),
        biased((4, 64), &[128, 65], &[128, 65], Some(32)),
        biased((3, 20), &[1, 70, 33, 2], &[1, 70, 33, 2], Some(9)),
        biased((4, 64), &[31, 1, 60], &[40, 7, 90], None),
        biased((2, 131), &[3, 0, 9], &[12, 2, 8], None),
        relative((2, 131), PositionColumns::Interleaved, &[35], 127, 0.0),
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

/// Rotary positions of the first `channels` channels.
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

/// Attention both ways with buckets of distances, the last of which take all that are left.
fn relative(
    (num_heads, head_dim): (usize, usize),
    columns: PositionColumns,
    lengths: &[usize],
    count: usize,
    dropout: f32,
) -> Case {
    let far = (count / 2) as isize;
    let bucket = move |distance: isize| (far + distance.clamp(-far, far)) as usize;
    let both_ways =
        Heads { rotary: None, causal: false, dropout, ..heads(num_heads, num_heads, head_dim) };
    let relative = RelativeHeads {
        heads: both_ways,
        buckets: Arc::new(DistanceBuckets::new(160, count, bucket)),
        columns,
    };
    let spans = Spans::from_lengths(lengths.iter().copied());
    let query_columns = num_heads * head_dim;
    let inputs = [compact(spans.tokens(), 3 * query_columns), compact(count, 2 * query_columns)];
    let problem = Problem { dropout: dropout > 0.0, ..Problem::new(Layout::default(), &inputs) };
    Case {
        operation: "relative attention",
        shape: format!("{}, {count} buckets, lengths {lengths:?}", describe(&relative.heads)),
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                tape.relative_attention(&inputs[0], &inputs[1], &spans, &relative)
            })
        }),
    }
}

/// Attention within sequences with a bias, or across to those of another list.
fn biased(
    (num_heads, head_dim): (usize, usize),
    queries: &[usize],
    keys: &[usize],
    count: Option<usize>,
) -> Case {
    let buckets = count.map(|count| {
        let far = (count / 2) as isize;
        let bucket = move |distance: isize| (far + distance.clamp(-far, far - 1)) as usize;
        Arc::new(DistanceBuckets::new(160, count, bucket))
    });
    let causal = count.is_some();
    let of_heads =
        Heads { rotary: None, causal, dropout: 0.1, ..heads(num_heads, num_heads, head_dim) };
    let biased = BiasedHeads { heads: of_heads, scale: 0.125, buckets };
    let shape = format!("{}, lengths {queries:?} and {keys:?}", describe(&of_heads));
    let [queries, keys] =
        [queries, keys].map(|lengths| Spans::from_lengths(lengths.iter().copied()));
    let columns = num_heads * head_dim;
    let mut inputs = vec![compact(queries.tokens(), columns), compact(keys.tokens(), 2 * columns)];
    inputs.extend(count.map(|count| full(count, num_heads)));
    let problem = Problem { dropout: true, ..Problem::new(Layout::default(), &inputs) };
    Case {
        operation: "attention with a bias, or across",
        shape,
        run: Box::new(move |device| {
            problem.run(device, |tape, inputs| {
                let pairs = SpanPairs { queries: &queries, keys: &keys };
                tape.biased_attention(&inputs[0], &inputs[1], inputs.get(2), pairs, &biased)
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

//! Both families of kernels against the CPU's.

use std::ops::Range;
use std::sync::Arc;

use super::*;
use crate::cuda::memory::Values;
use crate::fault::Fault;

use crate::cpu::Cpu;
use crate::device::{Arithmetic, Device};
use crate::ops::attention::Rotary;
use crate::tensor::{Precision, Shape, Tensor};
use crate::testing::random;
use base::rng::Rng;

/// Values of a call: queries, keys and values fused, and the gradient of the output.
struct Problem {
    heads: Heads,
    spans: Vec<AttentionSpan>,
    dropout: Option<DropoutMask>,
    /// How the GPU keeps its values.
    precision: Precision,
}

/// What a device makes of a problem.
struct Results {
    output: Tensor,
    logsumexp: Tensor,
    d_fused_qkv: Option<Tensor>,
}

fn heads(num_heads: usize, num_kv_heads: usize, head_dim: usize, causal: bool) -> Heads {
    Heads { num_heads, num_kv_heads, head_dim, rotary: None, causal, dropout: 0.0 }
}

fn sequences(lengths: &[usize]) -> Vec<AttentionSpan> {
    let mut end = 0;
    let rows = lengths.iter().map(|length| {
        end += length;
        end - length..end
    });
    rows.map(|rows| AttentionSpan { prefix: Vec::new(), queries: rows.clone(), keys: rows })
        .collect()
}

/// Masks of a micro-batch that is not the step's first.
fn half_dropped() -> Option<DropoutMask> {
    Some(DropoutMask { rng: Rng::new(7, "test dropout"), first_token: 1_000, probability: 0.5 })
}

fn gpu(arithmetic: Arithmetic) -> Arc<dyn Device> {
    Arc::new(Cuda::open(0, arithmetic, None, true).unwrap())
}

fn cpu() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn tensor(
    device: &Arc<dyn Device>,
    precision: Precision,
    columns: usize,
    values: &[f32],
) -> Tensor {
    let mut tensor =
        Tensor::of_shape(device, Shape { rows: values.len() / columns, columns, precision });
    device.write(tensor.view_mut(), values);
    tensor
}

fn copied(device: &Arc<dyn Device>, tensor: &Tensor) -> Tensor {
    Tensor::from_slice(device, tensor.rows(), tensor.columns(), &tensor.to_vec())
}

impl Problem {
    fn tokens(&self) -> usize {
        let ends = self.spans.iter().map(|span| span.queries.end.max(span.keys.end));
        ends.max().unwrap_or(0)
    }

    fn forward(&self, fused_qkv: &Tensor) -> Results {
        let (device, rows) = (fused_qkv.device(), fused_qkv.rows());
        let shape = Shape { rows, columns: self.heads.query_columns(), precision: self.precision };
        let (mut output, mut logsumexp) =
            (Tensor::of_shape(device, shape), Tensor::zeros(device, rows, self.heads.num_heads));
        device.fill(output.view_mut(), 0.0);
        let (queries, keys, values) = split(fused_qkv.view(), &self.heads);
        let (into, sums) = (output.view_mut(), logsumexp.view_mut());
        device.attention(
            queries,
            keys,
            values,
            &self.spans,
            &self.heads,
            self.dropout,
            into,
            Some(sums),
        );
        Results { output, logsumexp, d_fused_qkv: None }
    }

    fn backward(&self, fused_qkv: &Tensor, d_output: &Tensor, results: &mut Results) {
        let device = fused_qkv.device();
        let mut d_fused_qkv = Tensor::of_shape(device, fused_qkv.shape());
        device.attention_gradient(
            d_output.view(),
            fused_qkv.view(),
            results.output.view(),
            results.logsumexp.view(),
            &self.spans,
            &self.heads,
            self.dropout,
            d_fused_qkv.view_mut(),
        );
        results.d_fused_qkv = Some(d_fused_qkv);
    }

    /// Compares the GPU with the CPU, which gets the same (rounded) values, and for the backward
    /// the GPU's own output.
    fn check(&self, arithmetic: Arithmetic, tolerance: f32) {
        let (gpu, cpu) = (gpu(arithmetic), cpu());
        let values = random(3, self.tokens() * self.heads.qkv_columns());
        let d_values = random(4, self.tokens() * self.heads.query_columns());
        let fused_qkv = tensor(&gpu, self.precision, self.heads.qkv_columns(), &values);
        let d_output = tensor(&gpu, self.precision, self.heads.query_columns(), &d_values);
        let mut found = self.forward(&fused_qkv);
        let expected = self.forward(&copied(&cpu, &fused_qkv));
        let what = format!(
            "{:?}, dropout {:?}, {} spans",
            self.heads,
            self.dropout.is_some(),
            self.spans.len()
        );
        assert_rows_close(
            &found.output,
            &expected.output,
            self.heads.head_dim,
            tolerance,
            &format!("output of {what}"),
        );
        assert_rows_close(
            &found.logsumexp,
            &expected.logsumexp,
            1,
            IN_F32,
            &format!("sums of {what}"),
        );
        if self.spans.iter().any(|span| span.queries != span.keys || !span.prefix.is_empty()) {
            return;
        }
        self.backward(&fused_qkv, &d_output, &mut found);
        let mut expected = Results {
            output: copied(&cpu, &found.output),
            logsumexp: copied(&cpu, &found.logsumexp),
            d_fused_qkv: None,
        };
        self.backward(&copied(&cpu, &fused_qkv), &copied(&cpu, &d_output), &mut expected);
        let (found, expected) = (found.d_fused_qkv.unwrap(), expected.d_fused_qkv.unwrap());
        assert_rows_close(
            &found,
            &expected,
            self.heads.head_dim,
            tolerance,
            &format!("gradient of {what}"),
        );
    }
}

/// Panics when a head's channels of a row are further from what is expected than `tolerance` times
/// their length, or a half of the mean length where that is longer: one wrong weight of many shows.
#[track_caller]
fn assert_rows_close(
    found: &Tensor,
    expected: &Tensor,
    head_dim: usize,
    tolerance: f32,
    what: &str,
) {
    let (found, expected) = (found.to_vec(), expected.to_vec());
    assert_eq!(found.len(), expected.len(), "{what}");
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let heads = expected.chunks_exact(head_dim);
    let mean = heads.clone().map(length).sum::<f32>() / heads.len() as f32;
    for (index, (f, e)) in found.chunks_exact(head_dim).zip(heads).enumerate() {
        let difference: Vec<f32> = f.iter().zip(e).map(|(f, e)| f - e).collect();
        let allowed = tolerance * length(e).max(mean / 2.0);
        assert!(length(&difference) <= allowed, "{what}: head {index} is {f:?} instead of {e:?}");
    }
}

const IN_F32: f32 = 2e-5;
const IN_BF16: f32 = 8e-3;

/// With values in f32, in bf16 with products of f32 (compact values that are not aligned), and on
/// tensor cores.
fn check_all(heads: Heads, spans: &[AttentionSpan], dropout: Option<DropoutMask>) {
    let problem = |precision| Problem { heads, spans: spans.to_vec(), dropout, precision };
    problem(Precision::Full).check(Arithmetic::F32, IN_F32);
    problem(Precision::Compact).check(Arithmetic::Bf16, IN_BF16);
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn odd_lengths_give_what_the_cpu_gives() {
    let spans = sequences(&[1, 2, 31, 64, 65, 130]);
    for causal in [true, false] {
        for head_dim in [20, 32, 64] {
            check_all(heads(2, 2, head_dim, causal), &spans, None);
        }
    }
    check_all(heads(2, 1, 128, true), &spans, None);
    check_all(heads(1, 1, 64, true), &sequences(&[257]), None);
    check_all(heads(1, 1, 48, false), &sequences(&[257, 63]), None);
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn shared_keys_and_dropout_give_what_the_cpu_gives() {
    let spans = sequences(&[65, 3, 130]);
    for (num_heads, num_kv_heads, head_dim) in
        [(4, 1, 20), (4, 2, 32), (2, 2, 64), (2, 1, 96), (4, 1, 128)]
    {
        for causal in [true, false] {
            check_all(heads(num_heads, num_kv_heads, head_dim, causal), &spans, half_dropped());
        }
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn heads_of_any_number_of_channels_give_what_the_cpu_gives() {
    for head_dim in [1, 7, 24, 72, 104, 130, 256] {
        check_all(heads(2, 1, head_dim, true), &sequences(&[5, 70]), half_dropped());
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
#[expect(clippy::single_range_in_vec_init, reason = "a prefix of one range of rows")]
fn cached_and_gathered_keys_give_what_the_cpu_gives() {
    let span = |prefix: &[Range<usize>], queries, keys| AttentionSpan {
        prefix: prefix.to_vec(),
        queries,
        keys,
    };
    for head_dim in [6, 64, 128] {
        let cached = |queries: Range<usize>, keys| {
            check_all(heads(2, 1, head_dim, true), &[span(&[], queries, keys)], None)
        };
        cached(0..1, 0..1);
        cached(0..1, 0..130);
        cached(0..5, 0..64);
        cached(0..70, 0..135);
        let gathered = [
            span(&[], 0..70, 0..70),
            span(&[0..65], 70..90, 70..90),
            span(&[0..3, 70..71, 20..25], 90..91, 90..91),
            span(&[0..65, 70..80], 91..91, 91..91),
            span(&[0..64], 91..161, 91..161),
        ];
        check_all(heads(4, 2, head_dim, true), &gathered, None);
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn each_family_is_chosen_for_its_values() {
    let gpu = gpu(Arithmetic::Bf16);
    let cuda = Cuda::open(0, Arithmetic::Bf16, None, true).unwrap();
    let forward = |head_dim, precision, columns: Range<usize>| {
        let values = tensor(&gpu, precision, 4 * head_dim, &vec![0.0; 8 * head_dim]);
        let view = values.view().column_range(columns);
        Kernels::choose(&cuda, &[view], &[Values::full(0)], &heads(1, 1, head_dim, true)).forward
    };
    assert_eq!(forward(64, Precision::Compact, 64..128), "attention_bf16_64");
    assert_eq!(forward(72, Precision::Compact, 0..72), "attention_bf16_96");
    assert_eq!(forward(64, Precision::Full, 0..64), "attention_64");
    assert_eq!(forward(64, Precision::Compact, 4..68), "attention_64");
    assert_eq!(forward(20, Precision::Compact, 0..20), "attention_64");
    assert_eq!(forward(136, Precision::Compact, 0..136), "attention_256");
    let too_large = crate::fault::catch(|| forward(257, Precision::Full, 0..257)).unwrap_err();
    assert!(
        matches!(&too_large, Fault::Unsupported { what, .. } if what.contains("257 channels")),
        "{too_large}"
    );
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn rows_turn_as_on_the_cpu_and_back() {
    for (head_dim, channels, arithmetic, precision, tolerance) in [
        (5, 4, Arithmetic::F32, Precision::Full, 1e-5),
        (16, 16, Arithmetic::F32, Precision::Full, 1e-5),
        (16, 16, Arithmetic::Bf16, Precision::Compact, 8e-3),
        (6, 6, Arithmetic::Bf16, Precision::Compact, 8e-3),
        // Some channels stay: wide and single steps.
        (16, 8, Arithmetic::F32, Precision::Full, 1e-5),
        (24, 8, Arithmetic::Bf16, Precision::Compact, 8e-3),
        (18, 8, Arithmetic::F32, Precision::Full, 1e-5),
        (16, 6, Arithmetic::Bf16, Precision::Compact, 8e-3),
        (3, 2, Arithmetic::F32, Precision::Full, 1e-5),
    ] {
        let rotary = Some(Rotary { theta: 10_000.0, channels });
        let heads = Heads { rotary, ..heads(4, 2, head_dim, true) };
        let positions: Vec<u32> = (0..13).chain([1_000, 70_000]).collect();
        let (gpu, cpu) = (gpu(arithmetic), cpu());
        let values = random(5, positions.len() * heads.qkv_columns());
        let mut found = tensor(&gpu, precision, heads.qkv_columns(), &values);
        let before = found.to_vec();
        let mut expected = copied(&cpu, &found);
        gpu.rotate(found.view_mut(), &positions, &heads, false);
        cpu.rotate(expected.view_mut(), &positions, &heads, false);
        assert_ne!(found.to_vec(), before);
        assert_rows_close(
            &found,
            &expected,
            head_dim,
            tolerance,
            &format!("turned heads of {head_dim}"),
        );
        gpu.rotate(found.view_mut(), &positions, &heads, true);
        let before = Tensor::from_slice(&cpu, positions.len(), heads.qkv_columns(), &before);
        assert_rows_close(
            &found,
            &before,
            head_dim,
            tolerance,
            &format!("heads of {head_dim} turned back"),
        );
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn rows_join_a_cache_of_either_kind() {
    for (head_dim, of_fused, of_cache) in [
        (8, Precision::Compact, Precision::Compact),
        (3, Precision::Compact, Precision::Compact),
        (8, Precision::Full, Precision::Compact),
        (3, Precision::Full, Precision::Full),
    ] {
        let (heads, gpu) = (heads(3, 1, head_dim, true), gpu(Arithmetic::Bf16));
        let fused_qkv =
            tensor(&gpu, of_fused, heads.qkv_columns(), &random(6, 3 * heads.qkv_columns()));
        let mut cache = tensor(
            &gpu,
            of_cache,
            2 * heads.key_columns(),
            &vec![9.0; 7 * 2 * heads.key_columns()],
        );
        gpu.append_to_cache(fused_qkv.view(), &heads, 2, cache.view_mut());
        let kept = |row: usize, channel: usize| match row.checked_sub(2).filter(|&row| row < 3) {
            Some(row) => {
                fused_qkv.to_vec()[row * heads.qkv_columns() + heads.query_columns() + channel]
            }
            None => 9.0,
        };
        for (index, &found) in cache.to_vec().iter().enumerate() {
            let expected = kept(index / (2 * head_dim), index % (2 * head_dim));
            assert!(
                (found - expected).abs() <= expected.abs() / 256.0,
                "{index}: {found} instead of {expected}"
            );
        }
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn the_same_call_gives_the_same_bits() {
    for (arithmetic, precision) in
        [(Arithmetic::F32, Precision::Full), (Arithmetic::Bf16, Precision::Compact)]
    {
        let problem = Problem {
            heads: heads(4, 2, 32, true),
            spans: sequences(&[70, 5]),
            dropout: half_dropped(),
            precision,
        };
        let gpu = gpu(arithmetic);
        let fused_qkv = tensor(&gpu, precision, 8 * 32, &random(3, problem.tokens() * 8 * 32));
        let d_output = tensor(&gpu, precision, 4 * 32, &random(4, problem.tokens() * 4 * 32));
        let run = || {
            let mut results = problem.forward(&fused_qkv);
            problem.backward(&fused_qkv, &d_output, &mut results);
            [results.output.to_vec(), results.d_fused_qkv.unwrap().to_vec()]
        };
        assert_eq!(run(), run());
    }
}

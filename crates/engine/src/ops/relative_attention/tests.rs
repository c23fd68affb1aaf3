use super::*;
use crate::cpu::Cpu;
use crate::device::{Arithmetic, Device};
use crate::params::{Layout, Parameters};
use crate::testing::{Check, assert_close, random};

/// All distances up to 3, and then two buckets on each side.
fn bucket(distance: isize) -> usize {
    let size = match distance.unsigned_abs() {
        near @ 0..=3 => near,
        4..=9 => 4,
        _ => 5,
    };
    (5 + distance.signum() * size as isize) as usize
}

fn heads(num_heads: usize, head_dim: usize, longest: usize, causal: bool) -> RelativeHeads {
    RelativeHeads {
        heads: Heads {
            num_heads,
            num_kv_heads: num_heads,
            head_dim,
            rotary: None,
            causal,
            dropout: 0.0,
        },
        buckets: Arc::new(DistanceBuckets::new(longest, 11, bucket)),
        columns: PositionColumns::Halves,
    }
}

/// Every weight one by one, in double precision.
fn reference(qkv: &[f32], table: &[f32], spans: &Spans, heads: &RelativeHeads) -> Vec<f32> {
    let (width, columns) = (heads.heads.head_dim, heads.heads.query_columns());
    let at = |values: &[f32], row: usize, stride: usize, first: usize| -> Vec<f64> {
        values[row * stride + first..][..width].iter().map(|&value| value as f64).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut output = vec![0.0; spans.tokens() * columns];
    for rows in spans.iter() {
        for head in 0..heads.heads.num_heads {
            let token = |row, part| at(qkv, row, 3 * columns, part * columns + head * width);
            let [query_at, key_at] = match heads.columns {
                PositionColumns::Halves => [head * width, columns + head * width],
                PositionColumns::Interleaved => [2 * head * width, 2 * head * width + width],
            };
            for i in rows.clone() {
                let query = token(i, 0);
                let seen = rows.start..if heads.heads.causal { i + 1 } else { rows.end };
                let score = |j: usize| {
                    let (key, row) = (token(j, 1), bucket(i as isize - j as isize));
                    let sum = dot(&query, &key)
                        + dot(&query, &at(table, row, 2 * columns, key_at))
                        + dot(&key, &at(table, row, 2 * columns, query_at));
                    (sum / (3.0 * width as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = seen.clone().map(score).collect();
                let total: f64 = weights.iter().sum();
                for (weight, j) in weights.iter().zip(seen) {
                    for (place, value) in token(j, 2).into_iter().enumerate() {
                        let output = &mut output[i * columns + head * width + place];
                        *output += (weight / total * value) as f32;
                    }
                }
            }
        }
    }
    output
}

fn cases() -> Vec<(RelativeHeads, Spans)> {
    let interleaved = |heads| RelativeHeads { columns: PositionColumns::Interleaved, ..heads };
    vec![
        (heads(1, 2, 0, false), Spans::from_lengths([1])),
        (heads(2, 3, 4, false), Spans::from_lengths([3, 1, 5])),
        (interleaved(heads(3, 5, 20, false)), Spans::from_lengths([7, 2, 0, 13])),
        (heads(2, 7, 100, false), Spans::from_lengths([70, 1, 9])),
        (heads(2, 4, 70, true), Spans::from_lengths([67, 3])),
        (interleaved(heads(2, 4, 30, true)), Spans::from_lengths([1, 4, 11])),
        // More sequences than one sum over the table holds.
        (heads(2, 4, 6, false), Spans::from_lengths((0..21).map(|index| 1 + index % 4))),
    ]
}

fn shapes(heads: &RelativeHeads, spans: &Spans) -> [(usize, usize); 2] {
    let columns = heads.heads.query_columns();
    [(spans.tokens(), 3 * columns), (heads.buckets.count(), 2 * columns)]
}

#[test]
fn matches_the_reference_and_finite_differences() {
    for (heads, spans) in cases() {
        let mut check = Check::new(Layout::default(), &shapes(&heads, &spans));
        let forward = |tape: &mut Tape, inputs: &[Var]| {
            tape.relative_attention(&inputs[0], &inputs[1], &spans, &heads)
        };
        let expected = reference(&check.inputs[0], &check.inputs[1], &spans, &heads);
        assert_close(&check.output(forward), &expected, 1e-5);
        check.gradients(forward);
    }
}

#[test]
fn dropout_has_the_right_gradient() {
    for (heads, spans) in cases() {
        let heads = RelativeHeads { heads: Heads { dropout: 0.4, ..heads.heads }, ..heads.clone() };
        let mut check = Check::new(Layout::default(), &shapes(&heads, &spans)).with_dropout(0);
        check.gradients(|tape, inputs| {
            tape.relative_attention(&inputs[0], &inputs[1], &spans, &heads)
        });
    }
}

/// The output and the gradients of both inputs.
fn answers(device: &Arc<dyn Device>, heads: &RelativeHeads, spans: &Spans) -> [Vec<f32>; 3] {
    let parameters = Parameters::zeros(device, Arc::new(Layout::default()));
    let mut gradients = Parameters::zeros(device, Arc::new(Layout::default()));
    let mut tape = Tape::training(&parameters, &mut gradients, None);
    let inputs: Vec<Var> = shapes(heads, spans)
        .into_iter()
        .enumerate()
        .map(|(index, (rows, columns))| {
            let values = random(7 + index as u64, rows * columns);
            tape.input(Tensor::from_slice(device, rows, columns, &values))
        })
        .collect();
    let output = tape.relative_attention(&inputs[0], &inputs[1], spans, heads);
    let (rows, columns) = (output.value().rows(), output.value().columns());
    tape.seed(&output, Tensor::from_slice(device, rows, columns, &random(5, rows * columns)));
    let values = output.value().to_vec();
    let found = tape.backward();
    let of = |input: &Var| found.of(input).expect("a gradient of every input").to_vec();
    [values, of(&inputs[0]), of(&inputs[1])]
}

#[test]
fn other_precisions_are_close_to_f32() {
    // Of the first case, a token alone, scores and table have no gradient but rounding.
    for (heads, spans) in cases().into_iter().skip(1) {
        let on =
            |arithmetic| -> Arc<dyn Device> { Arc::new(Cpu::new().multiplying_in(arithmetic)) };
        let exact = answers(&on(Arithmetic::F32), &heads, &spans);
        for (arithmetic, tolerance) in [(Arithmetic::Bf16, 4e-2), (Arithmetic::Bf16x3, 1e-3)] {
            let found = answers(&on(arithmetic), &heads, &spans);
            for (found, exact) in found.iter().zip(&exact) {
                assert_close(found, exact, tolerance);
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for (heads, spans) in cases() {
        for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Bf16x3] {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| answers(&device, &heads, &spans));
                found.map(|values| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
            };
            let one = with(1);
            assert!(one == with(2) && one == with(3), "{arithmetic}");
        }
    }
}

#[test]
fn key_ranges_cover_every_distance_once() {
    let buckets = DistanceBuckets::new(12, 11, bucket);
    let mut next = -12;
    for keys in buckets.key_ranges() {
        assert_eq!(keys.first, next);
        assert!((keys.first..keys.end).all(|place| bucket(-place) == keys.bucket));
        next = keys.end;
    }
    assert_eq!((next, buckets.longest_sequence(), buckets.count()), (13, 13, 11));
    // Keys far behind come first, in the bucket of the largest distances.
    assert_eq!(buckets.key_ranges()[0], KeyRange { first: -12, end: -9, bucket: 10 });
}

#[test]
#[should_panic(expected = "longer than the distances")]
fn sequences_beyond_the_buckets_are_refused() {
    let (heads, spans) = (heads(1, 2, 3, false), Spans::from_lengths([5]));
    Check::new(Layout::default(), &shapes(&heads, &spans))
        .output(|tape, inputs| tape.relative_attention(&inputs[0], &inputs[1], &spans, &heads));
}

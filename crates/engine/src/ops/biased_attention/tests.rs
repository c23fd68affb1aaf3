use super::*;
use crate::cpu::Cpu;
use crate::device::{Arithmetic, Device};
use crate::params::{Layout, Parameters};
use crate::testing::{Check, assert_close, random};

/// Two buckets of near distances and one of far ones, on each side.
fn bucket(distance: isize) -> usize {
    let size = match distance.unsigned_abs() {
        0 => return 0,
        1 | 2 => 1,
        3..=6 => 2,
        _ => 3,
    };
    size + if distance < 0 { 3 } else { 0 }
}

/// Heads with a bias for sequences of this length, or without one.
fn heads(num_heads: usize, head_dim: usize, longest: Option<usize>, causal: bool) -> BiasedHeads {
    let buckets = longest.map(|longest| Arc::new(DistanceBuckets::new(longest, 7, bucket)));
    let heads =
        Heads { num_heads, num_kv_heads: num_heads, head_dim, rotary: None, causal, dropout: 0.0 };
    BiasedHeads { heads, scale: 0.7, buckets }
}

struct Case {
    heads: BiasedHeads,
    queries: Spans,
    keys: Spans,
}

impl Case {
    /// Attention within the sequences.
    fn within(heads: BiasedHeads, lengths: &[usize]) -> Self {
        let spans = Spans::from_lengths(lengths.iter().copied());
        Self { heads, queries: spans.clone(), keys: spans }
    }

    fn across(heads: BiasedHeads, queries: &[usize], keys: &[usize]) -> Self {
        let spans = |lengths: &[usize]| Spans::from_lengths(lengths.iter().copied());
        Self { heads, queries: spans(queries), keys: spans(keys) }
    }

    fn with_dropout(self) -> Self {
        let heads = Heads { dropout: 0.4, ..self.heads.heads };
        Self { heads: BiasedHeads { heads, ..self.heads }, ..self }
    }

    /// Of queries, of keys and values, and of the bias if there is one.
    fn shapes(&self) -> Vec<(usize, usize)> {
        let columns = self.heads.heads.query_columns();
        let tokens = [(self.queries.tokens(), columns), (self.keys.tokens(), 2 * columns)];
        let bias = self.heads.buckets.as_ref().map(|of| (of.count(), self.heads.heads.num_heads));
        tokens.into_iter().chain(bias).collect()
    }

    fn run(&self, tape: &mut Tape, inputs: &[Var]) -> Var {
        let pairs = SpanPairs { queries: &self.queries, keys: &self.keys };
        tape.biased_attention(&inputs[0], &inputs[1], inputs.get(2), pairs, &self.heads)
    }

    /// Every weight one by one, in double precision.
    fn reference(&self, inputs: &[Vec<f32>]) -> Vec<f32> {
        let Heads { num_heads, head_dim: width, causal, .. } = self.heads.heads;
        let columns = num_heads * width;
        let at = |values: &[f32], first: usize| -> Vec<f64> {
            values[first..][..width].iter().map(|&value| value as f64).collect()
        };
        let mut output = vec![0.0; self.queries.tokens() * columns];
        for (queries, keys) in self.queries.iter().zip(self.keys.iter()) {
            for (i, row) in queries.clone().enumerate() {
                for head in 0..num_heads {
                    let query = at(&inputs[0], row * columns + head * width);
                    let count = if causal { i + 1 } else { keys.len() };
                    let key = |j: usize| 2 * (keys.start + j) * columns + head * width;
                    let weight = |j: usize| {
                        let products = query.iter().zip(at(&inputs[1], key(j)));
                        let product = products.map(|(a, b)| a * b).sum::<f64>();
                        let bias = inputs.get(2).map_or(0.0, |bias| {
                            bias[bucket(i as isize - j as isize) * num_heads + head]
                        });
                        (self.heads.scale as f64 * product + bias as f64).exp()
                    };
                    let weights: Vec<f64> = (0..count).map(weight).collect();
                    let total: f64 = weights.iter().sum();
                    for (j, weight) in weights.iter().enumerate() {
                        let values = at(&inputs[1], key(j) + columns);
                        for (place, value) in values.into_iter().enumerate() {
                            output[row * columns + head * width + place] +=
                                (weight / total * value) as f32;
                        }
                    }
                }
            }
        }
        output
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case::within(heads(1, 2, Some(0), false), &[1]),
        Case::within(heads(2, 3, Some(4), true), &[3, 1, 5]),
        Case::within(heads(3, 5, Some(20), false), &[7, 2, 0, 13]),
        Case::within(heads(2, 7, Some(100), true), &[70, 1, 9]),
        Case::within(heads(2, 4, Some(70), false), &[67, 3]),
        Case::within(heads(2, 4, None, true), &[6, 1]),
        Case::across(heads(2, 3, None, false), &[3, 1, 5], &[1, 7, 2]),
        Case::across(heads(1, 5, None, false), &[1], &[1]),
        Case::across(heads(3, 4, None, false), &[66, 0, 2], &[5, 0, 71]),
        Case::across(heads(2, 4, None, false), &[0, 2], &[3, 70]),
    ]
}

#[test]
fn matches_the_reference_and_finite_differences() {
    for case in cases() {
        let mut check = Check::new(Layout::default(), &case.shapes());
        let expected = case.reference(&check.inputs);
        assert_close(&check.output(|tape, inputs| case.run(tape, inputs)), &expected, 1e-5);
        check.gradients(|tape, inputs| case.run(tape, inputs));
    }
}

#[test]
fn dropout_has_the_right_gradient() {
    for case in cases().into_iter().map(Case::with_dropout) {
        let mut check = Check::new(Layout::default(), &case.shapes()).with_dropout(0);
        check.gradients(|tape, inputs| case.run(tape, inputs));
    }
}

/// The output and the gradients of all inputs.
fn answers(device: &Arc<dyn Device>, case: &Case) -> Vec<Vec<f32>> {
    let parameters = Parameters::zeros(device, Arc::new(Layout::default()));
    let mut gradients = Parameters::zeros(device, Arc::new(Layout::default()));
    let mut tape = Tape::training(&parameters, &mut gradients, None);
    let input = |(index, (rows, columns)): (usize, (usize, usize))| {
        let values = random(7 + index as u64, rows * columns);
        Tensor::from_slice(device, rows, columns, &values)
    };
    let inputs: Vec<Var> =
        case.shapes().into_iter().enumerate().map(|shape| tape.input(input(shape))).collect();
    let output = case.run(&mut tape, &inputs);
    let (rows, columns) = (output.value().rows(), output.value().columns());
    tape.seed(&output, Tensor::from_slice(device, rows, columns, &random(5, rows * columns)));
    let values = output.value().to_vec();
    let found = tape.backward();
    let of = |input: &Var| found.of(input).expect("a gradient of every input").to_vec();
    std::iter::once(values).chain(inputs.iter().map(of)).collect()
}

#[test]
fn other_precisions_are_close_to_f32() {
    // Where a query has one key, scores and bias have no gradient but rounding.
    let has_choice = |case: &Case| case.keys.longest() > 1;
    for case in cases().into_iter().filter(has_choice) {
        let on =
            |arithmetic| -> Arc<dyn Device> { Arc::new(Cpu::new().multiplying_in(arithmetic)) };
        let exact = answers(&on(Arithmetic::F32), &case);
        for (arithmetic, tolerance) in [(Arithmetic::Bf16, 4e-2), (Arithmetic::Bf16x3, 1e-3)] {
            let found = answers(&on(arithmetic), &case);
            for (found, exact) in found.iter().zip(&exact) {
                assert_close(found, exact, tolerance);
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for case in cases() {
        for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Bf16x3] {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let with = |threads| -> Vec<u32> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| answers(&device, &case));
                found.concat().into_iter().map(f32::to_bits).collect()
            };
            let one = with(1);
            assert!(one == with(2) && one == with(3), "{arithmetic}");
        }
    }
}

#[test]
#[should_panic(expected = "queries without keys")]
fn queries_without_keys_are_refused() {
    let case = Case::across(heads(1, 2, None, false), &[2], &[0]);
    Check::new(Layout::default(), &case.shapes()).output(|tape, inputs| case.run(tape, inputs));
}

#[test]
#[should_panic(expected = "longer than the distances")]
fn sequences_beyond_the_buckets_are_refused() {
    let case = Case::within(heads(1, 2, Some(3), false), &[5]);
    Check::new(Layout::default(), &case.shapes()).output(|tape, inputs| case.run(tape, inputs));
}

use std::sync::Arc;

use super::*;
use crate::Spans;
use crate::cpu::Cpu;
use crate::device::Arithmetic;
use crate::params::{Layout, Parameters, Role, Segment};
use crate::testing::{Check, assert_close, random};

/// One layer: sizes, sequences and the room of an expert.
#[derive(Clone)]
struct Layer {
    hidden: usize,
    inner: usize,
    count: usize,
    activation: ExpertActivation,
    with_bias: bool,
    lengths: Vec<usize>,
    capacity: usize,
}

/// Where its weights are.
struct Weights {
    experts: Arc<[Expert]>,
    layout: Layout,
}

impl Layer {
    fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn weights(&self) -> Weights {
        let mut layout = Layout::default();
        let mut linear = |rows, columns| {
            let weight = layout.add("weight", rows, columns, Role::Matrix);
            let bias = self.with_bias.then(|| layout.add("bias", 1, rows, Role::Bias));
            Linear { weight, bias }
        };
        let up = if self.activation == ExpertActivation::Swiglu { 2 } else { 1 } * self.inner;
        let experts = (0..self.count)
            .map(|_| Expert { up: linear(up, self.hidden), down: linear(self.hidden, self.inner) })
            .collect();
        Weights { experts, layout }
    }

    /// The layer's input, the logits, far from a change of the choice, and the residual stream.
    fn check(&self, weights: &Weights) -> Check {
        let tokens = self.tokens();
        let shapes = [(tokens, self.hidden), (tokens, self.count), (tokens, self.hidden)];
        let mut check = Check::new(weights.layout.clone(), &shapes);
        for (token, row) in check.inputs[1].chunks_mut(self.count).enumerate() {
            row.iter_mut().for_each(|logit| *logit *= 0.3);
            row[(token * token + token / 3) % self.count] += 2.0;
        }
        // A rectifier's kink spoils finite differences.
        if self.activation == ExpertActivation::Relu {
            check.inputs[0].iter_mut().for_each(|x| *x = 1.0 + x.abs());
        }
        check
    }

    fn run(&self, weights: &Weights, tape: &mut Tape<'_>, inputs: &[Var]) -> Var {
        let spans = Spans::from_lengths(self.lengths.iter().copied());
        let routing = tape.route(&inputs[1], &spans, |_| self.capacity);
        let (experts, residual) = (&weights.experts, inputs[2].clone());
        let activation = self.activation;
        tape.experts_add(&inputs[0], &inputs[1], &routing, experts, activation, residual, 0.0)
    }
}

const LAYER: Layer = Layer {
    hidden: 5,
    inner: 7,
    count: 3,
    activation: ExpertActivation::Gelu,
    with_bias: true,
    lengths: Vec::new(),
    capacity: usize::MAX,
};

fn layers() -> Vec<Layer> {
    use ExpertActivation::{Gelu, Relu, Swiglu};
    vec![
        Layer { lengths: vec![4, 3, 6], ..LAYER },
        Layer { lengths: vec![4, 0, 6], capacity: 2, ..LAYER },
        Layer { lengths: vec![9], activation: Swiglu, with_bias: false, capacity: 1, ..LAYER },
        Layer { lengths: vec![5, 4], activation: Relu, with_bias: false, ..LAYER },
        // One row, one expert; experts without a token; more rows than vectors are long.
        Layer { lengths: vec![1], ..LAYER },
        Layer { lengths: vec![3, 4], count: 1, ..LAYER },
        Layer { lengths: vec![7], count: 1, capacity: 2, ..LAYER },
        Layer { lengths: vec![2], count: 9, activation: Swiglu, ..LAYER },
        Layer { lengths: vec![40, 33], hidden: 33, inner: 17, activation: Gelu, ..LAYER },
    ]
}

/// `matrix * x + bias`, in f64.
fn affine(x: &[f64], matrix: &[f32], bias: Option<Vec<f32>>, rows: usize) -> Vec<f64> {
    let dot = |row: &[f32]| row.iter().zip(x).map(|(&w, &x)| f64::from(w) * x).sum::<f64>();
    let bias = bias.unwrap_or(vec![0.0; rows]);
    matrix.chunks(x.len()).zip(bias).map(|(row, bias)| dot(row) + f64::from(bias)).collect()
}

fn activate(activation: ExpertActivation, inner: Vec<f64>) -> Vec<f64> {
    match activation {
        ExpertActivation::Relu => inner.into_iter().map(|x| x.max(0.0)).collect(),
        ExpertActivation::Gelu => {
            let root = (2.0 / std::f64::consts::PI).sqrt();
            let of_one = |x: f64| 0.5 * x * (1.0 + (root * (x + 0.044_715 * x.powi(3))).tanh());
            inner.into_iter().map(of_one).collect()
        }
        ExpertActivation::Swiglu => {
            let (gate, up) = inner.split_at(inner.len() / 2);
            gate.iter().zip(up).map(|(&g, &u)| g / (1.0 + (-g).exp()) * u).collect()
        }
    }
}

/// Token by token, in f64, without gathering anything.
fn reference(layer: &Layer, weights: &Weights, check: &Check) -> Vec<f32> {
    let segment = |segment: Segment| check.segment(segment);
    let mut output = Vec::new();
    let mut token = 0;
    for &length in &layer.lengths {
        let mut counts = vec![0; layer.count];
        for _ in 0..length {
            let row = |input: usize, width: usize| {
                let values = &check.inputs[input][token * width..][..width];
                values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>()
            };
            let logits = row(1, layer.count);
            let choice = (0..layer.count).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            let sum: f64 = logits.iter().map(|logit| (logit - logits[choice]).exp()).sum();
            let mut sums = row(2, layer.hidden);
            counts[choice] += 1;
            if counts[choice] <= layer.capacity {
                let Expert { up, down } = weights.experts[choice];
                let (x, bias) = (row(0, layer.hidden), up.bias.map(segment));
                let inner = affine(&x, &segment(up.weight), bias, up.weight.rows);
                let inner = activate(layer.activation, inner);
                let bias = down.bias.map(segment);
                let y = affine(&inner, &segment(down.weight), bias, layer.hidden);
                sums.iter_mut().zip(y).for_each(|(to, y)| *to += y / sum);
            }
            output.extend(sums.into_iter().map(|value| value as f32));
            token += 1;
        }
    }
    output
}

#[test]
fn matches_the_reference_and_finite_differences() {
    for layer in layers() {
        let weights = layer.weights();
        let mut check = layer.check(&weights);
        let found = check.output(|tape, inputs| layer.run(&weights, tape, inputs));
        assert_close(&found, &reference(&layer, &weights, &check), 1e-5);
        check.gradients(|tape, inputs| layer.run(&weights, tape, inputs));
    }
}

/// In bf16 the products differ by its rounding; routes and gates do not.
#[test]
fn every_arithmetic_routes_alike() {
    let layer = Layer { lengths: vec![40, 33], hidden: 33, inner: 17, capacity: 11, ..LAYER };
    let weights = layer.weights();
    let check = layer.check(&weights);
    let expected = reference(&layer, &weights, &check);
    for (arithmetic, tolerance) in
        [(Arithmetic::F32, 1e-5), (Arithmetic::Bf16x3, 1e-4), (Arithmetic::Bf16, 1e-2)]
    {
        let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
        let mut parameters = Parameters::zeros(&device, check.parameters.layout().clone());
        let values = check.parameters.values().to_vec();
        device.write(parameters.values_mut().view_mut(), &values);
        let mut tape = Tape::inference(&parameters);
        let widths = [layer.hidden, layer.count, layer.hidden];
        let place = |(values, width): (&Vec<f32>, usize)| {
            Tensor::from_slice(&device, values.len() / width, width, values)
        };
        let tensors: Vec<_> = check.inputs.iter().zip(widths).map(place).collect();
        let inputs: Vec<_> = tensors.into_iter().map(|tensor| tape.input(tensor)).collect();
        let found = layer.run(&weights, &mut tape, &inputs).value().to_vec();
        assert_close(&found, &expected, tolerance);
    }
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let layer = Layer { lengths: vec![700, 300], hidden: 96, inner: 130, capacity: 250, ..LAYER };
    let weights = layer.weights();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut check = layer.check(&weights);
            let forward = |tape: &mut Tape, inputs: &[Var]| layer.run(&weights, tape, inputs);
            let output = check.output(forward);
            let (of_weights, of_input) =
                (check.parameter_gradient(forward), check.input_gradient(forward));
            [output, of_weights, of_input]
                .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        })
    };
    let alone = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == alone, "{threads} threads");
    }
}

/// A teacher's tokens may stand beside others when it is read again, to the same bits.
#[test]
fn a_token_has_the_same_bits_beside_any_others() {
    let many = Layer { lengths: vec![2, 298], hidden: 64, inner: 96, ..LAYER };
    let weights = many.weights();
    let mut beside = many.check(&weights);
    let whole = beside.output(|tape, inputs| many.run(&weights, tape, inputs));
    let few = Layer { lengths: vec![2], ..many };
    let mut alone = few.check(&weights);
    for (own, all) in alone.inputs.iter_mut().zip(&beside.inputs) {
        let count = own.len();
        own.copy_from_slice(&all[..count]);
    }
    let found = alone.output(|tape, inputs| few.run(&weights, tape, inputs));
    assert!(found[..] == whole[..2 * few.hidden]);
}

#[test]
fn a_dropped_token_is_its_residual_and_learns_nothing() {
    let layer = Layer { lengths: vec![6], count: 1, capacity: 2, ..LAYER };
    let weights = layer.weights();
    let mut check = layer.check(&weights);
    let found = check.output(|tape, inputs| layer.run(&weights, tape, inputs));
    assert_eq!(found[10..], check.inputs[2][10..]);
    let gradient = check.input_gradient(|tape, inputs| layer.run(&weights, tape, inputs));
    assert!(gradient[..10].iter().all(|&value| value != 0.0));
    assert_eq!(gradient[10..], [0.0; 20]);
}

/// With dropout before the sum the gradient passes through the same mask.
#[test]
fn the_update_goes_through_dropout() {
    let layer = Layer { lengths: vec![4, 5], capacity: 2, ..LAYER };
    let weights = layer.weights();
    let spans = Spans::from_lengths([4, 5]);
    let run = |tape: &mut Tape, inputs: &[Var]| {
        let routing = tape.route(&inputs[1], &spans, |_| 2);
        let (experts, residual) = (&weights.experts, inputs[2].clone());
        let activation = ExpertActivation::Gelu;
        tape.experts_add(&inputs[0], &inputs[1], &routing, experts, activation, residual, 0.4)
    };
    let mut check = layer.check(&weights).with_dropout(3);
    let dropped = check.output(run);
    let whole = layer.check(&weights).output(run);
    let residual = &check.inputs[2];
    for ((dropped, whole), residual) in dropped.iter().zip(&whole).zip(residual) {
        let update = (whole - residual) / 0.6;
        let is_zero = (dropped - residual).abs() < 1e-4;
        assert!(is_zero || (dropped - residual - update).abs() < 1e-4);
    }
    check.gradients(run);
}

/// A layer whose only expert takes all tokens is that expert alone.
#[test]
fn one_expert_is_a_dense_layer() {
    let layer = Layer { lengths: vec![9, 4], count: 1, ..LAYER };
    let weights = layer.weights();
    let mut check = layer.check(&weights);
    let found = check.output(|tape, inputs| layer.run(&weights, tape, inputs));
    let expert = weights.experts[0];
    let dense = check.output(|tape, inputs| {
        let inner = tape.linear(&inputs[0], &expert.up);
        let inner = tape.gelu(inner);
        tape.linear_add(&inner, &expert.down, inputs[2].clone(), 0.0)
    });
    assert_close(&found, &dense, 1e-6);
}

#[test]
#[should_panic(expected = "experts of the router and of the layer")]
fn a_router_of_another_layer_is_refused() {
    let layer = Layer { lengths: vec![3], ..LAYER };
    let weights = Layer { count: 2, ..layer.clone() }.weights();
    let check = layer.check(&weights);
    check.objective(|tape, inputs| {
        layer.run(&weights, tape, inputs);
        0.0
    });
}

/// Random values that no test above has: the logits decide, not the order of experts.
#[test]
fn routes_are_those_of_the_largest_logits() {
    let layer = Layer { lengths: vec![50], count: 6, ..LAYER };
    let weights = layer.weights();
    let mut check = layer.check(&weights);
    check.inputs[1] = random(77, 300);
    let found = check.output(|tape, inputs| layer.run(&weights, tape, inputs));
    assert_close(&found, &reference(&layer, &weights, &check), 1e-5);
}

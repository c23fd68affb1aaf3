//! What the operations' tests share: random inputs, comparisons, and finite differences.

use std::sync::Arc;

use crate::params::{Layout, Parameters, Segment};
use crate::tape::{DropoutStream, Tape, Var};
use crate::{Device, Tensor};
use base::rng::Rng;

#[path = "../tests/common/mod.rs"]
mod common;

pub(crate) use common::test_device as device;

/// Reproducible values of unit variance.
pub(crate) fn random(seed: u64, count: usize) -> Vec<f32> {
    let rng = Rng::new(seed, "test values").at(count as u64);
    (0..count as u64).map(|index| rng.normal(index)).collect()
}

/// Panics when values differ by more than `tolerance` relative to the largest expected value.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "number of values");
    let scale = expected.iter().fold(1e-3f32, |top, value| top.max(value.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= tolerance * scale,
            "value {index} is {f} instead of {e} (largest {scale})"
        );
    }
}

/// Checks an operation: its output, and its gradients by finite differences.
pub(crate) struct Check {
    pub device: Arc<dyn Device>,
    pub parameters: Parameters,
    pub inputs: Vec<Vec<f32>>,
    shapes: Vec<(usize, usize)>,
    pub dropout: Option<DropoutStream>,
}

impl Check {
    /// Random parameters and random inputs of the given shapes.
    pub(crate) fn new(layout: Layout, shapes: &[(usize, usize)]) -> Self {
        let device = device();
        let mut parameters = Parameters::zeros(&device, Arc::new(layout));
        let values = random(1, parameters.layout().length());
        device.write(parameters.values_mut().view_mut(), &values);
        let inputs =
            shapes.iter().enumerate().map(|(i, &(r, c))| random(2 + i as u64, r * c)).collect();
        Self { device, parameters, inputs, shapes: shapes.to_vec(), dropout: None }
    }

    /// With dropout on, the first row being token `first_token` of the step.
    pub(crate) fn with_dropout(self, first_token: u64) -> Self {
        Self {
            dropout: Some(DropoutStream {
                first_token,
                ..DropoutStream::new(Rng::new(5, "test dropout"))
            }),
            ..self
        }
    }

    /// A segment's values.
    pub(crate) fn segment(&self, segment: Segment) -> Vec<f32> {
        self.parameters.values().to_vec()[segment.offset..segment.offset + segment.length()]
            .to_vec()
    }

    fn place_inputs(&self, tape: &mut Tape) -> Vec<Var> {
        let tensors = self
            .shapes
            .iter()
            .zip(&self.inputs)
            .map(|(&(r, c), v)| Tensor::from_slice(&self.device, r, c, v));
        tensors.collect::<Vec<_>>().into_iter().map(|tensor| tape.input(tensor)).collect()
    }

    /// The output, with gradients being recorded.
    pub(crate) fn output(&mut self, forward: impl Fn(&mut Tape, &[Var]) -> Var) -> Vec<f32> {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, self.dropout);
        let inputs = self.place_inputs(&mut tape);
        forward(&mut tape, &inputs).value().to_vec()
    }

    /// Runs what has no output on a tape that records.
    pub(crate) fn inputs_on_tape(&mut self, run: impl FnOnce(&mut Tape, &[Var])) {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, self.dropout);
        let inputs = self.place_inputs(&mut tape);
        run(&mut tape, &inputs);
    }

    /// The value of a forward that ends in a number, without gradients.
    pub(crate) fn objective(&self, forward: impl Fn(&mut Tape, &[Var]) -> f64) -> f64 {
        let mut tape = Tape::inference(&self.parameters);
        let inputs = self.place_inputs(&mut tape);
        forward(&mut tape, &inputs)
    }

    /// Checks the gradients of a random weighted sum of the output.
    pub(crate) fn gradients(&mut self, forward: impl Fn(&mut Tape, &[Var]) -> Var) {
        self.compare(|tape, inputs| {
            let output = forward(tape, inputs);
            let (rows, columns) = (output.value().rows(), output.value().columns());
            let weights = random(99, rows * columns);
            let products = output
                .value()
                .to_vec()
                .iter()
                .zip(&weights)
                .map(|(&y, &w)| y as f64 * w as f64)
                .sum();
            if tape.is_recording() {
                let seed = Tensor::from_slice(tape.device(), rows, columns, &weights);
                tape.seed(&output, seed);
            }
            products
        });
    }

    /// Checks the gradients of `scale` times a forward that ends in a number and seeds the backward
    /// itself.
    pub(crate) fn objective_gradients(
        &mut self,
        scale: f64,
        forward: impl Fn(&mut Tape, &[Var]) -> f64,
    ) {
        self.compare(|tape, inputs| scale * forward(tape, inputs));
    }

    /// The gradient of the parameters for a random weighted sum of the output.
    pub(crate) fn parameter_gradient(
        &mut self,
        forward: impl Fn(&mut Tape, &[Var]) -> Var,
    ) -> Vec<f32> {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, self.dropout);
        let inputs = self.place_inputs(&mut tape);
        let output = forward(&mut tape, &inputs);
        let (rows, columns) = (output.value().rows(), output.value().columns());
        let seed = Tensor::from_slice(&self.device, rows, columns, &random(99, rows * columns));
        tape.seed(&output, seed);
        tape.backward();
        gradients.values().to_vec()
    }

    /// The gradient of the first input for a sum of the output.
    pub(crate) fn input_gradient(
        &mut self,
        forward: impl Fn(&mut Tape, &[Var]) -> Var,
    ) -> Vec<f32> {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, self.dropout);
        let inputs = self.place_inputs(&mut tape);
        let output = forward(&mut tape, &inputs);
        let (rows, columns) = (output.value().rows(), output.value().columns());
        tape.seed(
            &output,
            Tensor::from_slice(&self.device, rows, columns, &vec![1.0; rows * columns]),
        );
        tape.backward().of(&inputs[0]).expect("a gradient of the input").to_vec()
    }

    fn compare(&mut self, objective: impl Fn(&mut Tape, &[Var]) -> f64) {
        let mut gradients = Parameters::zeros(&self.device, self.parameters.layout().clone());
        let mut tape = Tape::training(&self.parameters, &mut gradients, self.dropout);
        let inputs = self.place_inputs(&mut tape);
        objective(&mut tape, &inputs);
        let of_inputs = tape.backward();
        let by_input: Vec<Vec<f32>> = inputs
            .iter()
            .map(|input| of_inputs.of(input).expect("a gradient of every input").to_vec())
            .collect();
        let by_parameter = gradients.values().to_vec();

        for (which, found) in by_input.iter().enumerate() {
            let difference =
                |index: usize, check: &mut Self, by: f32| check.inputs[which][index] += by;
            self.differences(found, &objective, difference, &format!("input {which}"));
        }
        let difference = |index: usize, check: &mut Self, by: f32| {
            let mut values = check.parameters.values().to_vec();
            values[index] += by;
            check.device.write(check.parameters.values_mut().view_mut(), &values);
        };
        self.differences(&by_parameter, &objective, difference, "parameter");
    }

    /// Compares about forty of the gradient's values with central differences.
    fn differences(
        &mut self,
        found: &[f32],
        objective: &impl Fn(&mut Tape, &[Var]) -> f64,
        shift: impl Fn(usize, &mut Self, f32),
        what: &str,
    ) {
        let step = 2e-2f32;
        let scale = found.iter().fold(1e-1f32, |top, value| top.max(value.abs()));
        for index in (0..found.len()).step_by(found.len() / 40 + 1) {
            let mut at = |by: f32| {
                shift(index, self, by);
                let mut spare = Parameters::zeros(&self.device, self.parameters.layout().clone());
                let mut tape = Tape::training(&self.parameters, &mut spare, self.dropout);
                let inputs = self.place_inputs(&mut tape);
                let value = objective(&mut tape, &inputs);
                drop(tape);
                shift(index, self, -by);
                value
            };
            let (up, down, up2, down2) = (at(step), at(-step), at(2.0 * step), at(-2.0 * step));
            let slope = (8.0 * (up - down) - (up2 - down2)) / (12.0 * step as f64);
            let error = (slope - found[index] as f64).abs();
            assert!(
                error < 5e-3 * scale as f64,
                "{what} {index}: gradient {} but slope {slope}",
                found[index]
            );
        }
    }
}

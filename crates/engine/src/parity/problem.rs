//! A small computation on a tape: random weights and inputs, a forward, and the backward of a
//! weighted sum of its output.

use std::sync::Arc;

use crate::tape::{DropoutStream, Tape, Var};
use crate::tensor::{Precision, Shape};
use crate::{Device, Layout, Parameters, Tensor};
use base::rng::Rng;

/// Values to compare, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What the values are.
    pub name: &'static str,
    /// The values, row by row.
    pub values: Vec<f32>,
}

impl Output {
    /// The values to the last bit.
    pub fn bits(&self) -> Vec<u32> {
        self.values.iter().map(|value| value.to_bits()).collect()
    }
}

/// Reproducible values of unit variance.
pub(super) fn random(seed: u64, count: usize) -> Vec<f32> {
    let rng = Rng::new(seed, "parity").at(count as u64);
    (0..count as u64).map(|index| rng.normal(index)).collect()
}

/// Reproducible numbers below a bound.
pub(super) fn random_ids(seed: u64, count: usize, bound: usize) -> Vec<u32> {
    let rng = Rng::new(seed, "parity ids").at(count as u64);
    (0..count as u64).map(|index| rng.below(index, bound as u64) as u32).collect()
}

/// A matrix of random values.
pub(super) fn random_tensor(
    device: &Arc<dyn Device>,
    seed: u64,
    rows: usize,
    columns: usize,
    precision: Precision,
) -> Tensor {
    let mut tensor = Tensor::of_shape(device, Shape { rows, columns, precision });
    device.write(tensor.view_mut(), &random(seed, rows * columns));
    tensor
}

/// Weights and inputs, and whether there is dropout.
pub(super) struct Problem {
    pub layout: Layout,
    /// Rows and columns of the inputs, and how they are kept.
    pub inputs: Vec<Shape>,
    pub dropout: bool,
}

impl Problem {
    pub(super) fn new(layout: Layout, inputs: &[Shape]) -> Self {
        Self { layout, inputs: inputs.to_vec(), dropout: false }
    }

    fn parameters(&self, device: &Arc<dyn Device>) -> Parameters {
        let mut parameters = Parameters::zeros(device, Arc::new(self.layout.clone()));
        device.write(parameters.values_mut().view_mut(), &random(1, self.layout.length()));
        parameters
    }

    fn place_inputs(&self, tape: &mut Tape<'_>) -> Vec<Var> {
        let device = tape.device().clone();
        let tensor = |(index, shape): (usize, &Shape)| {
            random_tensor(&device, 2 + index as u64, shape.rows, shape.columns, shape.precision)
        };
        let tensors: Vec<Tensor> = self.inputs.iter().enumerate().map(tensor).collect();
        tensors.into_iter().map(|tensor| tape.input(tensor)).collect()
    }

    /// The output, and the gradients of a random weighted sum of it.
    pub(super) fn run(
        &self,
        device: &Arc<dyn Device>,
        forward: impl Fn(&mut Tape<'_>, &[Var]) -> Var,
    ) -> Vec<Output> {
        self.record(device, |tape, inputs| {
            let output = forward(tape, inputs);
            let values = output.value().to_vec();
            let shape = output.value().shape();
            let seed = random_tensor(tape.device(), 99, shape.rows, shape.columns, shape.precision);
            tape.seed(&output, seed);
            values
        })
    }

    /// A loss, and the gradients that it seeds itself.
    pub(super) fn loss(
        &self,
        device: &Arc<dyn Device>,
        forward: impl Fn(&mut Tape<'_>, &[Var]) -> Vec<f32>,
    ) -> Vec<Output> {
        self.record(device, forward)
    }

    fn record(
        &self,
        device: &Arc<dyn Device>,
        forward: impl Fn(&mut Tape<'_>, &[Var]) -> Vec<f32>,
    ) -> Vec<Output> {
        let parameters = self.parameters(device);
        let mut gradients = Parameters::zeros(device, parameters.layout().clone());
        let dropout = self.dropout.then(|| DropoutStream {
            rng: Rng::new(5, "parity dropout"),
            first_token: 11,
            first_sequence: 3,
            first_source_token: 7,
        });
        let mut tape = Tape::training(&parameters, &mut gradients, dropout);
        let inputs = self.place_inputs(&mut tape);
        let values = forward(&mut tape, &inputs);
        let of_inputs = tape.backward();
        let mut outputs = vec![Output { name: "output", values }];
        for input in &inputs {
            if let Some(gradient) = of_inputs.of(input) {
                outputs.push(Output { name: "gradient of an input", values: gradient.to_vec() });
            }
        }
        if self.layout.length() > 0 {
            outputs.push(Output {
                name: "gradient of the weights",
                values: gradients.values().to_vec(),
            });
        }
        outputs
    }

    /// The output without gradients.
    pub(super) fn infer(
        &self,
        device: &Arc<dyn Device>,
        forward: impl Fn(&mut Tape<'_>, &[Var]) -> Var,
    ) -> Vec<Output> {
        let parameters = self.parameters(device);
        let mut tape = Tape::inference(&parameters);
        let inputs = self.place_inputs(&mut tape);
        vec![Output { name: "output", values: forward(&mut tape, &inputs).value().to_vec() }]
    }
}

//! A mixture of states: their sum, each times a learned weight. ELC-BERT (Charpentier and Samuel,
//! arXiv 2311.02265) mixes what earlier layers left by a softmax of the weights, GPT-BERT (arXiv
//! 2410.24159) by the weights themselves, as DenseFormer does (Pagliardini et al., arXiv
//! 2402.02622).

use crate::kernels::kernels;
use crate::params::Segment;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{View, ViewMut};

/// The weights of a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// `[1, states]`.
    pub weights: Segment,
    /// Whether their softmax multiplies the states, instead of the weights themselves.
    pub by_softmax: bool,
}

kernels! {
    /// Kernels of mixtures. `weights` is `[1, states]`; all states have the shape of the output.
    pub trait MixtureKernels {
        /// `output = sum of w_j * states[j]`, where w are the weights, or their softmax.
        fn mixture(
            &self,
            states: &[View<'_>],
            weights: View<'_>,
            by_softmax: bool,
            output: ViewMut<'_>,
        );

        /// `d_state (+)= w_index * d_output`, for the state of that index.
        fn mixture_state_gradient(
            &self,
            d_output: View<'_>,
            weights: View<'_>,
            by_softmax: bool,
            index: usize,
            d_state: ViewMut<'_>,
            accumulate: bool,
        );

        /// `d_weights += ` their gradient.
        fn mixture_weights_gradient(
            &self,
            d_output: View<'_>,
            states: &[View<'_>],
            weights: View<'_>,
            by_softmax: bool,
            d_weights: ViewMut<'_>,
        );
    }
}

struct MixtureNode {
    mixture: Mixture,
    states: Vec<Var>,
    output: usize,
}

impl Tape<'_> {
    /// The mixture of states `[tokens, channels]`, in full precision.
    ///
    /// # Panics
    /// When the states are not as many as the weights, or differ in shape.
    pub fn mixture(&mut self, states: &[Var], mixture: &Mixture) -> Var {
        assert_eq!(states.len(), mixture.weights.length(), "a weight for each state");
        let (rows, columns) = (states[0].value().rows(), states[0].value().columns());
        let is_same = |state: &Var| (state.value().rows(), state.value().columns());
        assert!(states.iter().all(|state| is_same(state) == (rows, columns)), "states of a shape");
        let mut output = self.allocate(rows, columns);
        let weights = self.parameters().view(mixture.weights);
        self.device().mixture(&views(states), weights, mixture.by_softmax, output.view_mut());
        let (mixture, states) = (*mixture, states.to_vec());
        self.record(output, |output| MixtureNode { mixture, states, output: output.id })
    }
}

fn views(states: &[Var]) -> Vec<View<'_>> {
    states.iter().map(|state| state.value().view()).collect()
}

impl Node for MixtureNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let Mixture { weights, by_softmax } = self.mixture;
        let (device, values) = (pass.device(), pass.parameters().view(weights));
        for (index, state) in self.states.iter().enumerate() {
            pass.accumulate(state.id, state.value().shape(), |d_state, accumulate| {
                let (dy, dx) = (d_output.view(), d_state.view_mut());
                device.mixture_state_gradient(dy, values, by_softmax, index, dx, accumulate);
            });
        }
        let (states, d_weights) = (views(&self.states), pass.gradients().view_mut(weights));
        let dy = d_output.view();
        device.mixture_weights_gradient(dy, &states, values, by_softmax, d_weights);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cpu::Cpu;
    use crate::device::{Arithmetic, Device};
    use crate::params::{Layout, Parameters, Role};
    use crate::tensor::{Precision, Shape, Tensor};
    use crate::testing::{Check, assert_close, random};

    /// Rows, channels and states: odd ones, one row, one state, and more than one task's values.
    const SHAPES: [(usize, usize, usize); 5] =
        [(1, 1, 1), (1, 13, 4), (7, 5, 1), (33, 17, 3), (130, 257, 5)];

    fn mixture(states: usize, by_softmax: bool) -> (Layout, Mixture) {
        let mut layout = Layout::default();
        let weights = layout.add("weights", 1, states, Role::Mixture);
        (layout, Mixture { weights, by_softmax })
    }

    /// What multiplies the states, in double precision.
    fn shares(weights: &[f32], by_softmax: bool) -> Vec<f64> {
        let weights = weights.iter().map(|&weight| weight as f64);
        if !by_softmax {
            return weights.collect();
        }
        let powers: Vec<f64> = weights.map(f64::exp).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    }

    #[test]
    fn matches_the_reference_and_finite_differences() {
        for (rows, columns, states) in SHAPES {
            for by_softmax in [false, true] {
                let (layout, mixture) = mixture(states, by_softmax);
                let mut check = Check::new(layout, &vec![(rows, columns); states]);
                let shares = shares(&check.segment(mixture.weights), by_softmax);
                let sum = |place: usize| {
                    let terms = check.inputs.iter().zip(&shares);
                    terms.map(|(state, share)| state[place] as f64 * share).sum::<f64>() as f32
                };
                let expected: Vec<f32> = (0..rows * columns).map(sum).collect();
                let forward = |tape: &mut Tape, inputs: &[Var]| tape.mixture(inputs, &mixture);
                assert_close(&check.output(forward), &expected, 1e-5);
                check.gradients(forward);
            }
        }
    }

    #[test]
    fn a_state_with_other_uses_gets_all_gradients() {
        let (mut layout, first) = mixture(2, false);
        let weights = layout.add("more", 1, 3, Role::Mixture);
        let second = Mixture { weights, by_softmax: true };
        let mut check = Check::new(layout, &[(5, 6), (5, 6)]);
        check.gradients(|tape, inputs| {
            let mixed = tape.mixture(inputs, &first);
            tape.mixture(&[inputs[0].clone(), mixed.clone(), mixed], &second)
        });
    }

    /// The output, the gradients of all states and that of the weights, of which every other state
    /// is kept compact.
    fn answers(device: &Arc<dyn Device>, shape: (usize, usize, usize)) -> Vec<Vec<f32>> {
        let (rows, columns, states) = shape;
        let (layout, mixture) = mixture(states, true);
        let mut parameters = Parameters::zeros(device, Arc::new(layout));
        device.write(parameters.view_mut(mixture.weights), &random(1, states));
        let mut gradients = Parameters::zeros(device, parameters.layout().clone());
        let mut tape = Tape::training(&parameters, &mut gradients, None);
        let input = |index: usize| {
            let precision =
                if index.is_multiple_of(2) { Precision::Full } else { Precision::Compact };
            let mut state = Tensor::of_shape(device, Shape { rows, columns, precision });
            device.write(state.view_mut(), &random(2 + index as u64, rows * columns));
            state
        };
        let inputs: Vec<Var> = (0..states).map(|index| tape.input(input(index))).collect();
        let output = tape.mixture(&inputs, &mixture);
        let seed = random(99, rows * columns);
        tape.seed(&output, Tensor::from_slice(device, rows, columns, &seed));
        let found = tape.backward();
        let of = |input: &Var| found.of(input).expect("a gradient of every input").to_vec();
        let mut answers: Vec<Vec<f32>> = inputs.iter().map(of).collect();
        answers.extend([output.value().to_vec(), gradients.values().to_vec()]);
        answers
    }

    fn cpu(arithmetic: Arithmetic) -> Arc<dyn Device> {
        Arc::new(Cpu::new().multiplying_in(arithmetic))
    }

    #[test]
    fn compact_states_are_close_to_full_ones() {
        for shape in SHAPES {
            let exact = answers(&cpu(Arithmetic::F32), shape);
            for arithmetic in [Arithmetic::Bf16, Arithmetic::Bf16x3] {
                let found = answers(&cpu(arithmetic), shape);
                for (found, exact) in found.iter().zip(&exact) {
                    assert_close(found, exact, 2e-2);
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        for shape in SHAPES {
            for arithmetic in [Arithmetic::F32, Arithmetic::Bf16] {
                let device = cpu(arithmetic);
                let with = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let found = pool.unwrap().install(|| answers(&device, shape)).concat();
                    found.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let one = with(1);
                assert!(one == with(2) && one == with(3), "{arithmetic}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a weight for each state")]
    fn other_numbers_of_states_are_refused() {
        let (layout, mixture) = mixture(3, false);
        Check::new(layout, &[(5, 2), (5, 2)]).output(|tape, inputs| tape.mixture(inputs, &mixture));
    }
}

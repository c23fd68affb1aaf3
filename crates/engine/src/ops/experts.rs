//! A layer of experts (Fedus et al., arXiv 2101.03961, section 2): every token passes through the
//! feed-forward part of one expert, times its gate, and is added to the residual stream. A token
//! that its expert has no room for is the residual stream alone.
//!
//! Tokens are gathered by expert, so that each expert is a product of consecutive rows, and added
//! to the stream again in the order of the batch.

use std::ops::Range;
use std::sync::Arc;

use crate::device::Device;
use crate::kernels::kernels;
use crate::ops::dropout::drop_and_add;
use crate::ops::linear::Linear;
use crate::ops::routing::Routing;
use crate::params::Parameters;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Precision, Shape, Tensor, View, ViewMut};

kernels! {
    /// Kernels of layers of experts.
    pub trait ExpertKernels {
        /// `output[t] = gates[t] * outputs[places[t]] (+ residual[t])`; of a token without a place
        /// the residual, or 0.
        fn combine_experts(
            &self,
            outputs: View<'_>,
            places: &[u32],
            gates: &[f32],
            residual: Option<View<'_>>,
            output: ViewMut<'_>,
        );

        /// `d_outputs[p] = gates[t] * d_output[t]` and `d_gates[p] = <d_output[t], outputs[p]>` for
        /// the token `t = order[p]` of every place `p`.
        fn combine_experts_gradient(
            &self,
            d_output: View<'_>,
            outputs: View<'_>,
            order: &[u32],
            gates: &[f32],
            d_outputs: ViewMut<'_>,
            d_gates: &mut [f32],
        );
    }
}

/// Where the weights of an expert are: `down(activation(up(x)))`.
#[derive(Clone, Copy, Debug)]
pub struct Expert {
    /// `[inner, hidden]`, or gate and up `[2 * inner, hidden]` of SwiGLU.
    pub up: Linear,
    /// `[hidden, inner]`.
    pub down: Linear,
}

/// The activation between an expert's two products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertActivation {
    /// GELU in its tanh form.
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `silu(gate) * up`.
    Swiglu,
}

impl ExpertActivation {
    fn forward(self, device: &dyn Device, input: View<'_>, output: ViewMut<'_>) {
        match self {
            Self::Gelu => device.gelu(input, output),
            Self::Relu => device.relu(input, output),
            Self::Swiglu => device.swiglu(input, output),
        }
    }

    fn gradient(
        self,
        device: &dyn Device,
        d_output: View<'_>,
        input: View<'_>,
        output: View<'_>,
        d_input: ViewMut<'_>,
    ) {
        match self {
            Self::Gelu => device.gelu_gradient(d_output, input, d_input),
            Self::Relu => device.relu_gradient(d_output, output, d_input),
            Self::Swiglu => device.swiglu_gradient(d_output, input, d_input),
        }
    }
}

/// What the backward needs. Matrices have a row per token of the batch, of which the first are
/// those that experts take, by expert; so their sizes do not change from step to step.
struct ExpertsNode {
    experts: Arc<[Expert]>,
    activation: ExpertActivation,
    routing: Arc<Routing>,
    input: usize,
    /// The input's.
    shape: Shape,
    logits: usize,
    residual: Option<usize>,
    /// The experts' inputs.
    gathered: Tensor,
    /// Before the activation.
    inner: Tensor,
    /// After it.
    activated: Tensor,
    /// The experts' outputs, before the gates.
    outputs: Tensor,
    output: usize,
}

impl Tape<'_> {
    /// `residual + gate * expert(input)` of every token, `[tokens, hidden]`, by the experts that
    /// `routing` found from `logits`. With `dropout` above 0 (and a stream on the tape) the product
    /// is dropped out before it is added.
    ///
    /// # Panics
    /// When shapes do not fit.
    #[expect(clippy::too_many_arguments, reason = "each is one thing of its own")]
    pub fn experts_add(
        &mut self,
        input: &Var,
        logits: &Var,
        routing: &Arc<Routing>,
        experts: &Arc<[Expert]>,
        activation: ExpertActivation,
        residual: Var,
        dropout: f32,
    ) -> Var {
        match self.next_dropout(dropout) {
            None => self.experts(input, logits, routing, experts, activation, Some(residual)),
            Some(mask) => {
                let update = self.experts(input, logits, routing, experts, activation, None);
                drop_and_add(self, update, residual, mask)
            }
        }
    }

    fn experts(
        &mut self,
        input: &Var,
        logits: &Var,
        routing: &Arc<Routing>,
        experts: &Arc<[Expert]>,
        activation: ExpertActivation,
        residual: Option<Var>,
    ) -> Var {
        let (shape, first) = (input.value().shape(), &experts[0]);
        assert_eq!(routing.experts(), experts.len(), "experts of the router and of the layer");
        assert_eq!(routing.places().len(), shape.rows, "one route per token");
        assert_eq!(shape.columns, first.up.weight.columns, "the experts' input width");
        let (device, parameters) = (self.device().clone(), self.parameters());
        let taken = 0..routing.order().len();
        let mut gathered = Tensor::of_shape(&device, shape);
        let rows = rows_mut(&mut gathered, taken.clone());
        device.embed(input.value().view(), routing.order(), rows, false);

        let mut inner = self.allocate_compact(shape.rows, first.up.weight.rows);
        let mut activated = self.allocate_compact(shape.rows, first.down.weight.columns);
        let mut outputs = self.allocate(shape.rows, first.down.weight.rows);
        let routes = || experts.iter().zip(routing.ranges()).filter(|(_, rows)| !rows.is_empty());
        for (expert, rows) in routes() {
            product(&device, parameters, &expert.up, &gathered, &mut inner, rows);
        }
        let before = inner.view().row_range(taken.clone());
        activation.forward(&*device, before, rows_mut(&mut activated, taken.clone()));
        for (expert, rows) in routes() {
            product(&device, parameters, &expert.down, &activated, &mut outputs, rows);
        }
        let mut output = self.allocate(shape.rows, first.down.weight.rows);
        device.combine_experts(
            outputs.view().row_range(taken),
            routing.places(),
            &routing.gates(),
            residual.as_ref().map(|residual| residual.value().view()),
            output.view_mut(),
        );
        self.record(output, |output| ExpertsNode {
            experts: experts.clone(),
            activation,
            routing: routing.clone(),
            input: input.id,
            shape,
            logits: logits.id,
            residual: residual.map(|residual| residual.id),
            gathered,
            inner,
            activated,
            outputs,
            output: output.id,
        })
    }
}

/// Some rows of a whole matrix, to write.
fn rows_mut(tensor: &mut Tensor, rows: Range<usize>) -> ViewMut<'_> {
    let columns = tensor.columns();
    ViewMut::block(tensor, rows.start * columns, rows.len(), columns)
}

/// The product of some rows, each with the bits that it has beside any others: where there are too
/// few for that on this device, they are repeated. An expert's rows are those of the sequences that
/// are computed together, which may be others when a teacher is read again.
fn product(
    device: &Arc<dyn Device>,
    parameters: &Parameters,
    linear: &Linear,
    input: &Tensor,
    output: &mut Tensor,
    rows: &Range<usize>,
) {
    let weights = linear.view(parameters);
    let fewest = device.independent_rows(linear.weight.rows);
    if rows.len() >= fewest {
        let input = input.view().row_range(rows.clone());
        let output = rows_mut(output, rows.clone());
        return device.linear(input, weights.weight, weights.bias, None, output);
    }
    let repeated: Vec<u32> = rows.clone().cycle().take(fewest).map(|row| row as u32).collect();
    let mut inputs = Tensor::of_shape(device, Shape { rows: fewest, ..input.shape() });
    device.embed(input.view(), &repeated, inputs.view_mut(), false);
    let mut outputs = Tensor::of_shape(device, Shape { rows: fewest, ..output.shape() });
    device.linear(inputs.view(), weights.weight, weights.bias, None, outputs.view_mut());
    let own: Vec<u32> = (0..rows.len() as u32).collect();
    device.embed(outputs.view(), &own, rows_mut(output, rows.clone()), false);
}

/// The gradients of [`product`]: of the input's rows, written, and of the weights, added to.
fn product_gradient(
    pass: &mut Backward<'_>,
    linear: &Linear,
    [d_output, input]: [&Tensor; 2],
    d_input: &mut Tensor,
    rows: &Range<usize>,
) {
    let device = pass.device().clone();
    let d_output = d_output.view().row_range(rows.clone());
    let weight = pass.parameters().view(linear.weight);
    device.linear_input_gradient(d_output, weight, rows_mut(d_input, rows.clone()), false);
    let input = input.view().row_range(rows.clone());
    device.linear_weight_gradient(d_output, input, pass.gradients().view_mut(linear.weight));
    if let Some(bias) = linear.bias {
        device.linear_bias_gradient(d_output, pass.gradients().view_mut(bias));
    }
}

impl Node for ExpertsNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let (device, routing) = (pass.device().clone(), &self.routing);
        let taken = 0..routing.order().len();
        let routes =
            || self.experts.iter().zip(routing.ranges()).filter(|(_, rows)| !rows.is_empty());

        let mut d_outputs = Tensor::of_shape(&device, self.outputs.shape());
        let mut d_gates = vec![0.0; taken.len()];
        device.combine_experts_gradient(
            d_output.view(),
            self.outputs.view().row_range(taken.clone()),
            routing.order(),
            &routing.gates(),
            rows_mut(&mut d_outputs, taken.clone()),
            &mut d_gates,
        );
        let d_logits = routing.gate_gradient(&d_gates);
        let rows = routing.places().len();
        pass.give(self.logits, Tensor::from_slice(&device, rows, self.experts.len(), &d_logits));
        if let Some(residual) = self.residual {
            pass.give(residual, d_output);
        }

        let mut d_activated = Tensor::of_shape(&device, self.activated.shape());
        for (expert, rows) in routes() {
            let read = [&d_outputs, &self.activated];
            product_gradient(pass, &expert.down, read, &mut d_activated, rows);
        }
        drop(d_outputs);
        let mut d_inner = Tensor::of_shape(&device, self.inner.shape());
        self.activation.gradient(
            &*device,
            d_activated.view().row_range(taken.clone()),
            self.inner.view().row_range(taken.clone()),
            self.activated.view().row_range(taken.clone()),
            rows_mut(&mut d_inner, taken.clone()),
        );
        drop(d_activated);
        let full = Shape { precision: Precision::Full, ..self.shape };
        let mut d_gathered = Tensor::of_shape(&device, full);
        for (expert, rows) in routes() {
            product_gradient(pass, &expert.up, [&d_inner, &self.gathered], &mut d_gathered, rows);
        }
        pass.accumulate(self.input, self.shape, |d_input, accumulate| {
            if !accumulate {
                device.fill(d_input.view_mut(), 0.0);
            }
            let d_gathered = d_gathered.view().row_range(taken);
            device.embed_gradient(d_gathered, routing.order(), None, d_input.view_mut());
        });
    }
}

#[cfg(test)]
mod tests;

//! Operations on values one by one: converting, adding, activations, SwiGLU, GeGLU, dropout.

use super::Cuda;
use super::kernels::{BLOCK, ELEMENTWISE, Launch, Mask};
use super::memory::{Values, dense, in_multiples};
use crate::ops::dropout::DropoutKernels;
use crate::ops::exact_gelu::ExactGeluKernels;
use crate::ops::geglu::GegluKernels;
use crate::ops::gelu::GeluKernels;
use crate::ops::multiply::MultiplyKernels;
use crate::ops::relu::ReluKernels;
use crate::ops::scale::ScaleKernels;
use crate::ops::swiglu::SwigluKernels;
use crate::ops::tanh::TanhKernels;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

/// Blocks of a grid that walks over `count` values: enough to fill any GPU, and no more than there
/// is work.
pub(super) fn blocks(count: usize) -> usize {
    const MOST: usize = 4096;
    count.div_ceil(4 * BLOCK as usize).clamp(1, MOST)
}

/// Threads of a block that walks over a row four values at a time: whole warps, and no more than
/// there is work.
pub(super) fn threads(columns: usize) -> u32 {
    (columns.div_ceil(4).next_multiple_of(32) as u32).clamp(32, BLOCK)
}

/// Whether four values can be taken at a time: as many as begin on a boundary of four.
pub(super) fn fours(values: &[Values], count: usize) -> u32 {
    packs_of(4, values, count)
}

/// Whether `at_once` values can be taken at a time.
pub(super) fn packs_of(at_once: usize, values: &[Values], count: usize) -> u32 {
    let aligned =
        |values: &Values| values.pointer.is_multiple_of((at_once * values.bytes_each()) as u64);
    (count.is_multiple_of(at_once) && values.iter().all(aligned)) as u32
}

/// Which activation, as `elementwise.cu` numbers them.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Activation {
    Gelu = 0,
    ExactGelu = 1,
    Relu = 2,
    Tanh = 3,
}

impl Cuda {
    fn elementwise(&self, name: &'static str) -> Launch<'_> {
        self.kernels.get(ELEMENTWISE, name)
    }

    /// `to = from`, in whatever types.
    pub(super) fn convert(&self, from: Values, to: Values, count: usize) {
        let launch = self.elementwise("convert").with(from).with(to).with(count as u64);
        // Safety: `convert(from, to, count, wide)`; both hold `count` values.
        unsafe { launch.with(fours(&[from, to], count)).run(blocks(count), BLOCK) }
    }

    pub(super) fn fill_values(&self, to: Values, count: usize, value: f32) {
        let launch = self.elementwise("fill").with(to).with(count as u64).with(value);
        // Safety: `fill(to, count, value)`.
        unsafe { launch.run(blocks(count), BLOCK) }
    }

    /// `to += from`.
    pub(super) fn add_values(&self, from: Values, to: Values, count: usize) {
        let launch = self.elementwise("add").with(from).with(to).with(count as u64);
        // Safety: `add(from, to, count, wide)`; both hold `count` values.
        unsafe { launch.with(fours(&[from, to], count)).run(blocks(count), BLOCK) }
    }

    fn activation(&self, kind: Activation, input: View<'_>, mut output: ViewMut<'_>) {
        let count = input.rows * input.columns;
        let (input, output) = (dense(input), self.values_mut(&mut output));
        let launch = self
            .elementwise("activation")
            .with(kind as u32)
            .with(input)
            .with(output)
            .with(count as u64);
        // Safety: `activation(kind, input, output, count, wide)`; both hold `count` values.
        unsafe { launch.with(fours(&[input, output], count)).run(blocks(count), BLOCK) }
    }

    fn activation_gradient(
        &self,
        kind: Activation,
        d_output: View<'_>,
        input: View<'_>,
        mut d_input: ViewMut<'_>,
    ) {
        let count = input.rows * input.columns;
        let (d_output, input, d_input) =
            (dense(d_output), dense(input), self.values_mut(&mut d_input));
        let launch = self
            .elementwise("activation_gradient")
            .with(kind as u32)
            .with(d_output)
            .with(input)
            .with(d_input);
        let launch = launch.with(count as u64).with(fours(&[d_output, input, d_input], count));
        // Safety: `activation_gradient(kind, d_output, input, d_input, count, wide)`; all hold
        // `count` values.
        unsafe { launch.run(blocks(count), BLOCK) }
    }
}

impl GeluKernels for Cuda {
    fn gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.activation(Activation::Gelu, input, output);
    }

    fn gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        self.activation_gradient(Activation::Gelu, d_output, input, d_input);
    }
}

impl ExactGeluKernels for Cuda {
    fn exact_gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.activation(Activation::ExactGelu, input, output);
    }

    fn exact_gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        self.activation_gradient(Activation::ExactGelu, d_output, input, d_input);
    }
}

impl ReluKernels for Cuda {
    fn relu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.activation(Activation::Relu, input, output);
    }

    fn relu_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        self.activation_gradient(Activation::Relu, d_output, output, d_input);
    }
}

impl TanhKernels for Cuda {
    fn tanh(&self, input: View<'_>, output: ViewMut<'_>) {
        self.activation(Activation::Tanh, input, output);
    }

    fn tanh_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        self.activation_gradient(Activation::Tanh, d_output, output, d_input);
    }
}

impl SwigluKernels for Cuda {
    fn swiglu(&self, gate_up: View<'_>, mut output: ViewMut<'_>) {
        let (rows, width) = (output.rows, output.columns);
        let wide = packs_of(8, &[], width) & in_multiples(8, &[gate_up]);
        let launch =
            self.elementwise("swiglu").with(dense(gate_up)).with(self.values_mut(&mut output));
        // Safety: `swiglu(gate_up, output, width, wide)`, a block for each row.
        unsafe { launch.with(width as u32).with(wide).run(rows, threads(width / 2)) }
    }

    fn swiglu_gradient(&self, d_output: View<'_>, gate_up: View<'_>, mut d_gate_up: ViewMut<'_>) {
        let (rows, width) = (d_output.rows, d_output.columns);
        let wide = in_multiples(8, &[d_output, gate_up]);
        let launch = self.elementwise("swiglu_gradient").with(dense(d_output)).with(dense(gate_up));
        let launch = launch.with(self.values_mut(&mut d_gate_up)).with(width as u32).with(wide);
        // Safety: `swiglu_gradient(d_output, gate_up, d_gate_up, width, wide)`, a block for each
        // row.
        unsafe { launch.run(rows, threads(width / 2)) }
    }
}

impl MultiplyKernels for Cuda {
    fn multiply(
        &self,
        first: View<'_>,
        second: View<'_>,
        mut output: ViewMut<'_>,
        accumulate: bool,
    ) {
        let count = first.rows * first.columns;
        let launch = self.elementwise("multiply").with(dense(first)).with(dense(second));
        let launch = launch.with(self.values_mut(&mut output)).with(count as u64);
        // Safety: `multiply(first, second, output, count, accumulate)`; all hold `count` values.
        unsafe { launch.with(accumulate as u32).run(blocks(count), BLOCK) }
    }
}

impl ScaleKernels for Cuda {
    fn scale(&self, input: View<'_>, factor: f32, mut output: ViewMut<'_>) {
        let count = input.rows * input.columns;
        let launch = self.elementwise("scale").with(dense(input)).with(factor);
        let launch = launch.with(self.values_mut(&mut output)).with(count as u64);
        // Safety: `scale(input, factor, output, count)`; both hold `count` values.
        unsafe { launch.run(blocks(count), BLOCK) }
    }
}

impl GegluKernels for Cuda {
    fn geglu(&self, up_gate: View<'_>, mut output: ViewMut<'_>) {
        let (rows, width) = (output.rows, output.columns);
        let launch =
            self.elementwise("geglu").with(dense(up_gate)).with(self.values_mut(&mut output));
        // Safety: `geglu(up_gate, output, width)`, a block for each row.
        unsafe { launch.with(width as u32).run(rows, threads(4 * width)) }
    }

    fn geglu_gradient(&self, d_output: View<'_>, up_gate: View<'_>, mut d_up_gate: ViewMut<'_>) {
        let (rows, width) = (d_output.rows, d_output.columns);
        let launch = self.elementwise("geglu_gradient").with(dense(d_output)).with(dense(up_gate));
        let launch = launch.with(self.values_mut(&mut d_up_gate)).with(width as u32);
        // Safety: `geglu_gradient(d_output, up_gate, d_up_gate, width)`, a block for each row.
        unsafe { launch.run(rows, threads(4 * width)) }
    }
}

impl DropoutKernels for Cuda {
    fn dropout(
        &self,
        input: View<'_>,
        residual: Option<View<'_>>,
        mask: DropoutMask,
        mut output: ViewMut<'_>,
    ) {
        let (rows, columns) = (output.rows, output.columns);
        let (input, residual) = (dense(input), residual.map_or(Values::full(0), dense));
        let output = self.values_mut(&mut output);
        let wide = fours(&[input, residual, output], columns);
        let launch = self
            .elementwise("dropout")
            .with(input)
            .with(residual)
            .with(Mask::of(Some(mask)))
            .with(output);
        // Safety: `dropout(input, residual, mask, output, columns, wide)`, a block for each row.
        unsafe { launch.with(columns as u32).with(wide).run(rows, threads(columns)) }
    }
}

//! A constant times every value.

use super::{Cpu, elementwise};
use crate::ops::scale::ScaleKernels;
use crate::tensor::{View, ViewMut};

impl ScaleKernels for Cpu {
    fn scale(&self, input: View<'_>, factor: f32, output: ViewMut<'_>) {
        elementwise::map(input, output, |input, output| {
            output.iter_mut().zip(input).for_each(|(output, x)| *output = factor * x);
        });
    }
}

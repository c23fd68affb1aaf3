//! A constant times every value.

use super::elementwise::scaled;
use super::{Cpu, elementwise};
use crate::ops::scale::ScaleKernels;
use crate::tensor::{View, ViewMut};

impl ScaleKernels for Cpu {
    fn scale(&self, input: View<'_>, factor: f32, output: ViewMut<'_>) {
        elementwise::map(input, output, |input, output| scaled(input, factor, output));
    }
}

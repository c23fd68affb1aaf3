//! Products value by value.

use rayon::prelude::*;

use super::elementwise::TASK;
use super::{Cpu, values, values_mut, vectorised};
use crate::ops::multiply::MultiplyKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn product(first: &[f32], second: &[f32], output: &mut [f32], accumulate: bool) {
        for ((output, a), b) in output.iter_mut().zip(first).zip(second) {
            *output = if accumulate { *output + a * b } else { a * b };
        }
    }
}

impl MultiplyKernels for Cpu {
    fn multiply(&self, first: View<'_>, second: View<'_>, output: ViewMut<'_>, accumulate: bool) {
        values_mut(output)
            .par_chunks_mut(TASK)
            .zip(values(first).par_chunks(TASK))
            .zip(values(second).par_chunks(TASK))
            .for_each(|((output, first), second)| {
                let (first, second) = (first.to_f32(), second.to_f32());
                let kernel = |output: &mut [f32]| product(&first, &second, output, accumulate);
                if accumulate { output.update(kernel) } else { output.write(kernel) }
            });
    }
}

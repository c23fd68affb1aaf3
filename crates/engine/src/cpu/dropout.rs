//! Dropout.

use rayon::prelude::*;

use super::{Cpu, rows_per_task, values, values_mut, vectorised};
use crate::ops::dropout::DropoutKernels;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn drop_rows(
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        mask: DropoutMask,
        first_row: usize,
        columns: usize,
    ) {
        let rows = output.chunks_exact_mut(columns).zip(input.chunks_exact(columns));
        for (index, (row, values)) in rows.enumerate() {
            for column in 0..columns {
                row[column] = values[column] * mask.factor(first_row + index, column, columns);
            }
            if let Some(residual) = residual {
                let residual = &residual[index * columns..][..columns];
                for (value, residual) in row.iter_mut().zip(residual) {
                    *value += residual;
                }
            }
        }
    }
}

impl DropoutKernels for Cpu {
    fn dropout(
        &self,
        input: View<'_>,
        residual: Option<View<'_>>,
        mask: DropoutMask,
        output: ViewMut<'_>,
    ) {
        let columns = output.columns;
        let rows = rows_per_task(columns);
        let (input, residual) = (values(input), residual.map(values));
        values_mut(output).par_chunks_mut(rows * columns).enumerate().for_each(|(task, output)| {
            let range = task * rows * columns..task * rows * columns + output.len();
            let residual = residual.map(|residual| residual.range(range.clone()).to_f32());
            let input = input.range(range).to_f32();
            output.write(|output| {
                drop_rows(&input, residual.as_deref(), output, mask, task * rows, columns)
            });
        });
    }
}

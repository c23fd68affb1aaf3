//! A second microkernel, in plain Rust: pairs of bf16 values with sums in f32, as `vdpbf16ps` and
//! AMX multiply them. It shows that the loops around a microkernel do not depend on its element
//! type, its tile or its groups.

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::packed::{Packed, product};
use super::super::{Addend, Matrix, MatrixMut, Workers};
use super::reference;

#[derive(Clone, Copy)]
struct Bf16Pairs;

fn widened(element: u16) -> f32 {
    f32::from_bits(u32::from(element) << 16)
}

impl Microkernel for Bf16Pairs {
    type Element = u16;
    const TILE_ROWS: usize = 3;
    const PANEL: usize = 8;
    const LANES: usize = 4;
    const GROUP: usize = 2;
    const DEPTH: usize = 10;

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn element(value: f32) -> u16 {
        (value.to_bits() >> 16) as u16
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u16]> {
        None
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        for (row, column) in
            (0..target.rows).flat_map(|row| (0..target.columns).map(move |column| (row, column)))
        {
            let mut sum = 0.0;
            for (step, member) in (0..steps).flat_map(|step| [(step, 0), (step, 1)]) {
                // Safety: the caller promises every row of `left` and column of `panel`.
                let (a, b) = unsafe {
                    let a = left.start.add(row * left.row_stride + step * left.step_stride);
                    let b = panel.add((step * Self::PANEL + column) * Self::GROUP);
                    (*a.add(member), *b.add(member))
                };
                sum += widened(a) * widened(b);
            }
            // Safety: the caller promises the target, and its base and bias where they are given.
            unsafe {
                let value = target.start.add(row * target.row_stride + column);
                let mut start = 0.0;
                if !target.base.is_null() {
                    start += *target.base.add(row * target.base_row_stride + column);
                }
                if !target.bias.is_null() {
                    start += *target.bias.add(column);
                }
                *value = start + target.scale * sum;
            }
        }
    }
}

/// Whole numbers from -4 to 4, whose products and sums are exact in either precision.
fn whole_numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7 + i / 5 + seed) % 9) as f32 - 4.0).collect()
}

#[test]
fn another_precision_needs_only_its_microkernel() {
    let kernel = Bf16Pairs::detect().unwrap();
    for (m, n, k) in [(1, 1, 1), (3, 8, 10), (7, 13, 21), (5, 30, 9), (400, 9, 33)] {
        let (a, b) = (whole_numbers(m * (k + 2), 1), whole_numbers(n * k, 2));
        let (residual, bias) = (whole_numbers(m * n, 3), whole_numbers(n, 4));
        let lefts =
            [Matrix::strided(&a, m, k, k + 2), Matrix::dense(&a[..m * k], k, m).transposed()];
        let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
        let start: Vec<f32> = (0..m * n).map(|i| residual[i] + bias[i % n]).collect();
        for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
            for workers in [Workers::One, Workers::All] {
                let packed = Packed::new(kernel, right, workers);
                let addend = Addend::Rows { bias: Some(&bias), residual: Some(&residual) };
                let mut output = vec![f32::NAN; m * n];
                let target = MatrixMut::dense(&mut output, m, n);
                product(target, addend, left, &packed, 0.5, workers);
                assert_eq!(output, reference(left, right, 0.5, &start), "{m} x {n} x {k}");
            }
        }
    }
}

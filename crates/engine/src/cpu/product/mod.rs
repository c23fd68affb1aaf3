//! Matrix products: with AVX-512 by our own loops, elsewhere by the `gemm` crate. Sums over the
//! inner dimension run in one order whatever the thread count.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod packed;

/// Steps of the inner dimension that a tile of the output sums in registers: a stretch of a panel
/// and of the rows stays in the second cache. A constant, because it decides the order of the sums.
pub const DEPTH: usize = 512;

/// A matrix anywhere in memory.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values, `stride` apart.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || (rows - 1) * stride + columns <= values.len(),
            "a matrix past its values' end"
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows of `columns` values, one after the other.
    pub fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The first rows alone.
    pub fn first_rows(self, rows: usize) -> Self {
        assert!(rows <= self.rows, "{rows} rows of {}", self.rows);
        Self { rows, ..self }
    }

    /// The matrix with rows and columns exchanged; nothing moves.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to write, given by address because several tasks may write different columns
/// of the same rows.
pub struct MatrixMut<'a> {
    values: PhantomData<&'a mut [f32]>,
    pointer: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Consecutive rows of a slice.
    pub fn dense(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert!(rows * columns <= values.len(), "a matrix past its values' end");
        Self {
            values: PhantomData,
            pointer: values.as_mut_ptr(),
            rows,
            columns,
            row_stride: columns,
        }
    }

    /// Rows `stride` apart from an address on.
    ///
    /// # Safety
    /// The values `pointer[row * stride..][..columns]` of every row must be valid, and nobody else
    /// may use them while the matrix lives.
    pub unsafe fn strided(pointer: *mut f32, rows: usize, columns: usize, stride: usize) -> Self {
        Self { values: PhantomData, pointer, rows, columns, row_stride: stride }
    }
}

/// Who computes a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// All threads of the current rayon pool.
    All,
    /// Only the calling thread.
    One,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub enum Addend<'a> {
    Nothing,
    /// What the output holds.
    Output,
    /// A row that is added to each row, a matrix of the output's shape, or both.
    Rows {
        bias: Option<&'a [f32]>,
        residual: Option<&'a [f32]>,
    },
}

/// A right-hand side that several products may share.
pub struct RightHand<'a> {
    matrix: Matrix<'a>,
    #[cfg(target_arch = "x86_64")]
    packed: Option<packed::Packed>,
}

impl<'a> RightHand<'a> {
    /// Each product reads the matrix for itself.
    pub fn plain(matrix: Matrix<'a>) -> Self {
        Self {
            matrix,
            #[cfg(target_arch = "x86_64")]
            packed: None,
        }
    }

    /// The matrix is packed now, where our own products are used, for all that come.
    pub fn packed(matrix: Matrix<'a>) -> Self {
        Self {
            // Safety: the processor was asked.
            #[cfg(target_arch = "x86_64")]
            packed: packs(matrix).then(|| unsafe { packed::Packed::new(matrix, Workers::All) }),
            ..Self::plain(matrix)
        }
    }

    /// `output = scale * a * this`, plus the addend, to the same bits as `product`.
    pub fn multiply(&self, output: MatrixMut<'_>, addend: Addend<'_>, a: Matrix<'_>, scale: f32) {
        #[cfg(target_arch = "x86_64")]
        if let Some(packed) = self.packed.as_ref().filter(|_| output.rows >= FEW_ROWS) {
            check(&output, addend, a, self.matrix);
            // Safety: the processor was asked before anything was packed.
            return unsafe { packed::product(output, addend, a, packed, scale, Workers::All) };
        }
        product(output, addend, a, self.matrix, scale, Workers::All);
    }
}

/// Whether products with this right-hand side are our own.
#[cfg(target_arch = "x86_64")]
fn packs(b: Matrix<'_>) -> bool {
    b.rows > 0 && b.columns > 0 && std::arch::is_x86_feature_detected!("avx512f")
}

/// Panics when shapes do not fit.
fn check(output: &MatrixMut<'_>, addend: Addend<'_>, a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(
        (a.rows, a.columns, b.columns),
        (output.rows, b.rows, output.columns),
        "shapes of a product"
    );
    if let Addend::Rows { bias, residual } = addend {
        assert!(bias.is_none_or(|bias| bias.len() == output.columns), "a bias per column");
        assert!(
            residual.is_none_or(|residual| residual.len() == output.rows * output.columns),
            "a residual's size"
        );
    }
}

/// `output = scale * a * b`, plus the addend.
pub fn product(
    mut output: MatrixMut<'_>,
    addend: Addend<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    workers: Workers,
) {
    check(&output, addend, a, b);
    if output.rows == 0 || output.columns == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if output.rows >= FEW_ROWS && packs(b) {
        // Safety: the processor was asked.
        return unsafe {
            packed::product(output, addend, a, &packed::Packed::new(b, workers), scale, workers)
        };
    }
    if let Addend::Rows { bias, residual } = addend {
        output.start_rows(bias, residual);
    }
    let accumulate = !matches!(addend, Addend::Nothing);
    general_product(output, accumulate, a, b, scale, workers);
}

/// Fewer rows than this are left to `gemm`: packing would cost more than it gains.
const FEW_ROWS: usize = 4;
/// Up to this many values `gemm` adds up a product's terms in another order than for larger
/// outputs.
const SMALL_PRODUCT: usize = 256;

/// From this many rows on, a row of a product of so many columns has bits that depend on that row
/// and the right-hand matrix alone, not on the rows beside it.
pub fn independent_rows(columns: usize) -> usize {
    (SMALL_PRODUCT / columns.max(1) + 1).max(FEW_ROWS)
}

impl MatrixMut<'_> {
    /// Sets every row to the bias, the residual, or both.
    fn start_rows(&mut self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        for row in 0..self.rows {
            // Safety: the constructors checked, or were promised, that the row's values exist and
            // are nobody else's.
            let values = unsafe {
                std::slice::from_raw_parts_mut(
                    self.pointer.add(row * self.row_stride),
                    self.columns,
                )
            };
            match residual {
                None => values.fill(0.0),
                Some(residual) => {
                    values.copy_from_slice(&residual[row * self.columns..][..self.columns])
                }
            }
            for (value, bias) in values.iter_mut().zip(bias.into_iter().flatten()) {
                *value += bias;
            }
        }
    }
}

/// The product by the `gemm` crate, for any processor.
fn general_product(
    output: MatrixMut<'_>,
    accumulate: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    workers: Workers,
) {
    let parallelism = match workers {
        Workers::All => gemm::Parallelism::Rayon(0),
        Workers::One => gemm::Parallelism::None,
    };
    // Safety: the constructors checked (or were promised) that every addressed value exists, and
    // `output` is not shared: it was borrowed mutably or promised to be alone.
    unsafe {
        gemm::gemm(
            output.rows,
            output.columns,
            a.columns,
            output.pointer,
            1,
            output.row_stride as isize,
            accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    /// Plain sums in double precision.
    fn reference(a: Matrix<'_>, b: Matrix<'_>, scale: f32, start: &[f32]) -> Vec<f32> {
        let at = |m: Matrix<'_>, row, column| {
            m.values[row * m.row_stride + column * m.column_stride] as f64
        };
        (0..a.rows * b.columns)
            .map(|i| {
                let (row, column) = (i / b.columns, i % b.columns);
                let sum: f64 = (0..a.columns).map(|k| at(a, row, k) * at(b, k, column)).sum();
                (start[i] as f64 + scale as f64 * sum) as f32
            })
            .collect()
    }

    #[test]
    fn shapes_layouts_and_addends_match_plain_sums() {
        for (m, n, k) in [
            (1, 7, 11),
            (3, 65, 4),
            (5, 7, 11),
            (6, 64, 512),
            (13, 131, 513),
            (200, 70, 33),
            (7, 129, 1030),
            (20, 1100, 1030),
        ] {
            let (a, b) = (random(1, m * (k + 2)), random(2, n * k));
            let (old, bias, residual) = (random(3, m * n), random(4, n), random(5, m * n));
            let lefts =
                [Matrix::strided(&a, m, k, k + 2), Matrix::dense(&a[..m * k], k, m).transposed()];
            let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
            let rows = |bias, residual| Addend::Rows { bias, residual };
            let addends = [
                (Addend::Nothing, vec![0.0; m * n]),
                (Addend::Output, old.clone()),
                (rows(Some(&bias[..]), None), (0..m * n).map(|i| bias[i % n]).collect()),
                (rows(None, Some(&residual[..])), residual.clone()),
                (
                    rows(Some(&bias[..]), Some(&residual[..])),
                    (0..m * n).map(|i| bias[i % n] + residual[i]).collect(),
                ),
            ];
            for (left, right) in
                lefts.into_iter().flat_map(|left| rights.map(|right| (left, right)))
            {
                for (addend, start) in &addends {
                    let expected = reference(left, right, 0.5, start);
                    for workers in [Workers::One, Workers::All] {
                        let mut output = old.clone();
                        product(
                            MatrixMut::dense(&mut output, m, n),
                            *addend,
                            left,
                            right,
                            0.5,
                            workers,
                        );
                        assert_close(&output, &expected, 1e-4);
                    }
                    let mut output = old.clone();
                    RightHand::packed(right).multiply(
                        MatrixMut::dense(&mut output, m, n),
                        *addend,
                        left,
                        0.5,
                    );
                    assert_close(&output, &expected, 1e-4);
                    let mut output = old.clone();
                    let mut target = MatrixMut::dense(&mut output, m, n);
                    if let Addend::Rows { bias, residual } = *addend {
                        target.start_rows(bias, residual);
                    }
                    let accumulate = !matches!(addend, Addend::Nothing);
                    general_product(target, accumulate, left, right, 0.5, Workers::One);
                    assert_close(&output, &expected, 1e-4);
                }
            }
        }
    }

    #[test]
    fn an_output_with_a_stride_leaves_the_rest_alone() {
        let (m, n, k, stride) = (9, 20, 5, 33);
        let (a, b) = (random(1, m * k), random(2, k * n));
        let mut values = vec![7.0; m * stride];
        // Safety: the rows lie within `values`, which nobody else uses.
        let output = unsafe { MatrixMut::strided(values.as_mut_ptr(), m, n, stride) };
        product(
            output,
            Addend::Nothing,
            Matrix::dense(&a, m, k),
            Matrix::dense(&b, k, n),
            1.0,
            Workers::One,
        );
        let expected =
            reference(Matrix::dense(&a, m, k), Matrix::dense(&b, k, n), 1.0, &vec![0.0; m * n]);
        for (row, expected) in values.chunks(stride).zip(expected.chunks(n)) {
            assert_close(&row[..n], expected, 1e-5);
            assert!(row[n..].iter().all(|&value| value == 7.0));
        }
    }

    /// A sequence gives the same bits whatever else is in its batch.
    #[test]
    fn a_row_does_not_depend_on_the_rows_around_it() {
        const MOST: usize = 300;
        for (n, k) in [(1, 64), (16, 48), (48, 16), (70, 101), (257, 700), (1024, 256), (4000, 64)]
        {
            let (a, b) = (random(1, MOST * k), random(2, n * k));
            let right = Matrix::dense(&b, n, k).transposed();
            let compute = |rows: std::ops::Range<usize>,
                           multiply: &dyn Fn(MatrixMut<'_>, Matrix<'_>)| {
                let mut output = vec![0.0; rows.len() * n];
                let left = Matrix::dense(&a[rows.start * k..rows.end * k], rows.len(), k);
                multiply(MatrixMut::dense(&mut output, rows.len(), n), left);
                output
            };
            let chosen = |output: MatrixMut<'_>, left: Matrix<'_>| {
                product(output, Addend::Nothing, left, right, 1.0, Workers::All);
            };
            let general = |output: MatrixMut<'_>, left: Matrix<'_>| {
                general_product(output, false, left, right, 1.0, Workers::All);
            };
            for multiply in [&chosen as &dyn Fn(MatrixMut<'_>, Matrix<'_>), &general] {
                let whole = compute(0..MOST, multiply);
                for m in (2..40)
                    .chain([63, 64, 65, 128, 129, 255, 257, 299])
                    .filter(|&m| m >= independent_rows(n))
                {
                    assert!(
                        compute(0..m, multiply) == whole[..m * n],
                        "{m} rows of {n} columns, {k} terms"
                    );
                    assert!(
                        compute(MOST - m..MOST, multiply) == whole[(MOST - m) * n..],
                        "the last {m} rows"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_by_nothing_leaves_the_addend() {
        let (bias, residual) = ([1.0, 2.0], [3.0; 6]);
        let addends = [
            (Addend::Nothing, [0.0; 6]),
            (Addend::Output, [9.0; 6]),
            (
                Addend::Rows { bias: Some(&bias), residual: Some(&residual) },
                [4.0, 5.0, 4.0, 5.0, 4.0, 5.0],
            ),
        ];
        for (addend, expected) in addends {
            let mut output = [9.0; 6];
            let (left, right) = (Matrix::dense(&[], 3, 0), Matrix::dense(&[], 0, 2));
            product(MatrixMut::dense(&mut output, 3, 2), addend, left, right, 1.0, Workers::All);
            assert_eq!(output, expected);
        }
        for (rows, columns) in [(0, 5), (5, 0)] {
            let values = [1.0; 10];
            let (left, right) =
                (Matrix::dense(&values, rows, 2), Matrix::dense(&values, 2, columns));
            let output = MatrixMut::dense(&mut [], rows, columns);
            RightHand::packed(right).multiply(output, Addend::Nothing, left, 1.0);
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let (m, n, k) = (131, 257, 700);
        let (a, b) = (random(1, m * k), random(2, n * k));
        let lefts = [Matrix::dense(&a, m, k), Matrix::dense(&a, k, m).transposed()];
        let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
        for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
            let compute = |threads, is_shared: bool| {
                let mut output = vec![0.0; m * n];
                let multiply = || {
                    let target = MatrixMut::dense(&mut output, m, n);
                    match is_shared {
                        true => {
                            RightHand::packed(right).multiply(target, Addend::Nothing, left, 1.0)
                        }
                        false => product(target, Addend::Nothing, left, right, 1.0, Workers::All),
                    }
                };
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap()
                    .install(multiply);
                output
            };
            let alone = compute(1, false);
            for threads in [2, 3, 5] {
                assert!(
                    alone == compute(threads, false),
                    "{threads} threads give other bits than one"
                );
                assert!(
                    alone == compute(threads, true),
                    "{threads} threads and a shared side give other bits"
                );
            }
        }
    }
}

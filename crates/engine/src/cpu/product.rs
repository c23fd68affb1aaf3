//! Matrix products by the `gemm` crate, whose sums over the inner dimension run in one order whatever the thread count.

use std::marker::PhantomData;

/// Up to this many values, and for a single row or column, `gemm` adds up a product's terms in another order than for
/// larger ones. Beyond, a row's bits depend on that row and the right-hand matrix alone, not on the rows beside it.
pub const SMALL_PRODUCT: usize = 256;

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
        assert!(rows == 0 || (rows - 1) * stride + columns <= values.len(), "a matrix past its values' end");
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows of `columns` values, one after the other.
    pub fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
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

/// A row-major matrix to write, given by address because several tasks may write different columns of the same rows.
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
        Self { values: PhantomData, pointer: values.as_mut_ptr(), rows, columns, row_stride: columns }
    }

    /// Rows `stride` apart from an address on.
    ///
    /// # Safety
    /// The values `pointer[row * stride..][..columns]` of every row must be valid, and nobody else may use them while
    /// the matrix lives.
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

/// `output = scale * a * b`, plus the old output when `accumulate`.
pub fn product(output: MatrixMut<'_>, accumulate: bool, a: Matrix<'_>, b: Matrix<'_>, scale: f32, workers: Workers) {
    assert_eq!((a.rows, a.columns, b.columns), (output.rows, b.rows, output.columns), "shapes of a product");
    if output.rows == 0 || output.columns == 0 {
        return;
    }
    let parallelism = match workers {
        Workers::All => gemm::Parallelism::Rayon(0),
        Workers::One => gemm::Parallelism::None,
    };
    // Safety: the constructors checked (or were promised) that every addressed value exists, and `output` is not
    // shared: it was borrowed mutably or promised to be alone.
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

    #[test]
    fn transposes_strides_and_accumulation_match_plain_sums() {
        let (m, n, k, stride) = (5, 7, 11, 13);
        let (a, b) = (random(1, m * stride), random(2, n * k));
        let start = random(3, m * n);
        let mut output = start.clone();
        let left = Matrix::strided(&a, m, k, stride);
        let right = Matrix::dense(&b, n, k).transposed();
        product(MatrixMut::dense(&mut output, m, n), true, left, right, 0.5, Workers::One);
        let expected: Vec<f32> = (0..m * n)
            .map(|i| start[i] + 0.5 * (0..k).map(|x| a[i / n * stride + x] * b[i % n * k + x]).sum::<f32>())
            .collect();
        assert_close(&output, &expected, 1e-5);
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let (m, n, k) = (131, 257, 700);
        let (a, b) = (random(1, m * k), random(2, n * k));
        let compute = |threads| {
            let mut output = vec![0.0; m * n];
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let right = Matrix::dense(&b, n, k).transposed();
                product(MatrixMut::dense(&mut output, m, n), false, Matrix::dense(&a, m, k), right, 1.0, Workers::All)
            });
            output
        };
        let alone = compute(1);
        for threads in [2, 3, 5] {
            assert!(alone == compute(threads), "{threads} threads give other bits than one");
        }
    }

    #[test]
    fn rows_of_large_products_do_not_depend_on_the_rows_beside_them() {
        const MOST: usize = 300;
        for (n, k) in [(1, 64), (16, 48), (48, 16), (70, 101), (257, 700), (1024, 256), (4000, 64)] {
            let (a, b) = (random(1, MOST * k), random(2, n * k));
            let compute = |m: usize| {
                let mut output = vec![0.0; m * n];
                let right = Matrix::dense(&b, n, k).transposed();
                let left = Matrix::dense(&a[..m * k], m, k);
                product(MatrixMut::dense(&mut output, m, n), false, left, right, 1.0, Workers::All);
                output
            };
            let whole = compute(MOST);
            for m in (2..40).chain([63, 64, 65, 128, 129, 255, 257, 299]).filter(|m| m * n > SMALL_PRODUCT) {
                assert!(compute(m) == whole[..m * n], "{m} rows of {n} columns, {k} terms");
            }
        }
    }
}

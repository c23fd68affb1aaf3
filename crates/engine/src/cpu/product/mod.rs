//! Matrix products: with AVX-512 by our own loops, elsewhere by the `gemm` crate. Sums over the
//! inner dimension run in one order whatever the thread count.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod microkernel;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(target_arch = "x86_64")]
mod packed;
#[cfg(target_arch = "x86_64")]
mod scratch;

/// The microkernel of this program's own products.
#[cfg(target_arch = "x86_64")]
type Kernel = avx512::Avx512;

/// Values of the inner dimension that a tile of the output sums in registers: a block of a panel
/// and of the rows stays in L2. A constant, because it decides the order of the sums.
pub(super) const DEPTH: usize = 512;

/// A matrix anywhere in memory.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values, `stride` apart.
    pub(super) fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || (rows - 1) * stride + columns <= values.len(),
            "a matrix past its values' end"
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows of `columns` values, one after the other.
    pub(super) fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The first rows alone.
    pub(super) fn first_rows(self, rows: usize) -> Self {
        assert!(rows <= self.rows, "{rows} rows of {}", self.rows);
        Self { rows, ..self }
    }

    /// The matrix with rows and columns exchanged; nothing moves.
    pub(super) fn transposed(self) -> Self {
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
pub(super) struct MatrixMut<'a> {
    values: PhantomData<&'a mut [f32]>,
    pointer: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Consecutive rows of a slice.
    pub(super) fn dense(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
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
    /// The values `pointer[row * stride..][..columns]` of every row must be valid, and nothing else
    /// may use them while the matrix lives.
    pub(super) unsafe fn strided(
        pointer: *mut f32,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Self {
        Self { values: PhantomData, pointer, rows, columns, row_stride: stride }
    }
}

/// Who computes a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Workers {
    /// All threads of the current rayon pool.
    All,
    /// Only the calling thread.
    One,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Addend<'a> {
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
pub(super) struct RightHand<'a> {
    matrix: Matrix<'a>,
    #[cfg(target_arch = "x86_64")]
    packed: Option<packed::Packed<Kernel>>,
}

impl<'a> RightHand<'a> {
    /// Each product reads the matrix for itself.
    pub(super) fn plain(matrix: Matrix<'a>) -> Self {
        Self {
            matrix,
            #[cfg(target_arch = "x86_64")]
            packed: None,
        }
    }

    /// The matrix is packed now, where our own products are used, for all that come.
    pub(super) fn packed(matrix: Matrix<'a>) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            packed: kernel_for(matrix)
                .map(|kernel| packed::Packed::new(kernel, matrix, Workers::All)),
            ..Self::plain(matrix)
        }
    }

    /// `output = scale * a * this`, plus the addend, to the same bits as `product`.
    pub(super) fn multiply(
        &self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        scale: f32,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Some(packed) = self.packed.as_ref().filter(|_| output.rows >= FEW_ROWS) {
            check(&output, addend, a, self.matrix);
            return packed::product(output, addend, a, packed, scale, Workers::All);
        }
        product(output, addend, a, self.matrix, scale, Workers::All);
    }
}

/// The microkernel for products with this right-hand side; none where they are left to `gemm`.
#[cfg(target_arch = "x86_64")]
fn kernel_for(b: Matrix<'_>) -> Option<Kernel> {
    use microkernel::Microkernel;
    Kernel::detect().filter(|_| b.rows > 0 && b.columns > 0)
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
pub(super) fn product(
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
    if output.rows >= FEW_ROWS
        && let Some(kernel) = kernel_for(b)
    {
        let packed = packed::Packed::new(kernel, b, workers);
        return packed::product(output, addend, a, &packed, scale, workers);
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
pub(super) fn independent_rows(columns: usize) -> usize {
    (SMALL_PRODUCT / columns.max(1) + 1).max(FEW_ROWS)
}

impl MatrixMut<'_> {
    /// Sets every row to the bias, the residual, or both.
    fn start_rows(&mut self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        for row in 0..self.rows {
            // Safety: the constructors checked, or were promised, that the row's values exist and
            // are not shared.
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
mod tests;

//! Matrix products: of f32 with AVX-512 or AVX2 by our own loops, elsewhere by the `gemm` crate; of
//! bf16 by our own loops everywhere. Sums over the inner dimension run in one order whatever the
//! thread count.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(super) mod bf16;
#[cfg(target_arch = "x86_64")]
mod f32_instructions;
#[cfg(target_arch = "x86_64")]
mod f32_kernel;
mod microkernel;
mod pack;
mod packed;
mod scratch;

use super::values::{Values, ValuesMut};
use bf16::{Bf16, PackedBf16};
#[cfg(target_arch = "x86_64")]
use f32_instructions::{F32Instructions, PackedF32};
pub(super) use scratch::Scratch;

/// Values of the inner dimension that a tile of the output sums in registers: a block of a panel
/// and of the rows stays in L2. A constant, because it decides the order of the sums.
pub(super) const DEPTH: usize = 512;

/// A matrix anywhere in memory.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: Values<'a>,
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values, `stride` apart.
    pub(super) fn strided(
        values: impl Into<Values<'a>>,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Self {
        let values = values.into();
        assert!(
            rows == 0 || (rows - 1) * stride + columns <= values.len(),
            "a matrix past its values' end"
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows of `columns` values, one after the other.
    pub(super) fn dense(values: impl Into<Values<'a>>, rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The value at a row and a column, if there is one.
    fn get(&self, row: usize, column: usize) -> Option<f32> {
        let is_there = row < self.rows && column < self.columns;
        is_there.then(|| self.values.at(row * self.row_stride + column * self.column_stride))
    }

    /// The values in memory, of a matrix of f32.
    fn f32s(&self) -> &'a [f32] {
        match self.values {
            Values::F32(values) => values,
            Values::Bf16(_) => unreachable!("products of f32 read f32"),
        }
    }

    /// The first rows alone.
    pub(super) fn first_rows(self, rows: usize) -> Self {
        assert!(rows <= self.rows, "{rows} rows of {}", self.rows);
        Self { rows, ..self }
    }

    /// The first columns alone.
    pub(super) fn first_columns(self, columns: usize) -> Self {
        assert!(columns <= self.columns, "{columns} columns of {}", self.columns);
        Self { columns, ..self }
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
    start: Start,
    rows: usize,
    columns: usize,
    row_stride: usize,
}

/// The first value of a matrix to write.
#[derive(Clone, Copy)]
pub(super) enum Start {
    F32(*mut f32),
    Bf16(*mut u16),
}

impl Start {
    /// The first of these values.
    pub(super) fn of(values: ValuesMut<'_>) -> Self {
        match values {
            ValuesMut::F32(values) => Self::F32(values.as_mut_ptr()),
            ValuesMut::Bf16(values) => Self::Bf16(values.as_mut_ptr()),
        }
    }

    /// The value `count` places on.
    pub(super) fn add(self, count: usize) -> Self {
        match self {
            Self::F32(start) => Self::F32(start.wrapping_add(count)),
            Self::Bf16(start) => Self::Bf16(start.wrapping_add(count)),
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Consecutive rows.
    pub(super) fn dense(values: impl Into<ValuesMut<'a>>, rows: usize, columns: usize) -> Self {
        let values = values.into();
        assert!(rows * columns <= values.len(), "a matrix past its values' end");
        Self { values: PhantomData, start: Start::of(values), rows, columns, row_stride: columns }
    }

    /// The first value of a matrix of f32.
    fn f32s(&self) -> *mut f32 {
        match self.start {
            Start::F32(start) => start,
            Start::Bf16(_) => unreachable!("products of f32 write f32"),
        }
    }

    /// Rows `stride` apart from an address on.
    ///
    /// # Safety
    /// The values `start[row * stride..][..columns]` of every row must be valid, and nothing else
    /// may use them while the matrix lives.
    pub(super) unsafe fn strided(start: Start, rows: usize, columns: usize, stride: usize) -> Self {
        Self { values: PhantomData, start, rows, columns, row_stride: stride }
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

/// What a device's products read: f32, or values rounded to bf16.
#[derive(Clone, Copy, Default)]
pub(super) enum Products {
    #[default]
    F32,
    Bf16(Bf16),
}

/// A right-hand side that several products may share.
pub(super) struct RightHand<'a> {
    products: Products,
    matrix: Matrix<'a>,
    packed: Option<Packed>,
}

/// A packed right-hand side.
enum Packed {
    #[cfg(target_arch = "x86_64")]
    F32(PackedF32),
    Bf16(PackedBf16),
}

impl RightHand<'_> {
    /// `output = scale * a * this`, plus the addend, to the same bits as `product`.
    pub(super) fn multiply(
        &self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        scale: f32,
    ) {
        self.multiply_part(output, addend, a, scale, Workers::All);
    }

    /// `output = scale * a * this`, plus the addend, with the first columns of this, as many as the
    /// output has, and its first rows, as many as `a` has columns.
    pub(super) fn multiply_part(
        &self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        scale: f32,
        workers: Workers,
    ) {
        let matrix = self.matrix.first_rows(a.columns).first_columns(output.columns);
        check(&output, addend, a, matrix);
        match &self.packed {
            #[cfg(target_arch = "x86_64")]
            Some(Packed::F32(packed)) if output.rows >= FEW_ROWS => {
                packed.multiply(output, addend, a, scale, workers);
            }
            Some(Packed::Bf16(packed)) if output.rows > 0 => {
                packed.multiply(output, addend, a, scale, workers);
            }
            _ => self.products.product(output, addend, a, matrix, scale, workers),
        }
    }
}

/// This program's own products of f32 with this right-hand side; none where they are left to
/// `gemm`.
#[cfg(target_arch = "x86_64")]
fn own_instructions_for(b: Matrix<'_>) -> Option<F32Instructions> {
    F32Instructions::detect().filter(|_| b.rows > 0 && b.columns > 0)
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

impl Products {
    /// A right-hand side that each product reads for itself.
    pub(super) fn plain(self, matrix: Matrix<'_>) -> RightHand<'_> {
        RightHand { products: self, matrix, packed: None }
    }

    /// A right-hand side that is packed now, where our own products are used, for all that come.
    pub(super) fn packed(self, matrix: Matrix<'_>) -> RightHand<'_> {
        let has_values = matrix.rows > 0 && matrix.columns > 0;
        let packed = match self {
            #[cfg(target_arch = "x86_64")]
            Self::F32 => {
                own_instructions_for(matrix).map(|own| Packed::F32(own.pack(matrix, Workers::All)))
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::F32 => None,
            Self::Bf16(bf16) => has_values.then(|| Packed::Bf16(bf16.pack(matrix, Workers::All))),
        };
        RightHand { packed, ..self.plain(matrix) }
    }

    /// A right-hand side for several products by the calling thread, packed where that pays.
    pub(super) fn local(self, matrix: Matrix<'_>) -> RightHand<'_> {
        let packed = match self {
            Self::Bf16(bf16) if matrix.rows > 0 && matrix.columns > 0 => {
                Some(Packed::Bf16(bf16.pack(matrix, Workers::One)))
            }
            _ => None,
        };
        RightHand { packed, ..self.plain(matrix) }
    }

    /// `output = scale * a * b`, plus the addend.
    pub(super) fn product(
        self,
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
        match self {
            Self::Bf16(bf16) => return bf16.product(output, addend, a, b, scale, workers),
            #[cfg(target_arch = "x86_64")]
            Self::F32 if output.rows >= FEW_ROWS => {
                if let Some(own) = own_instructions_for(b) {
                    return own.pack(b, workers).multiply(output, addend, a, scale, workers);
                }
            }
            _ => {}
        }
        if let Addend::Rows { bias, residual } = addend {
            output.start_rows(bias, residual);
        }
        let accumulate = !matches!(addend, Addend::Nothing);
        general_product(output, accumulate, a, b, scale, workers);
    }

    /// From this many rows on, a row of a product of `columns` columns has bits that depend on that
    /// row and the right-hand matrix alone, not on the rows beside it.
    pub(super) fn independent_rows(self, columns: usize) -> usize {
        match self {
            Self::F32 => (SMALL_PRODUCT / columns.max(1) + 1).max(FEW_ROWS),
            Self::Bf16(_) => 1,
        }
    }
}

/// Of f32, fewer rows than this are left to `gemm`: packing would cost more than it gains.
const FEW_ROWS: usize = 4;
/// Up to this many values `gemm` adds up a product's terms in another order than for larger
/// outputs.
const SMALL_PRODUCT: usize = 256;

impl MatrixMut<'_> {
    /// Sets every row to the bias, the residual, or both.
    fn start_rows(&mut self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        for row in 0..self.rows {
            // Safety: the constructors checked, or were promised, that the row's values exist and
            // are not shared.
            let values = unsafe {
                std::slice::from_raw_parts_mut(self.f32s().add(row * self.row_stride), self.columns)
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
            output.f32s(),
            1,
            output.row_stride as isize,
            accumulate,
            a.f32s().as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.f32s().as_ptr(),
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

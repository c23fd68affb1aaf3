//! The program's own products of f32, by the instructions that the processor has: to the same bits
//! whichever they are.

use super::avx2::Avx2;
use super::avx512::Avx512;
use super::packed::{self, Packed};
use super::{Addend, Matrix, MatrixMut, Workers};

/// The instructions that multiply f32.
#[derive(Clone, Copy, Debug)]
pub(super) enum F32Instructions {
    Avx512(Avx512),
    Avx2(Avx2),
}

/// A packed right-hand side.
pub(super) enum PackedF32 {
    Avx512(Packed<Avx512>),
    Avx2(Packed<Avx2>),
}

impl F32Instructions {
    /// The fastest that this processor has; none where products are left to `gemm`.
    pub(super) fn detect() -> Option<Self> {
        Avx512::detect().map(Self::Avx512).or_else(|| Avx2::detect().map(Self::Avx2))
    }

    /// Packs a right-hand side that is not empty.
    pub(super) fn pack(self, b: Matrix<'_>, workers: Workers) -> PackedF32 {
        match self {
            Self::Avx512(kernel) => PackedF32::Avx512(Packed::new(kernel, b, workers)),
            Self::Avx2(kernel) => PackedF32::Avx2(Packed::new(kernel, b, workers)),
        }
    }
}

impl PackedF32 {
    /// `output = scale * a * this`, plus the addend.
    pub(super) fn multiply(
        &self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        scale: f32,
        workers: Workers,
    ) {
        match self {
            Self::Avx512(packed) => packed::product(output, addend, a, packed, scale, workers),
            Self::Avx2(packed) => packed::product(output, addend, a, packed, scale, workers),
        }
    }
}

//! The vectors of AVX-512, of which the [microkernel of f32](super::f32_kernel) is made.

use std::arch::x86_64::*;

use super::f32_kernel::{self, Vector};
use super::microkernel::{Left, Target};

/// Values in a register.
const LANES: usize = 16;

/// Vectors of AVX-512F, which this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The kernel, if this processor has its instructions.
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Vector for Avx512 {
    type Register = __m512;
    type Square = [__m512; LANES];
    const LANES: usize = LANES;
    const REGISTERS: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // Safety: `self` is proof of AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn square(self) -> Self::Square {
        [self.splat(0.0); LANES]
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // Safety: `self` is proof of AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // Safety: `self` is proof of AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn transposed(self, rows: Self::Square) -> Self::Square {
        // Safety: `self` is proof of AVX-512F.
        unsafe { transposed(rows) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // Safety: promised by the caller; `self` is proof of AVX-512F.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m512 {
        // Safety: promised by the caller; `self` is proof of AVX-512F.
        unsafe { _mm512_maskz_loadu_ps(lanes(count), from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: __m512) {
        // Safety: promised by the caller; `self` is proof of AVX-512F.
        unsafe { _mm512_storeu_ps(to, values) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, values: __m512) {
        // Safety: promised by the caller; `self` is proof of AVX-512F.
        unsafe { _mm512_mask_storeu_ps(to, lanes(count), values) }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn fixed_tile<const ROWS: usize, const REGISTERS: usize>(
        self,
        steps: usize,
        left: Left<f32>,
        panel: *const f32,
        target: Target,
    ) {
        // Safety: passed on from the caller.
        unsafe {
            f32_kernel::fixed_tile::<_, ROWS, REGISTERS>(self, steps, left, panel, target);
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn pack_transposed(
        self,
        start: *const f32,
        stride: usize,
        columns: usize,
        depth: usize,
        panel: &mut [f32],
    ) {
        // Safety: passed on from the caller.
        unsafe { f32_kernel::pack_transposed(self, start, stride, columns, depth, panel) }
    }
}

/// A mask of the first `count` lanes.
#[inline(always)]
fn lanes(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// Exchanges rows and columns of a 16 by 16 square.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512; LANES]) -> [__m512; LANES] {
    let mut pairs = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    // Now lane group g of `fours[4 * q + j]` holds column 4 * g + j of rows 4 * q to 4 * q + 3.
    let mut fours = pairs;
    for q in (0..LANES).step_by(4) {
        let cast = |row| _mm512_castps_pd(row);
        let (a, b, c, d) =
            (cast(pairs[q]), cast(pairs[q + 1]), cast(pairs[q + 2]), cast(pairs[q + 3]));
        fours[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        fours[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        fours[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        fours[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    let mut columns = fours;
    for j in 0..4 {
        let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
        let (ab_even, ab_odd) =
            (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
        columns[j] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
        columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
        columns[8 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_even, cd_even);
        columns[12 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_odd, cd_odd);
    }
    columns
}

//! How sums in vector registers become values of the output.

use std::arch::x86_64::*;

use super::super::microkernel::Target;
use super::pairs::lanes;

/// Stores `base + bias + scale * sums` in up to 16 columns of a row, from `first` on, rounded where
/// the target is.
///
/// # Safety
/// As for `Microkernel::tile`; the row and the column `first` are the target's, and the processor
/// has AVX-512BW, AVX-512VL and AVX512-BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn store_sums(target: &Target, row: usize, first: usize, sums: __m512) {
    let mask = lanes(target.columns - first);
    // Safety: the mask leaves only columns of the target.
    unsafe {
        let mut before = _mm512_setzero_ps();
        if !target.base.is_null() {
            let base = target.base.add(row * target.base_row_stride + first);
            before = _mm512_maskz_loadu_ps(mask, base);
        }
        if !target.bias.is_null() {
            let bias = _mm512_maskz_loadu_ps(mask, target.bias.add(first));
            before = _mm512_add_ps(before, bias);
        }
        let value = _mm512_fmadd_ps(_mm512_set1_ps(target.scale), sums, before);
        if target.rounded.is_null() {
            let place = target.start.add(row * target.row_stride + first);
            _mm512_mask_storeu_ps(place, mask, value);
        } else {
            let place = target.rounded.add(row * target.rounded_row_stride + first);
            let rounded = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value));
            _mm256_mask_storeu_epi16(place.cast(), mask, rounded);
        }
    }
}

//! bf16: the upper half of an f32.

/// Rounds to the nearest bf16, of two equally near ones to the even one. Denormal numbers become
/// zero and a NaN stays one, as `vcvtneps2bf16` does it.
#[inline(always)]
pub(in crate::cpu) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7FFF_FFFF;
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16;
    let chosen = if magnitude > 0x7F80_0000 {
        (bits >> 16) | 0x40
    } else if magnitude < 0x0080_0000 {
        (bits >> 16) & 0x8000
    } else {
        rounded
    };
    chosen as u16
}

/// What rounding leaves, rounded: together both have 16 bits of a number's 24. Nothing of a number
/// that rounds to infinity, and of what is no number.
#[inline(always)]
pub(in crate::cpu) fn rest(value: f32) -> u16 {
    let rest = value - widen(round(value));
    if rest.is_finite() { round(rest) } else { 0 }
}

/// The value as an f32, exactly.
#[inline(always)]
pub(in crate::cpu) fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_to_the_nearest_even() {
        for (value, expected) in [
            (1.0, 0x3F80),
            (f32::from_bits(0x3F80_8000), 0x3F80),
            (f32::from_bits(0x3F80_8001), 0x3F81),
            (f32::from_bits(0x3F81_8000), 0x3F82),
            (f32::MAX, 0x7F80),
            (f32::NEG_INFINITY, 0xFF80),
            (-1e-40, 0x8000),
            (f32::MIN_POSITIVE, 0x0080),
        ] {
            assert_eq!(round(value), expected, "{value:e}");
        }
        assert!(widen(round(f32::NAN)).is_nan());
        assert!(widen(round(f32::from_bits(0xFF80_0001))).is_nan());
        assert_eq!(widen(0x3F81), 1.007_812_5);
        for value in [1.0f32 / 3.0, -1e20, 77.77] {
            let both = widen(round(value)) as f64 + widen(rest(value)) as f64;
            assert!((both / value as f64 - 1.0).abs() < 2f64.powi(-16), "{value}");
        }
        assert_eq!([f32::INFINITY, f32::NAN, f32::MAX, 1.0].map(rest), [0; 4]);
    }
}

//! Elementary functions and sums that the compiler can vectorise. All are `#[inline(always)]`, so
//! that they become part of the `vectorised!` function that calls them.

/// Partial sums that run side by side; a fixed number, so that results do not depend on the
/// instruction set.
const LANES: usize = 16;

/// `e^x` to about 2 units in the last place; 0 below -87, clamped above 88.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // e^x = 2^n * e^r with |r| <= ln(2) / 2; adding 1.5 * 2^23 leaves n in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let bounded = x.clamp(-88.0, 88.0);
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-1.428_606_8e-6, n.mul_add(-0.693_145_75, bounded));
    let p = r.mul_add(1.987_569_1e-4, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

/// Natural logarithm to about 2 units in the last place; negative infinity for 0 and below the
/// smallest normal number, NaN for what is negative.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // x = 2^n * m with m from sqrt(1/2) to sqrt(2); ln m = 2 * artanh(s) with s = (m - 1) / (m +
    // 1), |s| < 0.172, where the series is exact enough after its fifth term.
    const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let above = x.to_bits().wrapping_sub(SQRT_HALF);
    let n = ((above as i32) >> 23) as f32;
    let m = f32::from_bits((above & 0x007F_FFFF) + SQRT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = square.mul_add(2.0 / 9.0, 2.0 / 7.0);
    let series = series.mul_add(square, 2.0 / 5.0);
    let series = series.mul_add(square, 2.0 / 3.0);
    let ln_m = (series * square).mul_add(s, 2.0 * s);
    let ln = n.mul_add(0.693_145_75, n.mul_add(1.428_606_8e-6, ln_m));
    if x == f32::INFINITY {
        x
    } else if x >= f32::MIN_POSITIVE {
        ln
    } else if x >= 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// The error function, to about 2e-7. Below 1 a polynomial in `x^2`, above it `1 - e^p(x)`, both
/// fitted by least squares at Chebyshev's points to 2e-9 and better; from 4 on it is 1 in single
/// precision.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let square = x * x;
    let p = square.mul_add(7.882_497_4e-5, -8.018_855e-4);
    let p = p.mul_add(square, 5.189_312e-3);
    let p = p.mul_add(square, -2.685_432_9e-2);
    let p = p.mul_add(square, 1.128_359_7e-1);
    let p = p.mul_add(square, -3.761_262_6e-1);
    let p = p.mul_add(square, std::f32::consts::FRAC_2_SQRT_PI);
    let t = x.abs().min(4.0);
    let q = t.mul_add(1.855_757_7e-4, -2.939_624e-3);
    let q = q.mul_add(t, 2.180_538_3e-2);
    let q = q.mul_add(t, -1.030_375e-1);
    let q = q.mul_add(t, -6.382_255_6e-1);
    let q = q.mul_add(t, -1.127_040_1);
    let q = q.mul_add(t, -3.536_984_4e-4);
    let far = (1.0 - exp(q)).copysign(x);
    if x.abs() < 1.0 {
        x * p
    } else if x.is_nan() {
        x
    } else {
        far
    }
}

/// The sum of `term` over the values at the same place of equally long slices.
#[inline(always)]
pub(super) fn sum_over<const N: usize>(slices: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let count = slices[0].len();
    let whole = count - count % LANES;
    let mut lanes = [0.0f32; LANES];
    for start in (0..whole).step_by(LANES) {
        let chunk = gather(slices, start, LANES);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(values_at(chunk, lane));
        }
    }
    for (index, sum) in (whole..count).zip(&mut lanes) {
        *sum += term(values_at(slices, index));
    }
    add_lanes(lanes)
}

/// The sum of `sum_over`, finished in double precision, so that many terms cost no precision.
#[inline(always)]
pub(super) fn long_sum_over<const N: usize>(
    slices: [&[f32]; N],
    term: impl Fn([f32; N]) -> f32,
) -> f64 {
    const PIECE: usize = 64 * LANES;
    let count = slices[0].len();
    let mut sum = 0.0;
    for start in (0..count).step_by(PIECE) {
        sum += sum_over(gather(slices, start, PIECE.min(count - start)), &term) as f64;
    }
    sum
}

#[inline(always)]
fn gather<const N: usize>(mut slices: [&[f32]; N], start: usize, length: usize) -> [&[f32]; N] {
    for slice in &mut slices {
        *slice = &slice[start..start + length];
    }
    slices
}

#[inline(always)]
fn values_at<const N: usize>(slices: [&[f32]; N], index: usize) -> [f32; N] {
    let mut values = [0.0; N];
    for (value, slice) in values.iter_mut().zip(slices) {
        *value = slice[index];
    }
    values
}

/// The sum of the values.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    sum_over([values], |[value]| value)
}

/// The sum of the products of two equally long slices.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_over([a, b], |[a, b]| a * b)
}

/// The largest value; negative infinity for none. A NaN among the values is passed over.
#[inline(always)]
pub(super) fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    rest.iter()
        .chain(&lanes)
        .fold(f32::NEG_INFINITY, |top, &value| if value > top { value } else { top })
}

/// Replaces every value by `function(value)` and returns the sum of the new ones.
#[inline(always)]
pub(super) fn map_and_sum(values: &mut [f32], function: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = function(*value);
            *lane += *value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *value = function(*value);
        *lane += *value;
    }
    add_lanes(lanes)
}

#[inline(always)]
fn add_lanes(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut sums = lanes;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for index in -86_900..=87_900 {
            let x = index as f32 * 1e-3;
            let exact = (x as f64).exp();
            worst = worst.max(((exp(x) as f64 - exact) / exact).abs());
        }
        assert!(worst < 3e-7, "worst relative error {worst}");
        assert_eq!((exp(0.0), exp(-1000.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_exact_to_a_few_units_in_the_last_place() {
        let mut worst = 0.0f64;
        let mut compare = |x: f32| {
            let exact = (x as f64).ln();
            // Near 1, where the logarithm vanishes, a unit in the last place of 1 + x is what
            // counts.
            worst = worst.max((ln(x) as f64 - exact).abs() / exact.abs().max(1e-6));
        };
        for step in -87_000..=88_000 {
            compare((step as f64 * 1e-3).exp() as f32);
        }
        for step in -500_000..=500_000 {
            compare(1.0 + step as f32 * 1e-6);
        }
        assert!(worst < 3e-7, "worst relative error {worst}");
        assert_eq!(
            (ln(1.0), ln(f32::MIN_POSITIVE), ln(f32::MAX)),
            (0.0, f32::MIN_POSITIVE.ln(), f32::MAX.ln())
        );
        assert_eq!(
            (ln(0.0), ln(1e-40), ln(f32::INFINITY)),
            (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY)
        );
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_and_sigmoid_follow_the_library() {
        for index in -2000..2000 {
            let x = index as f32 * 0.01;
            assert!((tanh(x) - x.tanh()).abs() < 1e-6);
            assert!((sigmoid(x) as f64 - 1.0 / (1.0 + (-x as f64).exp())).abs() < 1e-6);
        }
    }

    #[test]
    fn erf_follows_its_series() {
        let series = crate::ops::exact_gelu::tests::erf;
        for index in -7000..=7000 {
            let x = index as f32 * 1e-3;
            let error = (erf(x) as f64 - series(x as f64)).abs();
            assert!(error < 2e-7, "erf({x}) is off by {error}");
        }
        assert_eq!((erf(0.0), erf(1e30), erf(f32::NEG_INFINITY)), (0.0, 1.0, -1.0));
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_see_every_value() {
        for count in [0usize, 1, 15, 16, 17, 100, 1023, 1024, 1025, 3000] {
            let mut values: Vec<f32> = (0..count).map(|index| index as f32).collect();
            let expected = (count * count.saturating_sub(1) / 2) as f32;
            assert_eq!(
                (sum(&values), long_sum_over([&values], |[value]| value)),
                (expected, expected as f64)
            );
            let double = sum_over([&values, &values], |[a, b]| a + b);
            assert_eq!(double, 2.0 * expected);
            assert_eq!(maximum(&values), values.last().copied().unwrap_or(f32::NEG_INFINITY));
            assert_eq!(map_and_sum(&mut values, |value| 2.0 * value), 2.0 * expected);
        }
        assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
        // Beside a large value, single precision loses the small ones that share its lane.
        let mut values = vec![1.0; 1 << 15];
        values[0] = 1e8;
        let exact = 1e8 + 32_767.0;
        assert!((sum(&values) as f64 - exact).abs() > 1000.0);
        assert!((long_sum_over([&values], |[value]| value) - exact).abs() < 100.0);
    }
}

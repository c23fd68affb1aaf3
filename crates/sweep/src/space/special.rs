//! Functions of probability in double precision, on `libm`: the same bits on every host.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The standard normal distribution's cumulative probability of `x`.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The standard normal density at `x`.
pub fn normal_density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt()
}

/// The logarithm of [`normal_cdf`], exact in the lower tail, where the probability itself is zero.
pub fn log_normal_cdf(x: f64) -> f64 {
    if x > -20.0 {
        return libm::log(normal_cdf(x));
    }
    // The asymptotic series 1 - 1/x^2 + 3/x^4 - 15/x^6 + ... of the tail over its leading term.
    let squared = x * x;
    let mut term = 1.0;
    let mut series = 1.0;
    for k in 1..=8 {
        term *= -f64::from(2 * k - 1) / squared;
        series += term;
    }
    -0.5 * squared - libm::log(-x) - 0.5 * libm::log(2.0 * PI) + libm::log(series)
}

/// The logarithm of the standard normal probability of the interval from `low` to `high`.
pub fn log_normal_mass(low: f64, high: f64) -> f64 {
    if low > 0.0 {
        return log_normal_mass(-high, -low);
    }
    if high <= 0.0 {
        let above = log_normal_cdf(high);
        return above + libm::log1p(-libm::exp(log_normal_cdf(low) - above));
    }
    libm::log1p(-normal_cdf(low) - normal_cdf(-high))
}

/// The standard normal quantile of a probability: minus infinity of 0, infinity of 1.
///
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
/// Statistics 37 (1988), routine PPND16, accurate to about one part in 10^16.
pub fn normal_quantile(probability: f64) -> f64 {
    let centred = probability - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180625 - centred * centred;
        return centred * polynomial(&CENTRE_ABOVE, r) / polynomial(&CENTRE_BELOW, r);
    }
    let tail = if centred < 0.0 { probability } else { 1.0 - probability };
    if tail <= 0.0 {
        return if centred < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let r = (-libm::log(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        polynomial(&MIDDLE_ABOVE, r - 1.6) / polynomial(&MIDDLE_BELOW, r - 1.6)
    } else {
        polynomial(&TAIL_ABOVE, r - 5.0) / polynomial(&TAIL_BELOW, r - 5.0)
    };
    if centred < 0.0 { -magnitude } else { magnitude }
}

/// The value of a polynomial, its coefficients from the constant up (Horner's rule).
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

const CENTRE_ABOVE: [f64; 8] = [
    3.387_132_872_796_366_6,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_BELOW: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_854,
];
const MIDDLE_ABOVE: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const MIDDLE_BELOW: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const TAIL_ABOVE: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const TAIL_BELOW: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// The beta distribution's cumulative probability of `x`: the regularised incomplete beta
/// function, by its continued fraction (Lentz's method).
pub fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast below the mean; above it the other tail does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_cdf_below(b, a, 1.0 - x);
    }
    beta_cdf_below(a, b, x)
}

fn beta_cdf_below(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut c = 1.0;
    let mut fraction = d;
    for m in 1..=10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let log_front = a * libm::log(x) + b * libm::log1p(-x) - log_beta;
    libm::exp(log_front) * fraction / a
}

/// The beta distribution's quantile, by bisection of [`beta_cdf`].
pub fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if beta_cdf(a, b, middle) < probability { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "{got} instead of {want}");
    }

    /// Values of scipy 1.17's `norm.ppf`.
    #[test]
    fn normal_quantiles_agree_with_scipy() {
        for (probability, want) in [
            (1e-300, -37.0470962993612),
            (1e-20, -9.262340089798408),
            (1e-5, -4.264890793922825),
            (0.05, -1.6448536269514729),
            (0.3, -0.5244005127080409),
            (0.5, 0.0),
            (0.9, 1.2815515655446004),
            (0.999, 3.090232306167813),
        ] {
            near(normal_quantile(probability), want, 1e-15);
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    /// Values of scipy 1.17's `norm.cdf`, `norm.pdf` and `norm.logcdf`.
    #[test]
    fn normal_probabilities_hold_in_the_tails() {
        near(normal_cdf(-8.0), 6.220960574271785e-16, 1e-14);
        near(normal_cdf(1.5), 0.9331927987311419, 1e-15);
        near(normal_density(1.0), 0.24197072451914337, 1e-15);
        near(log_normal_cdf(-19.9), -201.91716770733265, 1e-13);
        near(log_normal_cdf(-20.1), -205.92711840194826, 1e-9);
        near(log_normal_cdf(-50.0), -1254.8313611394199, 1e-14);
        near(log_normal_mass(-1.0, 2.0), libm::log(0.8185946141203637), 1e-14);
        near(log_normal_mass(30.0, 31.0), -454.32124395634327, 1e-13);
        assert_eq!(log_normal_mass(30.0, 31.0), log_normal_mass(-31.0, -30.0));
    }

    /// Values of scipy 1.17's `beta`.
    #[test]
    fn beta_distribution_agrees_with_scipy() {
        near(beta_quantile(2.0, 5.0, 0.25), 0.16116291679032652, 1e-14);
        near(beta_cdf(2.0, 5.0, 0.16116291679032652), 0.25, 1e-13);
        near(beta_cdf(1.0, 1.0, 0.3), 0.3, 1e-14);
        near(beta_cdf(0.5, 0.5, 0.9), 0.7951672353008665, 1e-13);
        assert_eq!(beta_cdf(2.0, 5.0, 0.0), 0.0);
        assert_eq!(beta_cdf(2.0, 5.0, 1.0), 1.0);
    }
}

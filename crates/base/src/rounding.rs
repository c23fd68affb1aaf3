//! Products of fractions and counts as whole numbers.

/// How far a computed product may be from the exact one, relative to it: a few units in the last
/// place, each of which is at most [`f64::EPSILON`] of the value.
const TOLERANCE: f64 = 4.0 * f64::EPSILON;

/// The smallest whole number that is not below a product, which is 0 or larger. What rounding may
/// have put into the product does not count: `1.1 * 100.0` is a little more than 110 in `f64`, and
/// its ceiling is 110. Saturates.
pub fn ceiling(product: f64) -> u64 {
    let nearest = product.round();
    match (product - nearest).abs() <= TOLERANCE * product {
        true => nearest as u64,
        false => product.ceil() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_put_in_does_not_count() {
        for (share, count, expected) in [(1.1, 100, 110), (0.55, 100, 55), (2.2, 100, 220)] {
            let product = share * f64::from(count);
            assert_eq!(product.ceil() as u64, expected + 1, "{share} * {count} shows nothing");
            assert_eq!(ceiling(product), expected);
        }
        // Every two decimals of a count.
        for count in 1..2000u64 {
            for hundredths in [1, 7, 29, 55, 57, 110, 115, 220, 333, 999] {
                let exact = (hundredths * count).div_ceil(100);
                assert_eq!(ceiling(hundredths as f64 / 100.0 * count as f64), exact);
            }
        }
    }

    #[test]
    fn all_else_is_rounded_up() {
        let next = |value: f64| f64::from_bits(value.to_bits() + 100);
        for (product, expected) in [
            (0.0, 0),
            (1e-300, 1),
            (0.5, 1),
            (1.0, 1),
            (next(1.0), 2),
            (2.25, 3),
            (1e6 + 1e-6, 1_000_001),
        ] {
            assert_eq!(ceiling(product), expected, "{product}");
        }
        assert_eq!(ceiling(f64::INFINITY), u64::MAX);
        assert_eq!(ceiling(1e300), u64::MAX);
    }
}

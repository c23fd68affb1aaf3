//! Fewer points for long curves: the lowest and the highest of each stretch, so that no peak is
//! lost. What is drawn looks as all points would.

/// How many points of one curve a figure or a page keeps.
pub const MOST_POINTS: usize = 2000;

/// The places of at most `limit` values (at least four) that stand for all: the first, the last,
/// and the lowest and the highest of each of equally many places between. Of places without a
/// finite value one remains, as a gap. Where there are no more than `limit`, all remain.
pub fn places(values: &[f64], limit: usize) -> Vec<usize> {
    let limit = limit.max(4);
    if values.len() <= limit {
        return (0..values.len()).collect();
    }
    let last = values.len() - 1;
    let (bins, inner) = ((limit - 2) / 2, last - 1);
    let mut kept = vec![0];
    for bin in 0..bins {
        let begin = 1 + bin * inner / bins;
        kept.extend(extremes(values, begin, 1 + (bin + 1) * inner / bins));
    }
    kept.push(last);
    kept
}

/// The places of the lowest and the highest finite value of a stretch, in order.
fn extremes(values: &[f64], begin: usize, end: usize) -> Vec<usize> {
    let mut finite = (begin..end).filter(|&place| values[place].is_finite());
    let Some(first) = finite.next() else { return (begin..end).take(1).collect() };
    let (mut low, mut high) = (first, first);
    for place in finite {
        if values[place] < values[low] {
            low = place;
        }
        if values[place] > values[high] {
            high = place;
        }
    }
    match low == high {
        true => vec![low],
        false => vec![low.min(high), low.max(high)],
    }
}

/// The points of a curve that [`places`] keeps by their second coordinate.
pub fn points(curve: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    let values: Vec<f64> = curve.iter().map(|(_, y)| *y).collect();
    places(&values, limit).into_iter().map(|place| curve[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_curves_stay_whole() {
        assert_eq!(places(&[], 10), Vec::<usize>::new());
        assert_eq!(places(&[f64::NAN; 3], 1), [0, 1, 2]);
        let curve = [(1.0, 5.0), (2.0, 4.0)];
        assert_eq!(points(&curve, 2000), curve);
    }

    #[test]
    fn extremes_and_ends_of_a_long_curve_remain() {
        let mut values: Vec<f64> = (0..1_000_003).map(|step| (step % 7) as f64).collect();
        values[123_456] = 99.0;
        values[777_777] = -5.0;
        for limit in [4, 5, 100, 2000] {
            let kept = places(&values, limit);
            assert!(kept.len() <= limit && kept.len() > limit / 2, "{limit}: {}", kept.len());
            assert!(kept.is_sorted_by(|a, b| a < b));
            for place in [0, 123_456, 777_777, 1_000_002] {
                assert!(kept.contains(&place), "{limit}: {place}");
            }
        }
    }

    #[test]
    fn what_is_no_number_hides_nothing_and_leaves_a_gap() {
        let mut values = vec![f64::NAN; 1000];
        values[300] = 1.0;
        values[301] = f64::INFINITY;
        let kept = places(&values, 12);
        assert!(kept.contains(&300) && !kept.contains(&301), "{kept:?}");
        assert!(kept.iter().filter(|&&place| values[place].is_nan()).count() >= 4);
    }
}

//! A regression tree on the coordinates of trials, and the variance of its marginals.

use crate::space::Prior;

/// Deeper trees fit nothing but noise; Optuna's have the same limit.
const DEEPEST: usize = 64;
/// The place of a number's coordinate in trials in which the parameter takes no part.
const ABSENT: f64 = -1.0;

/// The values of a parameter with their probabilities.
pub(super) enum Domain {
    /// Numbers: places from 0 to 1 alike, and one without a value.
    Numeric { absent: f64 },
    /// Categories, the last of them being without a value.
    Categories { probabilities: Vec<f64> },
}

impl Domain {
    /// The domain of a prior, for a parameter that takes no part in the share `absent` of the
    /// trials.
    pub(super) fn of(prior: &Prior, absent: f64) -> Self {
        match prior {
            Prior::Numeric(_) => Self::Numeric { absent },
            Prior::Categories { probabilities, .. } => {
                let present = probabilities.iter().map(|probability| probability * (1.0 - absent));
                Self::Categories { probabilities: present.chain([absent]).collect() }
            }
        }
    }

    /// Where a coordinate is.
    pub(super) fn place(&self, coordinate: Option<f64>) -> f64 {
        match (self, coordinate) {
            (Self::Numeric { .. }, Some(u)) => u.clamp(0.0, 1.0),
            (Self::Numeric { .. }, None) => ABSENT,
            (Self::Categories { probabilities }, Some(index)) => {
                // The cast takes what is negative or no number for 0.
                (index as usize).min(probabilities.len() - 2) as f64
            }
            (Self::Categories { probabilities }, None) => (probabilities.len() - 1) as f64,
        }
    }

    fn whole(&self) -> Part {
        match self {
            Self::Numeric { .. } => Part::Interval { above: 2.0 * ABSENT, to: 1.0 },
            Self::Categories { probabilities } => Part::Set(vec![true; probabilities.len()]),
        }
    }

    /// The probability of a part.
    fn mass(&self, part: &Part) -> f64 {
        match (self, part) {
            (Self::Numeric { absent }, Part::Interval { above, to }) => {
                let atom = if *above < ABSENT { *absent } else { 0.0 };
                atom + (1.0 - absent) * (to.clamp(0.0, 1.0) - above.clamp(0.0, 1.0))
            }
            (Self::Categories { probabilities }, Part::Set(set)) => {
                probabilities.iter().zip(set).filter(|(_, has)| **has).map(|(mass, _)| mass).sum()
            }
            _ => 0.0,
        }
    }
}

/// A part of a parameter's values.
#[derive(Clone, Debug)]
enum Part {
    /// Places above one bound up to another.
    Interval { above: f64, to: f64 },
    /// Which categories.
    Set(Vec<bool>),
}

/// A leaf: its mean result, and the part of each parameter's values that leads to it.
struct Leaf {
    value: f64,
    parts: Vec<Part>,
}

/// How a node is divided.
struct Split {
    parameter: usize,
    /// The two parts' sums of squares of sums: the larger, the smaller the variance within.
    gain: f64,
    left: Part,
    right: Part,
}

/// A regression tree: its leaves, which cover the whole space without overlap.
pub(super) struct Tree {
    leaves: Vec<Leaf>,
}

impl Tree {
    /// Fits a tree to rows, of which some may be drawn more than once.
    pub(super) fn fit(
        domains: &[Domain],
        places: &[Vec<f64>],
        results: &[f64],
        drawn: Vec<usize>,
    ) -> Self {
        let whole = domains.iter().map(Domain::whole).collect();
        let mut open: Vec<(Vec<usize>, Vec<Part>, usize)> = vec![(drawn, whole, 0)];
        let mut leaves = Vec::new();
        while let Some((rows, parts, depth)) = open.pop() {
            let split = match depth < DEEPEST {
                true => best_split(&parts, places, results, &rows),
                false => None,
            };
            let Some(Split { parameter, left, right, .. }) = split else {
                let sum: f64 = rows.iter().map(|&row| results[row]).sum();
                leaves.push(Leaf { value: sum / rows.len().max(1) as f64, parts });
                continue;
            };
            let is_left = |row: &usize| left.has(places[*row][parameter]);
            let (lower, upper): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(is_left);
            let (mut below, mut above) = (parts.clone(), parts);
            below[parameter] = left;
            above[parameter] = right;
            open.push((lower, below, depth + 1));
            open.push((upper, above, depth + 1));
        }
        Self { leaves }
    }

    /// The share of the tree's variance that each parameter explains alone; `None` of a tree
    /// without variance.
    pub(super) fn shares(&self, domains: &[Domain]) -> Option<Vec<f64>> {
        let masses: Vec<Vec<f64>> = self
            .leaves
            .iter()
            .map(|leaf| domains.iter().zip(&leaf.parts).map(|(of, part)| of.mass(part)).collect())
            .collect();
        let weights: Vec<f64> = masses.iter().map(|masses| masses.iter().product()).collect();
        let with_weights = || self.leaves.iter().zip(&weights);
        let mean: f64 = with_weights().map(|(leaf, weight)| leaf.value * weight).sum();
        let distance = |leaf: &Leaf| leaf.value - mean;
        let variance: f64 =
            with_weights().map(|(leaf, weight)| distance(leaf) * distance(leaf) * weight).sum();
        if variance.is_nan() || variance <= 1e-30 {
            return None;
        }
        let of_parameter = |parameter: usize| {
            // What a leaf adds to the mean at the places of its part.
            let terms = self.leaves.iter().zip(&masses).map(|(leaf, masses)| {
                let others = masses.iter().enumerate().filter(|(other, _)| *other != parameter);
                let rest: f64 = others.map(|(_, mass)| mass).product();
                (&leaf.parts[parameter], distance(leaf) * rest)
            });
            domains[parameter].variance(&terms.collect::<Vec<_>>()) / variance
        };
        Some((0..domains.len()).map(of_parameter).collect())
    }
}

impl Part {
    fn has(&self, place: f64) -> bool {
        match self {
            Self::Interval { above, to } => *above < place && place <= *to,
            Self::Set(set) => set.get(place as usize).copied().unwrap_or(false),
        }
    }
}

impl Domain {
    /// The mean square of a function that is a sum of constants on parts.
    fn variance(&self, terms: &[(&Part, f64)]) -> f64 {
        match self {
            Self::Categories { probabilities } => {
                let at = |index: usize| -> f64 {
                    terms.iter().filter(|(part, _)| part.has(index as f64)).map(|(_, it)| it).sum()
                };
                let squares = probabilities.iter().enumerate();
                squares.map(|(index, mass)| mass * at(index) * at(index)).sum()
            }
            Self::Numeric { absent } => {
                let mut atom = 0.0;
                let mut changes: Vec<(f64, f64)> = Vec::new();
                for (part, term) in terms {
                    let Part::Interval { above, to } = part else { continue };
                    if *above < ABSENT {
                        atom += term;
                    }
                    changes.push((above.clamp(0.0, 1.0), *term));
                    changes.push((to.clamp(0.0, 1.0), -term));
                }
                changes.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (mut height, mut place, mut squares) = (0.0, 0.0, 0.0);
                for (next, change) in changes {
                    squares += (next - place) * height * height;
                    height += change;
                    place = next;
                }
                absent * atom * atom + (1.0 - absent) * squares
            }
        }
    }
}

/// The split of a node after which the results vary least within both sides; the first of equal
/// ones.
fn best_split(
    parts: &[Part],
    places: &[Vec<f64>],
    results: &[f64],
    rows: &[usize],
) -> Option<Split> {
    let first = *rows.first()?;
    if rows.iter().all(|&row| results[row] == results[first]) {
        return None;
    }
    let mut best: Option<Split> = None;
    for (parameter, part) in parts.iter().enumerate() {
        let pairs = rows.iter().map(|&row| (places[row][parameter], results[row])).collect();
        let split = match part {
            Part::Interval { above, to } => split_interval(pairs, *above, *to),
            Part::Set(set) => split_set(pairs, set),
        };
        let Some((gain, left, right)) = split else { continue };
        if best.as_ref().is_none_or(|best| gain > best.gain) {
            best = Some(Split { parameter, gain, left, right });
        }
    }
    best
}

fn split_interval(mut pairs: Vec<(f64, f64)>, above: f64, to: f64) -> Option<(f64, Part, Part)> {
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups: Vec<(f64, f64)> = pairs.iter().map(|(_, result)| (*result, 1.0)).collect();
    let (gain, index) = best_cut(&groups, |index| pairs[index - 1].0 < pairs[index].0)?;
    let (lower, upper) = (pairs[index - 1].0, pairs[index].0);
    let middle = if lower == ABSENT { ABSENT / 2.0 } else { (lower + upper) / 2.0 };
    // Between neighbours of the same double there is no middle.
    let middle = if middle < upper { middle } else { lower };
    Some((gain, Part::Interval { above, to: middle }, Part::Interval { above: middle, to }))
}

/// Categories in the order of their means: one of the cuts of that order is the best division into
/// two sets (Breiman and others, "Classification and Regression Trees", 1984, section 4.2.2). Those
/// without a row go to the right side.
fn split_set(pairs: Vec<(f64, f64)>, set: &[bool]) -> Option<(f64, Part, Part)> {
    let mut sums = vec![(0.0, 0.0); set.len()];
    for (place, result) in pairs {
        let (sum, count) = &mut sums[place as usize];
        *sum += result;
        *count += 1.0;
    }
    let mut order: Vec<usize> = (0..set.len()).filter(|&index| sums[index].1 > 0.0).collect();
    order.sort_by(|&a, &b| (sums[a].0 / sums[a].1).total_cmp(&(sums[b].0 / sums[b].1)));
    let groups: Vec<(f64, f64)> = order.iter().map(|&index| sums[index]).collect();
    let (gain, cut) = best_cut(&groups, |_| true)?;
    let left: Vec<bool> =
        (0..set.len()).map(|index| set[index] && order[..cut].contains(&index)).collect();
    let right = set.iter().zip(&left).map(|(has, left)| *has && !left).collect();
    Some((gain, Part::Set(left), Part::Set(right)))
}

/// Where to cut a row of sums and counts so that the variance on both sides is least: the gain, and
/// how many are left of it.
fn best_cut(groups: &[(f64, f64)], may_cut: impl Fn(usize) -> bool) -> Option<(f64, usize)> {
    let total = groups.iter().fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
    let (mut sum, mut count) = (0.0, 0.0);
    let mut best: Option<(f64, usize)> = None;
    for index in 1..groups.len() {
        sum += groups[index - 1].0;
        count += groups[index - 1].1;
        if !may_cut(index) {
            continue;
        }
        let rest = total.0 - sum;
        let gain = sum * sum / count + rest * rest / (total.1 - count);
        if best.is_none_or(|(best, _)| gain > best) {
            best = Some((gain, index));
        }
    }
    best
}

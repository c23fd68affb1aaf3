//! Points from the prior.

use super::draws::Draws;
use super::{ProposalSource, Surrogate};
use crate::space::{Point, Space};

/// A point from the prior.
pub(super) fn point(space: &Space, draws: &mut Draws) -> Point {
    let parameters = space.parameters().values();
    let point = parameters.map(|parameter| Some(parameter.at_quantile(draws.uniform()))).collect();
    space.complete(point)
}

/// The prior as a model that follows from no result.
pub(super) fn model(space: &Space) -> Surrogate<'_> {
    Surrogate {
        seen: Vec::new(),
        pending: Vec::new(),
        hash: blake3::Hasher::new(),
        draw: Box::new(|draws| (point(space, draws), ProposalSource::Prior)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Past, SamplerKind, propose};
    use super::*;

    fn space(text: &str) -> Space {
        Space::parse(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn points_follow_the_prior_seed_and_number() {
        let space = space("a = { log_normal = [0, 1] }\nb = [1, 2, 3]");
        let propose = |seed, number| propose(SamplerKind::Random, &space, seed, number, &[]).point;
        assert_eq!(propose(1, 5), propose(1, 5));
        assert_ne!(propose(1, 5), propose(2, 5));
        assert_ne!(propose(1, 5), propose(1, 6));
        let points: Vec<Point> = (0..3000).map(|number| propose(1, number)).collect();
        let below = points.iter().filter(|point| point[0].unwrap() < 0.25).count();
        assert!((650..850).contains(&below), "{below} of 3000 in the lowest quarter");
        for category in 0..3 {
            let count = points.iter().filter(|point| point[1] == Some(f64::from(category))).count();
            assert!((880..1120).contains(&count), "{count} of 3000 of category {category}");
        }
    }

    #[test]
    fn equal_discrete_points_are_drawn_again_until_none_is_left() {
        let space = space("a = { uniform = [1, 4], integer = true }\nb = [1, 2, 3]");
        for kind in [SamplerKind::Random, SamplerKind::Bohb, SamplerKind::Gp, SamplerKind::Tpe] {
            let mut past: Vec<Past> = Vec::new();
            for number in 0..12 {
                let point = propose(kind, &space, 1, number, &past).point;
                assert!(past.iter().all(|past| past.point != point), "{kind:?} {number}");
                let value = point[0].unwrap() + point[1].unwrap();
                let outcome = Outcome::Complete(value);
                past.push(Past { number, point, outcome, reports: vec![(1.0, value)] });
            }
            let thirteenth = propose(kind, &space, 1, 12, &past).point;
            assert!(past.iter().any(|past| past.point == thirteenth));
        }
    }
}

//! Every point of a discrete space in turn.

use super::draws::Draws;
use super::{Past, ProposalSource, Surrogate, random};
use crate::space::{Point, Space};

/// The first point of the grid that no earlier trial has; from the prior when all are taken or
/// the space has real numbers or conditions.
pub(super) fn fit<'a>(space: &'a Space, past: &'a [Past]) -> Surrogate<'a> {
    let draw = move |draws: &mut Draws| match next(space, past) {
        Some(point) => (point, ProposalSource::Grid),
        None => (random::point(space, draws), ProposalSource::Prior),
    };
    Surrogate { draw: Box::new(draw), ..random::model(space) }
}

fn next(space: &Space, past: &[Past]) -> Option<Point> {
    let taken: Vec<Point> = past.iter().map(|past| space.snap(past.point.clone())).collect();
    // Of one point more than are taken, one is free, if the grid has that many.
    let first = space.grid_size()?.min(taken.len() as u64 + 1);
    (0..first).map(|index| space.grid_point(index)).find(|point| !taken.contains(point))
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, SamplerKind, propose};
    use super::*;

    #[test]
    fn the_grid_is_walked_in_order_of_names_the_last_fastest() {
        let text = "z = [1, 2]\na = { uniform = [3, 5], integer = true }\nc = 7";
        let space = Space::parse(&text.parse().unwrap()).unwrap();
        assert_eq!(space.grid_size(), Some(6));
        let mut past: Vec<Past> = Vec::new();
        let mut values = Vec::new();
        for number in 0..7 {
            let proposal = propose(SamplerKind::Grid, &space, 1, number, &past);
            let settings = space.values(&proposal.point);
            values.push((settings["a"].as_integer().unwrap(), settings["z"].as_integer().unwrap()));
            let expected = if number < 6 { ProposalSource::Grid } else { ProposalSource::Prior };
            assert_eq!(proposal.source, expected);
            let (point, outcome) = (proposal.point, Outcome::Running);
            past.push(Past { number, point, outcome, reports: Vec::new() });
        }
        assert_eq!(values[..6], [(3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (5, 2)]);
    }
}

//! Samplers: which point of the space a new trial tries, given the results of earlier ones.
//!
//! A proposal is a pure function of the space, the seed, the trial's number and the earlier trials.

mod bohb;
mod draws;
mod gp;
mod grid;
mod models;
mod random;
mod tpe;

use base::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::space::{Point, Space};
use draws::Draws;

/// How points are proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerKind {
    /// From the prior.
    Random,
    /// Every point of a discrete space in turn, the last parameter (by name) changing fastest.
    Grid,
    /// Kernel densities of good and bad points (BOHB, arXiv 1807.01774, as HpBandSter has it).
    #[default]
    Bohb,
    /// A Gaussian process with expected improvement, as W&B's `bayes` has it.
    Gp,
    /// The tree-structured Parzen estimator, as Optuna 5 has it.
    Tpe,
}

/// A trial as samplers see it. Lower values are better: the caller negates what is maximised.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The trial's number within its study.
    pub number: u64,
    /// Where it is.
    pub point: Point,
    /// How it ended.
    pub outcome: Outcome,
    /// Results so far: the budget (rising) and the value there. Trials are compared where their
    /// budgets are equal, as [`crate::stopping::StopRule::comparable`] gives them.
    pub reports: Vec<(f64, f64)>,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It ran to its end, with this result.
    Complete(f64),
    /// A stopping rule ended or paused it, with this result.
    Stopped(f64),
    /// It has no result: it diverged or crashed.
    Failed,
    /// It runs or waits to run.
    Running,
}

/// What a new trial tries, and what that follows from. "Model" is the surrogate model.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The point.
    pub point: Point,
    /// The model that proposed it.
    pub source: ProposalSource,
    /// Numbers of the trials whose results the model was fitted to.
    pub seen: Vec<u64>,
    /// Numbers of the trials that ran.
    pub pending: Vec<u64>,
    /// The first 16 hexadecimal digits of BLAKE3 over the model's points and values.
    pub model_hash: String,
}

/// The model that a point came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposalSource {
    /// The prior.
    Prior,
    /// The grid of a discrete space.
    Grid,
    /// Kernel densities.
    Kde {
        /// The budget whose results were modelled.
        budget: f64,
    },
    /// A Gaussian process.
    Gp {
        /// The expected improvement, in standard deviations of the results.
        expected_improvement: f64,
    },
    /// The tree-structured Parzen estimator.
    Tpe,
}

/// Draws a point from a surrogate model.
type Draw<'a> = Box<dyn Fn(&mut Draws) -> (Point, ProposalSource) + 'a>;

/// A surrogate model of earlier results, from which any number of points can be drawn.
struct Surrogate<'a> {
    seen: Vec<u64>,
    pending: Vec<u64>,
    hash: blake3::Hasher,
    draw: Draw<'a>,
}

/// A point equal to an earlier one is drawn again this often from the model, then from the prior.
const REDRAWS: usize = 32;
const PRIOR_REDRAWS: usize = 1000;

/// The point of trial `number`, given the earlier trials in order of number.
pub fn propose(
    kind: SamplerKind,
    space: &Space,
    seed: u64,
    number: u64,
    past: &[Past],
) -> Proposal {
    let mut draws = Draws::new(Rng::new(seed, "sweep proposal").at(number));
    let whole = |past: &Past| Past { point: space.complete(past.point.clone()), ..past.clone() };
    let past: Vec<Past> = past.iter().map(whole).collect();
    let past = past.as_slice();
    let model = match kind {
        SamplerKind::Random => None,
        SamplerKind::Grid => Some(grid::fit(space, past)),
        SamplerKind::Bohb => bohb::fit(space, past, &mut draws),
        SamplerKind::Gp => gp::fit(space, past, &mut draws),
        SamplerKind::Tpe => tpe::fit(space, past),
    };
    let model = model.unwrap_or_else(|| random::model(space));
    let (point, source) = draw_new(space, past, &model, &mut draws);
    let hash = model.hash.finalize().to_hex();
    Proposal {
        point,
        source,
        seen: model.seen,
        pending: model.pending,
        model_hash: hash[..16].to_string(),
    }
}

/// Draws from the model; again where points can be equal and an earlier trial has this one.
fn draw_new(
    space: &Space,
    past: &[Past],
    model: &Surrogate,
    draws: &mut Draws,
) -> (Point, ProposalSource) {
    let (point, source) = (model.draw)(draws);
    let first = (space.snap(point), source);
    if !space.is_discrete() {
        return first;
    }
    let is_new = |point: &Point| past.iter().all(|past| &space.snap(past.point.clone()) != point);
    if is_new(&first.0) {
        return first;
    }
    for _ in 0..REDRAWS {
        let (point, source) = (model.draw)(draws);
        let point = space.snap(point);
        if is_new(&point) {
            return (point, source);
        }
    }
    for _ in 0..PRIOR_REDRAWS {
        let point = space.snap(random::point(space, draws));
        if is_new(&point) {
            return (point, ProposalSource::Prior);
        }
    }
    first
}

/// Adds a point to a model's hash.
fn hash_point(hash: &mut blake3::Hasher, point: &[f64]) {
    for coordinate in point {
        hash.update(&coordinate.to_bits().to_le_bytes());
    }
}

/// A coordinate that may be missing as bits of its own.
fn or_nan(coordinate: Option<f64>) -> f64 {
    coordinate.unwrap_or(f64::NAN)
}

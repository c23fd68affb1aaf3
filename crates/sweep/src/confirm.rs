//! Whether a gain holds: the best settings of a search and the baseline are trained again, with
//! fresh seeds that all of them share.
//!
//! The best of many trials is partly the luckiest. BabyLlama-2 (arXiv 2409.17312)
//! found that its best settings lost their gain when they were trained again.

use base::rng::Rng;
use eval::statistics::Spread;

use crate::best::ranked;
use crate::definition::{Definition, Part, Training};
use crate::error::{Result, SweepError};
use crate::space::Stored;
use crate::store::{Direction, Parameter, TrialState};
use crate::sweep::{Sweep, direction};
use crate::trial::Trial;

/// The end of a confirmation's study name, before a number where there are several.
const CONFIRM: &str = "confirm";

/// Fewer seeds confirm nothing.
const FEWEST_SEEDS: usize = 3;

/// Settings that were trained again.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfirmedRow {
    /// `trial 12`, or `baseline`.
    pub label: String,
    /// Its result in the search.
    pub search: Option<f64>,
    /// Its results with fresh seeds.
    pub values: Vec<f64>,
    /// Mean of the results with fresh seeds.
    pub mean: Option<f64>,
    /// Standard deviation of the results with fresh seeds; of at least two.
    pub deviation: Option<f64>,
    /// How much better than the baseline, seed by seed: mean, and standard deviation of at least
    /// two.
    pub gain: Option<(f64, Option<f64>)>,
    /// What that comes to.
    pub verdict: Verdict,
}

/// What a gain comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that others are compared with.
    Baseline,
    /// Better than the baseline by more than two standard deviations of the difference.
    Confirmed,
    /// Not better by that much, or with fewer than three seeds.
    Unconfirmed,
    /// Worse by more than that.
    Worse,
    /// Not all seeds are trained, of it or of the baseline.
    Open,
}

impl Verdict {
    /// A word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Worse => "worse",
            Self::Open => "open",
        }
    }
}

/// Makes the study in which the best settings are trained again, or finds it; returns its name.
///
/// # Errors
/// When no trial is complete, or the store cannot be written.
pub fn begin(sweep: &mut Sweep) -> Result<String> {
    sweep.best()?;
    let trainings = trainings(sweep)?;
    let part = Part::Confirm { of: Box::new(sweep.definition.part.clone()), trainings };
    let definition = Definition::of(&sweep.file, sweep.definition.base.clone(), part)?;
    let better = direction(&sweep.file, &definition.part);
    for number in 1.. {
        let name = study_name(&sweep.name, number);
        match definition.store(&mut sweep.store, &name, better) {
            // The search went on since: other settings are the best.
            Err(SweepError::Changed { .. }) => continue,
            done => return done.map(|_| name),
        }
    }
    Err(SweepError::Refused("there are too many confirmations".to_owned()))
}

fn study_name(of: &str, number: u64) -> String {
    match number {
        1 => format!("{of}/{CONFIRM}"),
        number => format!("{of}/{CONFIRM}-{number}"),
    }
}

/// Whether a study's name is that of a confirmation.
pub fn is_confirmation(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    last == CONFIRM
        || last.strip_prefix("confirm-").is_some_and(|number| number.parse::<u64>().is_ok())
}

/// All trainings: of the baseline first, then of the best.
fn trainings(sweep: &mut Sweep) -> Result<Vec<Training>> {
    let (terms, trials) = (sweep.terms(), sweep.trials()?);
    let confirm = sweep.file.recipe.confirm;
    let baseline_index = sweep.file.enqueue.iter().position(|own| own.is_baseline);
    let is_baseline = |trial: &&Trial| {
        baseline_index.is_some()
            && trial.proposal().and_then(|proposal| proposal.index) == baseline_index
    };
    let baseline = trials.iter().find(is_baseline);
    let mut chosen: Vec<(Option<u64>, bool, Vec<Stored>)> = vec![match baseline {
        Some(trial) => (Some(trial.number()), true, trial.stored.clone()),
        // The settings of the recipe that varies.
        None => (None, true, Vec::new()),
    }];
    let best = ranked(&trials, terms).into_iter().filter(|trial| !is_baseline(trial));
    let best = best.take(confirm.top);
    chosen.extend(best.map(|trial| (Some(trial.number()), false, trial.stored.clone())));
    let fresh = Rng::new(sweep.file.recipe.seed, "seed of a confirmation");
    let mut trainings = Vec::new();
    for (trial, baseline, stored) in chosen {
        for index in 0..confirm.seeds {
            let parameters = stored.iter().map(Parameter::from).collect();
            let seed = fresh.bits(index) >> 32;
            trainings.push(Training { trial, baseline, seed, parameters });
        }
    }
    Ok(trainings)
}

/// What a confirmation has come to: a row for each settings, the best mean first, and the baseline
/// among them.
///
/// # Errors
/// When the study is no confirmation, or the store cannot be read.
pub fn rows(confirmation: &mut Sweep, search: &mut Sweep) -> Result<Vec<ConfirmedRow>> {
    let Part::Confirm { trainings, .. } = &confirmation.definition.part else {
        return Err(SweepError::Refused(format!("{} is no confirmation", confirmation.name)));
    };
    let trainings = trainings.clone();
    let (searched, trained) = (search.trials()?, confirmation.trials()?);
    let value = |index: usize| {
        let of = |trial: &&Trial| trial.proposal().and_then(|of| of.index) == Some(index);
        let complete = trained.iter().filter(|trial| trial.row.state == TrialState::Complete);
        complete.filter(of).find_map(|trial| trial.row.value)
    };
    let better = search.terms().direction;
    let baseline: Vec<(u64, Option<f64>)> = trainings
        .iter()
        .enumerate()
        .filter(|(_, training)| training.baseline)
        .map(|(index, training)| (training.seed, value(index)))
        .collect();
    let mut rows: Vec<ConfirmedRow> = Vec::new();
    let mut index = 0;
    while index < trainings.len() {
        let Training { trial, baseline: is_baseline, .. } = trainings[index];
        let end = index
            + trainings[index..]
                .iter()
                .take_while(|other| (other.trial, other.baseline) == (trial, is_baseline))
                .count();
        let found: Vec<(u64, Option<f64>)> =
            (index..end).map(|index| (trainings[index].seed, value(index))).collect();
        let of_search = searched.iter().find(|of| Some(of.number()) == trial);
        let label = match trial {
            Some(number) if is_baseline => format!("baseline (trial {number})"),
            Some(number) => format!("trial {number}"),
            None => "baseline (the recipe)".to_owned(),
        };
        let search = of_search.and_then(|trial| trial.row.value);
        rows.push(row(label, is_baseline, search, &found, &baseline, better));
        index = end;
    }
    let cost = |row: &ConfirmedRow| match (row.mean, better) {
        (Some(mean), Direction::Minimize) => mean,
        (Some(mean), Direction::Maximize) => -mean,
        (None, _) => f64::INFINITY,
    };
    rows.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    Ok(rows)
}

/// Mean and standard deviation; no interval of them is used.
fn spread(values: &[f64]) -> Option<Spread> {
    Spread::of(values, 0.95)
}

fn row(
    label: String,
    is_baseline: bool,
    search: Option<f64>,
    found: &[(u64, Option<f64>)],
    baseline: &[(u64, Option<f64>)],
    better: Direction,
) -> ConfirmedRow {
    let values: Vec<f64> = found.iter().filter_map(|(_, value)| *value).collect();
    let of_baseline = |seed: u64| {
        let same = baseline.iter().find(|(other, _)| *other == seed);
        same.and_then(|(_, value)| *value)
    };
    let differences: Vec<f64> = found
        .iter()
        .filter_map(|(seed, value)| {
            let difference = of_baseline(*seed)? - (*value)?;
            Some(if better == Direction::Minimize { difference } else { -difference })
        })
        .collect();
    let gain = spread(&differences).filter(|_| !is_baseline);
    let gain = gain.map(|of| (of.mean, of.standard_deviation));
    let is_whole = differences.len() == found.len();
    let verdict = match gain {
        _ if is_baseline => Verdict::Baseline,
        Some((mean, Some(deviation))) if is_whole && differences.len() >= FEWEST_SEEDS => {
            match (mean > 2.0 * deviation, mean < -2.0 * deviation) {
                (true, _) => Verdict::Confirmed,
                (_, true) => Verdict::Worse,
                _ => Verdict::Unconfirmed,
            }
        }
        // One seed shows no spread, and two hardly any.
        Some(_) if is_whole => Verdict::Unconfirmed,
        _ => Verdict::Open,
    };
    let all = spread(&values);
    let (mean, deviation) = (all.map(|of| of.mean), all.and_then(|of| of.standard_deviation));
    ConfirmedRow { label, search, values, mean, deviation, gain, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(found: [f64; 3], better: Direction) -> (Verdict, f64) {
        let seeds =
            |values: [f64; 3]| -> Vec<(u64, Option<f64>)> { (1..).zip(values.map(Some)).collect() };
        let row = row(String::new(), false, None, &seeds(found), &seeds([5.0, 5.2, 5.1]), better);
        (row.verdict, row.gain.unwrap().0)
    }

    #[test]
    fn a_gain_within_twice_its_spread_is_unconfirmed() {
        // Lower for every seed by the same amount, though seeds differ more than that.
        let (found, gain) = verdict([4.94, 5.15, 5.04], Direction::Minimize);
        assert_eq!(found, Verdict::Confirmed);
        assert!((gain - 17.0 / 300.0).abs() < 1e-12);
        assert_eq!(verdict([4.9, 5.2, 5.0], Direction::Minimize).0, Verdict::Unconfirmed);
        assert_eq!(verdict([5.1, 5.31, 5.2], Direction::Minimize).0, Verdict::Worse);
        assert_eq!(verdict([5.1, 5.31, 5.2], Direction::Maximize).0, Verdict::Confirmed);
    }

    #[test]
    fn what_is_not_trained_with_all_seeds_is_open() {
        let of = |values: &[Option<f64>]| -> Vec<(u64, Option<f64>)> {
            (1..).zip(values.iter().copied()).collect()
        };
        let verdict_beside = |baseline: [Option<f64>; 3], values: &[Option<f64>]| {
            let (baseline, better) = (of(&baseline), Direction::Minimize);
            row(String::new(), false, None, &of(values), &baseline, better).verdict
        };
        let verdict =
            |values: &[Option<f64>]| verdict_beside([Some(5.0), Some(5.1), Some(5.2)], values);
        assert_eq!(verdict(&[Some(4.0), None]), Verdict::Open);
        assert_eq!(verdict(&[None, None]), Verdict::Open);
        assert_eq!(verdict(&[Some(4.0), Some(4.1), Some(4.2001)]), Verdict::Confirmed);
        // Of fewer than three seeds too little is known about luck.
        assert_eq!(verdict(&[Some(4.0), Some(4.1001)]), Verdict::Unconfirmed);
        assert_eq!(verdict(&[Some(4.0)]), Verdict::Unconfirmed);
        // Two of the three seeds can be compared.
        let values = [Some(4.0), Some(4.1001), Some(4.2)];
        assert_eq!(verdict_beside([Some(5.0), Some(5.1), None], &values), Verdict::Open);
    }

    #[test]
    fn names_of_confirmations_are_known() {
        for name in ["a/confirm", "a/m/rte/confirm-12"] {
            assert!(is_confirmation(name), "{name}");
        }
        for name in ["a", "confirmed", "a/confirm-x", "a/confirm/b"] {
            assert!(!is_confirmation(name), "{name}");
        }
    }
}

//! Differences of scores with paired tests on the same items.

use eval::statistics::{Interval, Paired, Resampling};
use eval::{BENCHMARKS, Outcome};
use report::{Align, Table};

use super::model_scores::ModelScores;
use super::report::RESAMPLES;
use crate::error::Result;

/// What the numbers of [`differences`] are.
pub(crate) const DIFFERENCES: &str = "Paired bootstrap and random exchange over items; another \
     training seed may move a score by more.";

/// Every model against the first, on the same items; none where there is nothing to compare.
///
/// # Errors
/// When they answered different items.
pub(super) fn differences(models: &[ModelScores]) -> Result<Option<Table>> {
    let answers = BENCHMARKS.iter().map(|&benchmark| {
        let answers = models.iter().map(|model| (model.name.as_str(), model.outcome(benchmark)));
        answers.filter_map(|(name, outcome)| Some((name, outcome?))).collect()
    });
    differences_of(answers)
}

/// Of lists of models with their answers to the same items, each one against the first of its list;
/// none where there is nothing to compare.
///
/// # Errors
/// When those of a list answered different items.
pub(crate) fn differences_of<'a>(
    lists: impl Iterator<Item = Vec<(&'a str, &'a Outcome)>>,
) -> Result<Option<Table>> {
    let mut table = Table::new([
        ("suite", Align::Left),
        ("model", Align::Left),
        ("less", Align::Left),
        ("difference", Align::Right),
        ("95 % interval", Align::Right),
        ("p (exchange)", Align::Right),
    ]);
    let resampling = Resampling { resamples: RESAMPLES, ..Resampling::default() };
    let mut any = false;
    for list in lists {
        let mut answered = list.into_iter().filter(|(_, outcome)| !outcome.predictions.is_empty());
        let Some((less, base)) = answered.next() else { continue };
        for (model, found) in answered {
            let (from, to) = (base.resampled(), found.resampled());
            let paired = Paired::new(&from, &to)?;
            let (by_items, by_exchange) =
                (paired.bootstrap(&resampling)?, paired.permutation(&resampling)?);
            let Interval { low, high } = by_items.interval;
            table.push(vec![
                base.result.title(),
                model.to_owned(),
                less.to_owned(),
                format!("{:+.1}", 100.0 * by_items.difference),
                format!("{:+.1} to {:+.1}", 100.0 * low, 100.0 * high),
                format!("{:.4}", by_exchange.p_value),
            ]);
            any = true;
        }
    }
    Ok(any.then_some(table))
}

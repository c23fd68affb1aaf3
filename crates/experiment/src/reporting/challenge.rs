//! The scores of the challenge of 2025 and 2026, and how they rise with the words seen.

use eval::challenge::ChallengeYear;
use report::figures::{self, Axis, Curve, Figure, Palette};
use report::page::Block;

use super::found::Found;
use super::named;
use crate::evaluation::challenge::{AnyTask, KeptScores, all_tasks, table};
use crate::failures::Failures;

/// A model's name on the page with its scores.
type Named<'a> = (String, &'a KeptScores);

/// A table for each year's rules, and a figure of the checkpoints for each of its tasks.
pub(super) fn blocks(all: &[Found], palette: &Palette) -> Vec<Block> {
    let several = all.len() > 1;
    let mut blocks = Vec::new();
    for year in [ChallengeYear::Year2026, ChallengeYear::Year2025] {
        let mut models: Vec<Named<'_>> = Vec::new();
        for found in all {
            let own = found.challenge.iter().filter(|(_, kept)| kept.year == year);
            models.extend(own.map(|(name, kept)| (named(found, name, several), kept)));
        }
        if models.is_empty() {
            continue;
        }
        let failures = all.iter().fold(Failures::default(), |failures, found| {
            failures.and(found.failures.clone().renamed(|model| named(found, model, several)))
        });
        let columns: Vec<(&str, &KeptScores)> =
            models.iter().map(|(name, kept)| (&name[..], *kept)).collect();
        let caption = format!(
            "By the rules of {}: percent, of WUG a correlation; they do not compare with \
             scores by the rules of other years.",
            year.name()
        );
        let is_marked = |task: AnyTask| {
            columns.iter().any(|(name, _)| failures.mark(name, task.name(), None).is_some())
        };
        let failed = match all_tasks().any(is_marked) {
            true => failures.footnotes().replace('\n', " "),
            false => String::new(),
        };
        let caption = format!("{caption} {failed}").trim_end().to_owned();
        blocks.push(Block::Table { caption, table: table(&columns, year, &failures) });
        let figures = all_tasks().filter_map(|task| over_words(task, year, &models, palette));
        blocks.extend(figures.map(Block::Figure));
    }
    blocks
}

/// The scores of the models' checkpoints on a task, over the words seen; none where no model has
/// two of them.
fn over_words(
    task: AnyTask,
    year: ChallengeYear,
    models: &[Named<'_>],
    palette: &Palette,
) -> Option<Figure> {
    let curve = |(name, kept): &Named<'_>| {
        let points = kept
            .checkpoints
            .iter()
            .filter_map(|one| Some((one.millions()?, one.tasks.get(task.name())?.shown(task))));
        let (model, points) = (name.clone(), points.collect());
        Curve { name: name.clone(), model, is_held_out: true, points }
    };
    let curves: Vec<Curve> = models.iter().map(curve).collect();
    let curves: Vec<Curve> = curves.into_iter().filter(|curve| !curve.points.is_empty()).collect();
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return None;
    }
    let title = format!("{} of checkpoints (fast evaluation of {})", task.title(), year.name());
    let (x, y) = (Axis::log("millions of words seen"), Axis::linear(task.title()));
    Some(figures::curves(&title, &x, &y, &curves, palette))
}

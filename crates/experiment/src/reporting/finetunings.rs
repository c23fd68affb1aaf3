//! Curves of fine-tunings: the validation items' loss and metric along each training.

use std::collections::BTreeMap;

use eval::classification::{find_task, selection_metric};
use report::figures::Palette;
use report::page::{Curves, Series};
use train::finetune::Evaluation;

use super::curves::{FINETUNING, OfModel, chart};
use crate::evaluation::all::model_scores::ModelScores;
use crate::finetuning::result::FinetuneHistory;

/// Two charts for each task that models were fine-tuned for, with a curve for each model and seed.
pub(super) fn curves(models: &[(&str, &ModelScores)], palette: &Palette) -> Vec<Curves> {
    let mut tasks: BTreeMap<&str, Vec<(&str, &FinetuneHistory)>> = BTreeMap::new();
    for (model, scores) in models {
        // By the rules of 2024 one training answers two tasks.
        let own = scores.finetuned().filter(|result| result.score.name == result.course.trained_on);
        for course in own.map(|result| &result.course) {
            tasks.entry(&course.trained_on).or_default().push((model, course));
        }
    }
    tasks.into_iter().flat_map(|(task, courses)| of_task(task, &courses, palette)).collect()
}

fn of_task(task: &str, courses: &[(&str, &FinetuneHistory)], palette: &Palette) -> Vec<Curves> {
    let known = find_task(task);
    let metric = known
        .zip(courses.first())
        .map(|(known, (_, course))| selection_metric(known, course.labels.len(), course.rules));
    let metric = metric.map_or("metric", |metric| metric.name());
    let title = known.map_or(task, |known| known.name);
    let of = |value: &dyn Fn(&Evaluation) -> f64| -> Vec<OfModel> {
        let with_points = courses.iter().filter(|(_, course)| !course.history.is_empty());
        let of_model = |(model, course): &(&str, &FinetuneHistory)| {
            let name = format!("{model}, seed {}", course.settings.seed);
            OfModel { model: (*model).to_owned(), series: series(&name, course, value) }
        };
        with_points.map(of_model).collect()
    };
    let charts = [
        chart(
            &format!("{FINETUNING}{task}-loss"),
            &format!("{title}: validation loss"),
            "Mean cross-entropy of the validation items while the model is fine-tuned.",
            of(&|evaluation| evaluation.loss),
            palette,
        ),
        chart(
            &format!("{FINETUNING}{task}-metric"),
            &format!("{title}: validation {metric}, percent"),
            "What chooses the weights.",
            of(&|evaluation| 100.0 * evaluation.metric),
            palette,
        ),
    ];
    charts.into_iter().filter(|curves| !curves.series.is_empty()).collect()
}

/// Tokens and time are shares of the whole, by steps; FLOPs are not counted.
fn series(name: &str, course: &FinetuneHistory, value: impl Fn(&Evaluation) -> f64) -> Series {
    let share = |evaluation: &Evaluation| evaluation.step as f64 / course.steps.max(1) as f64;
    let column = |of: &dyn Fn(&Evaluation) -> f64| course.history.iter().map(of).collect();
    let x = [
        column(&|evaluation| evaluation.step as f64),
        column(&|evaluation| evaluation.epoch),
        column(&|evaluation| share(evaluation) * course.tokens as f64),
        column(&|evaluation| share(evaluation) * course.seconds),
        column(&|_| f64::NAN),
    ];
    Series { name: name.to_owned(), place: 0, x, y: course.history.iter().map(value).collect() }
}

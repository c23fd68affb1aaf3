//! The papers' figures, of one's own models, with what the papers print beside them.

use std::collections::{BTreeMap, BTreeSet};

use eval::macro_average;
use eval::reference::{Track, of_year};
use eval::statistics::McNemar;
use eval::{BENCHMARKS, Benchmark, BenchmarkResult, HeldOutLoss, Kind, Outcome, Prediction, Rules};
use report::Figure;
use report::figures::{Bar, FitPoint, Mark, ScalingPoint, Violin, bars, fit, scaling, violin};

use super::found::{Found, FoundScores};
use super::tasks::{self, Answers};
use crate::evaluation::all::model_scores::ModelScores;

/// Scores of fewer runs of a task have no distribution.
const VIOLIN: usize = 3;
/// A line through fewer points shows nothing.
const LINE: usize = 3;
/// Students whose printed scores are drawn beside one's own.
const PRINTED: [&str; 3] = ["BabyLlama (10M)", "BabyLlama-2, run 1", "BabyLlama-2, run 2"];

/// A model's name on the page with where it was found.
pub(super) type Named<'a> = (String, &'a Found, &'a FoundScores);

/// A violin for each fine-tuned task with several scores, and the means of one's own models and
/// the printed scores as marks (BabyLlama-2, figure 1).
pub(super) fn violins(models: &[ModelScores], rules: Rules) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &benchmark in BENCHMARKS.iter().filter(|one| one.kind().is_fine_tuned()) {
        let mut scores: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut marks = Vec::new();
        for model in models {
            let mut own: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for (of, _, task) in model.every_finetuned() {
                if of == benchmark {
                    own.entry(&task.name).or_default().push(100.0 * task.score);
                }
            }
            for (task, values) in own {
                marks.push(Mark {
                    task: task.to_owned(),
                    model: model.name.clone(),
                    score: values.iter().sum::<f64>() / values.len() as f64,
                });
                scores.entry(task).or_default().extend(values);
            }
        }
        if scores.values().all(|scores| scores.len() < VIOLIN) {
            continue;
        }
        for table in of_year(benchmark.reference(), rules.year(), Track::StrictSmall) {
            for row in table.rows.iter().filter(|row| PRINTED.contains(&row.model.as_str())) {
                let printed = scores.keys().filter_map(|task| {
                    let score = table.value(&row.model, task)?;
                    let model = format!("{} (printed)", row.model);
                    Some(Mark { task: (*task).to_owned(), model, score })
                });
                marks.extend(printed);
            }
        }
        let drawn =
            scores.into_iter().map(|(task, scores)| Violin { task: task.to_owned(), scores });
        let title = format!("{} of fine-tuned models", benchmark.title());
        figures.push(violin(&title, "score, percent", &drawn.collect::<Vec<_>>(), &marks));
    }
    figures
}

/// Each benchmark's score against the held-out loss, with the line of least squares (BabyLlama-2,
/// figure 2).
pub(super) fn fits(named: &[Named<'_>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &benchmark in BENCHMARKS {
        let points: Vec<FitPoint> = named
            .iter()
            .filter_map(|(name, found, one)| {
                let score = one.scores.outcome(benchmark)?.result.score;
                let (model, group) = (name.clone(), found.name.clone());
                Some(FitPoint { model, group, x: one.held_out_loss?, y: 100.0 * score })
            })
            .collect();
        let is_finite = |point: &&FitPoint| point.x.is_finite() && point.y.is_finite();
        if points.iter().filter(is_finite).count() < LINE {
            continue;
        }
        let title = format!("{} against held-out loss", benchmark.title());
        let y = format!("{}, percent", benchmark.title());
        figures.push(fit(&title, "held-out loss, nats per token", &y, &points));
    }
    figures
}

/// Held-out loss against the words of the training text, over runs (BabyLlama-2, figure 3). Models
/// of one name and amount are a point with their standard deviation.
pub(super) fn scalings(all: &[Found]) -> Option<Figure> {
    let mut groups: BTreeMap<(String, u64), Vec<f64>> = BTreeMap::new();
    for found in all {
        for one in &found.scores {
            let seen = found.exposure.get(&one.scores.name);
            let number = |key: &str| seen.and_then(|seen| seen.get(key)?.as_f64());
            let Some(((words, epochs), loss)) =
                number("words").zip(number("epochs")).zip(one.held_out_loss)
            else {
                continue;
            };
            if epochs > 0.0 && loss.is_finite() {
                let words = (words / epochs).round() as u64;
                groups.entry((one.scores.name.clone(), words)).or_default().push(loss);
            }
        }
    }
    let amounts: BTreeSet<u64> = groups.keys().map(|(_, words)| *words).collect();
    if amounts.len() < 2 {
        return None;
    }
    let points: Vec<ScalingPoint> = groups
        .into_iter()
        .map(|((series, words), losses)| {
            let (mean, deviation) = mean_and_deviation(&losses);
            ScalingPoint { series, words: words as f64, loss: mean, deviation }
        })
        .collect();
    let title = "Held-out loss against words";
    Some(scaling(title, "words of the training text", "held-out loss, nats per token", &points))
}

fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let spread = eval::statistics::Spread::of(values, 0.95);
    spread.map_or((f64::NAN, None), |spread| (spread.mean, spread.standard_deviation))
}

/// Means of the benchmarks beside those that papers print (BabyLlama-2, table 3).
pub(super) fn beside_printed(models: &[ModelScores], rules: Rules) -> Option<Figure> {
    let mut drawn = Vec::new();
    for &benchmark in BENCHMARKS {
        let mut own = Vec::new();
        for model in models {
            let results = model.results(benchmark, rules);
            let whole = results.iter().filter(|one| one.is_whole() && has_all_tasks(one));
            let whole: Vec<f64> = whole.map(|one| 100.0 * one.score).collect();
            if !whole.is_empty() {
                own.push((model.name.clone(), mean_and_deviation(&whole)));
            }
        }
        if own.is_empty() {
            continue;
        }
        let printed = PRINTED.iter().filter_map(|model| {
            let mut tables = of_year(macro_average::reference(), rules.year(), Track::StrictSmall);
            let value = tables.find_map(|table| table.value(model, benchmark.name()))?;
            Some((format!("{model} (printed)"), (value, None)))
        });
        let printed: Vec<(String, (f64, Option<f64>))> = printed.collect();
        if printed.is_empty() {
            continue;
        }
        drawn.extend(own.into_iter().chain(printed).map(|(series, (value, deviation))| Bar {
            row: benchmark.title().to_owned(),
            series,
            value,
            interval: deviation.map(|deviation| (value - deviation, value + deviation)),
            mark: String::new(),
        }));
    }
    let title = "Scores beside those that papers print";
    (!drawn.is_empty()).then(|| bars(title, "percent", &drawn))
}

/// Whether a fine-tuned benchmark's mean is that of all its tasks, as printed ones are.
fn has_all_tasks(result: &BenchmarkResult) -> bool {
    match result.benchmark.kind() {
        Kind::FineTuned(tasks) => result.tasks.len() >= tasks.len(),
        _ => true,
    }
}

/// Right answers by group, with the mark of the paired test against the first model.
pub(super) fn groups(models: &[Answers<'_>]) -> Option<Figure> {
    let [first, ..] = models else { return None };
    let result = &first.outcome.result;
    let mut drawn = Vec::new();
    for answers in models {
        for (group, places) in tasks::units(result, true)? {
            let right = |outcome: &Outcome| -> Vec<bool> {
                let answers = places.iter().flat_map(|&task| &outcome.predictions[task]);
                answers.map(Prediction::is_right).collect()
            };
            let (own, base) = (right(answers.outcome), right(first.outcome));
            let share = own.iter().filter(|right| **right).count() as f64 / own.len().max(1) as f64;
            let error = (share * (1.0 - share) / own.len().max(1) as f64).sqrt();
            let p = McNemar::of_outcomes(base.into_iter().zip(own)).p_value;
            let ends = (share - 1.96 * error, share + 1.96 * error);
            drawn.push(Bar {
                row: group.replace('_', " "),
                series: answers.model.to_owned(),
                value: 100.0 * share,
                interval: Some((100.0 * ends.0, 100.0 * ends.1)),
                mark: tasks::mark(p).trim().to_owned(),
            });
        }
    }
    let title = format!("{} by group", result.title());
    let mut figure = bars(&title, "right answers, percent", &drawn);
    figure.caption = format!("95 % intervals over items. {} {}", tasks::MARKS, figure.caption);
    Some(figure)
}

/// The held-out loss of each source of text.
pub(super) fn sources(models: &[ModelScores]) -> Option<Figure> {
    let loss: &dyn Benchmark = &HeldOutLoss;
    let mut drawn = Vec::new();
    for model in models {
        let Some(measured) = model.measured(loss) else { continue };
        drawn.extend(measured.parts.iter().skip(1).map(|part| Bar {
            row: part.name.clone(),
            series: model.name.clone(),
            value: part.value,
            interval: None,
            mark: String::new(),
        }));
    }
    let title = "Held-out loss by source of text";
    (!drawn.is_empty()).then(|| bars(title, "nats per token", &drawn))
}

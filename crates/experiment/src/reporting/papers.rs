//! The papers' figures, of one's own models, with what the papers print beside them.

use std::collections::{BTreeMap, BTreeSet};

use eval::macro_average;
use eval::reference::{Track, of_year};
use eval::statistics::McNemar;
use eval::{BENCHMARKS, BenchmarkResult, Kind, Outcome, Prediction, Rules};
use report::Figure;
use report::figures::{Bar, Mark, Palette, Violin, ViolinScore, bars, violin};

use super::tasks::{self, Answers};
use crate::evaluation::all::model_scores::ModelScores;

/// Scores of fewer runs of a task have no distribution.
const VIOLIN: usize = 3;
/// Students whose printed scores are drawn beside one's own.
pub(super) const PRINTED: [&str; 3] =
    ["BabyLlama (10M)", "BabyLlama-2, run 1", "BabyLlama-2, run 2"];

/// What a model of a paper is called beside one's own.
pub(super) fn printed(model: &str) -> String {
    format!("{model} (printed)")
}

/// A violin for each fine-tuned task with several scores, and the means of one's own models and
/// the printed scores as marks (BabyLlama-2, figure 1).
pub(super) fn violins(models: &[ModelScores], rules: Rules, palette: &Palette) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &benchmark in BENCHMARKS.iter().filter(|one| one.kind().is_fine_tuned()) {
        let mut scores: BTreeMap<&str, Vec<ViolinScore>> = BTreeMap::new();
        let (mut marks, mut cut) = (Vec::new(), BTreeSet::new());
        for model in models {
            let mut own: BTreeMap<&str, Vec<ViolinScore>> = BTreeMap::new();
            for (of, seed, task) in model.every_finetuned() {
                if of == benchmark {
                    let coverage = benchmark.coverage(std::slice::from_ref(task), rules);
                    cut.extend(coverage.filter(|it| it.resized > 0).map(|_| task.name.as_str()));
                    let (model, score) = (model.name.clone(), 100.0 * task.score);
                    own.entry(&task.name).or_default().push(ViolinScore { model, seed, score });
                }
            }
            for (task, values) in own {
                marks.push(Mark {
                    task: task.to_owned(),
                    model: model.name.clone(),
                    score: values.iter().map(|one| one.score).sum::<f64>() / values.len() as f64,
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
                    let model = printed(&row.model);
                    Some(Mark { task: (*task).to_owned(), model, score })
                });
                marks.extend(printed);
            }
        }
        let drawn =
            scores.into_iter().map(|(task, scores)| Violin { task: task.to_owned(), scores });
        let title = format!("{} of fine-tuned models", benchmark.title());
        let drawn: Vec<Violin> = drawn.collect();
        let mut figure = violin(&title, "score, percent", &drawn, &marks, palette);
        if !cut.is_empty() {
            let cut = cut.into_iter().collect::<Vec<_>>().join(", ");
            figure.caption += &format!(
                " Own scores of {cut} are not of the published items, and do not compare with \
                 printed ones."
            );
        }
        figures.push(figure);
    }
    figures
}

pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let spread = eval::statistics::Spread::of(values, 0.95);
    spread.map_or((f64::NAN, None), |spread| (spread.mean, spread.standard_deviation))
}

/// Means of the benchmarks beside those that papers print (BabyLlama-2, table 3).
pub(super) fn beside_printed(
    models: &[ModelScores],
    rules: Rules,
    palette: &Palette,
) -> Option<Figure> {
    let (mut drawn, mut partial) = (Vec::new(), Vec::new());
    for &benchmark in BENCHMARKS {
        let (mut own, mut in_part) = (Vec::new(), Vec::new());
        for model in models {
            let results = model.results(benchmark, rules);
            let whole = results.iter().filter(|one| is_whole(one));
            let whole: Vec<f64> = whole.map(|one| 100.0 * one.score).collect();
            if !whole.is_empty() {
                own.push((model.name.clone(), mean_and_deviation(&whole)));
            } else if !results.is_empty() {
                in_part.push(format!("{} of {}", benchmark.title(), model.name));
            }
        }
        if own.is_empty() {
            continue;
        }
        let of_papers = PRINTED.iter().filter_map(|model| {
            let mut tables = of_year(macro_average::reference(), rules.year(), Track::StrictSmall);
            let value = tables.find_map(|table| table.value(model, benchmark.name()))?;
            Some((printed(model), (value, None)))
        });
        let of_papers: Vec<(String, (f64, Option<f64>))> = of_papers.collect();
        if of_papers.is_empty() {
            continue;
        }
        partial.extend(in_part);
        drawn.extend(own.into_iter().chain(of_papers).map(|(series, (value, deviation))| Bar {
            row: benchmark.title().to_owned(),
            series,
            value,
            interval: deviation.map(|deviation| (value - deviation, value + deviation)),
            mark: String::new(),
        }));
    }
    let title = "Scores beside those that papers print";
    let mut figure = bars(title, "percent", &drawn, palette);
    if !partial.is_empty() {
        let sentence = format!("Left out, as only parts are scored: {}.", partial.join(", "));
        figure.caption = format!("{} {sentence}", figure.caption).trim().to_owned();
    }
    (!drawn.is_empty()).then_some(figure)
}

/// Whether a mean is that of all tasks, as printed ones are; the sizes of MSGS's are not known.
fn is_whole(result: &BenchmarkResult) -> bool {
    let tasks = match result.benchmark.kind() {
        Kind::FineTuned(tasks) => tasks.len(),
        _ => 0,
    };
    result.is_whole() && result.tasks.len() >= tasks
}

/// Right answers by group, with the mark of the paired test against the first model; `left_out` is
/// a sentence on models that are not drawn.
pub(super) fn groups(
    title: &str,
    models: &[Answers<'_>],
    left_out: &str,
    palette: &Palette,
) -> Option<Figure> {
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
    let title = format!("{title} by group");
    let mut figure = bars(&title, "right answers, percent", &drawn, palette);
    let parts = ["95 % intervals over items.", tasks::MARKS, &figure.caption, left_out];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    figure.caption = parts.join(" ");
    Some(figure)
}

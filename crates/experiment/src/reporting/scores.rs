//! Scores in the folders of runs, evaluations and fine-tunings.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use eval::age_of_acquisition::AgeScore;
use eval::output::predictions;
use eval::{
    BENCHMARKS, Benchmark, BenchmarkResult, HeldOutLoss, Kind, LossResult, Measured, Outcome, Part,
};
use serde_json::Value;

use super::found::{Found, FoundScores};
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::results::DATA;
use crate::finetuning::result::FinetuneResult;
use crate::run::clean::entries;
use crate::run::evaluation::RunScores;

/// Reads `evaluation/` of a run.
pub(super) fn look_at_run(found: &mut Found) {
    let folder = found.folder.join("evaluation");
    let paths = entries(&folder).unwrap_or_default();
    for path in paths.iter().filter(|path| ends_in(path, "json")) {
        let name = shown_name(path);
        if let Some(scores) = found.json::<RunScores>(path, ("scores", &name), None) {
            let scores = of_run(found, &folder, scores);
            found.scores.push(scores);
        }
    }
    // In the recipe's order, ensembles last.
    let order: Vec<String> = found.models.iter().map(|model| model.name.clone()).collect();
    let place = |scores: &FoundScores| {
        let name = &scores.scores.name;
        order.iter().position(|known| known == name).unwrap_or(usize::MAX)
    };
    found.scores.sort_by_key(place);
    let unscored =
        order.iter().filter(|name| found.scores.iter().all(|scores| scores.scores.name != **name));
    let unscored: Vec<String> = unscored.cloned().collect();
    for name in unscored {
        found.lacks("scores", &name, "it is not scored yet.");
    }
}

fn of_run(found: &mut Found, folder: &Path, run: RunScores) -> FoundScores {
    let name = run.models.join(" + ");
    let mut scores = ModelScores::of(&name, &name, run.parameters);
    let (mut data, mut rules) = (BTreeMap::new(), None);
    for (place, result) in run.pairs {
        rules = Some(result.rules);
        let items = match place.as_str() {
            "builtin" => found.folder.join("corpus/pairs"),
            place => PathBuf::from(place),
        };
        data.insert(result.benchmark.name(), items);
        let answers = run.answers.get(&place).filter(|file| is_plain(file));
        let answers = answers.map(|file| folder.join(file));
        let predictions = answers.and_then(|path| answers_of(found, &path, &result));
        let predictions = predictions.unwrap_or_default();
        scores.outcomes.push(Outcome { result, predictions });
    }
    if let Some(value) = run.held_out_loss {
        scores.measured.push(loss(value));
    }
    FoundScores { scores, rules, held_out_loss: run.held_out_loss, samples: run.samples, data }
}

/// Whether a name that a file states is that of a file beside it.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// A held-out loss of which no parts are known.
fn loss(value: f64) -> Measured {
    let parts = vec![Part { name: "all".to_owned(), value, items: 0 }];
    Measured { benchmark: &HeldOutLoss, unit: "nats", decimals: 4, parts, json: Value::Null }
}

/// The answers behind a result, if they are about its items.
fn answers_of(
    found: &mut Found,
    path: &Path,
    result: &BenchmarkResult,
) -> Option<Vec<Vec<eval::Prediction>>> {
    let tasks = match predictions::read(path) {
        Ok(tasks) => tasks,
        Err(cause) => {
            found.lacks("answers", &shown_name(path), format!("{cause}."));
            return None;
        }
    };
    let fits = tasks.len() == result.tasks.len()
        && tasks.iter().zip(&result.tasks).all(|(answers, task)| {
            answers.task == task.name && answers.predictions.len() == task.items
        });
    if !fits {
        found.lacks("answers", &shown_name(path), "they are not those of the scores beside them.");
        return None;
    }
    Some(tasks.into_iter().map(|task| task.predictions).collect())
}

/// Reads what `evaluate` and `finetune` leave: a folder for each model.
pub(super) fn look_at_evaluation(found: &mut Found) {
    let folders = entries(&found.folder).unwrap_or_default();
    for folder in folders.iter().filter(|folder| folder.join("model.json").is_file()) {
        let scores = of_model(found, folder);
        found.scores.push(scores);
    }
}

fn of_model(found: &mut Found, folder: &Path) -> FoundScores {
    let name = shown_name(folder);
    let mut all = FoundScores {
        scores: ModelScores::of(&name, &name, 0),
        rules: None,
        held_out_loss: None,
        samples: Vec::new(),
        data: BTreeMap::new(),
    };
    for &benchmark in BENCHMARKS {
        let place = folder.join(benchmark.name());
        if place.is_dir() {
            add(found, &mut all, benchmark, &place);
        }
    }
    add_finetuned(found, &mut all, folder);
    all
}

/// Adds what the folder of a benchmark has.
fn add(found: &mut Found, all: &mut FoundScores, benchmark: &'static dyn Benchmark, place: &Path) {
    let (path, name) = (place.join("result.json"), all.scores.name.clone());
    let what = (benchmark.title(), &name[..]);
    let unfinished = Some("its scoring has not ended.");
    match benchmark.kind() {
        Kind::HeldOutLoss => {
            if let Some(result) = found.json::<LossResult>(&path, what, unfinished) {
                all.held_out_loss = Some(result.loss);
                all.scores.measured.push(result.measured());
            }
        }
        Kind::AgeOfAcquisition => {
            if let Some(result) = found.json::<AgeScore>(&path, what, unfinished) {
                all.scores.measured.push(result.measured());
            }
        }
        Kind::ZeroShot(_) => {
            let Some(result) = found.json::<BenchmarkResult>(&path, what, unfinished) else {
                return;
            };
            all.rules = Some(result.rules);
            let record: Option<Value> = found.json(&place.join(DATA), what, None);
            let data = record.and_then(|record| Some(PathBuf::from(record["data"].as_str()?)));
            all.data.extend(data.map(|data| (benchmark.name(), data)));
            let answers = answers_of(found, &place.join("predictions.jsonl"), &result);
            let predictions = answers.unwrap_or_default();
            all.scores.outcomes.push(Outcome { result, predictions });
        }
        Kind::FineTuned(_) => add_finetuned(found, all, place),
    }
}

/// Adds the results in `TASK/seed-N` of a folder. The seeds of a task count in ascending order.
fn add_finetuned(found: &mut Found, all: &mut FoundScores, folder: &Path) {
    for task in entries(folder).unwrap_or_default().iter().filter(|task| task.is_dir()) {
        let seeds = entries(task).unwrap_or_default().into_iter();
        let seeds = seeds.filter(|seed| shown_name(seed).starts_with("seed-"));
        let mut results: Vec<FinetuneResult> = Vec::new();
        for seed in seeds {
            let of = format!("{} for {}, {}", all.scores.name, shown_name(task), shown_name(&seed));
            let what = ("fine-tuning", &of[..]);
            let unfinished = Some("it has not ended.");
            results.extend(found.json::<FinetuneResult>(
                &seed.join("result.json"),
                what,
                unfinished,
            ));
        }
        results.sort_by_key(|result| result.course.settings.seed);
        for (index, result) in results.into_iter().enumerate() {
            all.rules = all.rules.or(Some(result.course.rules));
            all.scores.add_finetuned(index, vec![result]);
        }
    }
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// The last part of a path, in characters that can be shown.
fn shown_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    report::format::in_one_line(&name)
}

//! Scores in the folders of evaluations and fine-tunings.

use std::path::{Path, PathBuf};

use eval::age_of_acquisition::AgeScore;
use eval::classification::find_task;
use eval::{BENCHMARKS, Benchmark, BenchmarkResult, HeldOutLoss, Kind, LossResult, Outcome};
use model::hugging_face::load_any_config;
use serde::Deserialize;

use super::found::{Found, FoundScores, Items, read};
use super::records;
use super::scores::{NO_TEXT, answers_of, shown_name, why_no_samples};
use crate::evaluation::all::SCORES;
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::challenge::{CHALLENGE, KeptScores};
use crate::evaluation::results::{DATA, SAMPLES};
use crate::failures::Failures;
use crate::files::entries;
use crate::finetuning::result::FinetuneResult;
use crate::held_out::{HeldOut, text_of};
use crate::run::samples::Sample;
use crate::scored_items;
use crate::stage::{Record, Stage};

/// Reads what `evaluate` and `finetune` leave: a folder for each model.
pub(super) fn look_at_evaluation(found: &mut Found) {
    let folders = entries(&found.folder).unwrap_or_default();
    match Failures::kept(&found.folder) {
        Ok(failures) => found.failures = failures,
        Err(cause) => found.lacks("what failed", "", format!("{}.", cause.cause())),
    }
    let failed: Vec<(String, String)> = found.failures.listed().collect();
    for (part, why) in failed {
        found.lacks("scores", &part, format!("failed: {why}."));
    }
    for folder in folders.iter().filter(|folder| holds_scores(folder)) {
        let (path, name) = (folder.join("model.json"), shown_name(folder));
        let expected = format!("{} is not there.", path.display());
        let what = ("place of the model", &name[..]);
        let model: Option<ModelFile> = found.json(&path, what, Some(&expected));
        records::read(found, folder, &format!("{name}: "));
        // A checkpoint of the challenge has as many stages as the model itself.
        let of_checkpoint = format!("{name}: chck_");
        found.records.retain(|stage, _| !stage.starts_with(&of_checkpoint));
        let mut scores = of_model(found, folder);
        let what = ("scores of the challenge", &name[..]);
        let kept: Option<KeptScores> = found.json(&folder.join(CHALLENGE), what, None);
        let has_others = kept.is_none() || !scores.scores.is_empty();
        found.challenge.extend(kept.map(|kept| (name.clone(), kept)));
        if !has_others {
            continue;
        }
        if let Some(model) = model {
            add_of_folders(found, &mut scores, &model.models, folder);
        }
        found.scores.push(scores);
    }
    name_losses_of_none(found);
    sort_as_named(found);
}

/// Names models that have no held-out loss beside others, as they do not predict the next token.
fn name_losses_of_none(found: &mut Found) {
    if found.scores.iter().all(|one| one.held_out_loss.is_none()) {
        return;
    }
    let without = found.scores.iter().filter(|one| one.is_causal == Some(false));
    let without = without.filter(|one| one.held_out_loss.is_none());
    let names: Vec<String> = without.map(|one| one.scores.name.clone()).collect();
    for name in names {
        let why = "a model that does not predict the next token has none beside theirs.";
        found.lacks("held-out loss", &name, why);
    }
}

/// Puts models into the order in which `evaluate all` was given them, as its list of scores has it.
fn sort_as_named(found: &mut Found) {
    let list = read(&found.folder.join(SCORES)).unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    let place = |scores: &FoundScores| {
        let field = report::csv::line([&scores.scores.name[..], ""]);
        let place = list.lines().position(|line| line.starts_with(field.trim_end()));
        place.unwrap_or(usize::MAX)
    };
    found.scores.sort_by_cached_key(place);
}

/// What `model.json` of a model's scores has to state.
#[derive(Deserialize)]
struct ModelFile {
    models: Vec<PathBuf>,
}

/// Adds what the folders of the models state, and what `evaluate all` had the model write.
fn add_of_folders(found: &mut Found, all: &mut FoundScores, models: &[PathBuf], folder: &Path) {
    let name = all.scores.name.clone();
    let configs: Result<Vec<_>, _> = models.iter().map(|path| load_any_config(path)).collect();
    match &configs {
        Ok(configs) => {
            let parameters = configs.iter().map(|config| config.parameter_count() as u64);
            all.scores.parameters = parameters.sum();
            all.is_causal = configs.first().map(|config| config.architecture.is_causal());
        }
        Err(cause) => {
            let why = format!("the folder of the model cannot be read: {}.", one_line(cause));
            found.lacks("parameters", &name, why);
        }
    }
    let path = folder.join(SAMPLES);
    if let Some(samples) = found.json::<Vec<Sample>>(&path, ("samples", &name), None) {
        if samples.is_empty() {
            found.lacks("samples", &name, why_no_samples(all.scores.parameters));
        }
        all.samples = samples;
        return;
    }
    // Other commands than `evaluate all` have models write nothing, and keep no such records.
    let is_all = folder.join("stages").is_dir() && !path.exists();
    let why = match &configs {
        _ if !is_all => return,
        _ if models.len() > 1 => "an ensemble writes none.",
        Ok(configs) if configs.iter().any(|config| !config.architecture.is_causal()) => NO_TEXT,
        _ => "`evaluate all` had the model write none yet; the same command again does.",
    };
    found.lacks("samples", &name, why);
}

fn one_line(cause: &impl std::fmt::Display) -> String {
    report::format::in_one_line(&cause.to_string())
}

/// What the file beside a benchmark's scores has to state.
#[derive(Deserialize)]
struct DataFile {
    data: PathBuf,
    items: Option<String>,
}

/// Whether a folder is that of a model's scores, also where `model.json` is lost.
fn holds_scores(folder: &Path) -> bool {
    let inside = |folder: &Path| entries(folder).unwrap_or_default();
    let (tasks, is_own) = (inside(folder), |folder: &Path| folder.join("model.json").exists());
    if is_own(folder) || tasks.iter().any(|task| is_own(task)) {
        return is_own(folder);
    }
    let mut places = tasks.iter().flat_map(|task| [vec![task.clone()], inside(task)].concat());
    places.any(|place| place.join("result.json").exists())
}

fn of_model(found: &mut Found, folder: &Path) -> FoundScores {
    let name = shown_name(folder);
    let mut all = FoundScores::of(ModelScores::of(&name, &name, 0));
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
    let has_failed = found.failures.mark(&name, benchmark.name(), None).is_some();
    let unfinished = (!has_failed).then_some("the scoring has not ended.");
    match benchmark.kind() {
        Kind::HeldOutLoss => {
            if let Some(result) = found.json::<LossResult>(&path, what, unfinished) {
                all.held_out_loss = Some(result.loss);
                all.held_out = held_out_of_text(found, &name, &result);
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
            let path = place.join(DATA);
            let expected = format!("{} is not there.", path.display());
            let what = ("place of the data", &name[..]);
            let record: Option<DataFile> = found.json(&path, what, Some(&expected));
            let stage = found.records.get(&format!("{name}: {}", benchmark.name()));
            let by_stage = stage.and_then(|record| scored_items::of_stage(record.stage()));
            all.data.extend(record.map(|record| {
                let scored = record.items.or(by_stage);
                (benchmark.name(), Items::new(benchmark, record.data, scored))
            }));
            let answers = answers_of(found, &place.join("predictions.jsonl"), &result);
            let predictions = answers.unwrap_or_default();
            all.scores.outcomes.push(Outcome { result, predictions });
        }
        Kind::FineTuned(_) => add_finetuned(found, all, place),
    }
}

/// What the loss of `evaluate all` is measured on, by the record of its stage.
fn held_out_of_text(found: &Found, name: &str, result: &LossResult) -> HeldOut {
    let record = found.records.get(&format!("{name}: {}", HeldOutLoss.name()));
    let stage = record.map(Record::stage);
    let settings = stage.and_then(|stage| stage.settings().get(0));
    let is_cleaned = settings.and_then(|it| it.get(0)?.as_bool()).unwrap_or(false);
    let files = stage.into_iter().flat_map(Stage::files);
    let files = files.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect();
    HeldOut {
        text: text_of(files, is_cleaned),
        tokenizer: result.tokenizer.clone(),
        sequence_length: settings.and_then(|it| it.get(1)?.as_u64()),
        predicted: Some(result.tokens as u64),
        ..HeldOut::default()
    }
}

/// Adds the results in `TASK/seed-N` of a folder. The seeds of a task count in ascending order.
/// What an earlier call left of a fine-tuning that has failed since does not count.
fn add_finetuned(found: &mut Found, all: &mut FoundScores, folder: &Path) {
    for task in entries(folder).unwrap_or_default().iter().filter(|task| task.is_dir()) {
        let seeds = entries(task).unwrap_or_default().into_iter();
        let seeds = seeds.filter(|seed| shown_name(seed).starts_with("seed-"));
        let mut results: Vec<FinetuneResult> = Vec::new();
        for seed in seeds {
            let (task, seed_name) = (shown_name(task), shown_name(&seed));
            let of = format!("{} for {task}, {seed_name}", all.scores.name);
            let number = seed_name.strip_prefix("seed-").and_then(|number| number.parse().ok());
            let has_failed = find_task(&task).is_some_and(|known| {
                let benchmark = known.benchmark.name();
                found.failures.has_finetuning(&all.scores.name, benchmark, known.name, number)
            });
            if !has_failed {
                let what = ("fine-tuning", &of[..]);
                let path = seed.join("result.json");
                results.extend(found.json::<FinetuneResult>(&path, what, Some("not ended yet.")));
            }
        }
        results.sort_by_key(|result| result.course.settings.seed);
        for (index, result) in results.into_iter().enumerate() {
            all.rules = all.rules.or(Some(result.course.rules));
            all.scores.add_finetuned(index, vec![result]);
        }
    }
}

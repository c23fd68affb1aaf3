//! Scores in the folders of runs, evaluations and fine-tunings.

use std::path::{Component, Path, PathBuf};

use eval::age_of_acquisition::AgeScore;
use eval::classification::find_task;
use eval::output::predictions;
use eval::{
    BENCHMARKS, Benchmark, BenchmarkResult, FileLoss, HeldOutLoss, Kind, LossResult, Measured,
    Outcome,
};
use model::hugging_face::load_any_config;
use report::format::grouped;
use serde::Deserialize;
use serde_json::Value;

use super::found::{Found, FoundScores, Items, read};
use super::records;
use crate::evaluation::all::SCORES;
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::results::{DATA, SAMPLES, distinct};
use crate::failures::Failures;
use crate::finetuning::result::FinetuneResult;
use crate::held_out::{HeldOut, text_of};
use crate::run::clean::entries;
use crate::run::evaluation::{RunScores, file_name, sequence_length_of, stage_name};
use crate::run::samples::{LARGEST, Sample};
use crate::scored_items;
use crate::stage::{Record, Stage};

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
    for subject in subjects(found) {
        name_unscored(found, &folder, &subject);
    }
}

/// What a run scores: each model, and the ensembles of the recipe.
fn subjects(found: &Found) -> Vec<Vec<String>> {
    let ensembles = found.recipe.as_ref().and_then(|(_, recipe)| {
        let ensembles = recipe.get("evaluate")?.get("ensembles")?.clone();
        ensembles.try_into::<Vec<Vec<String>>>().ok()
    });
    let models = found.models.iter().map(|model| vec![model.name.clone()]);
    models.chain(ensembles.unwrap_or_default()).collect()
}

/// Names the scores of a model or an ensemble where they are not there, and the record of their
/// stage.
fn name_unscored(found: &mut Found, folder: &Path, subject: &[String]) {
    let name = subject.join(" + ");
    let path = folder.join(format!("{}.json", file_name(subject)));
    let stage = stage_name(subject);
    let record = found.folder.join("stages").join(format!("{stage}.json"));
    let (is_recorded, is_scored) = (
        found.records.contains_key(&stage),
        found.scores.iter().any(|scores| scores.scores.name == name),
    );
    let shown = path.display();
    // What is damaged is named already.
    if is_scored && !record.exists() {
        let why = format!("{} is not there.", record.display());
        found.lacks("record of the scores", &name, why);
    } else if !is_scored && path.exists() && read_models(&path).is_some() {
        found.lacks("scores", &name, format!("{shown} has those of other models."));
    } else if !is_scored && !path.exists() && is_recorded {
        found.lacks("scores", &name, format!("{shown} is not there."));
    } else if !is_scored && !path.exists() {
        found.lacks("scores", &name, "not scored yet.");
    }
}

/// The models that a file has scores of.
fn read_models(path: &Path) -> Option<Vec<String>> {
    let scores: RunScores = serde_json::from_slice(&read(path).ok()?).ok()?;
    Some(scores.models)
}

fn of_run(found: &mut Found, folder: &Path, run: RunScores) -> FoundScores {
    let name = run.models.join(" + ");
    let mut sets = vec![FoundScores::of(ModelScores::of(&name, &name, run.parameters))];
    let folder_of = |place: &String| match place.as_str() {
        "builtin" => found.folder.join("corpus/pairs"),
        place => PathBuf::from(place),
    };
    let folders: Vec<PathBuf> = run.pairs.keys().map(folder_of).collect();
    let record = found.records.get(&stage_name(&run.models)).cloned();
    for (((place, result), items), set_name) in
        run.pairs.iter().zip(&folders).zip(distinct(&folders))
    {
        let benchmark = result.benchmark;
        let is_further = |set: &FoundScores| set.data.contains_key(benchmark.name());
        let index = sets.iter().position(|set| !is_further(set)).unwrap_or(sets.len());
        if index == sets.len() {
            sets.push(FoundScores::of(ModelScores::of(&name, &name, 0)));
        }
        let scored = run.items_of(place, record.as_ref());
        let items = Items::new(benchmark, items.clone(), scored);
        let set = &mut sets[index];
        set.rules = Some(result.rules);
        set.data.insert(benchmark.name(), items);
        let is_one = run.pairs.values().filter(|other| other.benchmark == benchmark).count() == 1;
        set.set_names.extend((!is_one).then(|| (benchmark.name(), set_name)));
        let answers = run.answers.get(place).map(|file| folder.join(file));
        if let Some(path) = answers.as_ref().filter(|path| !is_in(path, folder)) {
            let why = format!("{} is no file beside the scores.", path.display());
            found.lacks("answers", &name, why);
        }
        let answers = answers.filter(|path| is_in(path, folder));
        let predictions = answers.and_then(|path| answers_of(found, &path, result));
        let predictions = predictions.unwrap_or_default();
        let outcome = Outcome { result: result.clone(), predictions };
        sets[index].scores.outcomes.push(outcome);
    }
    let mut held_out = run.held_out.unwrap_or_else(|| held_out_of(found, &run.models));
    let model = found.models.iter().find(|model| Some(&model.name) == run.models.first());
    let architecture = model.and_then(|model| model.architecture);
    // Older files do not state how tokens were hidden.
    held_out.hidden = held_out.hidden.or(model.and_then(|model| model.held_out.hidden.clone()));
    let is_causal = architecture.is_none_or(|architecture| architecture.is_causal());
    for set in &mut sets {
        (set.held_out_loss, set.held_out) = (run.held_out_loss, held_out.clone());
    }
    let mut main = sets.remove(0);
    if let Some(value) = run.held_out_loss {
        if run.sources.is_empty() {
            let why = match is_causal {
                true => "these scores are of a version of the program that did not measure it.",
                false => "it is measured of models that predict the next token.",
            };
            found.lacks("loss by source of text", &name, why);
        }
        main.scores.measured.push(loss(value, run.sources));
    }
    if let ([_], true) = (&run.models[..], run.samples.is_empty()) {
        let why = match is_causal {
            true => why_no_samples(run.parameters),
            false => NO_TEXT.to_owned(),
        };
        found.lacks("samples", &name, why);
    }
    FoundScores { samples: run.samples, further: sets, ..main }
}

/// What a loss is measured on whose file does not state it, by the record of the stage.
fn held_out_of(found: &Found, subject: &[String]) -> HeldOut {
    let Some(record) = found.records.get(&stage_name(subject)) else {
        return found.held_out.clone();
    };
    let sequence_length = sequence_length_of(record.stage());
    let used = record.stage().used("tokens").map(str::to_owned);
    match used == found.held_out.stage {
        true => HeldOut { sequence_length, ..found.held_out.clone() },
        // The text was another one when this was scored.
        false => HeldOut { sequence_length, stage: used, ..HeldOut::default() },
    }
}

/// Why a masked model or an encoder-decoder has no samples.
const NO_TEXT: &str = "a model that does not predict the next token writes no text.";

/// Why a model by itself has no samples.
fn why_no_samples(parameters: u64) -> String {
    match parameters > LARGEST as u64 {
        true => format!(
            "models of more than {} weights write none when they are scored; `babyllama \
             generate` lets them write.",
            grouped(LARGEST as u64)
        ),
        false => "these scores are of a version of the program that did not write any.".to_owned(),
    }
}

/// Whether a path that a file states is that of a file in a folder itself.
fn is_in(path: &Path, folder: &Path) -> bool {
    let inside = path.strip_prefix(folder).ok();
    let mut parts = inside.into_iter().flat_map(Path::components);
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// A held-out loss with those of the sources of the text, where it has several.
fn loss(value: f64, sources: Vec<FileLoss>) -> Measured {
    let tokens = sources.iter().map(|source| source.predicted_tokens).sum();
    let files = if sources.len() > 1 { sources } else { Vec::new() };
    let result = LossResult {
        loss: value,
        perplexity: value.exp(),
        tokens,
        files,
        precision: None,
        tokenizer: None,
    };
    Measured { json: Value::Null, ..result.measured() }
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
        let mut scores = of_model(found, folder);
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

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// The last part of a path, in characters that can be shown.
fn shown_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    report::format::in_one_line(&name)
}

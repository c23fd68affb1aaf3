//! Scores in the folder of a run.

use std::path::{Component, Path, PathBuf};

use eval::{FileLoss, LossResult, Measured, Outcome};
use serde_json::Value;

use super::found::{Found, FoundScores, Items, read};
use super::scores::{NO_TEXT, answers_of, shown_name, why_no_samples};
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::results::distinct;
use crate::files::entries;
use crate::held_out::HeldOut;
use crate::run::scores::{RunScores, file_name, sequence_length_of, stage_name};

/// Reads `evaluation/` of a run.
pub(super) fn look_at_run(found: &mut Found) {
    let folder = found.folder.join("evaluation");
    let paths = entries(&folder).unwrap_or_default();
    for path in paths.iter().filter(|path| ends_in(path, "json")) {
        let name = shown_name(path);
        let Some(scores) = found.json::<RunScores>(path, ("scores", &name), None) else { continue };
        let record = found.records.get(&stage_name(&scores.models));
        if let Some(model) = scores.retrained(&found.folder, record) {
            let why = format!("{} has those of an earlier training of {model}.", path.display());
            found.lacks("scores", &scores.models.join(" + "), why);
            continue;
        }
        let scores = of_run(found, &folder, scores);
        found.scores.push(scores);
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
    // Recipes that earlier versions stored have the members in another order than scores.
    let place = |member: &String| found.models.iter().position(|model| model.name == *member);
    let sorted = |mut members: Vec<String>| {
        members.sort_by_key(place);
        members
    };
    let models = found.models.iter().map(|model| vec![model.name.clone()]);
    models.chain(ensembles.unwrap_or_default().into_iter().map(sorted)).collect()
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
    // What is damaged or of an earlier training is named already.
    if found.missing.iter().any(|lack| lack.what == "scores" && lack.of == name) {
        return;
    }
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

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

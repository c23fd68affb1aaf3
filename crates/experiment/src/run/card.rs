//! The card of a run's model, by what the run's folder has. What is not there is left out, or
//! named.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base::{atomic_file, hash};
use model::ModelConfig;
use report::card::{Card, CardMetric, CardResult};
use report::format::{grouped, short};

use super::exposure::{self, Exposure};
use super::preview::recipe_of;
use super::scores::{RunScores, file_name, stage_name};
use crate::error::{FileContext, Result};
use crate::files;
use crate::held_out::hidden_in_words;
use crate::recipe::{self, CorpusSection, ModelSection, Recipe, Source, Start};
use crate::stage::Stages;
use crate::training_log::TrainingSummary;
use crate::verify;

/// The name of the card in a model's folder.
pub const FILE: &str = "README.md";

/// What a person knows of a model and its run does not.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Under which the model is published, as hubs name it.
    pub license: Option<String>,
    /// Codes of the text's languages.
    pub languages: Vec<String>,
    /// Names of the text's data sets on a hub.
    pub datasets: Vec<String>,
}

/// The card of a model whose weights are in `weights`, one of the run's folders, and of this
/// configuration.
pub fn card(run: &Path, name: &str, weights: &Path, config: &ModelConfig, given: Given) -> Card {
    let recipe = recipe::load(&recipe_of(run), &[]).ok();
    let section = recipe.as_ref().and_then(|recipe| recipe.models.get(name));
    let corpus = recipe.as_ref().map(|recipe| &recipe.corpus);
    let is_final = weights.file_name() == Path::new(verify::FINAL).file_name();
    let scores = is_final.then(|| scores(run, name)).flatten();
    let summary_file = run.join("models").join(name).join(TrainingSummary::FILE);
    let training = files::read_json::<TrainingSummary>(&summary_file).ok();
    let exposure = exposure(run, name, training.as_ref());
    let is_causal = config.architecture.is_causal();
    let results = scores.iter().flat_map(|scores| results(scores, &held_out(corpus), is_causal));
    let mut card = Card {
        name: match &recipe {
            Some(recipe) => format!("{name} of {}", recipe.name),
            None => name.to_owned(),
        },
        license: given.license,
        languages: languages(given.languages, corpus),
        datasets: given.datasets,
        is_causal,
        is_encoder_decoder: config.architecture.is_encoder_decoder(),
        is_own_layout: !config.architecture.is_in_transformers(),
        tags: vec![config.architecture.name().to_owned()],
        summary: summary(config, section, is_final),
        facts: facts(run, name, config, section, training.as_ref()),
        data: data(corpus, exposure.as_ref()),
        results: results.collect(),
        recipe: recipe.as_ref().map(|recipe| settings(recipe, name)).unwrap_or_default(),
        ..Card::default()
    };
    if section.is_some_and(|section| section.distill.is_some()) {
        card.tags.push("distillation".to_owned());
    }
    card.remarks = remarks(&card, scores.as_ref(), corpus);
    card.limits = limits(exposure.as_ref(), corpus);
    card
}

/// Those that were given, and English for the built-in corpus.
fn languages(given: Vec<String>, corpus: Option<&CorpusSection>) -> Vec<String> {
    let is_builtin = corpus.is_some_and(|corpus| corpus.source == Source::Builtin);
    if given.is_empty() && is_builtin { vec!["en".to_owned()] } else { given }
}

fn summary(config: &ModelConfig, section: Option<&ModelSection>, is_final: bool) -> String {
    let size = short(config.parameter_count() as f64);
    let mut text = format!("{} model of {size} parameters", config.architecture.title());
    if let Some(section) = section {
        text += match &section.start {
            Start::Random(_) => ", trained from random weights on little text",
            Start::Folder(_) => ", trained on little text from the weights of another model",
        };
        if let Some(distill) = &section.distill {
            text += &format!(" and the outputs of its teachers ({})", distill.teachers.join(", "));
        }
    }
    text += ", with babyllama.";
    if !is_final {
        text += " Its training was not finished: these are the best weights so far.";
    }
    text
}

fn facts(
    run: &Path,
    name: &str,
    config: &ModelConfig,
    section: Option<&ModelSection>,
    training: Option<&TrainingSummary>,
) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |what: &str, much: String| facts.push((what.to_owned(), much));
    add("architecture", config.architecture.title().to_owned());
    add("parameters", grouped(config.parameter_count() as u64));
    add("layers", config.num_layers.to_string());
    add("hidden size", config.hidden_size.to_string());
    add("heads (of keys and values)", format!("{} ({})", config.num_heads, config.num_kv_heads));
    if let Some(experts) = &config.experts {
        let (sparse, layers) = (config.sparse_layers(), config.num_layers);
        let many = format!("{} in {sparse} of {layers} layers, one a token", experts.num_experts);
        add("experts", many);
        add("parameters that a token passes", grouped(config.active_parameter_count() as u64));
    }
    add("vocabulary", grouped(config.vocab_size as u64));
    add("longest sequence", format!("{} tokens", config.max_positions));
    let hidden = section.and_then(|it| hidden_in_words(config.architecture, &it.train));
    hidden.into_iter().for_each(|how| add("tokens that are hidden and predicted", how));
    if let Some(training) = training {
        add("tokens of all training steps", grouped(training.tokens as u64));
        if let Some(epoch) = training.best_epoch {
            add("epoch of these weights", format!("{epoch:.2}"));
        }
    }
    if let Some(products) = Stages::look(run).products(&format!("model-{name}")) {
        add("precision and instructions of training", products);
    }
    facts
}

fn data(corpus: Option<&CorpusSection>, exposure: Option<&Exposure>) -> Vec<String> {
    let text = match corpus {
        None => "The recipe of the training is not known.".to_owned(),
        Some(CorpusSection { source: Source::Builtin, words, .. }) => format!(
            "About {} words of English that a grammar wrote (babyllama's built-in corpus).",
            grouped(*words as u64)
        ),
        Some(CorpusSection { source: Source::Folder(folder), words, clean, .. }) => {
            let much = if *words > 0 {
                format!("{} words of the text", grouped(*words as u64))
            } else {
                "The text".to_owned()
            };
            let cleaned = if *clean { ", cleaned by the rules of each source" } else { "" };
            format!("{much} in the folder {}{cleaned}.", folder.display())
        }
    };
    let seen = exposure.map_or_else(
        || "How many words the model has seen is not recorded.".to_owned(),
        Exposure::sentence,
    );
    vec![text, seen]
}

/// What the model has seen, by the run's ledger, if that is about this training.
fn exposure(run: &Path, name: &str, training: Option<&TrainingSummary>) -> Option<Exposure> {
    let ledger: BTreeMap<String, Exposure> = files::read_json(&run.join(exposure::FILE)).ok()?;
    let found = ledger.get(name)?;
    let record = Stages::look(run).record(&format!("model-{name}")).ok().flatten();
    let is_of_record = found
        .training
        .as_ref()
        .zip(record.as_ref())
        .is_none_or(|(training, record)| training == record.fingerprint());
    (is_of_record && found.tokens == training?.tokens as u64).then(|| found.clone())
}

/// What the run scored, if these are the scores of the weights that are there now.
fn scores(run: &Path, name: &str) -> Option<RunScores> {
    let subject = [name.to_owned()];
    let stages = Stages::look(run);
    if !stages.is_of(&stage_name(&subject), &format!("model-{name}")) {
        return None;
    }
    let file = format!("{}.json", file_name(&subject));
    files::read_json(&run.join("evaluation").join(file)).ok()
}

/// The name of the held-out text.
fn held_out(corpus: Option<&CorpusSection>) -> String {
    match corpus.map(|corpus| String::from(corpus.validation.clone())) {
        Some(place) => format!("held-out text ({place})"),
        None => "held-out text".to_owned(),
    }
}

fn results(scores: &RunScores, held_out: &str, is_causal: bool) -> Vec<CardResult> {
    let metric = |kind: &str, name: &str, value: f64, shown: String| CardMetric {
        kind: kind.to_owned(),
        name: name.to_owned(),
        value,
        shown,
    };
    let loss = scores.held_out_loss.map(|loss| {
        let perplexity = loss.exp();
        let token = if is_causal { "token" } else { "hidden token" };
        let (loss_name, perplexity_name) =
            (format!("cross-entropy, nats per {token}"), format!("perplexity per {token}"));
        let metrics = vec![
            metric("loss", &loss_name, loss, format!("{loss:.4}")),
            metric("perplexity", &perplexity_name, perplexity, format!("{perplexity:.2}")),
        ];
        let (dataset_type, dataset) = ("held-out".to_owned(), held_out.to_owned());
        CardResult { dataset_type, dataset, metrics }
    });
    let pairs = scores.pairs.values().map(|result| {
        let shown = format!("{:.1} %", 100.0 * result.score);
        let name = format!("accuracy, rules of {}", result.rules.name());
        CardResult {
            dataset_type: result.benchmark.name().to_owned(),
            dataset: result.title(),
            metrics: vec![metric("accuracy", &name, result.score, shown)],
        }
    });
    loss.into_iter().chain(pairs).collect()
}

fn remarks(card: &Card, scores: Option<&RunScores>, corpus: Option<&CorpusSection>) -> Vec<String> {
    let mut remarks = Vec::new();
    if card.results.is_empty() {
        return remarks;
    }
    remarks.push(
        "These are results of one training. A loss per token compares with that of models with the \
         same tokenizer and text alone."
            .to_owned(),
    );
    if !card.is_causal {
        remarks.push(
            "The loss is of hidden tokens, and compares with that of models alone whose tokens are \
             hidden in the same way."
                .to_owned(),
        );
    }
    let is_part = |scores: &RunScores| scores.pairs.values().any(|result| !result.is_whole());
    if scores.is_some_and(is_part) {
        remarks.push(
            "Where a part of a benchmark was scored, the result does not compare with printed ones."
                .to_owned(),
        );
    }
    if corpus.is_some_and(|corpus| corpus.source == Source::Builtin) {
        remarks.push("Built-in pairs are written by the same grammar as the text.".to_owned());
    }
    remarks
}

fn limits(exposure: Option<&Exposure>, corpus: Option<&CorpusSection>) -> Vec<String> {
    let little = match exposure {
        Some(exposure) => format!(
            "It is a model for research on learning from little text: it has seen {} words, \
             repetitions included. It knows few facts and writes what is false.",
            short(exposure.words as f64)
        ),
        None => "It is a model for research on learning from little text. It knows few facts and \
                 writes what is false."
            .to_owned(),
    };
    let mut limits = vec![little];
    limits.push(match corpus.is_some_and(|corpus| corpus.source == Source::Builtin) {
        true => "Its text is that of a small grammar: other English is foreign to it.".to_owned(),
        false => "It repeats the views and the prejudices of its text.".to_owned(),
    });
    limits.push("It was not trained to follow instructions, nor to avoid harmful text.".to_owned());
    limits
}

/// The parts of the recipe that are about the model and its text.
fn settings(recipe: &Recipe, name: &str) -> String {
    let mut one = recipe.clone();
    one.models.retain(|model, _| model == name);
    one.evaluate.ensembles.clear();
    one.evaluate.seeds.clear();
    one.resolved().unwrap_or_default()
}

/// What stands before the hash of a card, at its end.
const MARK: &str = "<!-- Written by babyllama export. BLAKE3 of what is above: ";

/// What stands after the hash.
const MARK_END: &str = " -->\n";

/// Writes a card into a model's folder, unless there is one that a person has written or changed.
/// Returns whether it was written.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, card: &Card) -> Result<bool> {
    let path = folder.join(FILE);
    if fs::symlink_metadata(&path).is_ok() && !is_unchanged(&path) {
        return Ok(false);
    }
    let text = card.to_markdown() + "\n";
    let text = format!("{text}{MARK}{}{MARK_END}", hash::of_bytes(text.as_bytes()));
    atomic_file::write(&path, text.as_bytes()).at("write", &path)?;
    Ok(true)
}

/// Whether a card is as it was written here.
fn is_unchanged(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let parts = text.strip_suffix(MARK_END).and_then(|text| text.rsplit_once(MARK));
    parts.is_some_and(|(above, hash)| hash::of_bytes(above.as_bytes()) == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_a_person_wrote_or_changed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let write = |name: &str| {
            let card = Card { name: name.into(), ..Card::default() };
            write(folder.path(), &card).unwrap()
        };
        assert!(write("first"));
        assert!(write("second"), "its own card is replaced");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("# second\n"), "{text}");
        for other in [text.replace("# second", "# ours"), text + "More.\n", String::new()] {
            fs::write(&path, &other).unwrap();
            assert!(!write("third"));
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
        fs::remove_file(&path).unwrap();
        assert!(write("third"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_place_of_a_card_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join(FILE)).unwrap();
        assert!(!write(folder.path(), &Card::default()).unwrap());
        assert!(!folder.path().join("nowhere").exists());
    }
}

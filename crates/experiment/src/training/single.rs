//! One model on token files, outside a recipe's run (`babyllama pretrain` and `distill`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::stop;
use corpus::{TokenFile, Tokenizer};
use engine::{Arithmetic, Device};
use model::{Model, ModelConfig, hugging_face};
use train::{DistillSettings, Distillation, TokenSource, TrainingRun};

use super::Training;
use crate::error::{Context, FileContext, Result, refuse};
use crate::estimate::require_memory;
use crate::held_out::{self, HeldOut};
use crate::identity;
use crate::lock::RunLock;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::outputs::FolderKind;
use crate::recipe::{ModelSection, Start};
use crate::run::exposure::{self, SingleExposure};
use crate::run::log::RunLog;
use crate::run::{cache_path, claim};
use crate::stage::{Stage, Stages};
use crate::training_log::TrainingSummary;
use crate::verify::{self, FINISHED};
use crate::{files, outputs, position_heads, remarks, teacher_folders, tokenizers};

/// What a single model is trained on.
#[derive(Clone, Debug)]
pub struct TrainingFiles {
    /// Training tokens.
    pub tokens: PathBuf,
    /// Held-out tokens.
    pub validation: Option<PathBuf>,
    /// Whether the token files have no header.
    pub raw_tokens: bool,
    /// The tokenizer's file; it is compared with those of all folders and goes to the model.
    pub tokenizer: Option<PathBuf>,
    /// The vocabulary's size, where no token file states it.
    pub vocab_size: Option<usize>,
    /// The folder of the training; the weights go to `final` in it.
    pub output: PathBuf,
}

/// Checks what [`train_single`] would refuse before a device is opened.
///
/// # Errors
/// When the trained weights would replace a model that is read or a run's, the folder holds other
/// files, or the teacher cache would be where
/// the training reads or writes models, or has other settings or another precision than
/// the device's, as far as that is known.
pub fn check(
    section: &ModelSection,
    files: &TrainingFiles,
    arithmetic: Option<Arithmetic>,
) -> Result<()> {
    let folders = folders(section);
    for name in [verify::FINAL, train::best::FOLDER] {
        let read: Vec<PathBuf> = folders.iter().map(|(_, folder)| folder.clone()).collect();
        let place = files.output.join(name);
        outputs::check_folder(&place, &read)?;
        outputs::check_no_link(&place)?;
    }
    for name in FILLED {
        outputs::check_no_link(&files.output.join(name))?;
    }
    check_output(&files.output)?;
    if files.tokenizer.is_none() && train::corruption::masks(&section.train) {
        return refuse(
            "the settings mask tokens, and no tokenizer states which token stands for them",
        )
        .advise("name the tokenizer's file with --tokenizer, or remove hybrid and corruption");
    }
    let Some(distill) = &section.distill else { return Ok(()) };
    cache_path::check(distill, &files.output, folders.iter().map(|(_, folder)| &**folder))?;
    cache_path::check_contents(distill, &section.train, arithmetic)
}

/// How a training's folder is known.
const TRAINING: FolderKind = FolderKind {
    name: "training",
    locked: &["log.txt", "metrics.jsonl"],
    unlocked: &["log.txt", "metrics.jsonl"],
    of_others: &["recipe.toml", "model.json", "sweep.toml"],
};

/// What a training fills besides its weights.
const FILLED: [&str; 4] = ["checkpoints", "snapshots", "stages", "teachers"];

/// Refuses a folder for a training that holds something else: a run's models are the run's to
/// train, and would be replaced without a question.
fn check_output(folder: &Path) -> Result<()> {
    outputs::check_no_model(folder)?;
    for (file, what) in [("recipe.toml", "a run"), (claim::FILE, "a model of a run")] {
        if folder.join(file).exists() {
            return refuse(format_args!("{} holds {what}", folder.display()))
                .advise("name a new folder with --output");
        }
    }
    outputs::check_kind(folder, &TRAINING)
}

/// Trains a model of a recipe on token files. `recipe_seed` is what drawn teacher tokens follow
/// from.
///
/// # Errors
/// When settings, tokenizers or files do not fit together, or training fails.
pub fn train_single(
    section: &ModelSection,
    recipe_seed: u64,
    files: &TrainingFiles,
    device: &Arc<dyn Device>,
    observer: &dyn Observer,
) -> Result<()> {
    check(section, files, Some(device.arithmetic()))?;
    files::make_folder(&files.output)?;
    let _lock = RunLock::acquire(&files.output)?;
    let tokenizer = files.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    let open =
        |path: &Path| if files.raw_tokens { TokenFile::raw(path) } else { TokenFile::open(path) };
    let tokens = &open(&files.tokens)?;
    let validation = files.validation.as_deref().map(open).transpose()?;
    let opened: Vec<&TokenFile> =
        [Some(tokens), validation.as_ref()].into_iter().flatten().collect();
    compare_tokenizers(section, &opened, tokenizer.as_ref())?;
    let seed = section.train.seed.unwrap_or_default();
    if device.memory().is_none() {
        require_memory("the model", &config(section, files, tokens)?, &section.train)?;
    }
    let model = start(section, files, tokens, seed, device, observer)?;
    // Not the model's own seed, so that students of all names and seeds can share what is drawn.
    let distill = section.distill.as_ref();
    let (vocab_size, family) = (model.config().vocab_size, model.config().architecture);
    let distillation = |settings| distillation(settings, files, recipe_seed, vocab_size, observer);
    let distill = distill.map(distillation).transpose()?;
    let stage = stage(files, section, observer)?;
    let count_words = || tokenizer.as_ref().map(|tokenizer| words_of(tokens, tokenizer));
    let needs_words = section.train.challenge_checkpoints.is_some();
    let words = needs_words.then(count_words).flatten();
    let run = TrainingRun {
        folder: &files.output,
        settings: &section.train,
        seed,
        model,
        distill,
        training: tokens,
        validation: validation.as_ref().map(|file| file as &dyn TokenSource),
        words,
        mask_token: None,
        hidden_tokens: None,
        inputs_fingerprint: stage.fingerprint(),
    };
    let log = RunLog::open(&files.output, observer)?;
    if let Start::Folder(folder) = &section.start {
        remarks::warn(folder, &log)?;
    }
    // While the weights are replaced there is no record of them.
    files::remove(&files.output.join(FINISHED))?;
    let stages = Stages::look(&files.output).on(Machine::of(&**device));
    let products = Training::new("training", tokenizer.as_ref(), run).execute(&log)?;
    exposure(section, files, tokens, words.or_else(count_words))?;
    if let (Some(file), Some(path)) = (&validation, &files.validation) {
        let held_out = HeldOut {
            tokenizer: file.tokenizer_hash().or(tokenizer.as_ref().map(Tokenizer::content_hash)),
            tokens: Some(base::hash::of_file(path).at("read", path)?),
            sequence_length: Some(section.train.sequence_length as u64),
            hidden: held_out::hidden_by(family, &section.train),
            ..HeldOut::default()
        };
        files::write_json(&files.output.join(HeldOut::FILE), &held_out)?;
    }
    stages.computed(&stage, products);
    Ok(stages.write_record(
        &stage,
        &verify::outputs(Path::new("")),
        &files.output.join(FINISHED),
    )?)
}

/// Tokens that are decoded at a time.
const PIECE: usize = 1 << 20;

/// Words of a text of tokens, without the token that begins documents.
fn words_of(tokens: &TokenFile, tokenizer: &Tokenizer) -> u64 {
    let begin = tokenizer.tokens_around(false).map(|[before, ..]| before).unwrap_or_default();
    let mut ids = Vec::new();
    let starts = (0..tokens.len()).step_by(PIECE);
    let of_piece = |start: usize| {
        tokens.read(start..(start + PIECE).min(tokens.len()), &mut ids);
        ids.retain(|id| !begin.contains(id));
        corpus::text::count_words(&tokenizer.decode(&ids))
    };
    starts.map(of_piece).sum::<usize>() as u64
}

/// Writes down how much text the model has seen: in words where those of the text are known.
fn exposure(
    section: &ModelSection,
    files: &TrainingFiles,
    tokens: &TokenFile,
    words: Option<u64>,
) -> Result<()> {
    let summary: TrainingSummary = files::read_json(&files.output.join(TrainingSummary::FILE))?;
    let teachers = section.distill.as_ref().map(|distill| distill.teachers.clone());
    let seen =
        SingleExposure::of(summary.tokens, tokens.len(), words, teachers.unwrap_or_default());
    files::write_json(&files.output.join(exposure::FILE), &seen)
}

fn start(
    section: &ModelSection,
    files: &TrainingFiles,
    tokens: &TokenFile,
    seed: u64,
    device: &Arc<dyn Device>,
    observer: &dyn Observer,
) -> Result<Model> {
    match &section.start {
        Start::Folder(folder) => {
            verify::model_folder(folder)?;
            position_heads::settle(folder, hugging_face::load_any(folder, device)?, observer)
        }
        Start::Random(_) => Ok(Model::new(config(section, files, tokens)?, device, seed)?),
    }
}

/// The configuration of the model before it has weights.
fn config(
    section: &ModelSection,
    files: &TrainingFiles,
    tokens: &TokenFile,
) -> Result<ModelConfig> {
    match files.vocab_size.or(tokens.vocab_size()) {
        Some(vocab_size) => Ok(section.config(vocab_size)?),
        None if matches!(section.start, Start::Folder(_)) => Ok(section.config(0)?),
        None => refuse("the size of the vocabulary is unknown")
            .advise("give it with --vocab-size, or use token files with a header"),
    }
}

/// What the student is distilled from, with its teachers' folders.
fn distillation(
    settings: &DistillSettings,
    files: &TrainingFiles,
    sample_seed: u64,
    vocab_size: usize,
    observer: &dyn Observer,
) -> Result<Distillation> {
    let open = |teacher: &String| teacher_folders::open_foreign(teacher, vocab_size, observer);
    let teachers = settings.teachers.iter().map(open).collect::<Result<_>>()?;
    Ok(Distillation {
        settings: settings.clone(),
        teachers,
        caches: files.output.join("teachers"),
        sample_seed,
    })
}

/// The model folders that a training reads, each with what it is used as.
fn folders(section: &ModelSection) -> Vec<(&'static str, PathBuf)> {
    let start = match &section.start {
        Start::Folder(folder) => Some(("the model", folder.clone())),
        Start::Random(_) => None,
    };
    let teachers = section.distill.iter().flat_map(|distill| &distill.teachers);
    let teachers = teachers.map(|teacher| ("teacher", PathBuf::from(teacher)));
    start.into_iter().chain(teachers).collect()
}

/// Compares the tokenizers of all folders and token files that have one: equal sizes are not
/// enough, since ids would mean other words.
fn compare_tokenizers(
    section: &ModelSection,
    opened: &[&TokenFile],
    given: Option<&Tokenizer>,
) -> Result<()> {
    let mut known: Option<(String, Tokenizer)> = None;
    for (role, folder) in
        folders(section).iter().filter(|(_, folder)| folder.join("tokenizer.json").exists())
    {
        let reference = given.or(known.as_ref().map(|(_, tokenizer)| tokenizer));
        if let Some(reference) = reference {
            tokenizers::require_same(folder, role, reference)?;
        }
        known = Some((folder.display().to_string(), Tokenizer::from_folder(folder)?));
    }
    let mut hashes: Vec<(String, String)> =
        known.iter().map(|(name, t)| (name.clone(), t.content_hash())).collect();
    hashes.extend(given.map(|tokenizer| ("--tokenizer".to_owned(), tokenizer.content_hash())));
    let of_files = ["--tokens", "--validation"].iter().zip(opened);
    hashes.extend(
        of_files.filter_map(|(flag, file)| Some((flag.to_string(), file.tokenizer_hash()?))),
    );
    match hashes.windows(2).find(|pair| pair[0].1 != pair[1].1) {
        None => Ok(()),
        Some(pair) => {
            refuse(format_args!("{} and {} come from different tokenizers", pair[0].0, pair[1].0))
                .advise("encode the text with the tokenizer that the models were trained with")
        }
    }
}

/// Everything that is read: token files and how they are read, start weights, teachers.
fn stage(files: &TrainingFiles, section: &ModelSection, observer: &dyn Observer) -> Result<Stage> {
    let mut stage = Stage::new("training", &files.raw_tokens)?.reads(&files.tokens)?;
    stage = stage.reads_all(&stop::never, &files.validation)?;
    for (role, folder) in folders(section) {
        stage = stage.follows(role, identity::weights(&folder, observer)?);
    }
    Ok(stage)
}

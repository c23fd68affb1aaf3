//! The files and folders that a recipe names, checked before anything runs, so that a misspelt one
//! is not found after hours of training.

use std::error::Error;
use std::path::{Path, PathBuf};

use builtin_corpus::{BuiltinSettings, Split};
use corpus::{Tokenizer, text};
use eval::minimal_pairs;
use model::hugging_face;
use thiserror::Error;
use train::masking;

use super::Recipe;
use super::error::{join, nearest};
use super::model::Start;
use super::sections::{EVERY_OTHER, Source, Validation};
use super::teacher::own_teacher;
use crate::identity::source_name;
use crate::tokenizers::hidden_tokens;

/// All files and folders that a recipe names to read.
pub(super) fn folders_read(recipe: &Recipe) -> Vec<PathBuf> {
    let source = match &recipe.corpus.source {
        Source::Folder(folder) => Some(folder.clone()),
        Source::Builtin => None,
    };
    let validation = match &recipe.corpus.validation {
        Validation::Folder(folder) => Some(folder.clone()),
        _ => None,
    };
    let models = recipe.models.values().flat_map(|model| {
        let start = match &model.start {
            Start::Folder(folder) => Some(folder.clone()),
            Start::Random(_) => None,
        };
        let teachers = model.distill.iter().flat_map(|distill| &distill.teachers);
        let folders = teachers.filter(|teacher| own_teacher(recipe, teacher).is_none());
        start.into_iter().chain(folders.map(PathBuf::from))
    });
    let pairs = recipe.evaluate.blimp.iter().flatten().filter_map(|source| match source {
        Source::Folder(folder) => Some(folder.clone()),
        Source::Builtin => None,
    });
    let named = [source, validation, recipe.tokenizer.path.clone()].into_iter().flatten();
    named.chain(models).chain(pairs).collect()
}

/// Refuses the first file or folder that cannot be used.
pub(super) fn check(recipe: &Recipe) -> Result<(), UnusableInput> {
    if let Source::Folder(folder) = &recipe.corpus.source {
        text::corpus_files(folder).map_err(at("corpus.source", folder))?;
    }
    if let Validation::Folder(folder) = &recipe.corpus.validation {
        text::corpus_files(folder).map_err(at("corpus.validation", folder))?;
    }
    let tokenizer = match &recipe.tokenizer.path {
        Some(path) => Some(Tokenizer::load(path).map_err(at("tokenizer.path", path))?),
        None => None,
    };
    if let (Some(tokenizer), Some(path)) = (&tokenizer, &recipe.tokenizer.path) {
        check_hidden_tokens(recipe, tokenizer, path)?;
    }
    for (name, model) in &recipe.models {
        let (key, length) = (join("models", name), model.train.sequence_length);
        if let Start::Folder(folder) = &model.start {
            check_model(&join(&key, "from"), folder, length, tokenizer.as_ref(), true)?;
        }
        let teachers = model.distill.iter().flat_map(|distill| &distill.teachers).enumerate();
        for (number, teacher) in teachers {
            if own_teacher(recipe, teacher).is_none() {
                let key = join(&key, &format!("distill.teachers[{number}]"));
                check_model(&key, Path::new(teacher), length, tokenizer.as_ref(), false)?;
            }
        }
    }
    check_sources(recipe)?;
    check_documents(recipe)?;
    for (number, source) in recipe.evaluate.blimp.iter().flatten().enumerate() {
        if let Source::Folder(folder) = source {
            let key = format!("evaluate.blimp[{number}]");
            minimal_pairs::read_folder(folder).map_err(at(&key, folder))?;
        }
    }
    Ok(())
}

/// The files of the corpus that models and their phases read.
fn check_sources(recipe: &Recipe) -> Result<(), UnusableInput> {
    for (name, model) in &recipe.models {
        let key = join(&join("models", name), "train");
        let of_phases = model.train.phases.iter().enumerate().flat_map(|(index, phase)| {
            let key = join(&key, &format!("phases[{index}].sources"));
            phase.sources.iter().map(move |sources| (key.clone(), sources))
        });
        let own = std::iter::once((join(&key, "sources"), &model.train.sources));
        for (key, sources) in own.chain(of_phases).filter(|(_, sources)| !sources.is_empty()) {
            let (path, known) = corpus_names(recipe).map_err(|cause| UnusableInput {
                key: key.clone(),
                path: "corpus.source".into(),
                cause: cause.into(),
            })?;
            for (number, wanted) in sources.iter().enumerate() {
                if !known.contains(wanted) {
                    let key = format!("{key}[{number}]");
                    return Err(at(&key, &path)(NoSuchFile::new(wanted, &known)));
                }
            }
        }
    }
    Ok(())
}

/// The files of the corpus whose documents the recipe states.
fn check_documents(recipe: &Recipe) -> Result<(), UnusableInput> {
    for wanted in recipe.corpus.documents.keys().filter(|name| *name != EVERY_OTHER) {
        let key = format!("corpus.documents.{wanted}");
        let (path, known) = corpus_names(recipe).map_err(|cause| UnusableInput {
            key: key.clone(),
            path: "corpus.source".into(),
            cause: cause.into(),
        })?;
        if !known.contains(wanted) {
            return Err(at(&key, &path)(NoSuchFile::new(wanted, &known)));
        }
    }
    Ok(())
}

/// Masked models and encoder-decoders need tokens for what is hidden.
fn check_hidden_tokens(
    recipe: &Recipe,
    tokenizer: &Tokenizer,
    path: &Path,
) -> Result<(), UnusableInput> {
    for (name, model) in &recipe.models {
        let Start::Random(shape) = &model.start else { continue };
        if shape.config.architecture.is_causal() {
            continue;
        }
        let config = shape.config_for(tokenizer.vocab_size());
        let unusable = |cause: String| {
            at("tokenizer.path", path)(NoHiddenTokens { model: name.clone(), cause })
        };
        let tokens = hidden_tokens(tokenizer, shape.config.architecture)
            .map_err(|cause| unusable(cause.to_string()))?;
        masking::check(&model.train, &config, Some(&tokens))
            .map_err(|cause| unusable(cause.to_string()))?;
    }
    Ok(())
}

/// A tokenizer that a model of the recipe cannot be trained with.
#[derive(Debug, Error)]
#[error("models.{model} hides tokens: {cause}")]
struct NoHiddenTokens {
    model: String,
    cause: String,
}

/// Where the corpus is, and the names of its files without their endings.
fn corpus_names(recipe: &Recipe) -> corpus::error::Result<(PathBuf, Vec<String>)> {
    match &recipe.corpus.source {
        Source::Builtin => {
            let settings = BuiltinSettings {
                words: 1,
                validation_words: 1,
                pairs_per_paradigm: 1,
                seed: recipe.seed,
            };
            let texts = builtin_corpus::texts(settings, Split::Train);
            let names = texts.iter().map(|text| source_name(&text.name())).collect();
            Ok(("builtin".into(), names))
        }
        Source::Folder(folder) => {
            let files = text::corpus_files(folder)?;
            let name = |file: &PathBuf| {
                let name = file.file_name().unwrap_or_default();
                source_name(&name.to_string_lossy())
            };
            Ok((folder.clone(), files.iter().map(name).collect()))
        }
    }
}

/// A model's folder: its configuration, which must predict the next token unless it may be that of
/// a masked model, and have a position for each token of a sequence, the headers of its weights,
/// and its tokenizer, which must be the recipe's if that is known already.
fn check_model(
    key: &str,
    folder: &Path,
    length: usize,
    known: Option<&Tokenizer>,
    may_be_masked: bool,
) -> Result<(), UnusableInput> {
    let config = match may_be_masked {
        true => hugging_face::load_any_config(folder),
        false => hugging_face::load_config(folder),
    };
    let config = config.map_err(at(key, folder))?;
    hugging_face::check_weights(folder).map_err(at(key, folder))?;
    if config.max_positions < length {
        let positions = config.max_positions;
        return Err(at(key, folder)(TooFewPositions { positions, length }));
    }
    let own = Tokenizer::from_folder(folder).map_err(at(key, folder))?;
    match known.and_then(|known| own.first_difference(known)) {
        None => Ok(()),
        Some(difference) => Err(at(key, folder)(OtherTokenizer { difference })),
    }
}

/// A model's folder whose sequences are shorter than those of the recipe.
#[derive(Debug, Error)]
#[error("it has {positions} positions, fewer than train.sequence_length = {length}")]
struct TooFewPositions {
    positions: usize,
    length: usize,
}

/// A file or folder that a key names and that cannot be used.
pub(super) struct UnusableInput {
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) cause: Box<dyn Error + Send + Sync>,
}

/// A model's folder with another tokenizer than the one that the recipe names.
#[derive(Debug, Error)]
#[error("it was trained with another tokenizer than that of tokenizer.path: {difference}")]
struct OtherTokenizer {
    difference: String,
}

/// A file that a recipe names and the corpus does not have.
#[derive(Debug, Error)]
#[error("the corpus has no file {wanted:?}{nearest}; it has {known}")]
struct NoSuchFile {
    wanted: String,
    nearest: String,
    known: String,
}

impl NoSuchFile {
    fn new(wanted: &str, known: &[String]) -> Self {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let nearest = nearest(wanted, &names).map(|name| format!(" (did you mean {name:?}?)"));
        let (wanted, known) = (wanted.to_owned(), known.join(", "));
        Self { wanted, nearest: nearest.unwrap_or_default(), known }
    }
}

fn at<E: Error + Send + Sync + 'static>(key: &str, path: &Path) -> impl FnOnce(E) -> UnusableInput {
    move |cause| UnusableInput { key: key.to_owned(), path: path.to_owned(), cause: cause.into() }
}

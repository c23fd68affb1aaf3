//! The files and folders that a recipe names, checked before anything runs, so that a misspelt one
//! is not found after hours of training.

use std::error::Error;
use std::path::{Path, PathBuf};

use corpus::{Tokenizer, text};
use eval::minimal_pairs;
use model::hugging_face;
use thiserror::Error;

use super::Recipe;
use super::error::join;
use super::model::Start;
use super::sections::{Source, Validation};

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
    for (name, model) in &recipe.models {
        let key = join("models", name);
        if let Start::Folder(folder) = &model.start {
            check_model(&join(&key, "from"), folder, tokenizer.as_ref())?;
        }
        let teachers = model.distill.iter().flat_map(|distill| &distill.teachers).enumerate();
        for (number, teacher) in teachers {
            if !recipe.models.contains_key(teacher) {
                let key = join(&key, &format!("distill.teachers[{number}]"));
                check_model(&key, Path::new(teacher), tokenizer.as_ref())?;
            }
        }
    }
    for (number, source) in recipe.evaluate.blimp.iter().flatten().enumerate() {
        if let Source::Folder(folder) = source {
            let key = format!("evaluate.blimp[{number}]");
            minimal_pairs::read_folder(folder).map_err(at(&key, folder))?;
        }
    }
    Ok(())
}

/// A model's folder: its configuration, which must predict the next token, and its tokenizer, which
/// must be the recipe's if that is known already.
fn check_model(key: &str, folder: &Path, known: Option<&Tokenizer>) -> Result<(), UnusableInput> {
    let config = hugging_face::load_config(folder).map_err(at(key, folder))?;
    config.require_causal().map_err(at(key, folder))?;
    let own = Tokenizer::from_folder(folder).map_err(at(key, folder))?;
    match known.and_then(|known| own.first_difference(known)) {
        None => Ok(()),
        Some(difference) => Err(at(key, folder)(OtherTokenizer { difference })),
    }
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

fn at<E: Error + Send + Sync + 'static>(key: &str, path: &Path) -> impl FnOnce(E) -> UnusableInput {
    move |cause| UnusableInput { key: key.to_owned(), path: path.to_owned(), cause: cause.into() }
}

//! The files and folders that a recipe names, checked before anything runs, so that a misspelt one
//! is not found after hours of training.

use std::fmt::Display;
use std::path::Path;

use corpus::{Tokenizer, text};
use eval::minimal_pairs;
use model::hugging_face;

use super::Recipe;
use super::error::{Fault, join};
use super::model::Start;
use super::sections::{Source, Validation};

/// Refuses the first file or folder that cannot be used.
pub(super) fn check(recipe: &Recipe) -> Result<(), Fault> {
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
fn check_model(key: &str, folder: &Path, known: Option<&Tokenizer>) -> Result<(), Fault> {
    let config = hugging_face::load_config(folder).map_err(at(key, folder))?;
    config.require_causal().map_err(at(key, folder))?;
    let own = Tokenizer::from_folder(folder).map_err(at(key, folder))?;
    match known.and_then(|known| own.first_difference(known)) {
        None => Ok(()),
        Some(difference) => {
            let problem =
                format!("was trained with another tokenizer than the recipe's: {difference}");
            Err(at(key, folder)(problem))
        }
    }
}

/// The fault of a key that names a path which cannot be used.
fn at<E: Display>(key: &str, path: &Path) -> impl FnOnce(E) -> Fault {
    move |cause| {
        let (path, cause) = (path.display().to_string(), cause.to_string());
        // Most causes begin with the path.
        let problem = match cause.strip_prefix(&path) {
            Some(rest) if rest.starts_with(' ') => format!("names {path}, which{rest}"),
            _ => format!("names {path}: {cause}"),
        };
        Fault::invalid(key, problem)
    }
}

//! The trained models of a run, for commands that take one out of it.

use std::path::{Path, PathBuf};

use base::hash;

use super::card;
use crate::error::{Context, FileContext, Result, refuse};
use crate::outputs::Kind;
use crate::recipe::suggestion;
use crate::verify;

/// The folder with a model's best weights: those of the finished training, or the best so far.
///
/// # Errors
/// When there is no run, no such model in it, no weights of it yet, or damage to them; each with
/// its next step.
pub fn weights(run: &Path, model: &str) -> Result<PathBuf> {
    let shown = run.display();
    if !run.is_dir() {
        return refuse(format_args!("there is no folder {shown}"))
            .advise("check the path; `babyllama list FOLDER` lists the runs of a folder");
    }
    let models = run.join("models");
    if !models.is_dir() {
        return refuse(format_args!("{shown} has no models: it is no run, or none has begun"))
            .advise("give the folder that `babyllama run` made, such as runs/NAME");
    }
    let folder = models.join(model);
    if !folder.is_dir() {
        let names = names(&models)?;
        let hint = suggestion(model, names.iter().map(String::as_str));
        return refuse(format_args!("the run {shown} has no model `{model}`; {hint}"))
            .advise("give one of the run's models with --model");
    }
    let found = ["final", "best"].map(|name| folder.join(name));
    match found.into_iter().find(|place| place.join("model.safetensors").is_file()) {
        Some(place) => verify::model_folder(&place).map(|()| place),
        None => refuse(format_args!("the model `{model}` of {shown} has no weights yet"))
            .advise(format!("let `babyllama run --output {shown}` finish an epoch first")),
    }
}

/// The models of a run, without what was set aside.
fn names(models: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(models).at("read", models)? {
        let entry = entry.at("read", models)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.contains('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Refuses a folder for the model in `place` that holds something else, or another model that is
/// not to be replaced.
///
/// # Errors
/// When it is no folder, holds files and no model among them, or another model unless `replace`.
pub fn check_model_folder(output: &Path, place: &Path, replace: bool) -> Result<()> {
    if !output.exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(output).at("read", output)?;
    if entries.next().is_none() {
        return Ok(());
    }
    if is_begun_export(output)? || is_new_repository(output)? {
        return Ok(());
    }
    if output.join("config.json").is_file() {
        return match replace || is_same_model(output, place) {
            true => Ok(()),
            false => refuse(format_args!("{} holds a model already", output.display()))
                .advise("name a new folder with --output, or replace that model with --replace"),
        };
    }
    refuse(format_args!("{} holds other files and no model", output.display()))
        .advise("name a new folder with --output")
}

/// Whether two folders have the same configuration and weights, byte for byte: an export that was
/// ended in the middle, or is given again.
fn is_same_model(one: &Path, other: &Path) -> bool {
    ["config.json", "model.safetensors"].iter().all(|name| {
        let hashes = [one, other].map(|folder| hash::of_file(&folder.join(name)).ok());
        hashes[0].is_some() && hashes[0] == hashes[1]
    })
}

/// The files of an exported model.
pub const EXPORTED: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    card::FILE,
];

/// What a new repository of a hub has.
const REPOSITORY: [&str; 5] = ["README.md", "LICENSE", ".gitattributes", ".gitignore", ".git"];

/// Whether a folder has nothing but files of an export, and no weights among them: what one leaves
/// that was stopped, perhaps in a new repository.
fn is_begun_export(output: &Path) -> Result<bool> {
    let mut has_files = false;
    for entry in std::fs::read_dir(output).at("read", output)? {
        let name = entry.at("read", output)?.file_name();
        let is_partial = Path::new(&name).extension().is_some_and(|ending| ending == "partial");
        let is_of_repository = REPOSITORY.iter().any(|known| name == *known);
        let is_weights = name == "model.safetensors";
        if is_weights
            || !is_partial && !is_of_repository && !EXPORTED.iter().any(|own| name == *own)
        {
            return Ok(false);
        }
        has_files |= !is_partial && !is_of_repository;
    }
    // The configuration is the first file.
    let config = output.join("config.json");
    Ok(!has_files
        || config.is_file() && Kind::Json(&["architectures", "model_type"]).check(&config).is_ok())
}

/// Whether a folder has nothing but what a new repository of a hub has.
fn is_new_repository(output: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(output).at("read", output)? {
        let name = entry.at("read", output)?.file_name();
        if !REPOSITORY.iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_reason_has_its_own_message() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let cause = |model: &str| weights(&run, model).unwrap_err().cause();
        assert!(cause("student").starts_with("there is no folder"));
        fs::create_dir(&run).unwrap();
        assert!(cause("student").ends_with("it is no run, or none has begun"));
        fs::create_dir_all(run.join("models/student.old-123")).unwrap();
        fs::create_dir_all(run.join("models/student/final")).unwrap();
        let misspelt = cause("studnt");
        assert!(misspelt.ends_with("no model `studnt`; did you mean `student`?"), "{misspelt}");
        assert!(cause("student").ends_with("has no weights yet"));
        fs::create_dir(run.join("models/student/best")).unwrap();
        fs::write(run.join("models/student/best/model.safetensors"), "").unwrap();
        assert!(weights(&run, "student").unwrap().ends_with("student/best"));
    }

    #[test]
    fn a_model_goes_where_nothing_else_is() {
        let none = Path::new("none");
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("new");
        check_model_folder(&output, none, false).unwrap();
        fs::create_dir(&output).unwrap();
        check_model_folder(&output, none, false).unwrap();
        // A new repository of a hub.
        fs::create_dir(output.join(".git")).unwrap();
        for name in ["README.md", "LICENSE", ".gitattributes"] {
            fs::write(output.join(name), "").unwrap();
            check_model_folder(&output, none, false).unwrap();
        }
        fs::write(output.join("thesis.tex"), "").unwrap();
        for replace in [false, true] {
            let cause = check_model_folder(&output, none, replace).unwrap_err().cause();
            assert!(cause.contains("holds other files"), "{cause}");
        }
        let config = r#"{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}"#;
        fs::write(output.join("config.json"), config).unwrap();
        let cause = check_model_folder(&output, none, false).unwrap_err().cause();
        assert!(cause.ends_with("holds a model already"), "{cause}");
        check_model_folder(&output, none, true).unwrap();
        // What an export leaves that was stopped is no model yet.
        fs::remove_file(output.join("thesis.tex")).unwrap();
        check_model_folder(&output, none, false).unwrap();
        fs::write(output.join("tokenizer.json.partial"), "").unwrap();
        check_model_folder(&output, none, false).unwrap();
        fs::write(output.join("config.json"), "{}").unwrap();
        assert!(check_model_folder(&output, none, false).is_err(), "of another program");
        fs::remove_file(output.join("config.json")).unwrap();
        check_model_folder(&output, none, false).unwrap();
        fs::write(output.join("config.json"), config).unwrap();
        fs::write(output.join("model.safetensors"), "").unwrap();
        let cause = check_model_folder(&output, none, false).unwrap_err().cause();
        assert!(cause.ends_with("holds a model already"), "{cause}");
        // The same model again loses nothing.
        let same = folder.path().join("same");
        fs::create_dir(&same).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(output.join(name), same.join(name)).unwrap();
        }
        check_model_folder(&output, &same, false).unwrap();
        fs::write(same.join("model.safetensors"), "other").unwrap();
        assert!(check_model_folder(&output, &same, false).is_err());
    }
}

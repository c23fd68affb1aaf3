//! The trained models of a run, for commands that take one out of it.

use std::path::{Path, PathBuf};

use base::hash;
use serde_json::Value;

use super::card;
use crate::error::{Context, FileContext, Result, refuse};
use crate::outputs;
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
    std::fs::read_dir(output).at("read", output)?;
    if is_this_export(output, place) {
        return Ok(());
    }
    if output.join("config.json").is_file() {
        return match replace {
            true => Ok(()),
            false => refuse(format_args!("{} holds a model already", output.display()))
                .advise("name a new folder with --output, or replace that model with --replace"),
        };
    }
    refuse(format_args!("{} holds other files and no model", output.display()))
        .advise("name a new folder with --output")
}

/// Whether a folder has nothing but what an export of the model in `place` writes, byte for byte:
/// one that was ended in the middle, or is given again. A new repository of a hub has some files of
/// its own.
fn is_this_export(output: &Path, place: &Path) -> bool {
    let is_own = |name: &String| {
        let is_of_repository = REPOSITORY.iter().any(|known| name == known);
        let is_written = || EXPORTED.iter().any(|own| name == own);
        is_of_repository || is_written() && is_same_file(&output.join(name), &place.join(name))
    };
    outputs::seen_names(output).iter().all(is_own)
}

/// Whether two files have the same contents; a tokenizer's configuration also has the longest text
/// of its model.
fn is_same_file(one: &Path, other: &Path) -> bool {
    if one.ends_with("tokenizer_config.json") {
        let [one, other] = [one, other].map(|path| {
            let mut value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
            value.as_object_mut()?.remove("model_max_length");
            Some(value)
        });
        return one.is_some() && one == other;
    }
    let [one, other] = [one, other].map(|path| hash::of_file(path).ok());
    one.is_some() && one == other
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
        // What an export leaves that was stopped, or is given again, loses nothing.
        fs::remove_file(output.join("thesis.tex")).unwrap();
        assert!(check_model_folder(&output, none, false).is_err(), "another model");
        let place = folder.path().join("place");
        fs::create_dir(&place).unwrap();
        let write = |folder: &Path, name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
        };
        write(&place, "config.json", config);
        write(&output, "tokenizer.json.partial", "");
        check_model_folder(&output, &place, false).unwrap();
        for name in ["model.safetensors", "tokenizer.json"] {
            write(&place, name, "the same");
            write(&output, name, "the same");
            check_model_folder(&output, &place, false).unwrap();
            write(&output, name, "another");
            let cause = check_model_folder(&output, &place, false).unwrap_err().cause();
            assert!(cause.ends_with("holds a model already"), "{cause}");
            write(&output, name, "the same");
        }
        let name = "tokenizer_config.json";
        write(&place, name, r#"{"model_max_length": 64, "eos_token": "</s>"}"#);
        write(&output, name, r#"{"model_max_length": 128, "eos_token": "</s>"}"#);
        check_model_folder(&output, &place, false).unwrap();
        write(&output, name, r#"{"model_max_length": 128, "eos_token": "</s>", "mine": 1}"#);
        assert!(check_model_folder(&output, &place, false).is_err(), "edited");
    }
}

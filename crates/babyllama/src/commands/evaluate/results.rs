//! Where scores are kept: `OUTPUT/MODEL/SUITE/result.json`, with the answer to every item in
//! `predictions.jsonl`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use eval::Outcome;
use eval::output::predictions;

use crate::args::EvaluateArgs;
use crate::failure::Hint;
use base::atomic_file;

/// Writes a suite's scores and answers into a model's folder. Whatever `evaluate all` knew of them
/// before counts no more.
pub fn keep(outcome: &Outcome, model: &Path) -> anyhow::Result<()> {
    let folder = model.join(outcome.result.suite.name());
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let stage = model.join("stages").join(format!("{}.json", outcome.result.suite.name()));
    match std::fs::remove_file(&stage) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            return Err(cause).with_context(|| format!("cannot remove {}", stage.display()));
        }
        _ => {}
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        atomic_file::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("predictions.jsonl", predictions::to_lines(outcome).as_bytes())?;
    write("result.json", format!("{:#}\n", serde_json::to_value(&outcome.result)?).as_bytes())
}

/// The folder below OUTPUT of every model, or of all together, each claimed before anything is
/// scored.
///
/// # Errors
/// When one holds the scores of another model that has the same short name.
pub fn claim_folders(args: &EvaluateArgs, output: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let groups = args.models.chunks(if args.ensemble { args.models.len() } else { 1 });
    let claimed = short_names(args).into_iter().zip(groups).map(|(name, models)| {
        let folder = output.join(name);
        claim(&folder, models).map(|()| folder)
    });
    claimed.collect()
}

/// Makes a model's folder below OUTPUT, and notes whose it is.
///
/// # Errors
/// When it holds the scores of another model that has the same short name.
pub fn claim(folder: &Path, models: &[PathBuf]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let owner = folder.join("model.json");
    let whole = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let text = format!(
        "{:#}\n",
        serde_json::json!({ "models": models.iter().map(whole).collect::<Vec<_>>() })
    );
    match std::fs::read_to_string(&owner) {
        Ok(found) if found != text => Err(anyhow::anyhow!(
            "{} holds the scores of another model of the same name",
            folder.display()
        ))
        .hint("name another folder with --output, or delete that one if nobody needs it"),
        Ok(_) => Ok(()),
        Err(_) => atomic_file::write(&owner, text.as_bytes())
            .with_context(|| format!("cannot write {}", owner.display())),
    }
}

/// Short names of the models that are scored, which tell them apart in files and tables.
pub fn short_names(args: &EvaluateArgs) -> Vec<String> {
    let names = distinct(&args.models);
    if args.ensemble { vec![names.join("+")] } else { names }
}

/// The last part of each path that says something, with as many parts before it as it takes to tell
/// them apart; the same path twice is numbered.
pub fn distinct(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| telling_parts(path)).collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
    let name =
        |parts: &[String], length: usize| parts[parts.len().saturating_sub(length)..].join("-");
    let names = |length| parts.iter().map(|parts| name(parts, length)).collect::<Vec<_>>();
    let unique =
        |names: &[String]| (1..names.len()).all(|index| !names[..index].contains(&names[index]));
    let found = (1..=longest).map(names).find(|names| unique(names));
    found.unwrap_or_else(|| {
        let names = names(longest);
        names.iter().enumerate().map(|(index, name)| format!("{name}-{}", index + 1)).collect()
    })
}

/// The parts of a path without those that every run has.
fn telling_parts(path: &Path) -> Vec<String> {
    // `.` and `..` are known by the folder that they stand for.
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let all: Vec<String> = whole
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .filter(|part| part != "/")
        .collect();
    let telling: Vec<String> = all
        .iter()
        .filter(|part| !["models", "final", "best", "runs"].contains(&part.as_str()))
        .cloned()
        .collect();
    if telling.is_empty() { all } else { telling }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Vec<String> {
        distinct(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn models_are_named_by_what_tells_them_apart() {
        assert_eq!(names(&["runs/a/models/student/final"]), ["student"]);
        assert_eq!(
            names(&["runs/a/models/student/final", "runs/a/models/twin/final"]),
            ["student", "twin"]
        );
        assert_eq!(
            names(&["runs/a/models/student/final", "runs/b/models/student/best"]),
            ["a-student", "b-student"]
        );
        assert_eq!(names(&["nowhere/x", "nowhere/x"]), ["nowhere-x-1", "nowhere-x-2"]);
        assert_eq!(names(&["final"]), ["final"]);
    }
}

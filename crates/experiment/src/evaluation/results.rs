//! Where scores are kept: `OUTPUT/MODEL/BENCHMARK/result.json`, with the answer to every item in
//! `predictions.jsonl`, and in `data.json` the data that they are of and the precision.

use std::path::{Path, PathBuf};

use engine::Arithmetic;
use eval::output::predictions;
use eval::{Benchmark, Outcome};
use report::format::in_one_line;
use serde_json::{Value, json};

use super::ModelSelection;
use crate::error::{Context, Result, refuse};
use crate::{files, outputs, scored_items};

/// Writes a benchmark's scores and answers into a model's folder, with the place and a hash of the
/// items. What `evaluate all` recorded of them before counts no more.
///
/// # Errors
/// When a file cannot be written.
pub fn keep(outcome: &Outcome, model: &Path, data: &Path, precision: Arithmetic) -> Result<()> {
    let name = outcome.result.benchmark.name();
    let folder = model.join(name);
    files::make_folder(&folder)?;
    // Answers and scores of one process, not of two.
    let _lock = outputs::lock_waiting(&folder);
    files::remove(&model.join("stages").join(format!("{name}.json")))?;
    files::write_text(&folder.join("predictions.jsonl"), &predictions::to_lines(outcome))?;
    let items = scored_items::hash_of(outcome.result.benchmark, data);
    let precision = precision.to_string();
    let record = json!({ "data": shown(data), "items": items, "precision": precision });
    files::write_json(&folder.join(DATA), &record)?;
    files::write_json(&folder.join("result.json"), &outcome.result)
}

/// The file with the data that a benchmark's scores are of, and the precision of the products.
pub(crate) const DATA: &str = "data.json";

/// The file with the texts that a model wrote, in its folder.
pub(crate) const SAMPLES: &str = "samples.json";

/// The path of the data in that file.
fn shown(data: &Path) -> String {
    whole(data).to_string_lossy().into_owned()
}

fn whole(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses to replace a benchmark's scores in a model's folder by those of other data.
///
/// # Errors
/// When the folder has such scores.
pub fn check_data(model: &Path, benchmark: &dyn Benchmark, data: &Path) -> Result<()> {
    let folder = model.join(benchmark.name());
    let record = std::fs::read(folder.join(DATA)).unwrap_or_default();
    let found = serde_json::from_slice::<Value>(&record).ok();
    let is_other = found.is_some_and(|found| found["data"] != shown(data));
    match is_other && folder.join("result.json").exists() {
        true => refuse(format_args!("{} holds the scores of other data", folder.display()))
            .advise("name another folder with --output, or delete that one if it is not needed"),
        false => Ok(()),
    }
}

/// The folder below OUTPUT of every model, or of all together, each claimed before anything is
/// scored.
///
/// # Errors
/// When one holds the scores of another model that has the same short name, or it or OUTPUT is a
/// model's folder itself, or one of the folders or files of `data`.
pub fn claim_folders(
    selection: &ModelSelection,
    output: &Path,
    data: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    outputs::check_no_model(output)?;
    outputs::check_folder(output, data)?;
    let groups =
        selection.folders.chunks(if selection.ensemble { selection.folders.len() } else { 1 });
    let groups: Vec<&[PathBuf]> = groups.collect();
    let claimed = folder_names(&groups, output).into_iter().zip(groups).map(|(name, models)| {
        let folder = output.join(name);
        outputs::check_folder(&folder, models)?;
        outputs::check_folder(&folder, data)?;
        outputs::check_no_model(&folder)?;
        claim(&folder, models).map(|()| folder)
    });
    claimed.collect()
}

/// Makes a model's folder below OUTPUT, and records which models it belongs to.
///
/// # Errors
/// When it holds other files, or the scores of another model that has the same short name.
pub fn claim(folder: &Path, models: &[PathBuf]) -> Result<()> {
    files::make_folder(folder)?;
    // Of two processes at once one is refused.
    let _lock = outputs::lock_waiting(folder);
    let owner = folder.join(OWNER);
    let text = format!("{:#}\n", serde_json::json!({ "models": shown_all(models) }));
    match std::fs::read_to_string(&owner) {
        Ok(found) if found != text => refuse(format_args!(
            "{} holds the scores of another model of the same name",
            folder.display()
        ))
        .advise("name another folder with --output, or delete that one if it is not needed"),
        Ok(_) => Ok(()),
        Err(_) => {
            check_empty(folder)?;
            files::write_text(&owner, &text)
        }
    }
}

/// The file with the models that a folder belongs to.
const OWNER: &str = "model.json";

/// Paths as that file has them: names need not be UTF-8, which JSON must be.
fn shown_all(models: &[PathBuf]) -> Vec<String> {
    models.iter().map(|path| shown(path)).collect()
}

/// The folders below OUTPUT that belong to models, by name, with these models.
fn owned(output: &Path) -> Vec<(String, Vec<String>)> {
    let models = |folder: &Path| {
        let record: Value = files::read_json(&folder.join(OWNER)).ok()?;
        serde_json::from_value::<Vec<String>>(record.get("models")?.clone()).ok()
    };
    let name = |folder: &Path| Some(folder.file_name()?.to_str()?.to_owned());
    let folders = files::entries(output).unwrap_or_default();
    folders.iter().filter_map(|folder| Some((name(folder)?, models(folder)?))).collect()
}

/// The names of folders below OUTPUT for models, each alone or together with others. Models that
/// have a folder there keep it, whichever others are named beside them; all others get short names
/// that tell them apart from each other and from models that have such a folder.
pub fn folder_names(groups: &[&[PathBuf]], output: &Path) -> Vec<String> {
    let mut owned = owned(output);
    // Of several folders of one model that of the shortest name.
    owned.sort_by_key(|(name, _)| name.len());
    let mut free = owned.clone();
    let mut take = |models: &[PathBuf]| {
        let models = shown_all(models);
        let place = free.iter().position(|(_, owner)| *owner == models)?;
        Some(free.remove(place).0)
    };
    let kept: Vec<Option<String>> = groups.iter().map(|models| take(models)).collect();
    let is_new = |(models, kept): (&&[PathBuf], &Option<String>)| match models {
        [model] if kept.is_none() => Some(model.clone()),
        _ => None,
    };
    let new: Vec<PathBuf> = groups.iter().zip(&kept).filter_map(is_new).collect();
    let mut names = apart(&new, &owned).into_iter();
    let name = |(models, kept): (&&[PathBuf], Option<String>)| {
        kept.unwrap_or_else(|| match models {
            [_] => files::short_name(&names.next().unwrap_or_default()),
            _ => files::short_name(&distinct(models).join("+")),
        })
    };
    groups.iter().zip(kept).map(name).collect()
}

/// Short names of new models, longer where folders of other models have these.
fn apart(new: &[PathBuf], owned: &[(String, Vec<String>)]) -> Vec<String> {
    let mut others: Vec<PathBuf> = Vec::new();
    loop {
        let all: Vec<PathBuf> = new.iter().chain(&others).cloned().collect();
        let names: Vec<String> = distinct(&all).into_iter().take(new.len()).collect();
        let taken = owned.iter().filter(|(name, _)| names.contains(name));
        let taken = taken.filter_map(|(_, models)| match &models[..] {
            [model] => Some(PathBuf::from(model)),
            _ => None,
        });
        let mut known = others.clone();
        known.extend(taken);
        known.sort();
        known.dedup();
        if known.len() == others.len() {
            return names;
        }
        others = known;
    }
}

/// The names of models whose folders have been claimed, for tables.
pub fn names_of(folders: &[PathBuf]) -> Vec<String> {
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into();
    folders.iter().map(name).collect()
}

/// Refuses a folder with files.
fn check_empty(folder: &Path) -> Result<()> {
    match !outputs::seen_names(folder).is_empty() {
        true => refuse(format_args!("{} holds other files and no scores", folder.display()))
            .advise("name another folder with --output"),
        false => Ok(()),
    }
}

/// Short names of the models that are scored, unique in files and tables.
pub fn short_names(selection: &ModelSelection) -> Vec<String> {
    let names = distinct(&selection.folders);
    let names = if selection.ensemble { vec![names.join("+")] } else { names };
    names.iter().map(|name| files::short_name(name)).collect()
}

/// The last part of each path that is not a folder of every run, with as many parts before it as
/// make the names unique; the same path twice is numbered.
pub fn distinct(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| distinctive_parts(path)).collect();
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
fn distinctive_parts(path: &Path) -> Vec<String> {
    // `.` and `..` are known by the folder that they stand for.
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let all: Vec<String> = whole
        .iter()
        .map(|part| in_one_line(&part.to_string_lossy()))
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

    #[cfg(unix)]
    #[test]
    fn a_folder_whose_name_is_not_utf8_is_claimed_like_any_other() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let output = tempfile::tempdir().unwrap();
        let model = output.path().join(OsStr::from_bytes(b"mod\xe8le"));
        std::fs::create_dir(&model).unwrap();
        let folder = output.path().join("scores");
        claim(&folder, std::slice::from_ref(&model)).unwrap();
        claim(&folder, std::slice::from_ref(&model)).unwrap();
        assert!(claim(&folder, &[output.path().to_owned()]).is_err());
    }

    #[test]
    fn a_model_that_has_a_folder_keeps_it() {
        let place = tempfile::tempdir().unwrap();
        let model = |path: &str| place.path().join(path);
        let [a, b, c] = ["a/student", "b/student", "c/twin"].map(model);
        let output = place.path().join("scores");
        let names = |models: &[&PathBuf]| {
            let models: Vec<PathBuf> = models.iter().map(|&model| model.clone()).collect();
            let groups: Vec<&[PathBuf]> = models.chunks(1).collect();
            folder_names(&groups, &output)
        };
        let own = |name: &str, model: &PathBuf| {
            claim(&output.join(name), std::slice::from_ref(model)).unwrap();
        };
        assert_eq!(names(&[&a, &b, &c]), ["a-student", "b-student", "c-twin"]);
        own("student", &a);
        assert_eq!((names(&[&a]), names(&[&c])), (vec!["student".into()], vec!["twin".into()]));
        assert_eq!(names(&[&b, &a]), ["b-student", "student"]);
        // An earlier version left a second folder.
        own("a-student", &a);
        assert_eq!(names(&[&c, &a, &b]), ["c-twin", "student", "b-student"]);
        // Names are as long as needed to be free.
        own("b-student", &b);
        let [third, fourth] = ["c/student", "d/c/student"].map(model);
        own("c-student", &third);
        assert_eq!(names(&[&fourth]), ["d-c-student"]);
        let both = [a.clone(), b.clone()];
        assert_eq!(folder_names(&[&both], &output), ["a-student+b-student"]);
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
        assert_eq!(names(&["nowhere/two\nlines"]), ["two\\nlines"], "a name is one line");
    }
}

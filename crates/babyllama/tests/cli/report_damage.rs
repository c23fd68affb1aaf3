//! What the report states of files that are absent, empty or damaged: each file that a page reads
//! is named, and the rest of the page is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::common::Workspace;

/// The files of a finished run that a page reads, with a part of the line that names each.
const READ: [(&str, &str); 18] = [
    ("evaluation/student.json", "student.json"),
    ("evaluation/student.pairs-1.jsonl", "student.pairs-1.jsonl"),
    ("evaluation/teacher.json", "teacher.json"),
    ("evaluation/teacher.pairs-1.jsonl", "teacher.pairs-1.jsonl"),
    ("exposure.json", "exposure.json"),
    ("log.txt", "log.txt"),
    ("models/student/finished.json", "models/student/finished.json"),
    ("models/student/metrics.jsonl", "models/student/metrics.jsonl"),
    ("models/student/summary.json", "models/student/summary.json"),
    ("models/teacher/finished.json", "models/teacher/finished.json"),
    ("models/teacher/metrics.jsonl", "models/teacher/metrics.jsonl"),
    ("models/teacher/summary.json", "models/teacher/summary.json"),
    ("recipe.toml", "recipe.toml"),
    ("stages/evaluate-student.json", "stages/evaluate-student.json"),
    ("stages/evaluate-teacher.json", "stages/evaluate-teacher.json"),
    ("stages/model-student.json", "stages/model-student.json"),
    ("stages/model-teacher.json", "stages/model-teacher.json"),
    ("stages/tokens.json", "stages/tokens.json"),
];

/// Files of a run that no page reads: beginnings of their paths, and parts of their names.
const OTHERS: [&str; 11] = [
    "corpus/",
    "tokenizer/",
    "tokens/",
    "lock",
    "table.md",
    "report.html",
    "/final/",
    "/best",
    "events.out.tfevents.",
    "follows_from.json",
    "teachers/",
];

/// Stages of the preparation, whose records may be in a folder that runs share.
const PREPARATION: [&str; 3] =
    ["stages/corpus.json", "stages/tokenizer.json", "stages/tokens.json"];

/// The lines of a page that name what is missing.
fn missing(workspace: &Workspace, folder: &str) -> Vec<String> {
    workspace.babyllama(&format!("report {folder} --output page.html")).done();
    let page = workspace.text("page.html");
    let lines = page.lines().filter(|line| line.contains("class=\"missing\""));
    lines.map(|line| line.replace("&#x2f;", "/")).collect()
}

/// All files below a folder, relative to it.
fn files(folder: &Path, inside: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder.join(inside)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        match entry.path().is_dir() {
            true => files(folder, &path, found),
            false => drop(found.insert(path)),
        }
    }
}

/// Damages a file in each of these ways, and asserts that the page has `part` in what it names each
/// time, or `absent` where the file is not there; `None` for one that may be elsewhere.
fn check_damage(workspace: &Workspace, folder: &str, file: &str, part: &str, absent: Option<&str>) {
    let path = workspace.path(&format!("{folder}/{file}"));
    let before = fs::read(&path).unwrap();
    let half = before[..before.len() / 2].to_vec();
    let binary = b"\xff\xfe\x00 no text".to_vec();
    for (how, damaged) in [
        ("absent", None),
        ("empty", Some(Vec::new())),
        ("blank", Some(b"\n".to_vec())),
        ("binary", Some(binary)),
        ("cut", Some(half)),
        ("of another kind", Some(b"{\"a\": 1}\n".to_vec())),
    ] {
        match &damaged {
            None if absent.is_none() => continue,
            None => fs::remove_file(&path).unwrap(),
            // The first half of a recipe may be a whole one.
            Some(_) if how == "cut" && file == "recipe.toml" => continue,
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let lines = missing(workspace, folder);
        let part = absent.filter(|_| damaged.is_none()).unwrap_or(part);
        assert!(lines.iter().any(|line| line.contains(part)), "{file}, {how}: {lines:?}");
        fs::write(&path, &before).unwrap();
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let lines = missing(workspace, folder);
    assert!(lines.iter().any(|line| line.contains(part)), "{file}, a folder: {lines:?}");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, &before).unwrap();
    assert_eq!(missing(workspace, folder), [""; 0], "{file} is whole again");
}

#[test]
fn every_file_of_a_run_that_a_page_reads_is_named_when_it_is_damaged() {
    let workspace = Workspace::trained();
    assert_eq!(missing(&workspace, "runs/small"), [""; 0]);
    let mut all = BTreeSet::new();
    files(&workspace.path("runs/small"), "", &mut all);
    let is_known = |file: &&String| {
        READ.iter().any(|(read, _)| read == file)
            || PREPARATION.contains(&file.as_str())
            || OTHERS.iter().any(|part| file.contains(part))
    };
    let unknown: Vec<&String> = all.iter().filter(|file| !is_known(file)).collect();
    assert!(unknown.is_empty(), "does a page read these? {unknown:?}");
    for (file, part) in READ {
        let absent = Some(part).filter(|_| !PREPARATION.contains(&file));
        check_damage(&workspace, "runs/small", file, part, absent);
    }
    // The items of pairs are read where they were scored.
    fs::rename(workspace.path("pairs"), workspace.path("elsewhere")).unwrap();
    let lines = missing(&workspace, "runs/small");
    assert!(lines.iter().any(|line| line.contains("the items of")), "{lines:?}");
}

#[test]
fn every_file_of_an_evaluation_that_a_page_reads_is_named_when_it_is_damaged() {
    let workspace = Workspace::trained();
    let models = "runs/small/models/student/final runs/small/models/teacher/final";
    let data = "--data evaluation --text text/a.train --sequence-length 16";
    let evaluate = format!("evaluate all {models} {data} --output scores");
    fs::create_dir(workspace.path("evaluation")).unwrap();
    fs::rename(workspace.path("pairs"), workspace.path("evaluation/blimp_filtered")).unwrap();
    workspace.babyllama(&evaluate).done();
    assert_eq!(missing(&workspace, "scores"), [""; 0]);
    for file in [
        "student/model.json",
        "student/blimp_filtered/result.json",
        "student/blimp_filtered/data.json",
        "student/blimp_filtered/predictions.jsonl",
        "student/loss/result.json",
    ] {
        let part = file.rsplit('/').next().unwrap();
        // A result that is absent is one that is still to come.
        let absent = if part == "result.json" { "the scoring has not ended" } else { part };
        check_damage(&workspace, "scores", file, part, Some(absent));
    }
}

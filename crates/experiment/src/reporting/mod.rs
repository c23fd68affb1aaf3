//! The results of runs, evaluations and fine-tunings on one page ([`report::Page`]).
//!
//! Folders are read as they are: a run under way, or one with damaged files, gives a page that
//! names what is missing. Nothing of a folder is changed or repaired.

mod challenge;
mod comparable;
mod curves;
mod evaluation_scores;
mod finetunings;
mod found;
mod log;
mod losses;
mod model_tables;
mod models;
mod papers;
mod records;
mod run_scores;
mod scores;
mod sections;
mod settings;
mod shown;
mod tasks;
mod watched;

use std::path::{Path, PathBuf};

use report::figures::Palette;
use report::page::{Block, Page, Section};

use crate::error::{Context, FileContext, Result, refuse, wrong_usage};
use crate::evaluation::results::distinct;
use crate::files;
use crate::files::entries;
use crate::outputs::{Kind, same};
use found::Found;

pub use records::machines_of;
pub use watched::{stamp, stamp_of};

/// The name of the page in the folder of a run.
pub const PAGE: &str = "report.html";

/// What every page begins with.
pub const BEGINNING: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
    'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:;";

/// The page about some folders: of runs, or of what `evaluate` and `finetune` left.
///
/// # Errors
/// When a folder is not there, holds no results, or is named twice.
pub fn page(folders: &[PathBuf]) -> Result<Page> {
    check(folders)?;
    let names = distinct(folders);
    let all: Vec<Found> =
        names.iter().zip(folders).map(|(name, folder)| Found::look(name, folder)).collect();
    if let Some(foreign) = all.iter().find(|found| found.is_foreign()) {
        return refuse(format_args!("{} holds no results", foreign.folder.display()))
            .advise("name folders that `babyllama run`, `evaluate` or `finetune` filled");
    }
    let title = match &names[..] {
        [name] => name.clone(),
        names => format!("{} runs: {}", names.len(), names.join(", ")),
    };
    let palette = palette(&all);
    let sections = vec![
        section("Not here", sections::missing(&all)),
        section("Results", sections::results(&all)),
        section("Challenge", challenge::blocks(&all, &palette)),
        section("Training", sections::curves(&all, &palette)),
        section("Fine-tuning", sections::finetunings(&all, &palette)),
        section("Figures", sections::figures(&all, &palette)),
        section("Tasks", sections::tasks(&all)),
        section("Items", sections::items(&all)),
        section("Samples", sections::samples(&all)),
        section("Recipe", sections::recipes(&all)),
    ];
    Ok(Page { title, subtitle: sections::subtitle(&all), sections })
}

/// The order of all models of a page, by which each has one color: trained models, ensembles and
/// what was scored, printed scores, lines over several runs.
fn palette(all: &[Found]) -> Palette {
    let several = all.len() > 1;
    let models = |found: &Found| -> Vec<String> {
        let trained = found.models.iter().map(|model| &model.name);
        let scored = found.scores.iter().map(|one| &one.scores.name);
        let of_challenge = found.challenge.iter().map(|(name, _)| name);
        trained
            .chain(scored)
            .chain(of_challenge)
            .map(|model| named(found, model, several))
            .collect()
    };
    let mut names: Vec<String> = all.iter().flat_map(models).collect();
    names.extend(papers::PRINTED.map(papers::printed));
    let scored = all.iter().flat_map(|found| &found.scores);
    names.extend(scored.map(|one| one.scores.name.clone()));
    Palette::of(names.iter().map(String::as_str))
}

/// Refuses folders that are not there or named twice.
fn check(folders: &[PathBuf]) -> Result<()> {
    for (index, folder) in folders.iter().enumerate() {
        std::fs::read_dir(folder)
            .at("read", folder)
            .advise("name folders that `babyllama run`, `evaluate` or `finetune` filled")?;
        if folders[..index].iter().any(|other| same(folder, other)) {
            return wrong_usage(format_args!("{} is named twice", folder.display()))
                .advise("name each folder once");
        }
    }
    Ok(())
}

fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.to_owned(), blocks }
}

/// The metrics logs of some folders that are there: run, model and file.
///
/// # Errors
/// As [`page`]; also when there is no log.
pub fn logs(folders: &[PathBuf]) -> Result<Vec<(String, String, PathBuf)>> {
    check(folders)?;
    let mut logs = Vec::new();
    for (run, folder) in distinct(folders).into_iter().zip(folders) {
        let own = [folder.clone()].into_iter().filter(|folder| folder.join(LOG).is_file());
        let models = entries(&folder.join("models")).unwrap_or_default().into_iter();
        // What was set aside has an ending.
        let models = models.filter(|model| model.extension().is_none());
        for model in own.chain(models).filter(|model| model.join(LOG).is_file()) {
            let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
            logs.push((run.clone(), name, model.join(LOG)));
        }
    }
    match logs.is_empty() {
        true => refuse("none of these folders has a metrics log yet"),
        false => Ok(logs),
    }
}

/// The name of a model's metrics log.
const LOG: &str = "metrics.jsonl";

/// Writes the page about one folder into it, and returns its place.
///
/// # Errors
/// As [`page`] and [`write`].
pub fn write_into(folder: &Path) -> Result<PathBuf> {
    write(folder, &page(&[folder.to_owned()])?)
}

/// Writes a page into the folder that it is about, and returns its place.
///
/// # Errors
/// When it cannot be written, or a file that is no such page has its name.
pub fn write(folder: &Path, page: &Page) -> Result<PathBuf> {
    let path = folder.join(PAGE);
    Kind::Beginning(BEGINNING).check(&path)?;
    files::write_text(&path, &page.to_html())?;
    Ok(path)
}

/// A model's name, with that of its run where there are several.
fn named(found: &Found, model: &str, several: bool) -> String {
    match several {
        true => format!("{}/{model}", found.name),
        false => model.to_owned(),
    }
}

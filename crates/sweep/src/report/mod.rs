//! A sweep on one page: its trials in order, the importance of its parameters, the result against
//! each of them, all of them together, and what a confirmation came to.

mod rows;
pub mod tables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use experiment::{outputs, reporting};
use report::format::{by_reason, in_one_line, time_of_day};
use report::page::{Block, Page, Section};

use crate::confirm::{self, ConfirmedRow, is_confirmation};
use crate::definition::Definition;
use crate::error::{Result, SweepError, refuse};
use crate::export;
use crate::importance::FEWEST_TRIALS;
use crate::overview::{Overview, Standing};
use crate::store::{Address, default_address};
use crate::sweep::{Sweep, is_trial_folder, name_in, name_in_store, place, stored_address};
use crate::trial::Trial;
use rows::Rows;

/// How many trials the page's table has.
const SHOWN: usize = 10;

/// Whether a folder holds a sweep, or what is left of one.
pub fn is_sweep(folder: &Path) -> bool {
    let found = (name_in(folder), stored_address(folder));
    let is_named = !matches!(found, (Ok(None), Ok(None)));
    folder.is_dir() && (is_named || folder.join(place::DATABASE).is_file())
}

/// The sweep that a folder is a part of (its trials, what they share, or something in these), named
/// as the folder names it.
pub fn sweep_around(folder: &Path) -> Option<PathBuf> {
    let whole = outputs::place(folder);
    let is_part = |part: &&Path| {
        let name = part.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| [place::TRIALS, place::SHARED].contains(&name))
            && part.parent().is_some_and(is_sweep)
    };
    let sweep = whole.ancestors().find(is_part)?.parent()?;
    let named = folder.ancestors().find(|ancestor| outputs::place(ancestor) == sweep);
    Some(named.unwrap_or(sweep).to_owned())
}

/// The page about the sweep of a folder; `None` where the folder holds no sweep. What is lost or
/// cannot be read is named on the page.
pub fn page(folder: &Path) -> Option<Page> {
    if !is_sweep(folder) {
        return None;
    }
    let (mut lost, mut lost_address) = (Vec::new(), Vec::new());
    let address = stored_address(folder);
    let address = known(address, place::STORE, || default_address(folder), &mut lost_address);
    let stored = || name_in_store(folder, &address);
    let name = known(name_in(folder), place::SWEEP, stored, &mut lost);
    lost.append(&mut lost_address);
    let mut page = page_of(folder, &address, &name);
    page.sections.splice(0..0, lost);
    Some(page)
}

/// The files that the page about a sweep is made of, and none of a store that is no file; `None`
/// where the folder holds no sweep.
pub fn files(folder: &Path) -> Option<Vec<PathBuf>> {
    if !is_sweep(folder) {
        return None;
    }
    let store = match stored_address(folder) {
        Ok(Some(Address::Sqlite(store))) => store,
        Ok(Some(Address::Postgres(_))) => return Some(Vec::new()),
        Ok(None) | Err(_) => folder.join(place::STORE),
    };
    // What SQLite has not brought into the file yet is beside it.
    let mut log = store.clone().into_os_string();
    log.push("-wal");
    let own = [place::SWEEP, place::BASE, place::STORE].map(|name| folder.join(name));
    Some(own.into_iter().chain([store, log.into()]).collect())
}

/// All trials of the sweep of a folder as CSV, of the study that is named where it has several;
/// `None` where the folder holds no sweep.
///
/// # Errors
/// When the trials cannot be read, or the sweep has no such study, or several and none is named.
pub fn trials_csv(folder: &Path, study: Option<&str>) -> Option<Result<String>> {
    is_sweep(folder).then(|| {
        let address = stored_address(folder)?.unwrap_or_else(|| default_address(folder));
        let name = name_in(folder)?.unwrap_or_else(|| name_in_store(folder, &address));
        let mut studies = Sweep::studies(&address, &name)?;
        match study {
            Some(name) => {
                let all = studies.clone();
                studies.retain(|study| study == name);
                if studies.is_empty() {
                    return refuse(format_args!(
                        "{} has no study {}; it has {}",
                        folder.display(),
                        in_one_line(name),
                        all.join(", ")
                    ));
                }
            }
            None => studies.retain(|study| !is_confirmation(study)),
        }
        match &studies[..] {
            [study] => Ok(export::csv(&Sweep::open(folder, &address, study)?.overview()?)),
            studies => refuse(format_args!(
                "{} has {} studies; name one with --study: {}",
                folder.display(),
                studies.len(),
                studies.join(", ")
            )),
        }
    })
}

/// What a file of a sweep's folder holds, or what it would hold of its own accord.
fn known<T>(
    found: Result<Option<T>>,
    file: &str,
    otherwise: impl Fn() -> T,
    lost: &mut Vec<Section>,
) -> T {
    let why = match found {
        Ok(Some(found)) => return found,
        Ok(None) => "it is not there".to_owned(),
        Err(error) => error.to_string(),
    };
    let block = Block::Missing { what: file.to_owned(), why };
    lost.push(Section { title: "Not here".to_owned(), blocks: vec![block] });
    otherwise()
}

/// Writes the page about a sweep into its folder, and returns its place.
///
/// # Errors
/// When it cannot be written, or another file has its name.
pub fn write_into(folder: &Path, address: &Address, name: &str) -> Result<PathBuf> {
    Ok(reporting::write(folder, &page_of(folder, address, name))?)
}

/// The page about the studies of a name in a store.
pub fn page_of(folder: &Path, address: &Address, name: &str) -> Page {
    let title = format!("Sweep {name}");
    let mut sections = Vec::new();
    let mut studies = match Sweep::studies(address, name) {
        Ok(studies) => studies,
        Err(error) => {
            sections.push(missing("Not here", "the trials", &error));
            Vec::new()
        }
    };
    let (confirmations, searches): (Vec<String>, Vec<String>) =
        studies.drain(..).partition(|study| is_confirmation(study));
    // The titles of figures name their study only where there are several.
    let is_single = searches.len() == 1;
    for study in &searches {
        let of_study = |other: &&String| {
            other
                .strip_prefix(study)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| !rest.contains('/'))
        };
        let newest = confirmations.iter().rfind(of_study);
        let prefix = if is_single { String::new() } else { format!("{study}: ") };
        match of_search(folder, address, study, newest, &prefix) {
            Ok(found) => sections.extend(found),
            Err(error) => sections.push(missing(study, "the study", &error)),
        }
    }
    let all: Vec<Sweep> = searches
        .iter()
        .chain(&confirmations)
        .filter_map(|study| Sweep::open(folder, address, study).ok())
        .collect();
    sections.push(recipes(folder, all.first().map(|sweep| &sweep.definition)));
    let now = time_of_day(SystemTime::now());
    let mut parts = vec![format!("{}, trials in {address}", folder.display())];
    parts.extend(times(all).map(|(first, last)| format!("{first} to {last}")));
    parts.extend(machines(folder));
    parts.push(format!("written {now} by babyllama {}", env!("CARGO_PKG_VERSION")));
    Page { title, subtitle: parts.join(" · "), sections }
}

/// What the trials in a folder ran on; none where that is not recorded.
fn machines(folder: &Path) -> Option<String> {
    let trials = trial_folders(&folder.join(place::TRIALS));
    let machines: BTreeSet<String> =
        trials.iter().flat_map(|trial| reporting::machines_of(trial)).collect();
    let lines: Vec<String> = machines.into_iter().collect();
    (!lines.is_empty()).then(|| format!("trained on {}", lines.join("; ")))
}

/// The folders of trials in a folder, and in those of its studies.
fn trial_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // A link may lead to a folder around it.
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let inside =
        |entry: std::fs::DirEntry| match is_trial_folder(&entry.file_name().to_string_lossy()) {
            true => vec![entry.path()],
            false => trial_folders(&entry.path()),
        };
    folders.flat_map(inside).collect()
}

/// When the first trial of some studies began and the last ended, in UTC.
fn times(studies: Vec<Sweep>) -> Option<(String, String)> {
    let trials = |mut sweep: Sweep| sweep.trials().unwrap_or_default();
    let rows: Vec<Trial> = studies.into_iter().flat_map(trials).collect();
    let first = rows.iter().filter_map(|trial| trial.row.started.as_deref()).min()?;
    let ends = rows.iter().filter_map(|trial| trial.row.completed.as_deref());
    let last = ends.max().unwrap_or(first);
    // Stores have `2026-11-28 14:05:09.123456`.
    let shown = |time: &str| format!("{}Z", time.get(..19).unwrap_or(time).replace(' ', "T"));
    Some((shown(first), shown(last)))
}

fn missing(title: &str, what: &str, error: &SweepError) -> Section {
    let block = Block::Missing { what: what.to_owned(), why: error.to_string() };
    Section { title: title.to_owned(), blocks: vec![block] }
}

/// The sections of one search, with its newest confirmation.
fn of_search(
    folder: &Path,
    address: &Address,
    study: &str,
    confirmation: Option<&String>,
    prefix: &str,
) -> Result<Vec<Section>> {
    let mut sweep = Sweep::open(folder, address, study)?;
    let (overview, trials) = (sweep.overview()?, sweep.trials()?);
    let confirmed = confirmation.map(|name| {
        let mut confirmation = Sweep::open(folder, address, name)?;
        confirm::rows(&mut confirmation, &mut sweep)
    });
    let title = |what: &str| match prefix.is_empty() {
        true => what.to_owned(),
        false => format!("{prefix}{}", what.to_lowercase()),
    };
    let rows = Rows::new(&sweep, &trials);
    let mut search = search(&overview, &rows, &title);
    search.extend(failures(&overview));
    let confirmation = match confirmed {
        Some(Ok(found)) => confirmed_blocks(&overview, &rows, &found, &title),
        Some(Err(error)) => vec![absent("the confirmation", error.to_string())],
        None => {
            let why = "`babyllama sweep confirm` trains the best again with fresh seeds";
            vec![absent("the confirmation", why.to_owned())]
        }
    };
    Ok(vec![
        Section { title: title("Search"), blocks: search },
        Section { title: title("Confirmation"), blocks: confirmation },
    ])
}

fn absent(what: &str, why: String) -> Block {
    Block::Missing { what: what.to_owned(), why }
}

/// Why trials failed: the reasons that come first, each with its trials.
fn failures(overview: &Overview) -> Vec<Block> {
    let failed = overview.trials.iter().filter(|trial| trial.standing == Standing::Failed);
    let reasons = by_reason(failed.map(|trial| {
        let why = trial.why.as_deref().unwrap_or("no reason was stored");
        (trial.number.to_string(), in_one_line(why))
    }));
    let left_out = reasons.len().saturating_sub(SHOWN);
    let shown = reasons.into_iter().take(SHOWN);
    let mut blocks: Vec<Block> =
        shown.map(|(trials, why)| absent(&format!("the result of trial {trials}"), why)).collect();
    if left_out > 0 {
        let rest = format!("{left_out} more reasons; `babyllama sweep status --trials` has all");
        blocks.push(absent("the results of others", rest));
    }
    blocks
}

/// How far a search is, its best trials, and its figures.
fn search(overview: &Overview, rows: &Rows<'_>, title: &dyn Fn(&str) -> String) -> Vec<Block> {
    let mut blocks = vec![Block::Text(format!("{}.", tables::progress(overview)))];
    let best = tables::best(overview, SHOWN);
    blocks.push(match best.is_empty() {
        true => absent("the best trials", "no trial is complete".to_owned()),
        false => Block::Table {
            caption: title("The best trials"),
            table: tables::trials(overview, &best),
        },
    });
    blocks.push(Block::Figure(rows.history(&title("History"))));
    blocks.push(match rows.importance(&title("Importance of the parameters")) {
        Some(figure) => Block::Figure(figure),
        None => absent(
            "the importance of the parameters",
            format!("it takes {FEWEST_TRIALS} trials with different finite results"),
        ),
    });
    blocks.push(Block::Figure(rows.slices(&title("Results by parameter"))));
    blocks.push(Block::Figure(rows.parallel(&title("Parameters and results"))));
    blocks
}

/// What a confirmation came to.
fn confirmed_blocks(
    overview: &Overview,
    rows: &Rows<'_>,
    found: &[ConfirmedRow],
    title: &dyn Fn(&str) -> String,
) -> Vec<Block> {
    let table = Block::Table {
        caption: title("Fresh seeds, the best mean first"),
        table: tables::confirmation(found, rows.direction()),
    };
    let luck = tables::luck(overview, found).map(Block::Text);
    let figure = rows.confirmed(&title("Confirmed against the search"), found);
    [table].into_iter().chain(luck).chain([Block::Figure(figure)]).collect()
}

/// The files that the sweep was made of; of one that cannot be read what its store has.
fn recipes(folder: &Path, stored: Option<&Definition>) -> Section {
    let sweep = stored.map(|definition| &definition.sweep);
    let base = stored.map(|definition| &definition.base);
    let files = [(place::SWEEP, sweep), (place::BASE, base)];
    let blocks = files.into_iter().flat_map(|(name, stored)| {
        let pre = |title: String, text: String| Block::Pre { title, text };
        match (std::fs::read(folder.join(name)), stored) {
            (Ok(text), _) => {
                vec![pre(name.to_owned(), String::from_utf8_lossy(&text).into_owned())]
            }
            (Err(error), None) => vec![absent(name, error.to_string())],
            (Err(error), Some(text)) => vec![
                absent(name, format!("{error}. The store has the text that follows.")),
                pre(format!("{name} as the store has it"), text.clone()),
            ],
        }
    });
    Section { title: "Recipe".to_owned(), blocks: blocks.collect() }
}

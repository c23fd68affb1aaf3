//! `babyllama report`: the results of runs and sweeps on one page.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base::atomic_file::AtomicFile;
use experiment::evaluation::results::distinct;
use experiment::outputs::{Kind, MadeFolders};
use experiment::reporting::{self, PAGE};
use experiment::{ExperimentError, files, outputs};
use report::Page;
use report::csv::{BEGINNING, MetricsSource, write_metrics};
use report::figures::{Formats, write_folder};
use report::format::no_records;
use sweep::export;
use sweep::report::{is_sweep, sweep_around, trials_csv};

use crate::args::ReportArgs;
use crate::console;
use crate::failure::{Hint, WrongUsage};

/// Writes the page, and the figures and tables that the flags select.
pub fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let output = args.output.clone().unwrap_or_else(|| match &args.runs[..] {
        [run] => run.join(PAGE),
        _ => PathBuf::from(PAGE),
    });
    let page = page(&args.runs)?;
    let _output = outputs::prepare_file(&output, &[], Kind::Beginning(reporting::BEGINNING))?;
    let trials = match (&args.runs[..], &args.csv) {
        ([only], Some(_)) => trials_csv(only, args.study.as_deref()).transpose()?,
        _ => None,
    };
    if let (Some(study), None) = (&args.study, &trials) {
        return Err(WrongUsage(format!("--study {study}: no single sweep is named")))
            .hint("name the folder of one sweep, or leave out --study");
    }
    let check = |file| check_csv(file, &output, &args.runs, trials.as_deref());
    let _csv = args.csv.as_deref().map(check).transpose()?;
    if let Some(folder) = args.figures.as_deref() {
        check_figures(folder, &args.runs)?;
        for file in [Some(&output), args.csv.as_ref()].into_iter().flatten() {
            outputs::check_outside(file, folder, "--figures")?;
        }
    }
    files::write_text(&output, &page.to_html())?;
    console::print(format_args!("The report is {}.", output.display()))?;
    if let Some(folder) = &args.figures {
        let _folder = outputs::prepare_folder(folder)?;
        let formats = Formats { png: args.png };
        let written = write_folder(folder, page.figures(), page.tables(), formats)
            .hint("move that file away, or name another folder with --figures")?;
        let (count, place) = (written.len(), folder.display());
        console::print(format_args!("{count} files of figures and tables are in {place}."))?;
    }
    match (&args.csv, trials) {
        (None, _) => Ok(()),
        (Some(file), None) => write_metrics_of(&args.runs, file),
        (Some(file), Some(trials)) => {
            files::write_text(file, &trials)?;
            console::print(format_args!("The trials are in {}.", file.display()))
        }
    }
}

/// The page about runs, about a sweep, or about several of both: then that of the runs, with those
/// of the sweeps behind it.
pub(super) fn page(folders: &[PathBuf]) -> anyhow::Result<Page> {
    if let [folder] = folders
        && let Some(page) = sweep::report::page(folder)
    {
        return Ok(page);
    }
    let names = distinct(folders);
    let (sweeps, runs): (Vec<_>, Vec<_>) =
        folders.iter().zip(&names).partition(|(folder, _)| is_sweep(folder));
    if let Some(twice) = (1..sweeps.len()).find(|&last| {
        sweeps[..last].iter().any(|(folder, _)| outputs::same(folder, sweeps[last].0))
    }) {
        return Err(WrongUsage(format!("{} is named twice", sweeps[twice].0.display())))
            .hint("name each folder once");
    }
    let runs: Vec<PathBuf> = runs.into_iter().map(|(folder, _)| folder.clone()).collect();
    let mut sections = Vec::new();
    let mut subtitles = Vec::new();
    if !runs.is_empty() {
        let page = reporting::page(&runs)?;
        if sweeps.is_empty() {
            return Ok(page);
        }
        sections.extend(page.sections);
        subtitles.push(page.subtitle);
    }
    for (folder, name) in &sweeps {
        let Some(page) = sweep::report::page(folder) else { continue };
        subtitles.push(page.subtitle);
        sections.extend(page.sections.into_iter().map(|mut section| {
            section.title = format!("{name}: {}", section.title);
            section
        }));
    }
    let title = format!("{} folders: {}", names.len(), names.join(", "));
    Ok(Page { title, subtitle: subtitles.join(" · "), sections })
}

/// Refuses a folder for figures that holds something else, among whose files they would stand.
fn check_figures(folder: &Path, runs: &[PathBuf]) -> anyhow::Result<()> {
    let sweep = sweep_around(folder);
    let kind = match runs.iter().any(|run| outputs::same(run, folder)) {
        _ if is_sweep(folder) => Some("a sweep"),
        _ if sweep.is_some() => Some("a part of a sweep"),
        true => Some("what the report is about"),
        false => outputs::kind_of(folder),
    };
    let Some(kind) = kind else { return Ok(()) };
    let place = sweep.or(outputs::run_around(folder)).unwrap_or_else(|| folder.to_owned());
    Err(WrongUsage(format!("--figures {}: the folder holds {kind}", folder.display()))).hint(
        format!(
            "name a folder for the figures alone: --figures {}",
            place.join("figures").display()
        ),
    )
}

/// Refuses a table of metrics or trials in the place of the page, or of any file that is no such
/// table; and one table for runs and sweeps.
fn check_csv(
    file: &Path,
    page: &Path,
    runs: &[PathBuf],
    trials: Option<&str>,
) -> anyhow::Result<MadeFolders> {
    if std::path::absolute(file)? == std::path::absolute(page)? || outputs::same(file, page) {
        bail!(WrongUsage(format!("--csv and --output are both {}", file.display())));
    }
    let sweep = runs.iter().find(|folder| is_sweep(folder));
    let (beginning, what) = match trials {
        Some(trials) => (export::csv_head(trials), "trials"),
        None => (BEGINNING, "metrics"),
    };
    if let Some(sweep) = sweep.filter(|_| runs.len() > 1) {
        let problem = format!("--csv is a table of steps or of the trials of {}", sweep.display());
        return Err(WrongUsage(problem)).hint("name one sweep, or runs alone, with --csv");
    }
    let kind = Kind::Beginning(beginning);
    if kind.check(file).is_err() {
        let problem = format!("{} is another file than a table of {what}", file.display());
        return Err(anyhow!(problem)).hint("move it away, or name another file with --csv");
    }
    Ok(outputs::prepare_file(file, runs, kind)?)
}

/// Writes the metrics of all models as one table.
fn write_metrics_of(runs: &[PathBuf], file: &Path) -> anyhow::Result<()> {
    let logs = reporting::logs(runs)?;
    let sources: Vec<MetricsSource<'_>> =
        logs.iter().map(|(run, model, path)| MetricsSource { run, model, path }).collect();
    let cannot_write = || format!("cannot write {}", file.display());
    let mut output = BufWriter::new(AtomicFile::create(file).with_context(cannot_write)?);
    let written = write_metrics(&sources, &mut output)?;
    output.flush().with_context(cannot_write)?;
    let output = output.into_inner().map_err(|error| error.into_error());
    output.and_then(AtomicFile::commit).with_context(cannot_write)?;
    if written.left_out > 0 {
        let left_out = no_records(written.left_out, "the logs");
        console::warn(format_args!("{left_out} and left out"));
    }
    console::print(format_args!("The metrics are in {}.", file.display()))
}

/// Writes the page of a folder that a command has filled, and returns its place; what keeps it from
/// being written is a warning.
pub fn write_beside(folder: &Path) -> Option<PathBuf> {
    let problem = |error: ExperimentError| {
        console::warn(format_args!("no report was written: {}", error.cause()));
    };
    reporting::write_into(folder).map_err(problem).ok()
}

/// Does work on a folder. Where it fails with some of it done, the page about that is written too;
/// what keeps it from being written is less than the failure, and is not printed.
pub fn with_page_of_failure<T>(
    folder: &Path,
    work: impl FnOnce() -> experiment::Result<T>,
) -> experiment::Result<T> {
    let before = reporting::stamp(folder);
    let done = work();
    let has_failed = done.as_ref().is_err_and(|error| !error.is_stop());
    if has_failed
        && reporting::stamp(folder) != before
        && let Ok(page) = reporting::write_into(folder)
    {
        note(&page);
    }
    done
}

/// Notes where a page is.
pub fn note(page: &Path) {
    console::note_unless_quiet(format_args!("the report is {}", page.display()));
}

/// Where a page is, behind a sentence of a closing line; nothing where none was written.
pub fn sentence(page: Option<&Path>) -> String {
    page.map_or_else(String::new, |page| format!(" The report is {}.", page.display()))
}

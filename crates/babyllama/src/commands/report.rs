//! `babyllama report`: the results of runs on one page.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base::atomic_file::AtomicFile;
use experiment::outputs::{Kind, MadeFolders};
use experiment::reporting::{self, PAGE};
use experiment::{ExperimentError, files, outputs};
use report::csv::{BEGINNING, MetricsSource, write_metrics};
use report::figures::{Formats, write_folder};
use report::format::counted;

use crate::args::ReportArgs;
use crate::console;
use crate::failure::{Hint, WrongUsage};

/// Writes the page, and what else is asked for.
pub fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let output = args.output.clone().unwrap_or_else(|| match &args.runs[..] {
        [run] => run.join(PAGE),
        _ => PathBuf::from(PAGE),
    });
    let page = page(&args.runs)?;
    let _output = outputs::prepare_file(&output, &[], Kind::Beginning(reporting::BEGINNING))?;
    let _csv = args.csv.as_deref().map(|file| check_csv(file, &output, &args.runs)).transpose()?;
    files::write_text(&output, &page.to_html())?;
    console::print(format_args!("The report is {}.", output.display()))?;
    if let Some(folder) = &args.figures {
        outputs::check_no_model(folder)?;
        let _folder = outputs::prepare_folder(folder)?;
        let formats = Formats { png: args.png };
        let written = write_folder(folder, page.figures(), page.tables(), formats)
            .hint("name another folder with --figures")?;
        let (count, place) = (written.len(), folder.display());
        console::print(format_args!("{count} files of figures and tables are in {place}."))?;
    }
    args.csv.as_deref().map_or(Ok(()), |file| write_csv(&args.runs, file))
}

/// The page about runs, or about a sweep.
fn page(folders: &[PathBuf]) -> anyhow::Result<report::Page> {
    let of_sweep = match folders {
        [folder] => sweep::report::page(folder),
        _ => None,
    };
    match of_sweep {
        Some(page) => Ok(page),
        None => Ok(reporting::page(folders)?),
    }
}

/// Refuses a table of metrics in the place of the page, or of any file that is no such table.
fn check_csv(file: &Path, page: &Path, runs: &[PathBuf]) -> anyhow::Result<MadeFolders> {
    if std::path::absolute(file)? == std::path::absolute(page)? || outputs::same(file, page) {
        bail!(WrongUsage(format!("--csv and --output are both {}", file.display())));
    }
    if Kind::Beginning(BEGINNING).check(file).is_err() {
        let problem = format!("{} is another file than a table of metrics", file.display());
        return Err(anyhow!(problem)).hint("move it away, or name another file with --csv");
    }
    // A table that was written into a run's folder before may be written anew.
    let is_new = std::fs::metadata(file).map_or(true, |found| found.len() == 0);
    Ok(outputs::prepare_file(file, if is_new { runs } else { &[] }, Kind::Beginning(BEGINNING))?)
}

/// Writes the metrics of all models as one table.
fn write_csv(runs: &[PathBuf], file: &Path) -> anyhow::Result<()> {
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
        console::note(format_args!(
            "warning: {} of the logs are no records and left out",
            counted(written.left_out, "line")
        ));
    }
    console::print(format_args!("The metrics are in {}.", file.display()))
}

/// Writes the page of a folder that a command has filled, and returns its place; what keeps it from
/// being written is a warning.
pub fn write_beside(folder: &Path) -> Option<PathBuf> {
    let problem = |error: ExperimentError| {
        console::note(format_args!("warning: no report was written: {}", error.cause()));
    };
    reporting::write_into(folder).map_err(problem).ok()
}

/// Notes where a page is.
pub fn note(page: &Path) {
    if !console::is_quiet() {
        console::note(format_args!("the report is {}", page.display()));
    }
}

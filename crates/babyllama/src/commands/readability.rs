//! `babyllama corpus readability`: how hard texts are to read.

use std::path::{Path, PathBuf};

use corpus::readability::{Readability, ReadingCounts};
use corpus::{CorpusError, Text, text};
use experiment::outputs::Kind;
use experiment::reading::{self, ReadingProgress};
use experiment::{Observer, files, outputs};
use report::{Align, Table};
use serde::Serialize;

use super::corpus::open_all;
use crate::console::{self, Console};
use crate::failure::Abandon;

/// A text, or one of its documents, with its measures.
#[derive(Serialize)]
struct Row {
    file: String,
    /// The document's number from 1; none for the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
    #[serde(flatten)]
    measures: Readability,
}

/// What `--json` holds.
const MEASURES: Kind<'static> = Kind::Json(&["file", "gunning_fog", "smog"]);

/// Prints the measures of every file, or of every document.
pub fn readability(paths: &[PathBuf], documents: bool, json: Option<&Path>) -> anyhow::Result<()> {
    let console = Console::stopping_on_signals()?;
    let should_stop = || console.should_stop();
    let texts = open_all(&should_stop, paths)?;
    let inputs = paths.iter().map(|path| text::corpus_files(path));
    let inputs = inputs.collect::<corpus::Result<Vec<_>>>()?.concat();
    let _made = json.map(|path| outputs::prepare_file(path, &inputs, MEASURES)).transpose()?;
    let progress = ReadingProgress::begin(&console, "readability", reading::bytes_of(&inputs), "");
    let texts = progress.count(texts);
    let mut rows = Vec::new();
    for text in &texts {
        let file = text.name().to_owned();
        if !documents {
            let measures = ReadingCounts::of(&should_stop, text).or_abandoned()?.readability();
            rows.push(Row { file, document: None, measures });
            continue;
        }
        each_document(&should_stop, text, |number, document| {
            let measures = ReadingCounts::of_str(document).readability();
            rows.push(Row { file: file.clone(), document: Some(number), measures });
        })
        .or_abandoned()?;
    }
    progress.end();
    if let Some(path) = json {
        files::write_json(path, &rows)?;
    }
    console::print_table(&table(&rows, documents))
}

/// Calls `see` with the number and the text of every document: blocks between blank lines where a
/// text has any, and otherwise lines.
fn each_document(
    should_stop: base::ShouldStop<'_>,
    text: &Text<'_>,
    mut see: impl FnMut(usize, &str),
) -> corpus::Result<()> {
    let is_blank = |line: &str| line.trim().is_empty();
    let mut by_blocks = false;
    for lines in text.whole_lines() {
        by_blocks |= lines?.lines().any(is_blank);
    }
    let (mut document, mut number) = (String::new(), 0);
    let mut end = |document: &mut String| {
        if !is_blank(document) {
            number += 1;
            see(number, document);
        }
        document.clear();
    };
    for lines in text.whole_lines() {
        base::stop::check(should_stop).map_err(CorpusError::from)?;
        for line in lines?.split_inclusive('\n') {
            document.push_str(line);
            if !by_blocks || is_blank(line) {
                end(&mut document);
            }
        }
    }
    end(&mut document);
    Ok(())
}

fn table(rows: &[Row], documents: bool) -> Table {
    let number = documents.then_some(("document", Align::Right));
    let heads = ["reading ease", "grade", "fog", "ARI", "SMOG"].map(|head| (head, Align::Right));
    let mut table = Table::new([("file", Align::Left)].into_iter().chain(number).chain(heads));
    for Row { file, document, measures } in rows {
        let numbers = [
            format!("{:.2}", measures.flesch_reading_ease),
            format!("{:.1}", measures.flesch_kincaid_grade),
            format!("{:.2}", measures.gunning_fog),
            format!("{:.1}", measures.automated_readability),
            format!("{:.1}", measures.smog),
        ];
        let number = document.map(|number| number.to_string());
        table.push([file.clone()].into_iter().chain(number).chain(numbers).collect());
    }
    table
}

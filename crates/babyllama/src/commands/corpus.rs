//! `babyllama corpus`: cleaning, counting, and the built-in corpus as files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base::ShouldStop;
use builtin_corpus::{BuiltinSettings, Split};
use corpus::stats::{CorpusStats, TextStats};
use corpus::{Text, Tokenizer, cleaners, text, texts};
use report::format::{counted, grouped};
use report::{Align, Table};

use experiment::Observer;
use experiment::outputs::{self, OutputFolder};
use experiment::reading::{self, ReadingProgress};
use experiment::run::{builtin_texts, write_pairs};

use crate::console::{self, Console};
use crate::failure::{Abandon, Hint, WrongUsage};

/// Cleans files and folders into a folder.
pub fn clean(sources: &[PathBuf], output: &Path) -> anyhow::Result<()> {
    let _output = check_output(sources, output)?;
    let console = Console::stopping_on_signals()?;
    let texts = open_all(&|| console.should_stop(), sources)?;
    let progress = ReadingProgress::begin(&console, "cleaning", bytes_of(sources)?, "");
    let texts = progress.count(texts);
    let cleaned = cleaners::clean_into(&|| progress.should_stop(), texts, output).or_abandoned()?;
    progress.end();
    let mut table = Table::new([
        ("file", Align::Left),
        ("source", Align::Left),
        ("characters before", Align::Right),
        ("characters after", Align::Right),
    ]);
    for file in &cleaned {
        table.push(vec![
            file.name.clone(),
            cleaners::source_of(&file.name).to_owned(),
            grouped(file.characters_before as u64),
            grouped(file.characters_after as u64),
        ]);
    }
    console::print_table(&table)?;
    let files = counted(cleaned.len() as u64, "file");
    console::print(format_args!("{files} cleaned into {}", output.display()))
}

/// The cleaners lose line ends and more, so that what they replace could not be made again.
fn check_output(sources: &[PathBuf], output: &Path) -> anyhow::Result<OutputFolder> {
    let files = sources.iter().map(|source| text::corpus_files(source));
    let files = files.collect::<corpus::Result<Vec<_>>>()?.concat();
    let names: Vec<String> = files.iter().map(|file| text::file_name(file)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    outputs::check_files(output, &names, &files)?;
    Ok(outputs::prepare_folder(output)?)
}

/// Prints a table of what files hold.
pub fn stats(paths: &[PathBuf], tokenizer: Option<&Path>) -> anyhow::Result<()> {
    let tokenizer = tokenizer.map(Tokenizer::load).transpose()?;
    let console = Console::stopping_on_signals()?;
    let texts = open_all(&|| console.should_stop(), paths)?;
    let progress = ReadingProgress::begin(&console, "counting", bytes_of(paths)?, "");
    let texts = progress.count(texts);
    let stats = CorpusStats::of(&|| progress.should_stop(), &texts, tokenizer.as_ref());
    let stats = stats.or_abandoned()?;
    progress.end();
    let heads = ["bytes", "characters", "lines", "words", "tokens", "tokens/word"];
    let mut table = Table::new(
        [("file", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))),
    );
    for file in stats.files.iter().chain([&stats.total]) {
        table.push(row(file));
    }
    console::print_table(&table)
}

fn row(stats: &TextStats) -> Vec<String> {
    let counts = [stats.bytes, stats.characters, stats.lines, stats.words]
        .map(|count| grouped(count as u64));
    let tokens = stats.tokens.map(|count| grouped(count as u64)).unwrap_or_default();
    let ratio = stats.tokens_per_word().map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
    [stats.name.clone()].into_iter().chain(counts).chain([tokens, ratio]).collect()
}

/// Writes the built-in corpus and its minimal pairs.
pub fn write_builtin(
    output: &Path,
    words: usize,
    validation_words: usize,
    pairs: usize,
    seed: u64,
) -> anyhow::Result<()> {
    check_no_other_text(output)?;
    let _output = outputs::prepare_folder(output)?;
    let settings = BuiltinSettings { words, validation_words, pairs_per_paradigm: pairs, seed };
    let console = Console::stopping_on_signals()?;
    let should_stop = || console.should_stop();
    // The first, by which this command knows its own texts again.
    write_pairs(&should_stop, &output.join(PAIRS), settings).or_abandoned()?;
    for (folder, split, words) in
        [("train", Split::Train, words), ("validation", Split::Validation, validation_words)]
    {
        let progress = ReadingProgress::begin_words(&console, folder, words as u64);
        let texts = progress.count(builtin_texts(&should_stop, settings, split));
        texts::write_texts(&output.join(folder), &texts).or_abandoned()?;
        progress.end();
    }
    let folder = output.display();
    console::print(format_args!(
        "The built-in corpus is in {folder}/train and {folder}/validation, its pairs in \
         {folder}/{PAIRS}"
    ))
}

/// The folder of the built-in corpus's minimal pairs.
const PAIRS: &str = "builtin_pairs";

/// Files of the built-in corpus have the names of BabyLM's: those of a user are not replaced.
fn check_no_other_text(output: &Path) -> anyhow::Result<()> {
    let has_files =
        |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let folders = ["train", "validation"].map(|folder| output.join(folder));
    match folders.iter().find(|folder| has_files(folder) && !output.join(PAIRS).exists()) {
        Some(folder) => {
            let problem = format!("{} has files that were not written here", folder.display());
            Err(WrongUsage(problem)).hint("name a new folder with --output")
        }
        None => Ok(()),
    }
}

/// Names what a folder holds that is no text of the corpus.
fn note_left_out(path: &Path) -> anyhow::Result<()> {
    if let Some(line) = text::left_out_line(path)? {
        console::note(line);
    }
    Ok(())
}

/// Bytes of the texts of files and folders.
pub fn bytes_of(paths: &[PathBuf]) -> anyhow::Result<u64> {
    let files = paths.iter().map(|path| text::corpus_files(path));
    Ok(reading::bytes_of(files.collect::<corpus::Result<Vec<_>>>()?.concat()))
}

/// Opens the texts of files and folders.
pub fn open_all(
    should_stop: ShouldStop<'_>,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<Text<'static>>> {
    let mut all = Vec::new();
    for path in paths {
        let context = || format!("cannot use {}", path.display());
        let texts = texts::open_corpus_unless(should_stop, path);
        all.extend(texts.or_abandoned().with_context(context)?);
        note_left_out(path)?;
    }
    Ok(all)
}

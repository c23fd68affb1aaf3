//! `babyllama corpus`: cleaning, counting, and the built-in corpus as files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base::ShouldStop;
use base::atomic_file::replaces_other_bytes;
use builtin_corpus::{BuiltinSettings, Split};
use corpus::stats::{CorpusStats, TextStats};
use corpus::texts::WrittenTexts;
use corpus::{CorpusError, Text, Tokenizer, cleaners, text, texts};
use report::format::{counted, grouped};
use report::{Align, Table};

use experiment::Observer;
use experiment::outputs::{self, OutputFolder};
use experiment::reading::{self, ReadingProgress};
use experiment::run::{builtin_texts, pair_files, write_pairs};

use super::readability::readability;
use crate::args::CorpusCommand;
use crate::console::{self, Console};
use crate::failure::{Abandon, Hint, WrongUsage};

/// What the command line asks for.
pub fn corpus(command: &CorpusCommand) -> anyhow::Result<()> {
    match command {
        CorpusCommand::Clean { sources, output, replace } => clean(sources, output, *replace),
        CorpusCommand::Stats { paths, tokenizer } => stats(paths, tokenizer.as_deref()),
        CorpusCommand::Readability { paths, documents, json } => {
            readability(paths, *documents, json.as_deref())
        }
        CorpusCommand::WriteBuiltin { output, words, validation_words, pairs, seed, replace } => {
            let settings = BuiltinSettings {
                words: *words,
                validation_words: *validation_words,
                pairs_per_paradigm: *pairs,
                seed: *seed,
            };
            write_builtin(output, settings, *replace)
        }
    }
}

/// Cleans files and folders into a folder. Files of other contents there give way only to
/// `replace`.
fn clean(sources: &[PathBuf], output: &Path, replace: bool) -> anyhow::Result<()> {
    let _output = check_output(sources, output)?;
    let console = Console::stopping_on_signals()?;
    let texts = open_all(&|| console.should_stop(), sources)?;
    let progress = ReadingProgress::begin(&console, "cleaning", bytes_of(sources)?, "");
    let texts = progress.count(texts);
    let should_stop = || progress.should_stop();
    let cleaned = cleaners::clean_into(&should_stop, texts, output, replace).or_abandoned()?;
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
fn stats(paths: &[PathBuf], tokenizer: Option<&Path>) -> anyhow::Result<()> {
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

/// Writes the built-in corpus and its minimal pairs. Nothing is written when that would replace
/// files of other contents, unless `replace`.
fn write_builtin(output: &Path, settings: BuiltinSettings, replace: bool) -> anyhow::Result<()> {
    let _output = outputs::prepare_folder(output)?;
    let console = Console::stopping_on_signals()?;
    let should_stop = || console.should_stop();
    let mut written = Vec::new();
    for (name, split, words) in [
        ("train", Split::Train, settings.words),
        ("validation", Split::Validation, settings.validation_words),
    ] {
        let folder = output.join(name);
        let texts = builtin_texts(&should_stop, settings, split);
        check_no_other_text(&folder, &texts)?;
        let progress = ReadingProgress::begin_words(&console, name, words as u64);
        let texts = progress.count(texts);
        written.push(texts::write_texts(&folder, &texts).or_abandoned()?);
        progress.end();
    }
    let pairs = pair_files(&should_stop, settings).or_abandoned()?;
    let folder = output.join(PAIRS);
    if !replace {
        written.iter().try_for_each(WrittenTexts::check_nothing_is_lost)?;
        check_pairs(&folder, &pairs)?;
    }
    for texts in written {
        texts.commit()?;
    }
    write_pairs(&folder, &pairs)?;
    let folder = output.display();
    console::print(format_args!(
        "The built-in corpus is in {folder}/train and {folder}/validation, its pairs in \
         {folder}/{PAIRS}"
    ))
}

/// The folder of the built-in corpus's minimal pairs.
const PAIRS: &str = "builtin_pairs";

/// Texts of others beside those of the built-in corpus would be read as if they were its own.
fn check_no_other_text(folder: &Path, texts: &[Text<'_>]) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let names = entries.flatten().map(|entry| entry.file_name());
    let is_own = |name: &OsString| {
        let name = name.to_string_lossy();
        // What a kill left beside is no text.
        name.ends_with(".partial") || texts.iter().any(|text| text.name() == name)
    };
    match names.into_iter().find(|name| !is_own(name)) {
        Some(name) => {
            let problem =
                format!("{} is no text of the built-in corpus", folder.join(name).display());
            Err(WrongUsage(problem)).hint("name a new folder with --output")
        }
        None => Ok(()),
    }
}

/// Refuses to replace pairs of other contents.
fn check_pairs(folder: &Path, pairs: &[(String, String)]) -> anyhow::Result<()> {
    let paths = pairs.iter().map(|(name, text)| (folder.join(name), text));
    let is_other = |(path, text): &(PathBuf, &String)| replaces_other_bytes(path, text.as_bytes());
    match paths.into_iter().find(is_other) {
        Some((path, _)) => Err(CorpusError::OtherText { path }.into()),
        None => Ok(()),
    }
}

/// Names what a folder holds that is no text of the corpus.
fn warn_of_left_out(path: &Path) -> anyhow::Result<()> {
    if let Some(line) = text::left_out_line(path)? {
        console::warn(line);
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
        warn_of_left_out(path)?;
    }
    Ok(all)
}

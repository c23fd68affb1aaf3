//! Words and tokens of a recipe's text. A sample of it shows how many tokens a word has.

use std::path::{Path, PathBuf};

use builtin_corpus::{BuiltinSettings, Split};
use corpus::readability::{Readability, ReadingCounts};
use corpus::stats::CorpusStats;
use corpus::text::{self, NamedText};
use corpus::texts::{self, Text};
use corpus::{TokenFile, Tokenizer, cleaners};

use report::format::in_one_line;
use train::data::SourceRange;

use crate::error::{FileContext, Result};
use crate::files;
use crate::identity::source_name;
use crate::observer::Observer;
use crate::reading::{self, ReadingProgress};
use crate::recipe::{Recipe, Source, Validation};
use crate::run::documents;

/// Words of text that tokens are counted in; a larger sample changes little.
const SAMPLE: usize = 1_000_000;

/// Bytes of each file that are measured for buckets.
const READ: usize = 200_000;

/// About how many bytes a word has.
const WORD: usize = 6;

/// Sizes of a recipe's text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TextSize {
    /// Words of the training text.
    pub(super) words: f64,
    /// Tokens of the training text.
    pub(super) training: f64,
    /// Tokens of the held-out text.
    pub(super) held_out: f64,
    pub(super) tokens_per_word: f64,
    /// Entries of the tokenizer.
    pub(super) vocab_size: usize,
    /// Whether the tokens were counted in the run's own files.
    pub(super) is_known: bool,
    /// The files of the training text and how much of it each is, where they are known.
    pub(super) sources: Vec<(String, f64)>,
    /// How hard the beginnings of these files are to read, where a model has buckets.
    pub(super) readability: Vec<(String, Readability)>,
}

impl TextSize {
    /// The size of a recipe's text; `run` is the run's folder once its tokens are made.
    ///
    /// # Errors
    /// When the text, the tokenizer or the run's tokens cannot be read.
    pub(super) fn of(recipe: &Recipe, run: Option<&Path>, observer: &dyn Observer) -> Result<Self> {
        let section = &recipe.corpus;
        let all = match (&section.source, section.words) {
            (Source::Folder(folder), 0) => words_of(folder, observer)?,
            (_, words) => words as f64,
        };
        let (words, held_out) = match &section.validation {
            Validation::Builtin => (all, section.builtin_validation_words() as f64),
            Validation::Split => {
                (all * (1.0 - section.validation_fraction), all * section.validation_fraction)
            }
            Validation::Folder(folder) => (all, words_of(folder, observer)?),
        };
        if let Some(run) = run {
            return Self::of_run(recipe, words, run);
        }
        let sample = sample(recipe)?;
        let tokenizer = tokenizer(recipe, &sample)?;
        let (mut tokens, mut counted) = (0, 0);
        for (name, text) in &sample {
            let ids = tokenizer.encode_file(text)?;
            tokens += ids.len();
            tokens += begun_documents(recipe, name, ids, &tokenizer);
            counted += text::count_words(text);
        }
        let tokens_per_word = tokens as f64 / counted.max(1) as f64;
        let bytes: usize = sample.iter().map(|(_, text)| text.len()).sum();
        let share =
            |(name, text): &NamedText| (source_name(name), text.len() as f64 / bytes.max(1) as f64);
        Ok(Self {
            sources: sample.iter().map(share).collect(),
            words,
            training: words * tokens_per_word,
            held_out: held_out * tokens_per_word,
            tokens_per_word,
            vocab_size: vocab_size(recipe, Some(&tokenizer))?,
            is_known: false,
            readability: if has_buckets(recipe) { readability(&sample) } else { Vec::new() },
        })
    }

    /// The size of a text of `words` words whose tokens are in a run's folder.
    ///
    /// # Errors
    /// When the run's tokens cannot be read.
    pub(super) fn of_run(recipe: &Recipe, words: f64, run: &Path) -> Result<Self> {
        let (vocab_size, training) = counted(&run.join("tokens/train.bin"))?;
        let (_, held_out) = counted(&run.join("tokens/validation.bin"))?;
        let sources: Vec<SourceRange> =
            files::read_json(&run.join("tokens/sources.json")).unwrap_or_default();
        let share =
            |source: SourceRange| (source.name, source.tokens.len() as f64 / training.max(1.0));
        let files = || texts::open_files(&run.join("corpus/train"));
        let beginnings = || -> Result<Vec<NamedText>> {
            let of_one = |text: &Text<'_>| Ok((text.name().to_owned(), beginning(text, READ)?));
            files()?.iter().map(of_one).collect()
        };
        Ok(Self {
            readability: match has_buckets(recipe) {
                true => readability(&beginnings()?),
                false => Vec::new(),
            },
            sources: sources.into_iter().map(share).collect(),
            words,
            training,
            held_out,
            tokens_per_word: training / words.max(1.0),
            vocab_size,
            is_known: true,
        })
    }

    /// How much of the training text some of its files are; all of it where none is named.
    pub(super) fn share(&self, files: &[String]) -> f64 {
        if files.is_empty() || self.sources.is_empty() {
            return 1.0;
        }
        let named = self.sources.iter().filter(|(name, _)| files.contains(name));
        named.map(|(_, share)| share).sum()
    }

    /// Tokens of the longest stretch of some of its files, neighbours joined; of the whole where
    /// none is named.
    pub(super) fn longest_piece(&self, files: &[String]) -> f64 {
        if files.is_empty() || self.sources.is_empty() {
            return self.training;
        }
        let (mut piece, mut longest) = (0.0, 0.0f64);
        for (name, share) in &self.sources {
            piece = if files.contains(name) { piece + share * self.training } else { 0.0 };
            longest = longest.max(piece);
        }
        longest
    }
}

/// Entries of the tokenizer that a recipe names or trains; `tokenizer` is the one that it names, if
/// it was loaded.
pub(super) fn vocab_size(recipe: &Recipe, tokenizer: Option<&Tokenizer>) -> Result<usize> {
    match (&recipe.tokenizer.path, tokenizer) {
        (None, _) => Ok(recipe.tokenizer.vocab_size),
        (Some(_), Some(tokenizer)) => Ok(tokenizer.vocab_size()),
        (Some(path), None) => Ok(Tokenizer::load(path)?.vocab_size()),
    }
}

/// Entries of the vocabulary and tokens of a token file.
fn counted(path: &Path) -> Result<(usize, f64)> {
    let file = TokenFile::open(path)?;
    Ok((file.vocab_size().unwrap_or_default(), file.len() as f64))
}

/// Words of the corpus files of a folder.
fn words_of(folder: &Path, observer: &dyn Observer) -> Result<f64> {
    let texts = texts::open_files(folder)?;
    let bytes = reading::bytes_of(text::corpus_files(folder)?);
    let label = format!("words of {}", in_one_line(&folder.display().to_string()));
    let progress = ReadingProgress::begin(observer, &label, bytes, "");
    let should_stop = || progress.should_stop();
    let found = CorpusStats::of(&should_stop, &progress.count(texts), None);
    progress.end();
    Ok(found?.total.words as f64)
}

/// How many documents of a text get a token before them.
fn begun_documents(recipe: &Recipe, name: &str, ids: Vec<u32>, tokenizer: &Tokenizer) -> usize {
    if !recipe.tokenizer.begin_token {
        return 0;
    }
    let source = SourceRange { name: source_name(name), tokens: 0..ids.len() };
    documents::starts(&ids, &[source], tokenizer, &recipe.corpus.documents).len()
}

fn has_buckets(recipe: &Recipe) -> bool {
    recipe.models.values().any(|model| model.train.buckets.is_some())
}

/// How hard the beginning of each text is to read, by its name without ending.
fn readability(texts: &[NamedText]) -> Vec<(String, Readability)> {
    let of_one = |(name, text): &NamedText| {
        let end = text.floor_char_boundary(READ);
        (source_name(name), ReadingCounts::of_str(&text[..end]).readability())
    };
    texts.iter().filter(|(_, text)| !text.is_empty()).map(of_one).collect()
}

/// The tokenizer that the recipe names, or one of its settings that is trained on the sample.
fn tokenizer(recipe: &Recipe, sample: &[NamedText]) -> Result<Tokenizer> {
    let section = &recipe.tokenizer;
    match &section.path {
        Some(path) => Ok(Tokenizer::load(path)?),
        None => Ok(Tokenizer::train(sample, &section.settings())?),
    }
}

/// The beginning of each file, in proportion to its size, as training would read it.
fn sample(recipe: &Recipe) -> Result<Vec<NamedText>> {
    let section = &recipe.corpus;
    let texts = match &section.source {
        Source::Builtin => {
            let settings = BuiltinSettings {
                words: section.words.min(SAMPLE / 2),
                validation_words: 1,
                pairs_per_paradigm: 1,
                seed: recipe.seed,
            };
            builtin_corpus::write_corpus(settings, Split::Train)
        }
        Source::Folder(folder) => {
            let size = |file: &Path| std::fs::metadata(file).at("read", file).map(|of| of.len());
            let files = text::corpus_files(folder)?;
            let bytes: u64 = files.iter().map(|file| size(file)).sum::<Result<u64>>()?;
            let wanted = match section.words {
                0 => SAMPLE,
                words => words.min(SAMPLE),
            };
            let share = (wanted * WORD) as f64 / bytes.max(1) as f64;
            let beginning = |file: &PathBuf| {
                let text = Text::of_file(file.clone())?;
                let most = (size(file)? as f64 * share) as usize;
                Ok((text.name().to_owned(), beginning(&text, most)?))
            };
            files.iter().map(beginning).collect::<Result<_>>()?
        }
    };
    Ok(if section.clean { cleaners::clean_whole(&texts) } else { texts })
}

/// The lines of a text up to the one in which it reaches more than `bytes` bytes.
fn beginning(text: &Text<'_>, bytes: usize) -> Result<String> {
    let mut found = String::new();
    for lines in text.whole_lines() {
        let lines = lines?;
        for line in lines.split_inclusive('\n') {
            found.push_str(line);
            if found.len() > bytes {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use corpus::TokenizerSettings;

    use super::*;
    use crate::observer::Silent;
    use crate::recipe;

    #[test]
    fn texts_are_cut_behind_a_line() {
        let text = Text::of("a", "one\ntwo\nthree");
        let found = [0, 3, 4, 9, 99].map(|bytes| beginning(&text, bytes).unwrap());
        assert_eq!(found, ["one\n", "one\n", "one\ntwo\n", "one\ntwo\nthree", "one\ntwo\nthree"]);
    }

    #[test]
    fn tokens_are_those_of_the_recipes_own_tokenizer() {
        let of = |vocab_size: usize| {
            let text = format!("[corpus]\nwords = 4000\n[tokenizer]\nvocab_size = {vocab_size}");
            let recipe = recipe::embedded("x.toml", &text).unwrap();
            (TextSize::of(&recipe, None, &Silent).unwrap(), recipe)
        };
        let ((small, recipe), (large, _)) = (of(300), of(2000));
        assert!(small.tokens_per_word > 1.3 * large.tokens_per_word, "{small:?} {large:?}");
        assert_eq!((small.words, small.vocab_size, small.is_known), (4000.0, 300, false));
        // What the run would do.
        let settings = BuiltinSettings {
            words: 4000,
            validation_words: 1,
            pairs_per_paradigm: 1,
            seed: recipe.seed,
        };
        let texts = builtin_corpus::write_corpus(settings, Split::Train);
        let texts = if recipe.corpus.clean { cleaners::clean_whole(&texts) } else { texts };
        let settings = TokenizerSettings { vocab_size: 300, ..TokenizerSettings::default() };
        let tokenizer = Tokenizer::train(&texts, &settings).unwrap();
        let exact: usize =
            texts.iter().map(|(_, text)| tokenizer.encode_file(text).unwrap().len()).sum();
        assert!((small.training / exact as f64 - 1.0).abs() < 0.05, "{small:?} for {exact}");
    }

    #[test]
    fn a_folders_words_are_split_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("text");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("a.txt"), "one two three four\n".repeat(100)).unwrap();
        let text = format!(
            "[corpus]\nsource = '{}'\nvalidation_fraction = 0.25\n[tokenizer]\nvocab_size = 300",
            data.display()
        );
        let size =
            TextSize::of(&recipe::embedded("x.toml", &text).unwrap(), None, &Silent).unwrap();
        assert_eq!(size.words, 300.0);
        assert_eq!(size.held_out, 100.0 * size.tokens_per_word);
        assert_eq!(size.training, 300.0 * size.tokens_per_word);
    }
}

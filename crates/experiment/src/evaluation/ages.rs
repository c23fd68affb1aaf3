//! Age of acquisition: how well surprisals help to predict when children learn words.

use std::path::{Path, PathBuf};

use base::stop;
use corpus::{CorpusError, texts};
use engine::Arithmetic;
use eval::age_of_acquisition::{
    AgeScore, Context as Sentence, ContextGatherer, DEFAULT_CONTEXTS, Surprisals, WordFinder,
    WordList, read_contexts, score_as_published, score_corrected, score_words,
};
use eval::{AgeOfAcquisition, Benchmark, Rules, Scorer};
use serde::Serialize;
use serde_json::json;

use super::progress::ScoringProgress;
use super::results::DATA;
use super::{LoadedModel, label, models, tokenizer};
use crate::error::{Result, wrong_usage};
use crate::files;
use crate::observer::Observer;
use crate::tokenizers;

/// Where the pipeline puts its files, below a model's folder.
const FOLDER: &str = "aoa_prediction";
/// The average surprisal of every word.
const SURPRISALS: &str = "extracted_average_surprisals.json";
/// The mean absolute errors.
const ERRORS: &str = "mean_absolute_deviation_results.json";

/// The files that are written below a model's folder.
pub(crate) fn files_of_ages() -> [PathBuf; 3] {
    [SURPRISALS, ERRORS, DATA].map(|name| Path::new(FOLDER).join(name))
}

/// What is predicted from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeSettings {
    /// The pipeline's `word_list.csv`.
    pub words: PathBuf,
    /// A `.json` list of sentences with their words, or cleaned text with one utterance a line.
    pub contexts: PathBuf,
    /// Contexts that each word gets from text at most.
    pub contexts_per_word: usize,
    /// Whether average surprisals are computed as the code of 2023 does, its peculiarities
    /// included.
    pub as_published: bool,
}

impl AgeSettings {
    /// The settings for a word list and contexts, with the pipeline's number of contexts.
    pub fn new(words: PathBuf, contexts: PathBuf) -> Self {
        Self { words, contexts, contexts_per_word: DEFAULT_CONTEXTS, as_published: false }
    }
}

/// A word list with the contexts of its words, as read from the files.
pub struct AgeData {
    list: WordList,
    contexts: Vec<Sentence>,
    as_published: bool,
}

/// What was found for a group of models.
pub struct AgeResult {
    /// Mean absolute errors in months.
    pub score: AgeScore,
    /// The surprisals behind them.
    pub surprisals: Surprisals,
    /// What the products of the models were computed in.
    pub precision: Arithmetic,
}

impl AgeData {
    /// Reads the word list and its contexts.
    ///
    /// # Errors
    /// When a file cannot be read, or the observer asks to stop.
    pub fn read(settings: &AgeSettings, observer: &dyn Observer) -> Result<Self> {
        if settings.contexts_per_word == 0 {
            return wrong_usage("--contexts-per-word is 0; it must be at least 1");
        }
        let list = WordList::read(&settings.words)?;
        let finder = WordFinder::new(&list.texts());
        let path = &settings.contexts;
        let contexts = if path.extension().is_some_and(|ending| ending == "json") {
            read_contexts(path, &finder)?
        } else {
            let mut gatherer = ContextGatherer::new(&finder, settings.contexts_per_word);
            let should_stop = || observer.should_stop();
            for text in texts::open_corpus_unless(&should_stop, path)? {
                for lines in text.whole_lines() {
                    stop::check(&should_stop).map_err(CorpusError::from)?;
                    gatherer.read(&lines?);
                }
            }
            gatherer.finish()?
        };
        Ok(Self { list, contexts, as_published: settings.as_published })
    }

    /// Words of the list.
    pub fn words(&self) -> usize {
        self.list.texts().len()
    }

    /// Sentences in which they are found.
    pub fn contexts(&self) -> usize {
        self.contexts.len()
    }

    /// Scores a group of models as one. With a folder, the pipeline's two files are written below
    /// it, and beside them the precision.
    ///
    /// # Errors
    /// When scoring fails or is asked to stop, or a file cannot be written.
    pub fn measure(
        &self,
        group: &[LoadedModel],
        folder: Option<&Path>,
        observer: &dyn Observer,
    ) -> Result<AgeResult> {
        let surprisals = self.surprisals(group, observer)?;
        let precision = group[0].model.device().arithmetic();
        if let Some(model) = folder {
            // What `evaluate all` recorded of earlier files counts no more.
            let record = format!("{}.json", AgeOfAcquisition.name());
            files::remove(&model.join("stages").join(record))?;
        }
        let folder = folder.map(|folder| folder.join(FOLDER));
        if let Some(folder) = &folder {
            write(&folder.join(SURPRISALS), &surprisals.to_json(&self.list.texts()))?;
        }
        let score = score_words(&self.list, &surprisals)?;
        if let Some(folder) = &folder {
            write(&folder.join(ERRORS), &score)?;
            files::write_json(&folder.join(DATA), &json!({ "precision": precision.to_string() }))?;
        }
        Ok(AgeResult { score, surprisals, precision })
    }

    /// The surprisals of a group of models as one. Only the pipeline of 2023 has this task.
    fn surprisals(&self, group: &[LoadedModel], observer: &dyn Observer) -> Result<Surprisals> {
        let (tokenizer, rules) = (tokenizer(group)?, Rules::Year2023);
        let words = self.list.texts();
        let scorer = Scorer::new(models(group))?;
        let should_stop = || observer.should_stop();
        let scorer = scorer.stopping_when(&should_stop);
        let count = self.contexts.len() as u64;
        let name = format!("{} on words in context", label(group));
        let mut progress = ScoringProgress::begin(&scorer, observer, name, "contexts", count);
        let on_progress =
            |done: usize, total: usize| progress.update(count * done as u64 / total.max(1) as u64);
        let found = if self.as_published {
            let tokenizer = tokenizers::of_rules(rules, &tokenizer)?;
            let encode = |text: &str| tokenizers::encode(&tokenizer, text);
            score_as_published(&scorer, &self.contexts, &words, encode, on_progress)?
        } else {
            let prefix = tokenizers::prefix(rules, &tokenizer)?;
            let encode = |text: &str| tokenizers::encode(&tokenizer, text);
            let finder = WordFinder::new(&words);
            let count = words.len();
            score_corrected(&scorer, &self.contexts, &finder, count, prefix, encode, on_progress)?
        };
        let occurrences: u64 = found.words.iter().map(|word| word.count).sum();
        progress.finish(&format!("{} words, {occurrences} occurrences", found.words_found()));
        Ok(found)
    }
}

/// The pipeline's files are JSON in one line.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    path.parent().map_or(Ok(()), files::make_folder)?;
    files::write_text(path, &format!("{}\n", serde_json::to_value(value)?))
}

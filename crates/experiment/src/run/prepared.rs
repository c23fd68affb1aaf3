//! What is prepared from the text before training: cleaned text, tokenizer and tokens, in the run's
//! folder or in one that runs share.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::ShouldStop;
use builtin_corpus::{BuiltinSettings, BuiltinText, Split};
use corpus::{
    CorpusError, Text, TokenFile, TokenWriter, Tokenizer, cleaners, split, subset, text, texts,
};
use report::format::{counted, grouped};
use train::TrainSettings;
use train::data::SourceRange;
use train::settings::DataOrder;

use super::documents;
use super::preparation_stages::PreparationStages;
use super::training_text::{self, SourceCounter, TrainingText};
use super::{Run, perform};
use crate::error::{Context, ExperimentError, FileContext, Result, refuse};
use crate::files;
use crate::identity;
use crate::lock::{LockError, RunLock};
use crate::machine::Machine;
use crate::observer::Observer;
use crate::reading::{self, ReadingProgress};
use crate::recipe::{DocumentRule, Recipe, Source, Validation};
use crate::stage::{Stage, Stages};

/// What the models are trained on.
pub(super) struct Prepared {
    pub tokenizer: Tokenizer,
    pub training: TrainingText,
    pub validation: TokenFile,
    /// The places of the held-out files in the held-out tokens, by [`validation_sources`].
    ///
    /// [`validation_sources`]: Self::validation_sources
    held_out: OnceCell<Vec<SourceRange>>,
    /// The stage that every model stands on.
    pub stage: Stage,
    /// Where text, tokenizer and tokens are.
    pub folder: PathBuf,
}

impl Prepared {
    /// The places of the held-out files in the held-out tokens.
    ///
    /// # Errors
    /// When a file cannot be read, or it was asked to stop.
    pub(super) fn validation_sources(&self, should_stop: ShouldStop<'_>) -> Result<&[SourceRange]> {
        if let Some(found) = self.held_out.get() {
            return Ok(found);
        }
        let places = (VALIDATION, VALIDATION_SOURCES);
        let found = sources(&self.folder, places, &self.tokenizer, should_stop)?;
        Ok(self.held_out.get_or_init(|| found))
    }
}

pub(super) const TRAIN: &str = "corpus/train";
pub(super) const VALIDATION: &str = "corpus/validation";
const TOKENIZER: &str = "tokenizer";
const TRAIN_TOKENS: &str = "tokens/train.bin";
/// Where the corpus files are in the training tokens.
const SOURCES: &str = "tokens/sources.json";
const VALIDATION_TOKENS: &str = "tokens/validation.bin";
/// Where the held-out files are in the held-out tokens.
const VALIDATION_SOURCES: &str = "tokens/validation_sources.json";

/// Sequences as the papers cut them; what `tokenizer_config.json` of the prepared data states. A
/// trained model's own folder has the length that it was trained with.
const SEQUENCE_LENGTH: usize = 128;

/// How long to wait before another try at data that another process prepares.
const RETRY: Duration = Duration::from_millis(200);

pub(super) fn builtin_settings(recipe: &Recipe) -> BuiltinSettings {
    let section = &recipe.corpus;
    BuiltinSettings {
        words: section.words,
        validation_words: section.builtin_validation_words(),
        pairs_per_paradigm: section.pairs_per_paradigm,
        seed: recipe.seed,
    }
}

impl Run<'_> {
    /// Makes text, tokenizer and tokens, as far as they are not there yet: in the run's folder, or
    /// in a shared one under the fingerprint of the tokens.
    pub(super) fn prepare_text(&self) -> Result<Prepared> {
        let stages = self.preparation_stages()?;
        let Some(folder) = self.shared_folder(&stages) else {
            return self.preparation(&self.folder, &self.stages).prepare(stages);
        };
        std::fs::create_dir_all(&folder).at("make", &folder)?;
        let machine = Machine::of(&*self.device);
        let stages_there = Stages::look(&folder).observed(self.observer).on(machine);
        let _lock = match lock_prepared(&folder, self.observer) {
            // Complete data may be in a place where nothing can be written.
            Err(error) if error.is_forbidden() => {
                stages.require_done(&stages_there, &folder)?;
                None
            }
            lock => {
                let lock = lock?;
                Stages::open(&folder)?;
                Some(lock)
            }
        };
        stages.all().iter().for_each(|stage| self.stages.mark_elsewhere(stage));
        let text = self.preparation(&folder, &stages_there).prepare(stages)?;
        stages_there.verify(text.stage.name())?;
        Ok(text)
    }

    /// The folder of the preparation, where runs share it.
    pub(super) fn shared_folder(&self, stages: &PreparationStages) -> Option<PathBuf> {
        let fingerprint = stages.tokens.fingerprint();
        Some(self.prepared.as_ref()?.join(fingerprint.get(..16).unwrap_or(&fingerprint)))
    }

    fn preparation<'b>(&'b self, folder: &'b Path, stages: &'b Stages<'b>) -> Preparation<'b> {
        Preparation { folder, stages, recipe: &self.recipe, observer: self.observer }
    }
}

/// Locks data that runs share, which another process may be preparing just now.
fn lock_prepared(folder: &Path, observer: &dyn Observer) -> Result<RunLock> {
    let mut is_reported = false;
    loop {
        match RunLock::acquire(folder) {
            Err(LockError::Held { .. }) if observer.should_stop() => {
                return Err(ExperimentError::Interrupted);
            }
            Err(error @ LockError::Held { .. }) => {
                if !is_reported {
                    observer.note(format_args!("waits for the prepared data: {error}"));
                    is_reported = true;
                }
                std::thread::sleep(RETRY);
            }
            acquired => return Ok(acquired?),
        }
    }
}

/// Prepares text in a folder.
struct Preparation<'a> {
    folder: &'a Path,
    stages: &'a Stages<'a>,
    recipe: &'a Recipe,
    observer: &'a dyn Observer,
}

impl Preparation<'_> {
    fn prepare(&self, stages: PreparationStages) -> Result<Prepared> {
        let PreparationStages { corpus, tokenizer: tokenizer_stage, tokens } = stages;
        self.perform(&corpus, &[TRAIN, VALIDATION], || self.write_texts())?;
        for place in [TRAIN, VALIDATION] {
            let files = identity::text_files(&self.folder.join(place))?;
            require_own(self.stages, self.folder, &corpus, &files)?;
        }
        self.perform(&tokenizer_stage, &[TOKENIZER], || self.make_tokenizer())?;
        let tokenizer = Tokenizer::load(&self.folder.join("tokenizer/tokenizer.json"))?;
        let outputs = [TRAIN_TOKENS, VALIDATION_TOKENS, SOURCES, VALIDATION_SOURCES];
        self.perform(&tokens, &outputs, || {
            // What a document is in a source of the training text, it is in the held-out text too.
            let mut rules = self.recipe.corpus.documents.clone();
            for (from, to, sources) in [
                (TRAIN, TRAIN_TOKENS, SOURCES),
                (VALIDATION, VALIDATION_TOKENS, VALIDATION_SOURCES),
            ] {
                let found = self.encode(from, to, &tokenizer, &mut rules)?;
                files::write_json(&self.folder.join(sources), &found)?;
            }
            Ok(())
        })?;
        let open = |file: &str| TokenFile::open(&self.folder.join(file));
        let (training, validation) = (open(TRAIN_TOKENS)?, open(VALIDATION_TOKENS)?);
        let should_stop = || self.observer.should_stop();
        let sources = sources(self.folder, (TRAIN, SOURCES), &tokenizer, &should_stop)?;
        let mut training = TrainingText::new(training, sources);
        if self.recipe.models.values().any(|model| reads_documents(&model.train)) {
            training = training.with_documents(&tokenizer, &self.recipe.corpus.documents);
        }
        let (folder, held_out) = (self.folder.to_owned(), OnceCell::new());
        Ok(Prepared { training, validation, held_out, tokenizer, stage: tokens, folder })
    }

    fn perform(
        &self,
        stage: &Stage,
        outputs: &[&str],
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let outputs: Vec<&Path> = outputs.iter().map(Path::new).collect();
        perform(self.stages, self.observer, stage, &outputs, work)
    }

    /// Writes the text for training and the held-out text, piece by piece: what is raw, clean,
    /// drawn or split is made of the sources anew whenever it is read.
    fn write_texts(&self) -> Result<()> {
        let section = &self.recipe.corpus;
        let should_stop = || self.observer.should_stop();
        let prepare = |raw| match section.clean {
            true => cleaners::clean(&should_stop, raw),
            false => raw,
        };
        let builtin = |split| builtin_texts(&should_stop, builtin_settings(self.recipe), split);
        let folder = |folder: &Path| -> Result<Vec<Text<'_>>> {
            let texts = self.open(folder)?.into_iter();
            Ok(texts.map(|text| text.stopping_when(&should_stop)).collect())
        };
        let mut training = prepare(match &section.source {
            Source::Builtin => builtin(Split::Train),
            Source::Folder(source) => folder(source)?,
        });
        if section.words > 0 && section.source != Source::Builtin {
            training = subset::subset_by_words(&training, section.words, self.recipe.seed)?;
        }
        let validation = match &section.validation {
            Validation::Builtin => prepare(builtin(Split::Validation)),
            Validation::Folder(source) => prepare(folder(source)?),
            Validation::Split => {
                let (kept, held_out) =
                    split::split_validation(&training, section.validation_fraction)?;
                training = kept;
                held_out
            }
        };
        for (place, texts) in [(TRAIN, training), (VALIDATION, validation)] {
            let folder = self.folder.join(place);
            remove_old(&folder)?;
            let progress = self.writing(place);
            let texts = progress.count(texts);
            let sizes = texts::write_texts(&folder, &texts)?.commit()?;
            progress.end();
            let words = grouped(sizes.iter().map(|text| text.words as u64).sum());
            let files = counted(texts.len() as u64, "file");
            self.observer.note(format_args!("  {place}: {files}, {words} words"));
        }
        Ok(())
    }

    /// The progress of writing a text, which is about as long as what it is made of.
    fn writing(&self, place: &str) -> ReadingProgress<'_> {
        let section = &self.recipe.corpus;
        let words = match (place, &section.source, &section.validation) {
            (TRAIN, _, _) => section.words,
            (_, _, Validation::Builtin) => section.builtin_validation_words(),
            _ => 0,
        };
        let folder = match (place, &section.source, &section.validation) {
            (TRAIN, Source::Folder(folder), _) | (VALIDATION, _, Validation::Folder(folder)) => {
                text::corpus_files(folder).ok()
            }
            _ => None,
        };
        match words {
            0 => {
                let bytes = reading::bytes_of(folder.unwrap_or_default());
                ReadingProgress::begin(self.observer, place, bytes, "")
            }
            words => ReadingProgress::begin_words(self.observer, place, words as u64),
        }
    }

    /// Opens a corpus, and names what its folder holds besides.
    fn open(&self, folder: &Path) -> Result<Vec<Text<'static>>> {
        if let Some(line) = text::left_out_line(folder)? {
            self.observer.warn(format_args!("{line}"));
        }
        Ok(texts::open_corpus(folder)?)
    }

    fn make_tokenizer(&self) -> Result<()> {
        let section = &self.recipe.tokenizer;
        let tokenizer = match &section.path {
            Some(path) if section.begin_token => {
                let refused = |cause| refuse(format_args!("tokenizer.begin_token: {cause}"));
                Tokenizer::load(path)?
                    .beginning_texts()
                    .or_else(refused)
                    .advise("leave begin_token out, or name another tokenizer")?
            }
            Some(path) => Tokenizer::load(path)?,
            None => {
                let settings = section.settings();
                let folder = self.folder.join(TRAIN);
                let bytes = reading::bytes_of(text::corpus_files(&folder)?);
                let progress =
                    ReadingProgress::begin(self.observer, "tokenizer", bytes, "merges pairs");
                let texts = progress.count(texts::open_corpus(&folder)?);
                let trained =
                    Tokenizer::train_unless(&|| progress.should_stop(), &texts, &settings)?;
                progress.end();
                trained
            }
        };
        if tokenizer.vocab_size() < section.vocab_size && section.path.is_none() {
            let (found, wanted) = (tokenizer.vocab_size(), section.vocab_size);
            self.observer.warn(format_args!(
                "the text yields {found} of the {wanted} entries that were asked for"
            ));
        }
        Ok(tokenizer.save_folder(&self.folder.join(TOKENIZER), SEQUENCE_LENGTH)?)
    }

    /// Encodes a folder into a token file, and returns the places of its texts there. Where
    /// documents begin with a token, `rules` get that of each source.
    fn encode(
        &self,
        from: &str,
        to: &str,
        tokenizer: &Tokenizer,
        rules: &mut BTreeMap<String, DocumentRule>,
    ) -> Result<Vec<SourceRange>> {
        let sources = match self.recipe.tokenizer.begin_token {
            false => self.encode_plainly(from, to, tokenizer)?,
            true => {
                let plain = format!("{to}.plain");
                let sources = self.encode_plainly(from, &plain, tokenizer)?;
                let [from, to] = [&plain, to].map(|name| self.folder.join(name));
                let found = documents::begin_each(&from, &to, &sources, tokenizer, rules)?;
                files::remove(&from)?;
                found
            }
        };
        let count = sources.last().map_or(0, |last| last.tokens.end);
        self.observer.note(format_args!("  {to}: {} tokens", grouped(count as u64)));
        Ok(sources)
    }

    /// Encodes a folder without special tokens.
    fn encode_plainly(
        &self,
        from: &str,
        to: &str,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<SourceRange>> {
        let (vocab_size, hash) = (tokenizer.vocab_size(), tokenizer.content_hash());
        let mut writer = TokenWriter::create(&self.folder.join(to), vocab_size, &hash)?;
        let from = self.folder.join(from);
        let bytes = reading::bytes_of(text::corpus_files(&from)?);
        let progress = ReadingProgress::begin(self.observer, to, bytes, "");
        let should_stop = || progress.should_stop();
        let texts = progress.count(texts::open_files(&from)?);
        let mut counter = SourceCounter::new(&texts);
        for stretch in tokenizer.encode_texts(&should_stop, &texts) {
            let (text, ids) = stretch?;
            counter.add(text, ids.len());
            writer.push(&ids)?;
        }
        writer.finish()?;
        progress.end();
        Ok(counter.ranges())
    }
}

/// The places of the files of a prepared text in its tokens, which earlier versions did not write
/// down.
fn sources(
    folder: &Path,
    (text, places): (&str, &str),
    tokenizer: &Tokenizer,
    should_stop: ShouldStop<'_>,
) -> Result<Vec<SourceRange>> {
    let place = folder.join(places);
    if place.is_file() {
        return files::read_json(&place);
    }
    let texts = texts::open_files(&folder.join(text))?;
    training_text::count_again(should_stop, tokenizer, &texts)
}

/// The built-in corpus, which is written whenever it is read.
pub fn builtin_texts(
    should_stop: ShouldStop<'_>,
    settings: BuiltinSettings,
    split: Split,
) -> Vec<Text<'_>> {
    let text = |text: BuiltinText| {
        Text::new(&text.name(), move || {
            Box::new(text.parts(should_stop).map(|part| part.map_err(CorpusError::from)))
        })
    };
    builtin_corpus::texts(settings, split).into_iter().map(text).collect()
}

/// Whether a training reads documents in new orders.
pub(super) fn reads_documents(settings: &TrainSettings) -> bool {
    settings.resolved_phases().iter().any(|phase| phase.order == DataOrder::Documents)
}

/// Refuses files that stand among a stage's own and would be read as if they were.
pub(super) fn require_own(
    stages: &Stages<'_>,
    run: &Path,
    stage: &Stage,
    files: &[PathBuf],
) -> Result<()> {
    let own = stages.outputs_of(stage.name())?;
    let is_own = |file: &&PathBuf| own.iter().any(|own| run.join(own) == **file);
    match files.iter().find(|file| !is_own(file)) {
        None => Ok(()),
        Some(file) => {
            let (file, stage) = (file.display(), stage.name());
            refuse(format_args!("{file} is none of the files that stage {stage} has written"))
                .advise("move it out of the run's folder; a recipe names the text that it reads")
        }
    }
}

/// Removes what an earlier run of a stage left, so that no stale file stays among the new ones.
pub(super) fn remove_old(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).at("remove", folder)?;
    }
    Ok(())
}

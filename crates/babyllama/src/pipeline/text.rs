//! The stages before training: text, tokenizer, tokens, and minimal pairs of the built-in grammar.

use std::path::{Path, PathBuf};

use anyhow::Context;
use builtin_corpus::{BuiltinSettings, Split};
use corpus::stats::CorpusStats;
use corpus::{
    NamedText, TokenFile, TokenWriter, Tokenizer, TokenizerSettings, cleaners, split, text,
};

use super::Pipeline;
use crate::console;
use crate::recipe::{Source, Validation};
use crate::stage::Stage;
use base::atomic_file;

/// What the models are trained on.
pub struct Text {
    pub tokenizer: Tokenizer,
    pub training: TokenFile,
    pub validation: TokenFile,
    /// The stage that every model stands on.
    pub stage: Stage,
}

const TRAIN: &str = "corpus/train";
const VALIDATION: &str = "corpus/validation";
const PAIRS: &str = "corpus/blimp";

impl Pipeline {
    /// Makes text, tokenizer and tokens, as far as they are not there yet.
    pub fn prepare_text(&mut self) -> anyhow::Result<Text> {
        let corpus = self.corpus_stage()?;
        self.perform(&corpus, &[Path::new(TRAIN), Path::new(VALIDATION)], Self::write_texts)?;

        let mut tokenizer_stage = Stage::new("tokenizer", &self.recipe.tokenizer)?.after(&corpus);
        if let Some(path) = &self.recipe.tokenizer.path {
            tokenizer_stage = tokenizer_stage.reads(path)?;
        }
        self.perform(
            &tokenizer_stage,
            &[Path::new("tokenizer/tokenizer.json")],
            Self::make_tokenizer,
        )?;
        let tokenizer = Tokenizer::load(&self.path("tokenizer/tokenizer.json"))?;

        let files = ["tokens/train.bin", "tokens/validation.bin"];
        let tokens = Stage::new("tokens", &())?.after(&corpus).after(&tokenizer_stage);
        self.perform(&tokens, &files.map(Path::new), |pipeline| {
            pipeline.encode(TRAIN, files[0], &tokenizer)?;
            pipeline.encode(VALIDATION, files[1], &tokenizer)
        })?;
        let open = |file: &str| TokenFile::open(&self.path(file));
        Ok(Text {
            training: open(files[0])?,
            validation: open(files[1])?,
            tokenizer,
            stage: tokens,
        })
    }

    fn corpus_stage(&self) -> anyhow::Result<Stage> {
        let section = &self.recipe.corpus;
        let mut stage = Stage::new("corpus", &(section, self.recipe.seed))?;
        let validation = match &section.validation {
            Validation::Folder(folder) => Some(folder),
            Validation::Builtin | Validation::Split => None,
        };
        let source = match &section.source {
            Source::Folder(folder) => Some(folder),
            Source::Builtin => None,
        };
        for folder in source.into_iter().chain(validation) {
            for file in text::corpus_files(folder)? {
                stage = stage.reads(&file)?;
            }
        }
        Ok(stage)
    }

    fn builtin_settings(&self) -> BuiltinSettings {
        let section = &self.recipe.corpus;
        BuiltinSettings {
            words: section.words,
            validation_words: section.builtin_validation_words(),
            pairs_per_paradigm: section.pairs_per_paradigm,
            seed: self.recipe.seed,
        }
    }

    fn write_texts(&mut self) -> anyhow::Result<()> {
        let section = &self.recipe.corpus;
        let should_stop = || self.interrupt.is_requested();
        let prepare = |raw: Vec<NamedText>| match section.clean {
            true => cleaners::clean_texts_unless(&should_stop, &raw),
            false => Ok(raw),
        };
        let mut training = match &section.source {
            Source::Builtin => {
                prepare(builtin_corpus::write_corpus(self.builtin_settings(), Split::Train))?
            }
            Source::Folder(folder) => prepare(text::read_corpus(folder)?)?,
        };
        let validation = match &section.validation {
            Validation::Builtin => {
                prepare(builtin_corpus::write_corpus(self.builtin_settings(), Split::Validation))?
            }
            Validation::Folder(folder) => prepare(text::read_corpus(folder)?)?,
            Validation::Split => {
                let (kept, held_out) =
                    split::split_validation(&training, section.validation_fraction)?;
                training = kept;
                held_out
            }
        };
        if section.words > 0 && section.source != Source::Builtin {
            training = split::subset_by_words(&training, section.words, self.recipe.seed);
        }
        for (place, texts) in [(TRAIN, &training), (VALIDATION, &validation)] {
            let folder = self.path(place);
            remove_old(&folder)?;
            text::write_corpus(&folder, texts)?;
            let words = report::format::grouped(CorpusStats::of(texts, None)?.total.words as u64);
            console::note(format_args!("  {place}: {} files, {words} words", texts.len()));
        }
        Ok(())
    }

    fn make_tokenizer(&mut self) -> anyhow::Result<()> {
        let section = &self.recipe.tokenizer;
        let tokenizer = match &section.path {
            Some(path) => Tokenizer::load(path)?,
            None => {
                let settings = TokenizerSettings {
                    vocab_size: section.vocab_size,
                    min_frequency: section.min_frequency,
                };
                let should_stop = || self.interrupt.is_requested();
                Tokenizer::train_unless(
                    &should_stop,
                    &text::read_corpus(&self.path(TRAIN))?,
                    &settings,
                )?
            }
        };
        if tokenizer.vocab_size() < section.vocab_size && section.path.is_none() {
            let (found, wanted) = (tokenizer.vocab_size(), section.vocab_size);
            console::note(format_args!(
                "  the text yields {found} of the {wanted} entries that were asked for"
            ));
        }
        let longest = self.recipe.models.values().map(|model| model.train.sequence_length).max();
        Ok(tokenizer.save_folder(&self.path("tokenizer"), longest.unwrap_or(128))?)
    }

    fn encode(&self, from: &str, to: &str, tokenizer: &Tokenizer) -> anyhow::Result<()> {
        let mut writer =
            TokenWriter::create(&self.path(to), tokenizer.vocab_size(), &tokenizer.content_hash())?;
        let mut count = 0;
        for (_, text) in text::read_corpus(&self.path(from))? {
            let ids = tokenizer.encode_file_unless(&|| self.interrupt.is_requested(), &text)?;
            count += ids.len();
            writer.push(&ids)?;
        }
        writer.finish()?;
        console::note(format_args!("  {to}: {} tokens", report::format::grouped(count as u64)));
        Ok(())
    }

    /// The folder of a set of minimal pairs; those of the built-in grammar are written when they
    /// are asked for.
    pub fn pairs_folder(&mut self, source: &Source) -> anyhow::Result<PathBuf> {
        let folder = match source {
            Source::Folder(folder) => return Ok(folder.clone()),
            Source::Builtin => self.path(PAIRS),
        };
        let settings = self.builtin_settings();
        let stage =
            Stage::new("pairs", &(settings.words, settings.pairs_per_paradigm, settings.seed))?;
        self.perform(&stage, &[Path::new(PAIRS)], |pipeline| {
            let folder = pipeline.path(PAIRS);
            remove_old(&folder)?;
            write_pairs(&folder, settings)
        })?;
        Ok(folder)
    }
}

/// Writes the minimal pairs of the built-in grammar, one file a paradigm.
pub fn write_pairs(folder: &Path, settings: BuiltinSettings) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (paradigm, pairs) in builtin_corpus::minimal_pairs(settings) {
        let lines: String = pairs.iter().map(|pair| pair.to_json_line() + "\n").collect();
        let path = folder.join(format!("{paradigm}.jsonl"));
        atomic_file::write(&path, lines.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Removes what an earlier run of a stage left, so that no stale file stays among the new ones.
fn remove_old(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

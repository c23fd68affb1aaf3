//! What is read to evaluate models: held-out text during and after training, and minimal pairs.

use std::path::Path;

use base::stop;

use builtin_corpus::BuiltinSettings;
use corpus::stats::CorpusStats;
use corpus::{TokenFile, text, texts};
use eval::minimal_pairs;
use train::TrainSettings;

use super::TOKENS_PER_WORD;
use crate::error::Result;
use crate::recipe::{Recipe, Source, Validation};

/// Tokens of the training and of the held-out text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextTokens {
    pub(super) training: f64,
    pub(super) held_out: f64,
}

impl TextTokens {
    /// Of a recipe's text, at the usual number of tokens a word.
    pub(super) fn estimated(recipe: &Recipe, words: f64) -> Result<Self> {
        let section = &recipe.corpus;
        let (training, held_out) = match &section.validation {
            Validation::Builtin => (words, section.builtin_validation_words() as f64),
            Validation::Split => {
                let held_out = words * section.validation_fraction;
                (words - held_out, held_out)
            }
            Validation::Folder(folder) => (words, words_of(folder)?),
        };
        Ok(Self { training: training * TOKENS_PER_WORD, held_out: held_out * TOKENS_PER_WORD })
    }

    /// Of a run whose tokens are made.
    pub(super) fn of_run(run: &Path) -> Result<Self> {
        let count = |name: &str| {
            let file = TokenFile::open(&run.join("tokens").join(name))?;
            Result::Ok(file.len() as f64)
        };
        Ok(Self { training: count("train.bin")?, held_out: count("validation.bin")? })
    }
}

/// Words of the corpus files of a folder.
pub(super) fn words_of(folder: &Path) -> Result<f64> {
    let texts = texts::open_files(folder)?;
    Ok(CorpusStats::of(&stop::never, &texts, None)?.total.words as f64)
}

/// Tokens that one evaluation on held-out text reads.
pub(super) fn evaluated_tokens(settings: &TrainSettings, held_out: f64) -> f64 {
    let length = settings.sequence_length as f64;
    let all = (held_out / length).floor();
    let taken = match settings.evaluation_sequences {
        0 => all,
        wanted => all.min(wanted as f64),
    };
    taken * length
}

/// Evaluations during a training that sees so many tokens: one after each epoch, and at its end.
pub(super) fn evaluations(seen: f64, training: f64) -> f64 {
    if training > 0.0 { (seen / training).ceil().max(1.0) } else { 0.0 }
}

/// Tokens of a recipe's minimal pairs, with the one before each sentence.
pub(super) fn pair_tokens(recipe: &Recipe) -> Result<f64> {
    let mut tokens = 0.0;
    for source in recipe.evaluate.blimp.iter().flatten() {
        tokens += match source {
            Source::Builtin => {
                // One pair of each paradigm shows how long they are.
                let (words, validation_words, pairs_per_paradigm, seed) = (1, 1, 1, recipe.seed);
                let settings =
                    BuiltinSettings { words, validation_words, pairs_per_paradigm, seed };
                let pairs = builtin_corpus::minimal_pairs(settings);
                let pairs = pairs.iter().flat_map(|(_, pairs)| pairs);
                let one: f64 = pairs
                    .flat_map(|pair| [&pair.sentence_good, &pair.sentence_bad])
                    .map(|sentence| sentence_tokens(sentence))
                    .sum();
                one * recipe.corpus.pairs_per_paradigm as f64
            }
            Source::Folder(folder) => minimal_pairs::read_folder(folder)?
                .iter()
                .flat_map(|task| &task.items)
                .flat_map(|item| &item.choices)
                .map(|choice| sentence_tokens(&choice.text))
                .sum(),
        };
    }
    Ok(tokens)
}

fn sentence_tokens(sentence: &str) -> f64 {
    1.0 + TOKENS_PER_WORD * text::count_words(sentence) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

    #[test]
    fn held_out_text_is_read_as_far_as_the_settings_ask() {
        let settings = TrainSettings { sequence_length: 100, ..TrainSettings::default() };
        assert_eq!(evaluated_tokens(&settings, 1050.0), 1000.0);
        let bounded = TrainSettings { evaluation_sequences: 3, ..settings.clone() };
        assert_eq!(evaluated_tokens(&bounded, 1050.0), 300.0);
        let all = TrainSettings { evaluation_sequences: 0, ..settings };
        assert_eq!(evaluated_tokens(&all, 1e6), 1e6);
        assert_eq!([0.5, 1.0, 2.5].map(|epochs| evaluations(epochs * 1e6, 1e6)), [1.0, 1.0, 3.0]);
    }

    #[test]
    fn texts_and_pairs_are_counted_by_words() {
        let recipe = recipe::embedded("x.toml", "[corpus]\nwords = 1000").unwrap();
        let tokens = TextTokens::estimated(&recipe, 1000.0).unwrap();
        assert_eq!((tokens.training, tokens.held_out), (1490.0, 50.0 * TOKENS_PER_WORD));
        let settings = BuiltinSettings {
            words: 1000,
            validation_words: 50,
            pairs_per_paradigm: recipe.corpus.pairs_per_paradigm,
            seed: recipe.seed,
        };
        let pairs = builtin_corpus::minimal_pairs(settings);
        let sentences = pairs.iter().flat_map(|(_, pairs)| pairs);
        let exact: f64 = sentences
            .flat_map(|pair| [&pair.sentence_good, &pair.sentence_bad])
            .map(|sentence| sentence_tokens(sentence))
            .sum();
        let estimated = pair_tokens(&recipe).unwrap();
        assert!((estimated / exact - 1.0).abs() < 0.25, "{estimated} for {exact}");

        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("text");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("a.txt"), "one two three four\n".repeat(100)).unwrap();
        let text = format!("[corpus]\nsource = '{}'\nvalidation_fraction = 0.25", data.display());
        let recipe = recipe::embedded("x.toml", &text).unwrap();
        let tokens = TextTokens::estimated(&recipe, words_of(&data).unwrap()).unwrap();
        assert_eq!(tokens.held_out, 100.0 * TOKENS_PER_WORD);
        assert_eq!(tokens.training, 300.0 * TOKENS_PER_WORD);
    }
}

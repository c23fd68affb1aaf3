//! What is read to evaluate models: held-out text during and after training, and minimal pairs.

use builtin_corpus::BuiltinSettings;
use corpus::text;
use eval::minimal_pairs;
use train::TrainSettings;

use crate::error::Result;
use crate::recipe::{Recipe, Source};

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

/// Tokens of a recipe's minimal pairs, with the one before each sentence.
pub(super) fn pair_tokens(recipe: &Recipe, tokens_per_word: f64) -> Result<f64> {
    let sentence_tokens =
        |sentence: &str| 1.0 + tokens_per_word * text::count_words(sentence) as f64;
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
    }

    #[test]
    fn pairs_are_counted_by_words() {
        let recipe = recipe::embedded("x.toml", "[corpus]\nwords = 1000").unwrap();
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
            .map(|sentence| 1.0 + 1.5 * text::count_words(sentence) as f64)
            .sum();
        let estimated = pair_tokens(&recipe, 1.5).unwrap();
        assert!((estimated / exact - 1.0).abs() < 0.25, "{estimated} for {exact}");
    }
}

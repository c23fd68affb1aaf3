//! Age of acquisition (BabyLM 2023, after Portelance, Duan, Frank and Lupyan, 2023): how well a
//! model's surprisal at words in child-directed speech helps to predict the age at which children
//! say them.
//!
//! A word list has each word's age of acquisition, category, concreteness and frequency. The model
//! gives each word's mean surprisal in contexts. A linear regression predicts the age from all of
//! these, for each word from the other words; the score is the mean absolute error in months. It
//! varies little: random numbers in place of surprisals end within 0.05 months of the published
//! baselines.

mod contexts;
mod error;
mod occurrences;
mod published;
mod regression;
mod surprisal;
#[cfg(test)]
mod tests;
mod word_list;

use std::sync::LazyLock;

use crate::benchmark::{Benchmark, Kind};
use crate::reference::{self, ReferenceTable};
use crate::rules::Rules;
pub use contexts::{Context, ContextGatherer, DEFAULT_CONTEXTS, read_contexts};
pub use error::AgeError;
pub use occurrences::{Occurrence, WordFinder};
pub use published::{BATCH_SENTENCES, MAX_TOKENS, score_as_published};
pub use regression::{AgeScore, Observation, predict_ages, score_words};
pub use surprisal::{MeanSurprisal, Surprisals, score_corrected};
pub use word_list::{Category, Word, WordList};

/// The file with the words and their ages, in the pipeline's folder.
pub const WORD_LIST: &str = "word_list.csv";

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// The error of ages that surprisals help to predict.
pub struct AgeOfAcquisition;

impl Benchmark for AgeOfAcquisition {
    fn name(&self) -> &'static str {
        "aoa"
    }

    fn title(&self) -> &'static str {
        "age of acquisition, error in months"
    }

    fn about(&self) -> &'static str {
        "how well surprisals help to predict when children learn words"
    }

    fn kind(&self) -> Kind {
        Kind::AgeOfAcquisition
    }

    fn folders(&self) -> &'static [&'static str] {
        &["aoa", "aoa_data"]
    }

    fn required_file(&self) -> Option<&'static str> {
        Some(WORD_LIST)
    }

    fn rules(&self, _asked: Rules) -> Rules {
        Rules::Year2023
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}

//! Texts that a model writes when it is scored, in a run or by `evaluate all`, for people to read.

use corpus::Tokenizer;
use corpus::tokenizer::TextStream;
use model::Model;
use model::generate::{Sampling, generate};
use model::hugging_face::GenerationConfig;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A text that a model wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What it was given.
    pub prompt: String,
    /// How it went on.
    pub text: String,
    /// Whether it always took the likeliest token, or drew by their probabilities.
    pub is_greedy: bool,
}

/// What a model is given: beginnings of sentences that any English text knows.
const PROMPTS: [&str; 2] = ["The little girl", "What do you"];
/// Tokens of each text.
const TOKENS: usize = 40;
/// Larger models would take too long for texts that were not asked for.
pub(crate) const LARGEST: usize = 30_000_000;
/// Of the draws.
const SEED: u64 = 42;

/// The texts of a model, each prompt continued greedily and by a draw; none of a large model, nor
/// of a prompt that is longer than the model's positions.
pub(crate) fn samples(model: &Model, tokenizer: &Tokenizer) -> Result<Vec<Sample>> {
    if model.config().parameter_count() > LARGEST {
        return Ok(Vec::new());
    }
    let mut samples = Vec::new();
    for prompt in PROMPTS {
        let tokens = tokenizer.encode(prompt)?;
        if tokens.len() > model.config().max_positions {
            continue;
        }
        for is_greedy in [true, false] {
            let sampling = Sampling {
                temperature: if is_greedy { 0.0 } else { 1.0 },
                top_k: 0,
                top_p: 1.0,
                repetition_penalty: 1.0,
                seed: SEED,
            };
            let (mut stream, mut text) = (TextStream::new(tokenizer, &tokens), String::new());
            let config = GenerationConfig::default();
            generate(model, &tokens, &config, TOKENS, sampling, |id| {
                text += &stream.push(id);
                true
            })?;
            text += &stream.finish();
            samples.push(Sample { prompt: prompt.to_owned(), text, is_greedy });
        }
    }
    Ok(samples)
}

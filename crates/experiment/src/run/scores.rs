//! What a model of a finished run scored, for programs that go on with the numbers.

use std::collections::BTreeMap;
use std::path::Path;

use super::evaluation::{RunScores, file_name};
use crate::error::Result;
use crate::files;

/// The scores of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Cross-entropy on the held-out text, in nats per token.
    pub held_out_loss: Option<f64>,
    /// Shares of minimal pairs that are right, by the pairs' place in the recipe.
    pub pairs: BTreeMap<String, f64>,
}

/// Reads the scores of a model from the folder of its run.
///
/// # Errors
/// When the model is not scored yet, or its file cannot be read.
pub fn of_model(run: &Path, model: &str) -> Result<Scores> {
    let file = format!("{}.json", file_name(&[model.to_owned()]));
    let scores: RunScores = files::read_json(&run.join("evaluation").join(file))?;
    let pairs = scores.pairs.into_iter().map(|(place, result)| (place, result.score));
    Ok(Scores { held_out_loss: scores.held_out_loss, pairs: pairs.collect() })
}

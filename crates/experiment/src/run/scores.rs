//! What the models and ensembles of a run scored: the form of the files, and what they follow from.

use std::collections::BTreeMap;
use std::path::Path;

use eval::{BenchmarkResult, FileLoss, Rules};
use serde::{Deserialize, Serialize};

use super::claim;
use super::samples::Sample;
use crate::error::Result;
use crate::files;
use crate::held_out::HeldOut;
use crate::scored_items;
use crate::stage::{Record, Stage};

/// The form of the files that the stage writes; files of another form are written anew.
pub(super) const FORMAT: u32 = 3;

/// What one model or ensemble scored: `evaluation/NAME.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RunScores {
    /// The models whose logits are averaged; one for a model by itself.
    pub models: Vec<String>,
    pub parameters: u64,
    pub held_out_loss: Option<f64>,
    pub(super) perplexity: Option<f64>,
    /// The held-out loss of each source of text; none of older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FileLoss>,
    /// What the held-out loss is measured on; not known of older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// Of minimal pairs, by their place; files of earlier versions call them `blimp`.
    #[serde(alias = "blimp")]
    pub pairs: BTreeMap<String, BenchmarkResult>,
    /// The files with the answers to the pairs, beside this one, by the pairs' place; none of older
    /// files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
    /// Hashes of the items of pairs when they were scored, by the pairs' place; not known of older
    /// files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, String>,
    /// What a small model by itself writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// What products were computed in, such as `f32`; not known of older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) precision: Option<String>,
}

impl RunScores {
    /// A hash of the items of pairs when they were scored; of older files by the record of their
    /// stage, which has that of one set alone.
    pub(crate) fn items_of(&self, place: &str, record: Option<&Record>) -> Option<String> {
        let of_record =
            || scored_items::of_stage(record?.stage()).filter(|_| self.pairs.len() == 1);
        self.items.get(place).cloned().or_else(of_record)
    }

    /// The first of the models whose folder in a run has another training than the scores are of,
    /// by the record of their stage; none where one of the two is not recorded.
    pub(crate) fn retrained(&self, run: &Path, record: Option<&Record>) -> Option<&str> {
        let stage = record?.stage();
        let is_other = |model: &&str| {
            let now = claim::fingerprint(&run.join("models").join(model));
            let scored = stage.used(&format!("model-{model}"));
            scored.zip(now).is_some_and(|(scored, now)| scored != now)
        };
        self.models.iter().map(String::as_str).find(is_other)
    }
}

/// What scores follow from besides models and texts, as records have it: whether there is a loss,
/// the rules, the places of minimal pairs, the length and the number of the held-out sequences (0
/// for all), and the form of the files.
pub(super) type ScoreSettings = (bool, Rules, Vec<String>, (usize, usize), u32);

/// The length of the held-out sequences of a stage that scored models.
pub(crate) fn sequence_length_of(stage: &Stage) -> Option<u64> {
    let settings: ScoreSettings = serde_json::from_value(stage.settings().clone()).ok()?;
    let (.., (sequence_length, _), _) = settings;
    Some(sequence_length as u64)
}

/// The name of the files about some models.
pub(crate) fn file_name(subject: &[String]) -> String {
    files::short_name(&subject.join("+"))
}

/// The name of the stage that scores some models.
pub fn stage_name(subject: &[String]) -> String {
    format!("evaluate-{}", file_name(subject))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_states_the_length_of_held_out_sequences() {
        let settings: ScoreSettings =
            (true, Rules::Year2024, vec!["builtin".to_owned()], (128, 1024), FORMAT);
        let stage = Stage::new("evaluate-a", &settings).unwrap();
        assert_eq!(sequence_length_of(&stage), Some(128));
        assert_eq!(sequence_length_of(&Stage::new("tokens", &(true, 7)).unwrap()), None);
    }
}

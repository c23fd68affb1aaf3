//! Cross-entropy and perplexity on held-out text. The caller measures it, as training does.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::benchmark::{Benchmark, Kind};
use crate::results::{Measured, Part};

/// Cross-entropy on held-out text.
pub struct HeldOutLoss;

impl Benchmark for HeldOutLoss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn title(&self) -> &'static str {
        "held-out loss"
    }

    fn about(&self) -> &'static str {
        "cross-entropy on held-out text"
    }

    fn kind(&self) -> Kind {
        Kind::HeldOutLoss
    }
}

/// A loss, in nats for each predicted token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossResult {
    /// Mean over all predicted tokens.
    pub loss: f64,
    /// e to the loss; beyond the largest number infinite, which JSON has as `null`.
    #[serde(deserialize_with = "infinite_if_null")]
    pub perplexity: f64,
    /// Tokens that are predicted.
    pub tokens: usize,
    /// The files of a text, each with the tokens that are in it; none for a token file, which does
    /// not keep them apart.
    pub files: Vec<FileLoss>,
    /// What products were computed in, such as `f32`; not known of older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// The content hash of the tokenizer, without which losses of a token do not compare; not known
    /// of older files and of tokens that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

/// A number, of which JSON has no form where it is infinite.
fn infinite_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// One file's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileLoss {
    /// The file's name.
    pub file: String,
    /// None when no predicted token is in the file.
    pub loss: Option<f64>,
    /// Tokens of the file that are predicted.
    pub predicted_tokens: usize,
}

impl LossResult {
    /// The loss over all, then of each file that has one.
    pub fn measured(&self) -> Measured {
        let part = |name: &str, value, items| Part { name: name.to_owned(), value, items };
        let of_file = |file: &FileLoss| Some(part(&file.file, file.loss?, file.predicted_tokens));
        let all = part("all", self.loss, self.tokens);
        let parts = [all].into_iter().chain(self.files.iter().filter_map(of_file)).collect();
        Measured { benchmark: &HeldOutLoss, unit: "nats", decimals: 4, parts, json: json!(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A diverged model's perplexity is beyond all numbers.
    #[test]
    fn an_infinite_perplexity_is_read_back() {
        let perplexity = 800f64.exp();
        let (files, precision, tokenizer) = (Vec::new(), None, None);
        let result = LossResult { loss: 800.0, perplexity, tokens: 3, files, precision, tokenizer };
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("\"perplexity\":null"), "{text}");
        assert_eq!(serde_json::from_str::<LossResult>(&text).unwrap(), result);
    }
}

//! A job's items as token ids.

use corpus::Tokenizer;
use corpus::tokenizer::TruncationSide;
use eval::EvalError;
use eval::classification::{Encoded, Encoder, Labels, SpecialTokens};
use train::finetune::Example;

use super::jobs::Job;

/// Items as a model reads them.
pub(super) struct Items {
    pub examples: Vec<Example>,
    /// Which of them were cut.
    pub truncated: Vec<bool>,
}

/// All items of a job.
pub(super) struct JobItems {
    pub labels: Labels,
    pub training: Items,
    /// The validation items, in the order of the job's sets.
    pub validation: Vec<Items>,
}

impl JobItems {
    /// Encodes a job's items for a model with `max_length` positions and `vocab_size` words, and
    /// special tokens around its texts.
    pub(super) fn new(
        job: &Job,
        tokenizer: &Tokenizer,
        special_tokens: &SpecialTokens,
        max_length: usize,
        vocab_size: usize,
    ) -> Result<Self, EvalError> {
        let labels = Labels::of(&job.training)?;
        let encode = |text: &str| crate::tokenizers::encode(tokenizer, text);
        let encoder = Encoder {
            encode: &encode,
            special_tokens,
            labels: &labels,
            max_length,
            cut_at_start: tokenizer.truncation_side() == TruncationSide::Left,
            vocab_size,
        };
        let training = Items::new(encoder.encode(&job.training)?);
        let sets =
            job.validation.iter().map(|questions| Ok(Items::new(encoder.encode(&questions.rows)?)));
        let validation = sets.collect::<Result<_, EvalError>>()?;
        Ok(Self { labels, training, validation })
    }
}

impl Items {
    fn new(encoded: Vec<Encoded>) -> Self {
        let truncated = encoded.iter().map(|item| item.truncated).collect();
        let examples =
            encoded.into_iter().map(|item| Example { ids: item.ids, label: item.class }).collect();
        Self { examples, truncated }
    }

    pub(super) fn count_truncated(&self) -> usize {
        self.truncated.iter().filter(|&&truncated| truncated).count()
    }

    pub(super) fn tokens(&self) -> u64 {
        self.examples.iter().map(|example| example.ids.len() as u64).sum()
    }

    /// The right answers.
    pub(super) fn classes(&self) -> Vec<u32> {
        self.examples.iter().map(|example| example.label).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use eval::classification::{Rows, find_task};
    use serde_json::{Value, json};

    use super::super::subject::with_ends;
    use super::*;

    /// `tools/golden/vocabulary_files.py`: transformers' `RobertaTokenizer`, special tokens and
    /// cuts included.
    #[test]
    fn items_of_a_masked_model_are_those_of_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/tests/fixtures/roberta");
        let (tokenizer, special_tokens) =
            with_ends(&Tokenizer::from_folder(&folder).unwrap()).unwrap();
        let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let items = expected["items"].as_array().unwrap();
        assert!(items.len() > 5);
        for item in items {
            let [first, second] = [0, 1].map(|text| &item["texts"][text]);
            let (task, line) = match second {
                Value::Null => ("cola", json!({ "sentence": first, "label": 0 })),
                _ => ("rte", json!({ "sentence1": first, "sentence2": second, "label": 0 })),
            };
            let other = line.to_string().replace("\"label\":0", "\"label\":1");
            let text = format!("{line}\n{other}\n");
            let rows =
                Rows::parse(find_task(task).unwrap(), Path::new("items"), text.as_bytes()).unwrap();
            let labels = Labels::of(&rows).unwrap();
            let encode = |text: &str| crate::tokenizers::encode(&tokenizer, text);
            let max_length = item["max_length"].as_u64().unwrap() as usize;
            let encoder = Encoder {
                encode: &encode,
                special_tokens: &special_tokens,
                labels: &labels,
                max_length,
                cut_at_start: false,
                vocab_size: tokenizer.vocab_size(),
            };
            let found = encoder.encode(&rows).unwrap().remove(0);
            assert_eq!(json!(found.ids), item["ids"], "{item}");
            assert_eq!(found.truncated, max_length < 128, "{item}");
        }
    }
}

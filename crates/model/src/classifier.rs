//! A sequence classifier: any decoder without its output layer, and a head that reads the final state of each sequence's
//! last token, as transformers' `LlamaForSequenceClassification` and its like do.

use std::sync::Arc;

use engine::ops::language_model_loss::Projection;
use engine::{Device, Layout, Parameters, Role, Segment, Tape};

use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::initialise::normal;
use crate::model::{Decoder, Model, layout};

/// The head's name in a file: `[num_labels, hidden]`, without a bias.
const SCORE: &str = "score.weight";

/// A classifier on a device.
pub struct Classifier {
    config: ModelConfig,
    labels: Vec<String>,
    decoder: Box<dyn Decoder>,
    score: Segment,
    parameters: Parameters,
}

impl Classifier {
    /// A classifier with all parameters zero, to be filled by whoever reads them. `labels` are the names of the labels, two
    /// at least.
    ///
    /// # Errors
    /// When the configuration is impossible or that of a masked model, labels are too few or share a name, or the parameters do not fit into memory.
    pub fn zeros(config: ModelConfig, labels: Vec<String>, device: &Arc<dyn Device>) -> Result<Self, ModelError> {
        config.validate()?;
        config.require_causal()?;
        check_labels(&labels)?;
        let (decoder, mut layout) = backbone(&config);
        let score = layout.add(SCORE, labels.len(), config.hidden_size, Role::Weight);
        let parameters = Model::allocate(layout, device)?;
        Ok(Self { config, labels, decoder, score, parameters })
    }

    /// A language model's weights without its output layer, and a head drawn from N(0, `initializer_range`) by the seed.
    ///
    /// # Errors
    /// When there are fewer than two labels, or the model is masked.
    pub fn from_model(model: &Model, num_labels: usize, seed: u64) -> Result<Self, ModelError> {
        let mut classifier = Self::zeros(model.config().clone(), default_labels(num_labels), model.device())?;
        let device = model.device();
        let (from, to) = (model.parameters().layout().clone(), classifier.parameters.layout().clone());
        // Both lay the same decoder out, in one order; only the output layer lies elsewhere.
        let mut known = from.segments().iter();
        for named in to.segments().iter().filter(|named| named.name != SCORE) {
            let source = known.find(|source| source.name == named.name).expect("both hold the same decoder");
            device.copy(model.parameters().view(source.segment), classifier.parameters.view_mut(named.segment));
        }
        let head = normal(SCORE, classifier.score.length(), model.config().initializer_range, seed);
        device.write(classifier.parameters.view_mut(classifier.score), &head);
        Ok(classifier)
    }

    /// The same classifier with names for its labels.
    ///
    /// # Errors
    /// When they are not as many as the head's, or two are the same.
    pub fn with_labels(self, labels: Vec<String>) -> Result<Self, ModelError> {
        check_labels(&labels)?;
        if labels.len() != self.num_labels() {
            let what = format!("head has {} labels, but {} names were given", self.num_labels(), labels.len());
            return Err(ModelError::Config { what });
        }
        Ok(Self { labels, ..self })
    }

    /// The configuration of the decoder.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The names of the labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    pub fn num_labels(&self) -> usize {
        self.labels.len()
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    pub fn device(&self) -> &Arc<dyn Device> {
        self.parameters.device()
    }

    /// Checks that token ids and a sequence's length fit this classifier.
    ///
    /// # Errors
    /// When an id lies outside the vocabulary, or the sequence is longer than the positions.
    pub fn check_sequence(&self, ids: &[u32]) -> Result<(), ModelError> {
        self.config.check_sequence(ids)
    }

    /// The sum of the cross-entropies of `labels`, one per sequence of the batch. When the tape is recording, its backward
    /// starts from `scale` times this sum.
    ///
    /// # Panics
    /// When a sequence is empty, or an id or a label lies outside its range; callers check what comes from outside.
    pub fn loss(&self, tape: &mut Tape<'_>, batch: &Batch, labels: &[u32], scale: f32) -> f64 {
        let hidden = self.decoder.hidden_states(tape, batch, None);
        tape.classifier_loss(&hidden, &last_rows(batch), self.score, labels, scale)
    }

    /// The logits of every sequence of a batch, without gradients: `[sequences, num_labels]`, row by row.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn logits(&self, batch: &Batch) -> Vec<f32> {
        let mut tape = Tape::inference(&self.parameters);
        let hidden = self.decoder.hidden_states(&mut tape, batch, None);
        let picked = tape.pick_rows(&hidden, &last_rows(batch));
        let output = self.parameters.view(self.score);
        let mut logits = vec![0.0; batch.spans.count() * self.num_labels()];
        self.device()
            .logits(&[Projection { hidden: picked.value().view(), output, bias: None, share: 1.0 }], &mut logits);
        logits
    }
}

/// The names that transformers gives to labels without names.
pub(crate) fn default_labels(count: usize) -> Vec<String> {
    (0..count).map(|label| format!("LABEL_{label}")).collect()
}

fn check_labels(labels: &[String]) -> Result<(), ModelError> {
    let fail = |what: String| Err(ModelError::Config { what });
    if labels.len() < 2 {
        return fail(format!("number of labels is {}; a classifier needs at least 2", labels.len()));
    }
    let mut sorted: Vec<&String> = labels.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => fail(format!("label `{}` occurs twice", pair[0])),
        None => Ok(()),
    }
}

/// The decoder without an output layer: what a model lays out whose output matrix is its embedding.
fn backbone(config: &ModelConfig) -> (Box<dyn Decoder>, Layout) {
    layout(&ModelConfig { tie_word_embeddings: true, ..config.clone() })
}

/// The row of every sequence's last token.
fn last_rows(batch: &Batch) -> Arc<[u32]> {
    let last = |rows: std::ops::Range<usize>| {
        assert!(!rows.is_empty(), "a sequence without tokens");
        rows.end as u32 - 1
    };
    batch.spans.iter().map(last).collect()
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;
    use crate::config::tests::{gpt2, llama, opt, roberta};

    fn models() -> [Model; 4] {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let small = |config| ModelConfig { vocab_size: 50, ..config };
        let tied = ModelConfig { tie_word_embeddings: true, ..llama(16, 24, 2, 4, 4) };
        [gpt2(16, 24, 2, 4, 8), llama(16, 24, 2, 4, 2), tied, opt(16, 24, 2, 4, 8)]
            .map(|config| Model::new(small(config), &device, 3).unwrap())
    }

    /// The last state of each sequence alone, times the head.
    fn reference(model: &Model, head: &[f32], sequences: &[&[u32]]) -> Vec<f32> {
        let mut logits = Vec::new();
        for ids in sequences {
            let states = model.hidden_states(&Batch::from_sequences([ids])).value().to_vec();
            let last = &states[states.len() - 16..];
            logits.extend(head.chunks(16).map(|row| row.iter().zip(last).map(|(a, b)| a * b).sum::<f32>()));
        }
        logits
    }

    #[test]
    fn a_new_head_reads_the_last_states_of_the_language_model() {
        let sequences: [&[u32]; 4] = [&[5, 6, 7], &[8], &[1, 2, 3, 4, 5, 6, 7], &[9, 0, 11]];
        for model in models() {
            let classifier = Classifier::from_model(&model, 3, 7).unwrap();
            let head = normal(SCORE, 48, 0.02, 7);
            let expected = reference(&model, &head, &sequences);
            let found = classifier.logits(&Batch::from_sequences(sequences));
            assert_eq!(found.len(), 12);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
            }
            assert!(classifier.parameters().layout().segments().iter().all(|named| named.name != "lm_head.weight"));
        }
    }

    #[test]
    fn the_seed_decides_the_head_and_nothing_else() {
        let [model, ..] = models();
        let values = |seed| Classifier::from_model(&model, 2, seed).unwrap().parameters().values().to_vec();
        let (one, other) = (values(1), values(2));
        assert_eq!(one, values(1));
        let head = one.len() - 32;
        assert!(one[..head] == other[..head] && one[head..].iter().zip(&other[head..]).all(|(a, b)| a != b));
    }

    #[test]
    fn labels_are_checked() {
        let [model, ..] = models();
        let message = |result: Result<Classifier, ModelError>| result.err().unwrap().to_string();
        assert!(message(Classifier::from_model(&model, 1, 1)).contains("number of labels is 1"));
        let classifier = || Classifier::from_model(&model, 2, 1).unwrap();
        assert_eq!(classifier().labels(), ["LABEL_0", "LABEL_1"]);
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert!(message(classifier().with_labels(names(&["a", "b", "c"]))).contains("2 labels, but 3 names"));
        assert!(message(classifier().with_labels(names(&["a", "a"]))).contains("`a` occurs twice"));
        assert_eq!(classifier().with_labels(names(&["no", "yes"])).unwrap().labels(), ["no", "yes"]);
        let masked = ModelConfig { vocab_size: 50, ..roberta(16, 24, 1, 4, 8) };
        assert!(message(Classifier::zeros(masked, names(&["a", "b"]), model.device())).contains("masked"));
    }
}

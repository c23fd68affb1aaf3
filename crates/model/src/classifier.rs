//! A sequence classifier: a model without its output layer, and a head that reads one final state
//! of each sequence, as transformers' `LlamaForSequenceClassification` and its sisters for the
//! other families do.

use std::collections::HashMap;
use std::sync::Arc;

use engine::ops::language_model_loss::Projection;
use engine::{Device, Layout, Parameters, Role, Segment, Tape, Var};

use crate::batch::Batch;
use crate::decoder::Backbone;
use crate::error::ModelError;
use crate::families::ModelConfig;
use crate::head::{Head, HeadKind, PerceptronHead};
use crate::initialise::{normal, uniform};
use crate::model::Model;

/// A classifier on a device.
pub struct Classifier {
    config: ModelConfig,
    labels: Vec<String>,
    backbone: Box<dyn Backbone>,
    head: Box<dyn Head>,
    parameters: Parameters,
}

/// A layout with the backbone and the head whose parameters are in it.
type Parts = (Layout, Box<dyn Backbone>, Box<dyn Head>);

impl Classifier {
    /// A classifier with all parameters zero, to be filled. `labels` are the names of the labels,
    /// at least two.
    ///
    /// # Errors
    /// When the configuration is impossible, labels are too few or share a name, or the parameters
    /// do not fit into memory.
    pub fn zeros(
        config: ModelConfig,
        labels: Vec<String>,
        device: &Arc<dyn Device>,
    ) -> Result<Self, ModelError> {
        Self::zeros_with(config, labels, HeadKind::Family, device)
    }

    fn zeros_with(
        config: ModelConfig,
        labels: Vec<String>,
        kind: HeadKind,
        device: &Arc<dyn Device>,
    ) -> Result<Self, ModelError> {
        let (layout, backbone, head) = Self::parts(&config, &labels, kind)?;
        let parameters = Model::allocate(layout, device)?;
        Ok(Self { config, labels, backbone, head, parameters })
    }

    /// The parameters and what is made of them.
    fn parts(config: &ModelConfig, labels: &[String], kind: HeadKind) -> Result<Parts, ModelError> {
        config.validate()?;
        check_labels(labels)?;
        let (family, mut layout) = (config.architecture, Layout::default());
        let backbone = family.backbone(config, &mut layout);
        let head = match kind {
            HeadKind::Family => family.head(config, labels.len(), &mut layout),
            HeadKind::Perceptron(pooling) => {
                let (hidden, epsilon) = (config.hidden_size, PerceptronHead::EPSILON);
                let (labels, layout) = (labels.len(), &mut layout);
                Box::new(PerceptronHead::new(PERCEPTRON, hidden, epsilon, labels, pooling, layout))
            }
        };
        layout.mark_output(head.output().weight);
        Ok((layout, backbone, head))
    }

    /// The names, shapes and roles of all parameters.
    ///
    /// # Errors
    /// When the configuration is impossible, or labels are too few or share a name.
    pub fn layout(config: &ModelConfig, labels: &[String]) -> Result<Layout, ModelError> {
        Ok(Self::parts(config, labels, HeadKind::Family)?.0)
    }

    /// A language model's weights without its output layer (of a masked model the encoder's), and a
    /// head drawn from N(0, `initializer_range`) by the seed, biases 0.
    ///
    /// # Errors
    /// When there are fewer than two labels.
    pub fn from_model(model: &Model, num_labels: usize, seed: u64) -> Result<Self, ModelError> {
        Self::with_head(model, num_labels, HeadKind::Family, seed)
    }

    /// A classifier as [`from_model`](Self::from_model) with a head of a kind. The weights and the
    /// biases of a [`PerceptronHead`] are drawn as torch draws those of its `Linear`, uniformly up
    /// to `1 / sqrt(hidden)`. A model with rotary positions then reads texts of any length, as in
    /// the pipelines, whose head this is.
    ///
    /// # Errors
    /// When there are fewer than two labels, or the model is an encoder-decoder, of which no state
    /// stands for the sequence.
    pub fn with_head(
        model: &Model,
        num_labels: usize,
        kind: HeadKind,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let (config, device) = (model.config(), model.device());
        let is_perceptron = matches!(kind, HeadKind::Perceptron(_));
        if is_perceptron && config.architecture.is_encoder_decoder() {
            return Err(ModelError::HeadOfEncoderDecoder);
        }
        let labels = default_labels(num_labels);
        let mut classifier = Self::zeros_with(config.clone(), labels, kind, device)?;
        if is_perceptron {
            classifier.config.max_positions = config.longest_readable();
        }
        let (from, to) =
            (model.parameters().layout().clone(), classifier.parameters.layout().clone());
        let known: HashMap<&str, Segment> =
            from.segments().iter().map(|named| (named.name.as_str(), named.segment)).collect();
        for named in to.segments() {
            let target = classifier.parameters.view_mut(named.segment);
            let (name, length) = (&named.name, named.segment.length());
            match known.get(name.as_str()) {
                Some(&source) => device.copy(model.parameters().view(source), target),
                None if is_perceptron => {
                    let bound = (config.hidden_size as f32).sqrt().recip();
                    device.write(target, &uniform(name, length, bound, seed));
                }
                None if named.role == Role::Bias => device.fill(target, 0.0),
                None => {
                    let deviation = config.architecture.initial_deviation(config, named);
                    device.write(target, &normal(name, length, deviation, seed));
                }
            }
        }
        Ok(classifier)
    }

    /// This classifier with names for its labels.
    ///
    /// # Errors
    /// When the names are not as many as the head's labels, or two are the same.
    pub fn with_labels(self, labels: Vec<String>) -> Result<Self, ModelError> {
        check_labels(&labels)?;
        if labels.len() != self.num_labels() {
            let problem = format!(
                "head has {} labels, but {} names were given",
                self.num_labels(),
                labels.len()
            );
            return Err(ModelError::Labels { problem });
        }
        Ok(Self { labels, ..self })
    }

    /// The configuration of the classifier's backbone.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The names of the labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The number of labels.
    pub fn num_labels(&self) -> usize {
        self.labels.len()
    }

    /// All weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// All weights, to change.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Where the weights are.
    pub fn device(&self) -> &Arc<dyn Device> {
        self.parameters.device()
    }

    /// Checks that token ids and a sequence's length fit this classifier.
    ///
    /// # Errors
    /// When an id is outside the vocabulary, or the sequence is longer than the positions.
    pub fn check_sequence(&self, ids: &[u32]) -> Result<(), ModelError> {
        self.config.check_sequence(ids)
    }

    /// The sum of the cross-entropies of `labels`, one per sequence of the batch. When the tape is
    /// recording, its backward starts from `scale` times this sum.
    ///
    /// # Panics
    /// When a sequence is empty, or an id or a label is outside its range; callers check what
    /// comes from outside.
    pub fn loss(&self, tape: &mut Tape<'_>, batch: &Batch, labels: &[u32], scale: f32) -> f64 {
        let features = self.features(tape, batch);
        tape.language_model_loss(&features, self.head.output(), labels, scale)
    }

    /// What meets the head's output matrix: `[sequences, hidden]`.
    fn features(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        let states = self.backbone.hidden_states(tape, batch, None);
        self.head.features(tape, &states, batch)
    }

    /// The logits of every sequence of a batch, without gradients: `[sequences, num_labels]`, row
    /// by row.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn logits(&self, batch: &Batch) -> Vec<f32> {
        let features = self.features(&mut Tape::inference(&self.parameters), batch);
        let output = self.head.output().view(&self.parameters);
        let projection = Projection::new(features.value().view(), output, 1.0);
        let mut logits = vec![0.0; batch.spans.count() * self.num_labels()];
        self.device().logits(&[projection], &mut logits);
        logits
    }
}

/// What the names of a [`PerceptronHead`]'s parameters begin with. No language model has such
/// names.
const PERCEPTRON: &str = "classification_head";

/// The names that transformers gives to labels without names.
pub(crate) fn default_labels(count: usize) -> Vec<String> {
    (0..count).map(|label| format!("LABEL_{label}")).collect()
}

fn check_labels(labels: &[String]) -> Result<(), ModelError> {
    let fail = |problem: String| Err(ModelError::Labels { problem });
    if labels.len() < 2 {
        return fail(format!(
            "number of labels is {}; a classifier needs at least 2",
            labels.len()
        ));
    }
    let mut sorted: Vec<&String> = labels.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => fail(format!("label `{}` occurs twice", pair[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;
    use engine::DropoutStream;
    use engine::cpu::Cpu;

    use super::*;
    use crate::families::config::tests::{gpt2, llama, opt, roberta};

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
            logits.extend(
                head.chunks(16).map(|row| row.iter().zip(last).map(|(a, b)| a * b).sum::<f32>()),
            );
        }
        logits
    }

    #[test]
    fn a_new_head_reads_the_last_states_of_the_language_model() {
        let sequences: [&[u32]; 4] = [&[5, 6, 7], &[8], &[1, 2, 3, 4, 5, 6, 7], &[9, 0, 11]];
        for model in models() {
            let classifier = Classifier::from_model(&model, 3, 7).unwrap();
            let head = normal("score.weight", 48, 0.02, 7);
            let expected = reference(&model, &head, &sequences);
            let found = classifier.logits(&Batch::from_sequences(sequences));
            assert_eq!(found.len(), 12);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
            }
            assert!(
                classifier
                    .parameters()
                    .layout()
                    .segments()
                    .iter()
                    .all(|named| named.name != "lm_head.weight")
            );
        }
    }

    #[test]
    fn the_seed_decides_the_head_and_nothing_else() {
        let [model, ..] = models();
        let values =
            |seed| Classifier::from_model(&model, 2, seed).unwrap().parameters().values().to_vec();
        let (one, other) = (values(1), values(2));
        assert_eq!(one, values(1));
        let head = one.len() - 32;
        assert!(
            one[..head] == other[..head]
                && one[head..].iter().zip(&other[head..]).all(|(a, b)| a != b)
        );
    }

    fn masked(residual_dropout: f32, classifier_dropout: Option<f32>) -> Classifier {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let config = roberta(16, 24, 2, 4, 8);
        let config = ModelConfig { vocab_size: 50, residual_dropout, classifier_dropout, ..config };
        let model = Model::new(config, &device, 3).unwrap();
        Classifier::from_model(&model, 3, 7).unwrap()
    }

    fn segment(classifier: &Classifier, name: &str) -> Vec<f32> {
        let layout = classifier.parameters().layout();
        let named = layout.segments().iter().find(|named| named.name == name).expect(name);
        let values = classifier.parameters().values().to_vec();
        values[named.segment.offset..][..named.segment.length()].to_vec()
    }

    /// `weight * input + bias`, one sum at a time.
    fn product(input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let rows = weight.chunks(input.len()).zip(bias);
        rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(a, b)| a * b).sum::<f32>())
            .collect()
    }

    #[test]
    fn the_head_of_a_masked_model_reads_the_first_states_of_its_encoder() {
        let mut classifier = masked(0.1, None);
        let names: Vec<String> = classifier
            .parameters()
            .layout()
            .segments()
            .iter()
            .map(|named| named.name.clone())
            .collect();
        assert!(names.iter().all(|name| !name.starts_with("lm_head")));
        let head = ["dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"]
            .map(|part| format!("classifier.{part}"));
        assert_eq!(names[names.len() - 4..], head);
        let [dense, dense_bias, output, output_bias] =
            head.clone().map(|name| segment(&classifier, &name));
        assert_eq!((dense_bias, output_bias), (vec![0.0; 16], vec![0.0; 3]));
        assert_eq!(
            (&dense, &output),
            (&normal(&head[0], 256, 0.02, 7), &normal(&head[2], 48, 0.02, 7))
        );
        // Weights and biases that matter.
        let device = classifier.device().clone();
        let first = classifier.parameters().layout().segments()[names.len() - 4].segment.offset;
        let mut values = classifier.parameters().values().to_vec();
        values.splice(first.., normal("test head", 256 + 16 + 48 + 3, 0.5, 1));
        device.write(classifier.parameters_mut().values_mut().view_mut(), &values);
        let [dense, dense_bias, output, output_bias] = head.map(|name| segment(&classifier, &name));
        let sequences: [&[u32]; 3] = [&[0, 6, 7, 2], &[8], &[0, 5, 9, 4, 3, 11, 2]];
        let found = classifier.logits(&Batch::from_sequences(sequences));
        for (found, ids) in found.chunks(3).zip(sequences) {
            let mut tape = Tape::inference(&classifier.parameters);
            let states =
                classifier.backbone.hidden_states(&mut tape, &Batch::from_sequences([ids]), None);
            let mut x = product(&states.value().to_vec()[..16], &dense, &dense_bias);
            x.iter_mut().for_each(|x| *x = x.tanh());
            let expected = product(&x, &output, &output_bias);
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{found:?} instead of {expected:?}"
            );
        }
    }

    #[test]
    fn the_head_of_a_masked_model_has_a_dropout_of_its_own_or_that_of_the_model() {
        let sequences: [&[u32]; 2] = [&[0, 6, 7, 2], &[0, 9, 2]];
        let loss = |residual, own, stream: Option<u64>| {
            let classifier = masked(residual, own);
            let mut gradients =
                Parameters::zeros(classifier.device(), classifier.parameters().layout().clone());
            let dropout = stream.map(|seed| DropoutStream::new(Rng::new(seed, "test")));
            let mut tape = Tape::training(classifier.parameters(), &mut gradients, dropout);
            classifier.loss(&mut tape, &Batch::from_sequences(sequences), &[1, 2], 1.0)
        };
        let without = loss(0.0, None, Some(1));
        assert_eq!(without, loss(0.0, Some(0.4), None), "no dropout where nothing is trained");
        assert_eq!(without, loss(0.0, Some(0.0), Some(1)));
        let own = loss(0.0, Some(0.4), Some(1));
        assert!(
            own != without
                && own != loss(0.0, Some(0.4), Some(2))
                && own == loss(0.0, Some(0.4), Some(1))
        );
        // The model's dropout is the head's unless that has its own.
        assert_eq!(loss(0.3, None, Some(1)), loss(0.3, Some(0.3), Some(1)));
        assert_ne!(loss(0.3, None, Some(1)), loss(0.3, Some(0.0), Some(1)));
    }

    #[test]
    fn labels_are_checked() {
        let [model, ..] = models();
        let message = |result: Result<Classifier, ModelError>| result.err().unwrap().to_string();
        assert!(message(Classifier::from_model(&model, 1, 1)).contains("number of labels is 1"));
        let classifier = || Classifier::from_model(&model, 2, 1).unwrap();
        assert_eq!(classifier().labels(), ["LABEL_0", "LABEL_1"]);
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert!(
            message(classifier().with_labels(names(&["a", "b", "c"])))
                .contains("2 labels, but 3 names")
        );
        assert!(message(classifier().with_labels(names(&["a", "a"]))).contains("`a` occurs twice"));
        assert_eq!(
            classifier().with_labels(names(&["no", "yes"])).unwrap().labels(),
            ["no", "yes"]
        );
        let masked = ModelConfig { vocab_size: 50, ..roberta(16, 24, 1, 4, 8) };
        assert!(
            message(Classifier::zeros(masked, names(&["a"]), model.device()))
                .contains("number of labels is 1")
        );
    }
}

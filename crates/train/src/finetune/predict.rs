//! Predictions of a classifier.

use std::collections::BTreeMap;

use engine::{Attempt, BatchLimit, OutOfMemory};
use model::{Batch, Classifier};

use super::{Example, check_examples};
use crate::error::TrainError;

/// Tokens per forward pass: more only where one example is longer, and fewer where the device has
/// no memory for them.
pub(super) const BATCH_TOKENS: usize = 4096;

/// Logits of every example, `num_labels` each, and the mean cross-entropy of their labels.
pub(super) type Prediction = (Vec<Vec<f32>>, f64);

/// The logits of every example, in their order, and the mean cross-entropy of their labels. Equal
/// texts are read once, the others packed by length without padding, so that the logits of an
/// example do not depend on the order.
///
/// # Errors
/// When there are no examples, one does not fit the classifier, there is no memory for one, or a
/// logit is not finite.
pub fn predict(classifier: &Classifier, examples: &[Example]) -> Result<Prediction, TrainError> {
    check_examples("given", examples, classifier)?;
    let prediction =
        predict_while(classifier, examples, &mut BatchLimit::up_to(BATCH_TOKENS), |_, _| true)?;
    Ok(prediction.expect("predict_while stops only when asked"))
}

/// Predictions as those of [`predict`], for examples that were checked: as many tokens at a time
/// as fit in memory, as long as `go_on` returns `true`; it receives how many distinct texts are
/// done, and of how many.
pub(super) fn predict_while(
    classifier: &Classifier,
    examples: &[Example],
    batch_limit: &mut BatchLimit,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Option<Prediction>, TrainError> {
    let mut texts: Vec<&[u32]> = examples.iter().map(|example| &example.ids[..]).collect();
    texts.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    texts.dedup();
    let mut found: BTreeMap<&[u32], Vec<f32>> = BTreeMap::new();
    while found.len() < texts.len() {
        if !go_on(found.len(), texts.len()) {
            return Ok(None);
        }
        let (group, logits) = logits_of_some(classifier, &texts[found.len()..], batch_limit)?;
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(TrainError::LogitsNotFinite);
        }
        found.extend(
            group.iter().copied().zip(logits.chunks(classifier.num_labels()).map(<[f32]>::to_vec)),
        );
    }
    let logits: Vec<Vec<f32>> =
        examples.iter().map(|example| found[&example.ids[..]].clone()).collect();
    let sum: f64 = logits
        .iter()
        .zip(examples)
        .map(|(logits, example)| cross_entropy(logits, example.label))
        .sum();
    Ok(Some((logits, sum / examples.len() as f64)))
}

/// The logits of as many of the first texts as fit in memory at a time.
fn logits_of_some<'a, 'b>(
    classifier: &Classifier,
    texts: &'a [&'b [u32]],
    batch_limit: &mut BatchLimit,
) -> Result<(&'a [&'b [u32]], Vec<f32>), TrainError> {
    let take = |limit: usize| {
        let group = &texts[..fitting(texts, limit)];
        Attempt {
            size: group.iter().map(|text| text.len()).sum(),
            is_minimal: group.len() == 1,
            work: group,
        }
    };
    let read = |group: &'a [&'b [u32]]| (group, classifier.logits(&Batch::from_sequences(group)));
    let out_of_memory =
        |OutOfMemory { size, fault }| TrainError::OutOfMemory { sequences: 1, length: size, fault };
    batch_limit.fit_attempt(&**classifier.device(), take, read).map_err(out_of_memory)
}

/// How many of the texts go into one forward pass of `limit` tokens: at least one.
fn fitting(texts: &[&[u32]], limit: usize) -> usize {
    let mut tokens = 0;
    let fits = texts.iter().take_while(|text| {
        tokens += text.len();
        tokens <= limit
    });
    fits.count().max(1)
}

fn cross_entropy(logits: &[f32], label: u32) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let sum: f64 = logits.iter().map(|&logit| (logit as f64 - top).exp()).sum();
    top + sum.ln() - logits[label as usize] as f64
}

/// The label of the largest logit of every example, the first where two are equal.
pub fn predicted_labels(logits: &[Vec<f32>]) -> Vec<u32> {
    let largest = |logits: &Vec<f32>| {
        let better = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
        (1..logits.len()).fold(0, better) as u32
    };
    logits.iter().map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_logits_wins() {
        let logits = [vec![1.0, 1.0], vec![0.0, 2.0, 2.0], vec![-3.0, -4.0], vec![-1.0, 5.0]];
        assert_eq!(predicted_labels(&logits), [0, 1, 0, 1]);
    }

    #[test]
    fn cross_entropy_of_large_logits_is_finite() {
        assert!((cross_entropy(&[0.0, 0.0], 1) - 2f64.ln()).abs() < 1e-12);
        assert!(
            (cross_entropy(&[1000.0, 0.0, 990.0], 2) - (10.0 + (1.0 + (-10f64).exp()).ln())).abs()
                < 1e-9
        );
    }
}

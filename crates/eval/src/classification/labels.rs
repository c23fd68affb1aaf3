//! The labels of a task as a classifier numbers them.

use super::error::ClassificationError;
use super::reading::Rows;
use crate::error::EvalError;

/// The labels that occur in the training items, in rising order: the classifier's output 0 is the
/// smallest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Vec<u32>);

impl Labels {
    /// The labels of a training file.
    ///
    /// # Errors
    /// When all items have the same label: there is nothing to learn.
    pub fn of(training: &Rows) -> Result<Self, EvalError> {
        let mut labels: Vec<u32> = training.rows.iter().map(|row| row.label).collect();
        labels.sort_unstable();
        labels.dedup();
        match labels[..] {
            [label] => {
                Err(ClassificationError::OneLabel { path: training.path.clone(), label }.into())
            }
            _ => Ok(Self(labels)),
        }
    }

    /// Number of classes.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The class of a label, if it occurs.
    pub fn class(&self, label: u32) -> Option<u32> {
        self.0.binary_search(&label).ok().map(|class| class as u32)
    }

    /// The labels, in the order of their classes.
    pub fn values(&self) -> &[u32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::rows;
    use super::*;

    #[test]
    fn labels_are_numbered_in_rising_order() {
        let labels = Labels::of(&rows(&[2, 0, 2, 2])).unwrap();
        assert_eq!((labels.count(), labels.values()), (2, &[0, 2][..]));
        assert_eq!([0, 1, 2].map(|label| labels.class(label)), [Some(0), None, Some(1)]);
        let message = Labels::of(&rows(&[1, 1])).unwrap_err().to_string();
        assert_eq!(message, "data/mnli.train.jsonl: every item has the label 1");
    }
}

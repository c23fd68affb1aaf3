//! Errors of training.

use std::path::PathBuf;

use base::Stopped;
use engine::{Fault, OutOfMemory};
use model::ModelError;

use crate::settings::{SettingError, rules};
use crate::signals::cache::CacheError;

/// Why a run could not start or go on.
#[expect(missing_docs, reason = "the message of a variant states what it is")]
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Corpus(#[from] corpus::CorpusError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("the {which} text has {tokens} tokens, fewer than one sequence of {sequence_length}")]
    TooShort { which: &'static str, tokens: usize, sequence_length: usize },
    #[error(
        "the sources of phase {name} have {tokens} tokens in one piece at most, fewer than one \
         sequence of {sequence_length}"
    )]
    TooShortPhase { name: String, tokens: usize, sequence_length: usize },
    #[error("the {which} text holds token {id}, outside the model's vocabulary of {vocab_size}")]
    TokenOutside { which: &'static str, id: u32, vocab_size: usize },
    #[error("sequence_length is {sequence_length}, but {model} has {max_positions} positions")]
    TooManyPositions { sequence_length: usize, model: String, max_positions: usize },
    #[error(
        "teacher {teacher} has a vocabulary of {teacher_size}, the student one of {student_size}"
    )]
    TeacherVocabulary { teacher: String, teacher_size: usize, student_size: usize },
    #[error("the models of an ensemble have different vocabularies: {first} and {other}")]
    EnsembleVocabulary { first: usize, other: usize },
    #[error(
        "the loss is {loss} and the gradient norm {gradient_norm} at step {step}{}",
        kept(*.checkpoint)
    )]
    NotFinite { step: u64, loss: f64, gradient_norm: f64, checkpoint: Option<u64> },
    #[error(
        "the loss is {loss} and the gradient norm {gradient_norm} at step {step}, uphill by the \
         `sam.rho` of {}{}",
        rules::shown(*.rho), kept(*.checkpoint)
    )]
    ClimbNotFinite { step: u64, rho: f64, loss: f64, gradient_norm: f64, checkpoint: Option<u64> },
    #[error("the held-out loss is {loss} after step {step}{}", kept(*.checkpoint))]
    HeldoutNotFinite { step: u64, loss: f64, checkpoint: Option<u64> },
    #[error("there are no {which} examples")]
    NoExamples { which: &'static str },
    #[error("{which} example {number}: {problem}")]
    Example { which: &'static str, number: usize, problem: String },
    #[error(
        "the loss is {loss} and the gradient norm {gradient_norm} at step {step} of fine-tuning"
    )]
    FinetuneNotFinite { step: u64, loss: f64, gradient_norm: f64 },
    #[error("the classifier's logits are not finite")]
    LogitsNotFinite,
    #[error("{} was written by a run with other settings ({difference})", path.display())]
    OtherRun { path: PathBuf, difference: String },
    #[error("{} is damaged: {problem}", path.display())]
    DamagedCheckpoint { path: PathBuf, problem: String },
    #[error("{} is not as it was written, by best.json beside its folder", path.display())]
    DamagedBest { path: PathBuf },
    #[error("the teacher cache has no block for these sequences: they are not of its text")]
    NotInCache,
    #[error("there is no memory for {}: {fault}", at_a_time(*.sequences, *.length))]
    OutOfMemory { sequences: usize, length: usize, fault: Fault },
    #[error(transparent)]
    Device(Fault),
    #[error("stopped before the end, as asked")]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl TrainError {
    /// There was no memory for sequences of a length.
    pub(crate) fn out_of_memory(length: usize) -> impl Fn(OutOfMemory) -> Self {
        move |OutOfMemory { size, fault }| Self::OutOfMemory { sequences: size, length, fault }
    }

    /// This error with the last step that a checkpoint has, if there is one.
    pub(crate) fn with_checkpoint(mut self, step: Option<u64>) -> Self {
        if let Self::NotFinite { checkpoint, .. }
        | Self::ClimbNotFinite { checkpoint, .. }
        | Self::HeldoutNotFinite { checkpoint, .. } = &mut self
        {
            *checkpoint = step;
        }
        self
    }
}

fn kept(checkpoint: Option<u64>) -> String {
    let kept = |step| format!("; the last checkpoint is kept, that after step {step}");
    checkpoint.map_or(String::new(), kept)
}

fn at_a_time(sequences: usize, length: usize) -> String {
    match sequences {
        1 => format!("one sequence of {length} tokens"),
        more => format!("{more} sequences of {length} tokens at a time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_names_what_did_not_fit() {
        let fault = Fault::OutOfMemory {
            device: "gpu".into(),
            wanted: 3 << 20,
            free: 1 << 20,
            total: 8 << 20,
        };
        let message = |size| {
            TrainError::out_of_memory(16)(OutOfMemory { size, fault: fault.clone() }).to_string()
        };
        assert_eq!(
            message(1),
            format!("there is no memory for one sequence of 16 tokens: {fault}")
        );
        assert_eq!(
            message(4),
            format!("there is no memory for 4 sequences of 16 tokens at a time: {fault}")
        );
    }
}

//! The cache of one token file, and what it is a cache of.

use std::path::PathBuf;
use std::sync::Arc;

use engine::Device;

use super::{Manifest, Purpose, Rounding, Sampling, Store, TeacherEntry};
use crate::data::{Origin, Sequences, TokenSource, token_hash};
use crate::error::TrainError;
use crate::settings::{Selection, SignalKind};
use crate::signals::{DistillInputs, Distillation, Teacher};

/// The teacher outputs of one text.
pub(super) struct DatasetCache {
    pub sequences: Sequences,
    pub store: Store,
}

impl DatasetCache {
    /// Opens the caches of the training text, which comes first, and of the held-out text where the
    /// student's objective is measured on it.
    pub(super) fn open_all(
        distillation: &Distillation,
        inputs: &DistillInputs<'_>,
        block_bytes: usize,
        purpose: Purpose,
    ) -> Result<Vec<Self>, TrainError> {
        let entry = |teacher: &Teacher| {
            let (name, hidden_size) = (teacher.name.clone(), teacher.config().hidden_size);
            Ok(TeacherEntry { name, weights: teacher.fingerprint()?, hidden_size })
        };
        let teachers =
            distillation.teachers.iter().map(entry).collect::<Result<Vec<_>, TrainError>>()?;
        let mut caches: Vec<Self> = Vec::new();
        for (sequences, source) in texts(inputs)? {
            let (device, teachers) = (inputs.device, &teachers[..]);
            let manifest =
                manifest(device, distillation, teachers, &sequences, source, block_bytes);
            let folder = folder(distillation, &manifest, caches.first());
            caches.push(Self { sequences, store: Store::open(&folder, manifest, purpose)? });
        }
        Ok(caches)
    }

    /// The blocks of sequences; `None` where one is not of this text.
    pub(super) fn blocks(&self, origin: &Origin) -> Option<Vec<usize>> {
        if origin.text != self.sequences.text {
            return None;
        }
        let number = |&sequence| self.sequences.number(origin.offset, sequence);
        origin.sequences.iter().map(number).collect()
    }
}

/// The texts that have a cache, the training text first.
pub(super) fn texts<'a>(
    inputs: &DistillInputs<'a>,
) -> Result<Vec<(Sequences, &'a dyn TokenSource)>, TrainError> {
    let mut texts =
        vec![(Sequences::training(inputs.settings, inputs.training.len())?, inputs.training)];
    if let Some(validation) =
        inputs.validation.filter(|_| inputs.settings.select_by == Selection::Objective)
    {
        texts.push((Sequences::heldout(inputs.settings, validation.len())?, validation));
    }
    Ok(texts)
}

fn manifest(
    device: &Arc<dyn Device>,
    distillation: &Distillation,
    teachers: &[TeacherEntry],
    sequences: &Sequences,
    source: &dyn TokenSource,
    block_bytes: usize,
) -> Manifest {
    let settings = &distillation.settings;
    let subset = sequences.subset().map(|subset| {
        let bytes: Vec<u8> = subset.iter().flat_map(|number| number.to_le_bytes()).collect();
        base::hash::of_bytes(&bytes)
    });
    let sampling = Sampling {
        ensemble: settings.ensemble,
        temperature: settings.temperature,
        shares: settings.shares(teachers.len()),
        samples: settings.samples,
        seed: distillation.sample_seed,
    };
    Manifest {
        format: Manifest::FORMAT,
        signal: settings.signal,
        arithmetic: Rounding::of(device.arithmetic()),
        codec: (settings.signal == SignalKind::Hidden).then_some(settings.codec),
        teachers: teachers.to_vec(),
        sampling: (settings.signal == SignalKind::Sampled).then_some(sampling),
        tokenizer: source.tokenizer_hash(),
        tokens: token_hash(source).to_hex().to_string(),
        sequence_length: sequences.sequence_length(),
        offsets: sequences.offsets(),
        subset,
        blocks: sequences.count(),
        block_bytes,
    }
}

/// The folder of a cache: the one that the settings name, or one named after its contents; that of
/// the held-out text is a folder in that of the training text.
fn folder(
    distillation: &Distillation,
    manifest: &Manifest,
    training: Option<&DatasetCache>,
) -> PathBuf {
    let identity = &manifest.identity()[..16];
    match (training, &distillation.settings.cache) {
        (Some(training), _) => training.store.folder().join(format!("heldout-{identity}")),
        (None, Some(folder)) => folder.clone(),
        (None, None) => distillation.caches.join(identity),
    }
}

//! Cached teacher outputs: the teachers run once on a sequence; later epochs read the cache.

use std::path::PathBuf;
use std::sync::Arc;

use base::rng::Rng;
use engine::{BatchLimit, Device};
use model::Batch;

use super::dataset::{DatasetCache, texts};
use super::{CacheError, CacheFormat, Purpose, Store};
use crate::data::{MicroBatch, Origin, TextKind};
use crate::error::TrainError;
use crate::signals::teacher_weights::TeacherWeights;
use crate::signals::{DistillInputs, Distillation, Teacher, TeacherOutputs, TeacherSignals};

/// The training text among the caches of a run.
const TRAINING: usize = 0;

/// What cached signals are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signals) enum Opening {
    /// Training: missing blocks are computed when they are first read.
    Train,
    /// Measurements: missing blocks are random.
    Synthetic,
    /// [`TeacherCache::complete`]: damaged blocks count as missing.
    Complete,
}

/// Teacher outputs in one cache format, with the teachers that compute missing ones.
pub(in crate::signals) struct CachedSignals<F> {
    format: F,
    teachers: Vec<Teacher>,
    device: Arc<dyn Device>,
    weights: TeacherWeights,
    caches: Vec<DatasetCache>,
}

impl<F: CacheFormat> CachedSignals<F> {
    /// Opens the caches of all texts.
    pub(in crate::signals) fn open(
        format: F,
        distillation: &Distillation,
        inputs: &DistillInputs<'_>,
        opening: Opening,
    ) -> Result<Self, TrainError> {
        let purpose = match opening {
            Opening::Train | Opening::Synthetic => Purpose::Use,
            Opening::Complete => Purpose::Repair,
        };
        let caches = DatasetCache::open_all(distillation, inputs, format.block_bytes(), purpose)?;
        let (teachers, device) = (distillation.teachers.clone(), inputs.device.clone());
        let mut cached = Self { format, teachers, device, weights: TeacherWeights::None, caches };
        if opening == Opening::Synthetic {
            cached.write_synthetic(distillation.sample_seed)?;
        }
        if opening != Opening::Complete {
            let blocks = cached.caches[TRAINING].store.manifest().blocks;
            cached.format.reserve_device_cache(blocks);
        }
        cached.load_or_release_weights()?;
        Ok(cached)
    }

    /// Fills all missing blocks with random values.
    fn write_synthetic(&mut self, seed: u64) -> Result<(), TrainError> {
        let rng = Rng::new(seed, "rehearsal");
        for DatasetCache { sequences, store } in &mut self.caches {
            let missing: Vec<usize> =
                (0..sequences.count()).filter(|&block| !store.has(block)).collect();
            for block in missing {
                store.write(block, &self.format.synthetic_block(rng.at(block as u64)))?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(in crate::signals) fn weights(&self) -> &TeacherWeights {
        &self.weights
    }

    fn is_complete(&self) -> bool {
        self.caches.iter().all(|cache| cache.store.missing() == 0)
    }

    /// Loads the teachers as long as blocks are missing; afterwards releases all of their weights
    /// that the outputs do not need.
    fn load_or_release_weights(&mut self) -> Result<(), TrainError> {
        match (&self.weights, self.is_complete()) {
            (TeacherWeights::Models(_), false) | (TeacherWeights::Outputs(_), true) => {}
            (TeacherWeights::None, true) if !F::NEEDS_OUTPUT_LAYERS => {}
            (_, false) => self.weights = TeacherWeights::load(&self.teachers, &self.device)?,
            (_, true) => {
                self.weights = TeacherWeights::None;
                // The pool would keep the weights' memory for tensors of that size, and there will
                // be none.
                self.device.trim();
                if F::NEEDS_OUTPUT_LAYERS {
                    self.weights = TeacherWeights::load_outputs(&self.teachers, &self.device)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the blocks of a micro-batch into their slots; returns the slots whose blocks are
    /// missing.
    fn read_blocks(&mut self, text: usize, blocks: &[usize]) -> Result<Vec<usize>, TrainError> {
        let store = &mut self.caches[text].store;
        self.format.begin_batch(blocks.len());
        let mut missing = Vec::new();
        for (slot, &block) in blocks.iter().enumerate() {
            if text == TRAINING && self.format.load_from_device(block, slot) {
                continue;
            }
            match store.read(block)? {
                None => {
                    missing.push(slot);
                    continue;
                }
                Some(bytes) if self.format.decode(slot, bytes) => {}
                Some(_) => {
                    let path = store.folder().join("blocks.bin");
                    return Err(CacheError::Damaged { path, block }.into());
                }
            }
            store.release(block);
            if text == TRAINING {
                self.format.store_on_device(block, slot);
            }
        }
        Ok(missing)
    }

    /// Runs the teachers on the missing sequences of a micro-batch, and writes the blocks to the
    /// cache and into their slots.
    fn fill_missing(
        &mut self,
        text: usize,
        micro_batch: &MicroBatch,
        blocks: &[usize],
        missing: &[usize],
    ) -> Result<(), TrainError> {
        if !matches!(self.weights, TeacherWeights::Models(_)) {
            // A block turned out to be damaged, or another process, which writes the cache, has not
            // come this far.
            self.weights = TeacherWeights::load(&self.teachers, &self.device)?;
        }
        let computed = self.format.forward(self.weights.models(), &part(micro_batch, missing));
        for (&slot, bytes) in missing.iter().zip(&computed) {
            self.caches[text].store.write(blocks[slot], bytes)?;
            // Encoding may round: outputs must not depend on whether they were read or computed.
            self.format.decode(slot, bytes);
            if text == TRAINING {
                self.format.store_on_device(blocks[slot], slot);
            }
        }
        self.load_or_release_weights()
    }
}

impl<F: CacheFormat> TeacherSignals for CachedSignals<F> {
    fn read(&mut self, micro_batch: &MicroBatch) -> Result<TeacherOutputs<'_>, TrainError> {
        let mut located = self.caches.iter().enumerate();
        let (text, blocks) = located
            .find_map(|(text, cache)| Some((text, cache.blocks(micro_batch)?)))
            .ok_or(TrainError::NotInCache)?;
        let missing = self.read_blocks(text, &blocks)?;
        match missing.is_empty() {
            // Another process may have written the last missing block.
            true => self.load_or_release_weights()?,
            false => self.fill_missing(text, micro_batch, &blocks, &missing)?,
        }
        Ok(self.format.outputs(&self.weights))
    }

    fn cache(&self, text: TextKind) -> Option<&Store> {
        self.caches.iter().find(|cache| cache.sequences.text == text).map(|cache| &cache.store)
    }
}

/// A cache that can be completed before any student is trained.
pub trait TeacherCache: TeacherSignals {
    /// The number of all sequences, and of those that are stored.
    fn progress(&self) -> (usize, usize);

    /// The folders of the cache with their sizes in bytes.
    fn folders(&self) -> Vec<(PathBuf, u64)>;

    /// Runs the teachers on everything that is missing, `group` sequences at a time (fewer where
    /// the device has no memory for them). `go_on` receives the number of stored sequences and
    /// returns whether to continue. True when nothing is missing any more.
    ///
    /// # Errors
    /// When a teacher cannot be read, the cache cannot be written, or the device has no memory for
    /// a single sequence.
    fn complete(
        &mut self,
        inputs: &DistillInputs<'_>,
        group: usize,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, TrainError>;
}

impl<F: CacheFormat> TeacherCache for CachedSignals<F> {
    fn progress(&self) -> (usize, usize) {
        let count = |of: fn(&Store) -> usize| {
            self.caches.iter().map(|cache| of(&cache.store)).sum::<usize>()
        };
        let all = count(|store| store.manifest().blocks);
        (all, all - count(Store::missing))
    }

    fn folders(&self) -> Vec<(PathBuf, u64)> {
        let folder = |cache: &DatasetCache| {
            (cache.store.folder().to_owned(), cache.store.manifest().total_bytes())
        };
        self.caches.iter().map(folder).collect()
    }

    fn complete(
        &mut self,
        inputs: &DistillInputs<'_>,
        group: usize,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, TrainError> {
        let (mut batch_limit, device) = (BatchLimit::up_to(group), self.device.clone());
        for (text, (sequences, source)) in texts(inputs)?.into_iter().enumerate() {
            for numbers in sequences.groups(group) {
                let store = &self.caches[text].store;
                let missing: Vec<usize> = numbers.filter(|&number| !store.has(number)).collect();
                let mut rest = &missing[..];
                while !rest.is_empty() {
                    let read = batch_limit.fit(&*device, rest.len(), |size| {
                        self.read(&sequences.micro_batch(source, &rest[..size])).map(|_| size)
                    });
                    rest = &rest[read
                        .map_err(TrainError::out_of_memory(sequences.sequence_length()))??..];
                    if !go_on(self.progress().1) {
                        return Ok(self.is_complete());
                    }
                }
            }
        }
        Ok(self.is_complete())
    }
}

/// The sequences of a micro-batch in some of its slots.
fn part(micro_batch: &MicroBatch, slots: &[usize]) -> MicroBatch {
    let batch = &micro_batch.batch;
    let spans: Vec<_> = batch.spans.iter().collect();
    let ids = slots.iter().map(|&slot| &batch.ids[spans[slot].clone()]);
    let origin = micro_batch.origin.as_ref().map(|origin| Origin {
        sequences: slots.iter().map(|&slot| origin.sequences[slot]).collect(),
        ..origin.clone()
    });
    MicroBatch { batch: Batch::from_sequences(ids), origin, targets: None }
}

//! Cached teacher outputs: the teachers run once on a sequence; later epochs read the cache.

use std::path::PathBuf;
use std::sync::Arc;

use base::rng::Rng;
use engine::{BatchLimit, Device};
use model::Batch;

use super::dataset::{DatasetCache, texts};
use super::gather::{Gathered, Reading, Stored};
use super::{CacheError, CacheFormat, Purpose, Store};
use crate::data::{MicroBatch, Origin, TextKind};
use crate::error::TrainError;
use crate::signals::teacher_weights::TeacherWeights;
use crate::signals::{DistillInputs, Distillation, Teacher, TeacherOutputs, TeacherSignals};

/// The training text among the caches of a run.
const TRAINING: usize = 0;

/// Bytes of the blocks that are read at a time: those of 16,384 tokens of BabyLlama's two teachers
/// in f32.
const AT_A_TIME: usize = 256 << 20;

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
    /// How many are read into the host's memory together.
    blocks_at_a_time: usize,
    /// The blocks that will probably be read next.
    ahead: Option<Reading>,
    /// Memory for the blocks after them.
    spare: Gathered,
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
        let blocks_at_a_time = (AT_A_TIME / format.block_bytes().max(1)).max(1);
        let mut cached = Self {
            format,
            teachers,
            device,
            weights: TeacherWeights::None,
            caches,
            blocks_at_a_time,
            ahead: None,
            spare: Gathered::default(),
        };
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

    /// Waits until the blocks that will probably be read next are in memory; false where none are
    /// being read.
    #[cfg(test)]
    pub(in crate::signals) fn wait_for_next(&mut self) -> bool {
        self.ahead = self.ahead.take().map(Reading::waited);
        self.ahead.is_some()
    }

    #[cfg(test)]
    pub(in crate::signals) fn read_at_a_time(&mut self, blocks: usize) {
        self.blocks_at_a_time = blocks;
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

    /// The text that sequences are of, and their blocks; `None` where they are in no cache.
    fn locate(&self, origin: &Origin) -> Option<(usize, Vec<usize>)> {
        let mut located = self.caches.iter().enumerate();
        located.find_map(|(text, cache)| Some((text, cache.blocks(origin)?)))
    }

    /// Whether a block comes from the device's memory.
    fn is_on_device(&self, text: usize, block: usize) -> bool {
        text == TRAINING && self.format.is_on_device(block)
    }

    /// Reads the blocks of a micro-batch into their slots; returns the slots whose blocks are
    /// missing.
    fn read_blocks(&mut self, text: usize, blocks: &[usize]) -> Result<Vec<usize>, TrainError> {
        self.format.begin_batch(blocks.len());
        let (mut missing, mut first) = (Vec::new(), 0);
        let mut pieces = blocks.chunks(self.blocks_at_a_time).peekable();
        while let Some(piece) = pieces.next() {
            let (slots, wanted) = self.slots_to_read(text, first, piece, &mut missing)?;
            let gathered = self.gather(text, &wanted);
            if let Some(next) = pieces.peek() {
                self.begin_to_read(text, next);
            }
            self.decode(text, &slots, &wanted, &gathered, &mut missing)?;
            self.spare = gathered;
            first += piece.len();
        }
        missing.sort_unstable();
        Ok(missing)
    }

    /// The slots of blocks, the first of which is `first`, that are to be read from the file. Those
    /// in the device's memory are copied from there, and those that are stored nowhere are missing.
    fn slots_to_read(
        &mut self,
        text: usize,
        first: usize,
        blocks: &[usize],
        missing: &mut Vec<usize>,
    ) -> Result<(Vec<usize>, Vec<Stored>), TrainError> {
        let (mut slots, mut wanted) = (Vec::new(), Vec::new());
        for (slot, &block) in (first..).zip(blocks) {
            if text == TRAINING && self.format.load_from_device(block, slot) {
                continue;
            }
            match self.caches[text].store.stored(block)? {
                None => missing.push(slot),
                Some(stored) => {
                    slots.push(slot);
                    wanted.push(stored);
                }
            }
        }
        Ok((slots, wanted))
    }

    /// Blocks of the file in the host's memory, where they may be already.
    fn gather(&mut self, text: usize, wanted: &[Stored]) -> Gathered {
        let ahead = self.ahead.take_if(|reading| reading.is_of(text, wanted));
        ahead.and_then(Reading::finish).unwrap_or_else(|| {
            let (reader, parts) = (self.caches[text].store.reader(), self.format.parts());
            reader.gather(wanted, &parts, std::mem::take(&mut self.spare))
        })
    }

    /// Begins to read blocks that will be asked for, as far as they are stored.
    fn begin_to_read(&mut self, text: usize, blocks: &[usize]) {
        let mut wanted = Vec::new();
        for &block in blocks {
            // An error comes again when the block is read.
            if !self.is_on_device(text, block)
                && let Ok(Some(stored)) = self.caches[text].store.stored(block)
            {
                wanted.push(stored);
            }
        }
        let is_under_way = |reading: &Reading| reading.is_of(text, &wanted);
        if !wanted.is_empty() && !self.ahead.as_ref().is_some_and(is_under_way) {
            let (reader, parts) = (self.caches[text].store.reader(), self.format.parts());
            let memory = std::mem::take(&mut self.spare);
            self.ahead = Some(Reading::begin(text, reader, wanted, parts, memory));
        }
    }

    /// Decodes what was read into its slots, consecutive ones together.
    fn decode(
        &mut self,
        text: usize,
        slots: &[usize],
        wanted: &[Stored],
        gathered: &Gathered,
        missing: &mut Vec<usize>,
    ) -> Result<(), TrainError> {
        let mut first = 0;
        while first < slots.len() {
            let belongs = |&index: &usize| {
                gathered.is_intact(index) && slots[index] - slots[first] == index - first
            };
            let end = first + (first..slots.len()).take_while(belongs).count();
            if first == end {
                self.read_again(text, slots[first], wanted[first].block, missing)?;
                first += 1;
                continue;
            }
            if !self.format.decode(slots[first], &gathered.parts(first..end)) {
                let is_wrong = |&index: &usize| {
                    !self.format.decode(slots[index], &gathered.parts(index..index + 1))
                };
                let wrong = (first..end).find(is_wrong).unwrap_or(first);
                return Err(self.damaged(text, wanted[wrong].block));
            }
            for index in first..end {
                self.caches[text].store.note_verified(wanted[index]);
                if text == TRAINING {
                    self.format.store_on_device(wanted[index].block, slots[index]);
                }
            }
            first = end;
        }
        Ok(())
    }

    /// Reads a block once more that was found to be damaged, by itself: where it may be computed
    /// again, it is missing from now on.
    fn read_again(
        &mut self,
        text: usize,
        slot: usize,
        block: usize,
        missing: &mut Vec<usize>,
    ) -> Result<(), TrainError> {
        let parts = self.format.parts();
        match self.caches[text].store.read(block)? {
            None => missing.push(slot),
            Some(bytes) if self.format.decode(slot, &split(bytes, &parts)) => {}
            Some(_) => return Err(self.damaged(text, block)),
        }
        Ok(())
    }

    fn damaged(&self, text: usize, block: usize) -> TrainError {
        let path = self.caches[text].store.folder().join("blocks.bin");
        CacheError::Damaged { path, block }.into()
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
        let parts = self.format.parts();
        let computed = self.format.forward(self.weights.models(), &part(micro_batch, missing));
        for (&slot, bytes) in missing.iter().zip(&computed) {
            self.caches[text].store.write(blocks[slot], bytes)?;
            // Encoding may round: outputs must not depend on whether they were read or computed.
            self.format.decode(slot, &split(bytes, &parts));
            if text == TRAINING {
                self.format.store_on_device(blocks[slot], slot);
            }
        }
        self.load_or_release_weights()
    }
}

impl<F: CacheFormat> TeacherSignals for CachedSignals<F> {
    fn read(
        &mut self,
        micro_batch: &MicroBatch,
        next: Option<&Origin>,
    ) -> Result<TeacherOutputs<'_>, TrainError> {
        let origin = micro_batch.origin.as_ref();
        let (text, blocks) =
            origin.and_then(|origin| self.locate(origin)).ok_or(TrainError::NotInCache)?;
        let missing = self.read_blocks(text, &blocks)?;
        match missing.is_empty() {
            // Another process may have written the last missing block.
            true => self.load_or_release_weights()?,
            false => self.fill_missing(text, micro_batch, &blocks, &missing)?,
        }
        if let Some((text, blocks)) = next.and_then(|next| self.locate(next)) {
            self.begin_to_read(text, &blocks[..blocks.len().min(self.blocks_at_a_time)]);
        }
        Ok(self.format.outputs(&self.weights))
    }

    fn stays_on_device(&self) -> bool {
        self.format.has_device_cache()
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
                        let micro_batch = sequences.micro_batch(source, &rest[..size]);
                        self.read(&micro_batch, None).map(|_| size)
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

/// A block's bytes in its parts.
fn split<'a>(bytes: &'a [u8], parts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let part = |&length: &usize| {
        let (part, after) = rest.split_at(length);
        rest = after;
        part
    };
    parts.iter().map(part).collect()
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

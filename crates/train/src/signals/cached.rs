//! Signals that are kept: a sequence is read by the teachers once, and from then on from the disk.

use std::path::PathBuf;
use std::sync::Arc;

use base::rng::Rng;
use engine::ops::linear::LinearView;
use engine::{Arithmetic, BatchLimit, Device};
use model::{Batch, Model, OutputLayer};

use super::cache::{CacheError, Manifest, Purpose, Rounding, Sampling, Store, TeacherEntry};
use super::{Audience, Distillation, Signal, Teacher, TeacherSignals};
use crate::data::{MicroBatch, Origin, Sequences, TextKind, TokenSource, token_hash};
use crate::error::TrainError;
use crate::settings::{Selection, SignalKind};

/// What is kept of a sequence, and how it becomes a signal again.
pub trait Form {
    /// Whether the signal needs the teachers' output matrices.
    const READS_LOGITS: bool;

    /// Bytes of one sequence.
    fn block_bytes(&self) -> usize;

    /// Frees memory for a micro-batch.
    fn begin(&mut self, sequences: usize);

    /// Hears how many blocks the training text has, before the first is placed.
    fn expect(&mut self, _blocks: usize) {}

    /// Puts a block of the training text into the place of the micro-batch's sequence of that
    /// number, if the form has kept it beside the student.
    fn recall(&mut self, _block: usize, _sequence: usize) -> bool {
        false
    }

    /// Keeps a block of the training text that was just placed, if it can.
    fn keep(&mut self, _block: usize, _sequence: usize) {}

    /// Puts a block into the place of the micro-batch's sequence of that number. False when its
    /// contents are impossible.
    fn place(&mut self, sequence: usize, block: &[u8]) -> bool;

    /// Lets the teachers read: a block for each sequence.
    fn speak(&self, models: &[Model], micro_batch: &MicroBatch) -> Vec<Vec<u8>>;

    /// A block that teachers might have spoken, but did not.
    fn make_up(&self, rng: Rng) -> Vec<u8>;

    /// What the placed blocks say together.
    fn signal<'a>(&'a self, voices: &'a Voices) -> Signal<'a>;
}

/// What is in memory of the teachers.
pub enum Voices {
    /// All of them, as long as blocks are missing.
    Models(Vec<Model>),
    /// Their output layers.
    Outputs(Vec<OutputLayer>),
    /// Nothing.
    None,
}

impl Voices {
    /// The whole teachers; none where not all of them are in memory.
    fn models(&self) -> &[Model] {
        match self {
            Voices::Models(models) => models,
            Voices::Outputs(_) | Voices::None => &[],
        }
    }

    /// The output layer of a teacher.
    ///
    /// # Panics
    /// When nothing is in memory of it.
    pub fn output(&self, teacher: usize) -> LinearView<'_> {
        match self {
            Voices::Models(models) => models[teacher].output(),
            Voices::Outputs(outputs) => outputs[teacher].view(),
            Voices::None => panic!("signals without logits have no output layers"),
        }
    }
}

/// The shelf of the training text.
const TRAINING: usize = 0;

/// The kept signals of one text.
struct Shelf {
    sequences: Sequences,
    store: Store,
}

/// Kept signals.
pub struct Cached<F> {
    form: F,
    teachers: Vec<Teacher>,
    device: Arc<dyn Device>,
    voices: Voices,
    shelves: Vec<Shelf>,
}

impl<F: Form> Cached<F> {
    /// Opens the caches of the training text and, where the student's objective is measured on it,
    /// of the held-out text.
    pub(super) fn open(
        form: F,
        distillation: &Distillation,
        audience: &Audience<'_>,
        purpose: Purpose,
    ) -> Result<Self, TrainError> {
        let mut cached = Self::without_voices(form, distillation, audience, purpose)?;
        if purpose == Purpose::Use {
            cached.form.expect(cached.shelves[TRAINING].store.manifest().blocks);
        }
        cached.settle()?;
        Ok(cached)
    }

    /// The same, but what is missing is made up: no teacher has to speak, and none is loaded to do
    /// so.
    pub(super) fn rehearse(
        form: F,
        distillation: &Distillation,
        audience: &Audience<'_>,
    ) -> Result<Self, TrainError> {
        let mut cached = Self::without_voices(form, distillation, audience, Purpose::Use)?;
        let rng = Rng::new(distillation.sample_seed, "rehearsal");
        for Shelf { sequences, store } in &mut cached.shelves {
            let missing: Vec<usize> =
                (0..sequences.count()).filter(|&block| !store.has(block)).collect();
            for block in missing {
                store.write(block, &cached.form.make_up(rng.at(block as u64)))?;
            }
        }
        cached.form.expect(cached.shelves[TRAINING].store.manifest().blocks);
        cached.settle()?;
        Ok(cached)
    }

    fn without_voices(
        form: F,
        distillation: &Distillation,
        audience: &Audience<'_>,
        purpose: Purpose,
    ) -> Result<Self, TrainError> {
        let teachers = distillation.teachers.clone();
        let entry = |teacher: &Teacher| {
            let (name, hidden_size) = (teacher.name.clone(), teacher.config().hidden_size);
            Ok(TeacherEntry { name, weights: teacher.fingerprint()?, hidden_size })
        };
        let entries = teachers.iter().map(entry).collect::<Result<Vec<_>, TrainError>>()?;
        let mut shelves = Vec::new();
        for (sequences, source) in texts(audience)? {
            let manifest = manifest(
                audience.device,
                distillation,
                &entries,
                &sequences,
                source,
                form.block_bytes(),
            );
            let folder = place(distillation, &manifest, &shelves);
            shelves.push(Shelf { sequences, store: Store::open(&folder, manifest, purpose)? });
        }
        Ok(Self { form, teachers, device: audience.device.clone(), voices: Voices::None, shelves })
    }

    #[cfg(test)]
    pub(super) fn voices(&self) -> &Voices {
        &self.voices
    }

    fn is_whole(&self) -> bool {
        self.shelves.iter().all(|shelf| shelf.store.missing() == 0)
    }

    /// Brings the teachers into memory as long as they have to speak, and afterwards no more of
    /// them than is needed.
    fn settle(&mut self) -> Result<(), TrainError> {
        let outputs = |cached: &Self| {
            let load = |teacher: &Teacher| Ok(teacher.load_output(&cached.device)?);
            cached.teachers.iter().map(load).collect::<Result<Vec<_>, TrainError>>()
        };
        match (&self.voices, self.is_whole()) {
            (Voices::Models(_), false) | (Voices::Outputs(_), true) => {}
            (Voices::None, true) if !F::READS_LOGITS => {}
            (_, false) => self.voices = Voices::Models(self.load()?),
            (_, true) => {
                self.voices = Voices::None;
                // The pool would keep the weights' memory for tensors of that size, and there will
                // be none.
                self.device.trim();
                if F::READS_LOGITS {
                    self.voices = Voices::Outputs(outputs(self)?);
                }
            }
        }
        Ok(())
    }

    fn load(&self) -> Result<Vec<Model>, TrainError> {
        self.teachers.iter().map(|teacher| Ok(teacher.load(&self.device)?)).collect()
    }

    /// Places what is kept of a micro-batch; says which of its sequences are not.
    fn recall(&mut self, shelf: usize, numbers: &[usize]) -> Result<Vec<usize>, TrainError> {
        let store = &mut self.shelves[shelf].store;
        self.form.begin(numbers.len());
        let mut absent = Vec::new();
        for (sequence, &block) in numbers.iter().enumerate() {
            if shelf == TRAINING && self.form.recall(block, sequence) {
                continue;
            }
            let is_kept = match store.read(block)? {
                None => false,
                Some(bytes) if self.form.place(sequence, bytes) => true,
                Some(_) => {
                    let path = store.folder().join("blocks.bin");
                    return Err(CacheError::Damaged { path, block }.into());
                }
            };
            if !is_kept {
                absent.push(sequence);
                continue;
            }
            store.release(block);
            if shelf == TRAINING {
                self.form.keep(block, sequence);
            }
        }
        Ok(absent)
    }

    /// Lets the teachers read the absent sequences of a micro-batch, keeps what they say and places
    /// it.
    fn learn(
        &mut self,
        shelf: usize,
        micro_batch: &MicroBatch,
        numbers: &[usize],
        absent: &[usize],
    ) -> Result<(), TrainError> {
        if !matches!(self.voices, Voices::Models(_)) {
            // A block turned out to be damaged, or another process has not come as far as this one.
            self.voices = Voices::Models(self.load()?);
        }
        let blocks = self.form.speak(self.voices.models(), &part(micro_batch, absent));
        for (&sequence, block) in absent.iter().zip(&blocks) {
            self.shelves[shelf].store.write(numbers[sequence], block)?;
            // What is kept may be rounded: it must not matter whether it was read from the disk.
            self.form.place(sequence, block);
            if shelf == TRAINING {
                self.form.keep(numbers[sequence], sequence);
            }
        }
        self.settle()
    }
}

impl<F: Form> TeacherSignals for Cached<F> {
    fn read(&mut self, micro_batch: &MicroBatch) -> Result<Signal<'_>, TrainError> {
        let (shelf, numbers) = locate(&self.shelves, micro_batch).ok_or(TrainError::Unplaced)?;
        let absent = self.recall(shelf, &numbers)?;
        match absent.is_empty() {
            // Another process may have written the last of it.
            true => self.settle()?,
            false => self.learn(shelf, micro_batch, &numbers, &absent)?,
        }
        Ok(self.form.signal(&self.voices))
    }

    fn cache(&self, text: TextKind) -> Option<&Store> {
        self.shelves.iter().find(|shelf| shelf.sequences.text == text).map(|shelf| &shelf.store)
    }
}

/// Makes a cache whole before any student listens.
pub trait Teaching {
    /// Sequences in all, and those that are there.
    fn progress(&self) -> (usize, usize);

    /// The folders with their bytes.
    fn folders(&self) -> Vec<(PathBuf, u64)>;

    /// Lets the teachers read what is missing, `group` sequences at a time (fewer where the device
    /// has no memory for them); `go_on` hears of every sequence that is there and may end the work.
    /// True when nothing is missing any more.
    fn teach(
        &mut self,
        audience: &Audience<'_>,
        group: usize,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, TrainError>;
}

impl<F: Form> Teaching for Cached<F> {
    fn progress(&self) -> (usize, usize) {
        let count = |of: fn(&Store) -> usize| {
            self.shelves.iter().map(|shelf| of(&shelf.store)).sum::<usize>()
        };
        let all = count(|store| store.manifest().blocks);
        (all, all - count(Store::missing))
    }

    fn folders(&self) -> Vec<(PathBuf, u64)> {
        let folder =
            |shelf: &Shelf| (shelf.store.folder().to_owned(), shelf.store.manifest().total_bytes());
        self.shelves.iter().map(folder).collect()
    }

    fn teach(
        &mut self,
        audience: &Audience<'_>,
        group: usize,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, TrainError> {
        let (mut batch_limit, device) = (BatchLimit::up_to(group), self.device.clone());
        for (shelf, (sequences, source)) in texts(audience)?.into_iter().enumerate() {
            for numbers in sequences.groups(group) {
                let store = &self.shelves[shelf].store;
                let missing: Vec<usize> = numbers.filter(|&number| !store.has(number)).collect();
                let mut rest = &missing[..];
                while !rest.is_empty() {
                    let read = batch_limit.fit(&*device, rest.len(), |size| {
                        self.read(&sequences.micro_batch(source, &rest[..size])).map(|_| size)
                    });
                    rest = &rest[read
                        .map_err(TrainError::out_of_memory(sequences.sequence_length()))??..];
                    if !go_on(self.progress().1) {
                        return Ok(self.is_whole());
                    }
                }
            }
        }
        Ok(self.is_whole())
    }
}

/// The texts whose signals are kept.
fn texts<'a>(audience: &Audience<'a>) -> Result<Vec<(Sequences, &'a dyn TokenSource)>, TrainError> {
    let mut texts =
        vec![(Sequences::training(audience.settings, audience.training.len())?, audience.training)];
    if let Some(validation) =
        audience.validation.filter(|_| audience.settings.select_by == Selection::Objective)
    {
        texts.push((Sequences::heldout(audience.settings, validation.len())?, validation));
    }
    Ok(texts)
}

/// The shelf of a micro-batch and its sequences' blocks there.
fn locate(shelves: &[Shelf], micro_batch: &MicroBatch) -> Option<(usize, Vec<usize>)> {
    let origin = micro_batch.origin.as_ref()?;
    let shelf = shelves.iter().position(|shelf| shelf.sequences.text == origin.text)?;
    let number = |&sequence| shelves[shelf].sequences.number(origin.offset, sequence);
    Some((shelf, origin.sequences.iter().map(number).collect::<Option<_>>()?))
}

/// Some of a micro-batch's sequences.
fn part(micro_batch: &MicroBatch, sequences: &[usize]) -> MicroBatch {
    let batch = &micro_batch.batch;
    let spans: Vec<_> = batch.spans.iter().collect();
    let ids = sequences.iter().map(|&sequence| &batch.ids[spans[sequence].clone()]);
    let origin = micro_batch.origin.as_ref().map(|origin| Origin {
        sequences: sequences.iter().map(|&sequence| origin.sequences[sequence]).collect(),
        ..origin.clone()
    });
    MicroBatch { batch: Batch::from_sequences(ids), origin }
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
        arithmetic: (device.arithmetic() == Arithmetic::Bf16).then_some(Rounding::Bf16),
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

/// The folder of a cache: the one that the settings name, or one of its own; that of the held-out
/// text lies beside the blocks of the training text.
fn place(distillation: &Distillation, manifest: &Manifest, shelves: &[Shelf]) -> PathBuf {
    let identity = &manifest.identity()[..16];
    match (shelves.first(), &distillation.settings.cache) {
        (Some(training), _) => training.store.folder().join(format!("heldout-{identity}")),
        (None, Some(folder)) => folder.clone(),
        (None, None) => distillation.caches.join(identity),
    }
}

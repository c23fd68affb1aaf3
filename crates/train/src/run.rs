//! A training run: steps, evaluations at epoch ends, checkpoints, and resuming from one.

mod snapshots;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::{BatchLimit, fault};
use model::{HiddenTokens, Model, hugging_face};
use serde_json::json;

use crate::best;
use crate::checkpoint::{self, Progress};
use crate::corruption::{self, Corruption};
use crate::data::{self, TextKind, TokenSource, heldout_sequences};
use crate::error::TrainError;
use crate::events::{EvaluationRecord, Event, Listener, StepRecord};
use crate::heldout::{Heldout, HeldoutLoss};
use crate::identity;
use crate::masking::{self, Masking};
use crate::optimizers::OptimizerSettings;
use crate::phases::Phases;
use crate::settings::{self, Selection, TrainSettings};
use crate::signals::{self, DistillInputs, DistillState, Distillation};
use crate::state::TrainingState;
use crate::step::Trainer;

pub use snapshots::{SNAPSHOTS, snapshot};

use snapshots::check_snapshots;

/// The training of one model, and all that its result follows from.
pub struct TrainingRun<'a> {
    /// Where `checkpoints/`, `best/` and `final/` go.
    pub folder: &'a Path,
    /// How the model is trained.
    pub settings: &'a TrainSettings,
    /// Seed of data order and dropout.
    pub seed: u64,
    /// The model as it starts.
    pub model: Model,
    /// The teachers and settings of a distillation; `None` for pretraining.
    pub distill: Option<Distillation>,
    /// The text that is trained on.
    pub training: &'a dyn TokenSource,
    /// Held-out text; without it there is no evaluation, and the last weights are the final ones.
    pub validation: Option<&'a dyn TokenSource>,
    /// Words of the training text, by which the challenge's checkpoints are counted.
    pub words: Option<u64>,
    /// The token that stands for hidden ones, where the settings need one.
    pub mask_token: Option<u32>,
    /// The special tokens of a masked model or an encoder-decoder, if the tokenizer has them.
    pub hidden_tokens: Option<HiddenTokens>,
    /// A hash of start weights, teachers and texts, so that a checkpoint of another run is refused.
    pub inputs_fingerprint: String,
}

/// How a training ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done; the best weights are in `final/`.
    Finished {
        /// Steps done.
        step: u64,
        /// The lowest held-out number, and the step that it was found after.
        best: Option<(f64, u64)>,
        /// What computed the products, as [`Device::products`](engine::Device::products) names it;
        /// where it changed on the way, one after the other.
        products: String,
    },
    /// The listener asked to stop; everything up to `step` is saved.
    Interrupted {
        /// Steps done.
        step: u64,
    },
}

/// Between the names of what computed the products of a run, where that changed.
const THEN: &str = ", then ";

/// A training between two steps.
struct TrainingLoop<'a> {
    folder: PathBuf,
    settings: &'a TrainSettings,
    state: TrainingState,
    seed: u64,
    mask_token: Option<u32>,
    /// The tokens that hide, of a model that predicts hidden tokens alone.
    hidden_tokens: Option<HiddenTokens>,
    total_steps: u64,
    training: &'a dyn TokenSource,
    /// Words of the training text, where they are known.
    words: Option<u64>,
    heldout: Option<Heldout<'a>>,
    progress: Progress,
    saved_step: Option<u64>,
    /// When everything up to there was on disk.
    saved_at: Instant,
    /// Of a step's sequences, those that pass through at a time.
    batch_limit: BatchLimit,
}

impl<'a> TrainingRun<'a> {
    /// Trains to the end, from the last checkpoint when there is one.
    ///
    /// # Errors
    /// When a setting is outside its range, something cannot be read or written, a loss is not
    /// finite, the device fails, or the listener asks to stop while the teachers' weights are
    /// fitted ([`TrainError::Stopped`]); the last checkpoint stays.
    pub fn execute(self, listener: &mut dyn Listener) -> Result<Outcome, TrainError> {
        fault::catch(|| self.train(listener)).unwrap_or_else(|fault| Err(TrainError::Device(fault)))
    }

    fn train(self, listener: &mut dyn Listener) -> Result<Outcome, TrainError> {
        self.check()?;
        let mut run = self.prepare(listener)?;
        run.announce(listener)?;
        while run.progress.step < run.total_steps {
            run.step(listener)?;
            run.keep_challenge_checkpoints()?;
            if run.state.phases.is_epoch_end(run.progress.step) {
                run.keep_snapshot()?;
                run.evaluate(listener)?;
                run.save(listener)?;
            } else if run.checkpoint_is_due() {
                run.save(listener)?;
            }
            if listener.should_stop() && run.progress.step < run.total_steps {
                run.save(listener)?;
                return Ok(Outcome::Interrupted { step: run.progress.step });
            }
        }
        run.finish()
    }

    fn check(&self) -> Result<(), TrainError> {
        settings::check(self.settings)?;
        let rule = "the difficulty of this text's files is not known; train in a run of a recipe, \
                    or write phases out";
        settings::require(self.settings.buckets.is_none(), "buckets", &"set", rule)?;
        let rule = "the words of this text are not known; name the tokenizer of its tokens";
        let is_known = self.settings.challenge_checkpoints.is_none() || self.words.is_some();
        settings::require(is_known, "challenge_checkpoints", &"set", rule)?;
        corruption::check(self.settings, self.mask_token)?;
        masking::check(self.settings, self.model.config(), self.hidden_tokens.as_ref())?;
        let (is_masked, family) = (self.is_masked(), self.model.config().architecture);
        let rule = format!("{} predicts no next token and has no teachers", family.title());
        let alone = self.distill.is_none() || !is_masked;
        settings::require(alone, "distill", &"set", rule)?;
        let layout = self.model.parameters().layout();
        OptimizerSettings::from(self.settings).check_layout(layout)?;
        let (config, sequence_length) = (self.model.config(), self.settings.sequence_length);
        if config.max_positions < sequence_length {
            let (model, max_positions) = ("the model".to_owned(), config.max_positions);
            return Err(TrainError::TooManyPositions { sequence_length, model, max_positions });
        }
        data::check(self.training, "training", sequence_length, config.vocab_size)?;
        if let Some(validation) = self.validation {
            data::check(validation, "validation", sequence_length, config.vocab_size)?;
        }
        match &self.distill {
            Some(distill) => signals::check(distill, &self.distill_inputs()),
            None => Ok(()),
        }
    }

    /// Whether the model predicts hidden tokens.
    fn is_masked(&self) -> bool {
        !self.model.config().architecture.is_causal()
    }

    fn prepare(mut self, listener: &mut dyn Listener) -> Result<TrainingLoop<'a>, TrainError> {
        let phases = Phases::new(self.settings, self.seed, self.training)?;
        check_snapshots(self.settings, &phases)?;
        let fingerprint = self.fingerprint();
        self.fit_weights(listener)?;
        let distill = self.open_teachers(listener)?;
        let hidden_tokens = self.hidden_tokens.clone().filter(|_| self.is_masked());
        let heldout = self.heldout(hidden_tokens.clone())?;
        let trainer = Trainer::new(self.model, &phases.of(0).settings, self.seed, distill);
        let total_steps = phases.total_steps();
        let mut state = TrainingState::new(trainer, phases);
        let restored = restore(self.folder, &mut state, &fingerprint, listener)?;
        let saved_step = restored.as_ref().map(|progress| progress.step);
        let begin = || Progress { step: 0, best: None, fingerprint, products: String::new() };
        let restored = restored.unwrap_or_else(begin);
        let now = state.trainer.model.device().products();
        let products = all_products(self.folder, &restored.products, now, listener)?;
        let progress = Progress { products, ..restored };
        let of_step = progress.step.saturating_sub(1);
        let batch_limit = batch_limit(&state.phases.of(of_step).settings);
        Ok(TrainingLoop {
            folder: self.folder.to_owned(),
            settings: self.settings,
            state,
            seed: self.seed,
            mask_token: self.mask_token,
            hidden_tokens,
            total_steps,
            training: self.training,
            words: self.words,
            heldout,
            progress,
            saved_step,
            saved_at: Instant::now(),
            batch_limit,
        })
    }

    /// The held-out sequences, if there are any.
    fn heldout(
        &self,
        hidden_tokens: Option<HiddenTokens>,
    ) -> Result<Option<Heldout<'a>>, TrainError> {
        let Some(source) = self.validation else { return Ok(None) };
        let (chunks, sequences) = heldout_sequences(self.settings, source.len())?;
        let config = self.model.config();
        let masking = hidden_tokens.map(|of| Masking::of_heldout(self.settings, of, config));
        let batch_size = self.settings.batch_size;
        Ok(Some(Heldout { source, chunks, sequences, batch_size, masking, should_stop: None }))
    }

    /// Finds the teachers' weights on the held-out text, where the settings have `fit_weights`.
    fn fit_weights(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let Some(distill) = self.distill.as_mut().filter(|of| of.settings.fit_weights) else {
            return Ok(());
        };
        let rule = "there is no held-out text to fit them on";
        settings::require(self.validation.is_some(), "fit_weights", &true, rule)?;
        if let Some(validation) = self.validation {
            let (device, should_stop) = (self.model.device(), || listener.should_stop());
            let weights =
                signals::fit::weights(distill, self.settings, device, validation, &should_stop)?;
            report(listener, self.folder, Event::TeacherWeights { weights: &weights })?;
            distill.settings.weights = Some(weights);
            distill.settings.fit_weights = false;
        }
        Ok(())
    }

    /// The student and the texts, for the teachers.
    fn distill_inputs(&self) -> DistillInputs<'_> {
        DistillInputs {
            device: self.model.device(),
            vocab_size: self.model.config().vocab_size,
            settings: self.settings,
            training: self.training,
            validation: self.validation,
        }
    }

    /// Opens the source of teacher outputs, and reports its cache if there is one.
    fn open_teachers(
        &self,
        listener: &mut dyn Listener,
    ) -> Result<Option<DistillState>, TrainError> {
        let Some(distill) = &self.distill else { return Ok(None) };
        let signals = signals::open(distill, &self.distill_inputs())?;
        if let Some(store) = signals.cache(TextKind::Training) {
            let manifest = store.manifest();
            let (sequences, bytes) = (manifest.blocks, manifest.total_bytes());
            let event = Event::TeacherCache {
                folder: store.folder(),
                sequences,
                missing: store.missing(),
                bytes,
            };
            report(listener, self.folder, event)?;
        }
        Ok(Some(DistillState { settings: distill.settings.clone(), signals }))
    }

    /// The hash of settings and inputs that a checkpoint must share with the run.
    fn fingerprint(&self) -> String {
        let distill = self.distill.as_ref().map(|of| (&of.settings, of.sample_seed));
        let (model, inputs) = (self.model.config(), &self.inputs_fingerprint);
        let mut identity = identity::of_run(self.settings, distill, self.seed, model, inputs);
        if corruption::masks(self.settings) {
            identity["mask_token"] = self.mask_token.into();
        }
        if let Some(tokens) = self.hidden_tokens.as_ref().filter(|_| self.is_masked()) {
            let (key, settings) = match tokens {
                HiddenTokens::Masked(_) => {
                    ("masked", json!(self.settings.masked.unwrap_or_default()))
                }
                HiddenTokens::Spans(_) => ("spans", json!(self.settings.spans.unwrap_or_default())),
            };
            identity[key] = settings;
            identity["masked_tokens"] = json!(tokens.ids());
        }
        identity::fingerprint(identity)
    }
}

/// Goes back to the last checkpoint of a folder that is whole, if there is one, and reports those
/// that are not.
fn restore(
    folder: &Path,
    state: &mut TrainingState,
    fingerprint: &str,
    listener: &mut dyn Listener,
) -> Result<Option<Progress>, TrainError> {
    let checkpoints = folder.join("checkpoints");
    fs::create_dir_all(&checkpoints)
        .map_err(|cause| TrainError::Io { path: checkpoints.clone(), cause })?;
    let mut skipped = Vec::new();
    let restored = checkpoint::restore(&checkpoints, state, fingerprint, |path, why| {
        skipped.push((path.to_owned(), why.to_owned()));
    })?;
    for (path, problem) in &skipped {
        report(listener, folder, Event::CheckpointSkipped { path, problem })?;
    }
    // Beside damaged ones, an older one may be the only one that is left.
    if skipped.is_empty() {
        checkpoint::remove_old(&checkpoints)?;
    }
    Ok(restored)
}

/// What computed the products of a run up to its checkpoint and computes them now, one after the
/// other where that changed, which is reported. `before` is empty where there is no checkpoint.
fn all_products(
    folder: &Path,
    before: &str,
    now: String,
    listener: &mut dyn Listener,
) -> Result<String, TrainError> {
    let last = before.rsplit(THEN).next().unwrap_or_default();
    if last.is_empty() {
        return Ok(now);
    }
    if last == now {
        return Ok(before.to_owned());
    }
    report(listener, folder, Event::OtherProducts { before: last, now: &now })?;
    Ok(format!("{before}{THEN}{now}"))
}

fn report(listener: &mut dyn Listener, folder: &Path, event: Event<'_>) -> Result<(), TrainError> {
    listener.on_event(event).map_err(|cause| TrainError::Io { path: folder.to_owned(), cause })
}

/// Refuses settings that do not fit a text: training or held-out text shorter than a sequence,
/// phases without a sequence to read, files that it has not, snapshots of epochs that do not end.
///
/// # Errors
/// Names the first such setting.
pub fn check_text(
    settings: &TrainSettings,
    seed: u64,
    training: &dyn TokenSource,
    validation: &dyn TokenSource,
) -> Result<(), TrainError> {
    let sequence_length = settings.sequence_length;
    for (which, text) in [("training", training), ("validation", validation)] {
        let tokens = text.len();
        if tokens < sequence_length {
            return Err(TrainError::TooShort { which, tokens, sequence_length });
        }
    }
    check_snapshots(settings, &Phases::new(settings, seed, training)?)
}

/// Of a step's sequences, those that pass through at a time.
fn batch_limit(settings: &TrainSettings) -> BatchLimit {
    match settings.micro_batch_size {
        0 => BatchLimit::up_to(settings.batch_size),
        size => BatchLimit::fixed(size),
    }
}

impl TrainingLoop<'_> {
    fn announce(&self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let (step, total_steps, phases) =
            (self.progress.step, self.total_steps, &self.state.phases);
        let (tokens, total_tokens) = (phases.tokens(step), phases.tokens(total_steps));
        let has_phases = !self.settings.phases.is_empty();
        let phase = has_phases.then(|| &*phases.of(step).name);
        let event = Event::Started { step, total_steps, tokens, total_tokens, phase };
        report(listener, &self.folder, event)
    }

    /// Epochs after the steps that are done.
    fn epoch(&self) -> f64 {
        let done = self.progress.step;
        self.state.phases.of(done.saturating_sub(1)).epoch(done)
    }

    /// Goes over to the phase of the next step, where that is another. Returns how many parameters
    /// have an optimizer that begins anew there, where any has.
    fn enter_phase(&mut self, listener: &mut dyn Listener) -> Result<Option<usize>, TrainError> {
        let done = self.progress.step;
        let parameters = self.state.trainer.model.parameters().layout().length();
        let Some((phase, begins_anew)) = self.state.enter(done) else { return Ok(None) };
        self.batch_limit = batch_limit(&phase.settings);
        let (name, steps, first_step) = (&*phase.name, phase.steps(), done + 1);
        let event = Event::Phase { name, first_step, steps, parameters, begins_anew };
        report(listener, &self.folder, event)?;
        Ok((begins_anew > 0).then_some(begins_anew))
    }

    fn step(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let optimizer_begins_anew = self.enter_phase(listener)?;
        let (start, done, saved_step) = (Instant::now(), self.progress.step, self.saved_step);
        let Self { state, batch_limit, training, settings, seed, mask_token, .. } = self;
        let (hidden_tokens, total_steps) = (self.hidden_tokens.clone(), self.total_steps);
        let (trainer, phase) = (&mut state.trainer, state.phases.at(done));
        let text = phase.plan.step(done - phase.first_step)?;
        trainer.set_next(match trainer.has_teacher_cache() && done + 1 < phase.end() {
            true => phase.plan.step(done + 1 - phase.first_step)?.first_origin(batch_limit.size()),
            false => None,
        });
        let sequences = &text.sequences;
        let vocab_size = trainer.model.config().vocab_size;
        let place = (done + 1, total_steps);
        let corruption =
            Corruption::of_step(&phase.settings, *seed, place, vocab_size, *mask_token);
        let config = trainer.model.config();
        let masking = hidden_tokens
            .map(|tokens| Masking::of_step(&phase.settings, tokens, config, *seed, done + 1));
        let learning_rate = phase.learning_rate(done);
        let (known, device) = (batch_limit.size(), trainer.model.device().clone());
        trainer.set_progress(done as f64 / (total_steps - 1).max(1) as f64);
        let found = trainer.passes(done + 1, |trainer, pass| {
            let found = batch_limit.fit(&*device, sequences.len(), |size| {
                let cut = |(index, some)| {
                    let mut micro_batch = text.micro_batch(*training, some);
                    if let Some(corruption) = corruption {
                        corruption.apply(&mut micro_batch, index * size);
                    }
                    if let Some(masking) = &masking {
                        masking.apply(&mut micro_batch, index * size);
                    }
                    micro_batch
                };
                let micro_batches: Vec<_> = sequences.chunks(size).enumerate().map(cut).collect();
                trainer.gradient(&micro_batches, done + 1, pass)
            });
            found.map_err(TrainError::out_of_memory(settings.sequence_length))?
        });
        let found = found.map_err(|error| error.with_checkpoint(saved_step))?;
        trainer.update(phase.optimizer_step(done), learning_rate, found.gradient_norm);
        state.add_to_average(done + 1);
        self.progress.step = done + 1;
        if self.batch_limit.size() < known {
            let batch_size = self.state.phases.of(done).settings.batch_size;
            let sequences = self.batch_limit.size();
            report(listener, &self.folder, Event::Split { sequences, batch_size })?;
        }
        let record = StepRecord {
            step: done + 1,
            epoch: self.epoch(),
            loss: found.loss,
            cross_entropy: found.cross_entropy,
            kl: found.kl,
            gradient_norm: found.gradient_norm,
            learning_rate,
            tokens: sequences.len() * self.settings.sequence_length,
            seconds: start.elapsed().as_secs_f64(),
            masked: masking.is_some() || corruption.is_some_and(|of| of.predicts_masked()),
            optimizer_begins_anew,
        };
        report(listener, &self.folder, Event::Step(record))
    }

    fn evaluate(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let Some(heldout) = &self.heldout else { return Ok(()) };
        let start = Instant::now();
        let by_objective = self.settings.select_by == Selection::Objective;
        let (step, saved_step) = (self.progress.step, self.saved_step);
        let measure = |trainer: &mut Trainer| {
            let found = held_out_loss(heldout, trainer, by_objective, step);
            found.map_err(|error| error.with_checkpoint(saved_step))
        };
        let found = measure(&mut self.state.trainer)?;
        let averaged = match self.state.has_average(step) {
            true => {
                self.state.swap_average();
                let found = measure(&mut self.state.trainer);
                self.state.swap_average();
                Some(found?)
            }
            false => None,
        };
        let selected = |found: &HeldoutLoss| found.objective.unwrap_or(found.cross_entropy);
        let average_wins = averaged.as_ref().is_some_and(|of| selected(of) < selected(&found));
        let lower = averaged.as_ref().filter(|_| average_wins).unwrap_or(&found);
        let selected = selected(lower);
        let best = self.progress.best.is_none_or(|(lowest, _)| selected < lowest);
        let record = EvaluationRecord {
            step: self.progress.step,
            epoch: self.epoch(),
            cross_entropy: found.cross_entropy,
            perplexity: found.cross_entropy.exp(),
            objective: found.objective,
            averaged: averaged.map(|of| of.cross_entropy),
            best,
            tokens: found.tokens,
            seconds: start.elapsed().as_secs_f64(),
        };
        if best {
            self.save_best(average_wins)?;
            self.progress.best = Some((selected, step));
        }
        report(listener, &self.folder, Event::Evaluation(record))
    }

    /// Keeps the last weights, or their average, as the best.
    fn save_best(&mut self, averaged: bool) -> Result<(), TrainError> {
        if averaged {
            self.state.swap_average();
        }
        let saved = best::save(&self.state.trainer.model, &self.folder);
        if averaged {
            self.state.swap_average();
        }
        saved
    }

    fn checkpoint_is_due(&self) -> bool {
        let by_step = self.settings.checkpoint_steps > 0
            && self.progress.step.is_multiple_of(self.settings.checkpoint_steps);
        let minutes = self.settings.checkpoint_minutes;
        by_step || minutes > 0.0 && self.saved_at.elapsed().as_secs_f64() >= 60.0 * minutes
    }

    fn save(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let step = self.progress.step;
        if self.saved_step == Some(step) {
            return Ok(());
        }
        report(listener, &self.folder, Event::Saving { step })?;
        let checkpoints = self.folder.join("checkpoints");
        let path = checkpoint::save(&checkpoints, &self.state, &self.progress)?;
        self.saved_step = Some(step);
        self.saved_at = Instant::now();
        report(listener, &self.folder, Event::Checkpoint { step, path: &path })
    }

    /// Puts the best weights into `final/`, or the last ones or their average where nothing was
    /// evaluated or nothing is to be selected.
    fn finish(mut self) -> Result<Outcome, TrainError> {
        let (best, place) = (self.folder.join(best::FOLDER), self.folder.join("final"));
        let selects = self.settings.select_by != Selection::Last;
        if self.progress.best.is_some() && selects {
            best::verify(&self.folder)?;
            let weights = best.join("model.safetensors");
            hugging_face::read_weights(&weights, &mut self.state.trainer.model)?;
        } else if self.state.has_average(self.progress.step) {
            self.state.swap_average();
        }
        hugging_face::save(&self.state.trainer.model, &place)?;
        let Progress { step, best, products, .. } = self.progress;
        Ok(Outcome::Finished { step, best, products })
    }
}

/// The held-out loss of the model as it is.
fn held_out_loss(
    heldout: &Heldout<'_>,
    trainer: &mut Trainer,
    by_objective: bool,
    step: u64,
) -> Result<HeldoutLoss, TrainError> {
    let (model, distill) = trainer.student();
    let found = match distill.filter(|_| by_objective) {
        Some(DistillState { settings, signals }) => {
            heldout.distillation(model, settings, &mut **signals)?
        }
        None => heldout.cross_entropy(&[model])?,
    };
    let loss = found.objective.unwrap_or(found.cross_entropy);
    match loss.is_finite() {
        true => Ok(found),
        false => Err(TrainError::HeldoutNotFinite { step, loss, checkpoint: None }),
    }
}

//! A training run: steps, evaluations at epoch ends, checkpoints, and resuming from one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::{BatchLimit, fault};
use model::{Model, hugging_face};

use crate::best;
use crate::checkpoint::{self, Progress};
use crate::data::{self, BatchPlan, MicroBatch, TextKind, TokenSource, heldout_sequences};
use crate::error::TrainError;
use crate::events::{EvaluationRecord, Event, Listener, StepRecord};
use crate::heldout::Heldout;
use crate::identity;
use crate::optimizers::OptimizerSettings;
use crate::schedule::Schedule;
use crate::settings::{self, Selection, TrainSettings};
use crate::signals::{self, DistillInputs, DistillState, Distillation};
use crate::step::Trainer;

/// A run and all that its result follows from.
pub struct Run<'a> {
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
    /// A hash of start weights, teachers and texts, so that a checkpoint of another run is refused.
    pub inputs_fingerprint: String,
}

/// How a run ended.
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

/// A run between two steps.
struct RunState<'a> {
    folder: PathBuf,
    settings: &'a TrainSettings,
    trainer: Trainer,
    plan: BatchPlan,
    schedule: Schedule,
    training: &'a dyn TokenSource,
    heldout: Option<Heldout<'a>>,
    progress: Progress,
    saved_step: Option<u64>,
    /// When everything up to there was on disk.
    saved_at: Instant,
    /// Of a step's sequences, those that pass through at a time.
    batch_limit: BatchLimit,
}

impl<'a> Run<'a> {
    /// Trains to the end, from the last checkpoint when there is one.
    ///
    /// # Errors
    /// When a setting is outside its range, something cannot be read or written, a loss is not
    /// finite, or the device fails; the last checkpoint stays.
    pub fn execute(self, listener: &mut dyn Listener) -> Result<Outcome, TrainError> {
        fault::catch(|| self.train(listener)).unwrap_or_else(|fault| Err(TrainError::Device(fault)))
    }

    fn train(self, listener: &mut dyn Listener) -> Result<Outcome, TrainError> {
        self.check()?;
        let mut run = self.prepare(listener)?;
        run.announce(listener)?;
        while run.progress.step < run.plan.total_steps {
            run.step(listener)?;
            let epoch_ends = run.progress.step.is_multiple_of(run.plan.steps_per_epoch());
            if epoch_ends || run.progress.step == run.plan.total_steps {
                run.evaluate(listener)?;
                run.save(listener)?;
            } else if run.checkpoint_is_due() {
                run.save(listener)?;
            }
            if listener.should_stop() && run.progress.step < run.plan.total_steps {
                run.save(listener)?;
                return Ok(Outcome::Interrupted { step: run.progress.step });
            }
        }
        run.finish()
    }

    fn check(&self) -> Result<(), TrainError> {
        settings::check(self.settings)?;
        let layout = self.model.parameters().layout();
        OptimizerSettings::from(self.settings).check_layout(layout)?;
        let (config, sequence_length) = (self.model.config(), self.settings.sequence_length);
        if config.max_positions < sequence_length {
            let (model, max_positions) = ("the model".to_owned(), config.max_positions);
            return Err(TrainError::TooManyPositions { sequence_length, model, max_positions });
        }
        data::check(self.training, "training", sequence_length, config.vocab_size)?;
        match self.validation {
            Some(validation) => {
                data::check(validation, "validation", sequence_length, config.vocab_size)
            }
            None => Ok(()),
        }
    }

    fn prepare(self, listener: &mut dyn Listener) -> Result<RunState<'a>, TrainError> {
        let plan = BatchPlan::new(self.settings, self.seed, self.training.len())?;
        let steps_per_epoch = plan.steps_per_epoch();
        let schedule = Schedule::new(self.settings, plan.total_steps, steps_per_epoch);
        let fingerprint = self.fingerprint();
        let distill = self.open_teachers(listener)?;
        let settings = self.settings.with_weight_decay(steps_per_epoch)?;
        let mut trainer = Trainer::new(self.model, &settings, self.seed, distill);
        let checkpoints = self.folder.join("checkpoints");
        fs::create_dir_all(&checkpoints)
            .map_err(|cause| TrainError::Io { path: checkpoints.clone(), cause })?;
        let mut skipped = Vec::new();
        let restored = checkpoint::restore(
            &checkpoints,
            &mut trainer.model,
            &mut trainer.optimizer,
            &fingerprint,
            |path, why| {
                skipped.push((path.to_owned(), why.to_owned()));
            },
        )?;
        for (path, problem) in &skipped {
            report(listener, self.folder, Event::CheckpointSkipped { path, problem })?;
        }
        let heldout = match self.validation {
            None => None,
            Some(source) => {
                let (chunks, sequences) = heldout_sequences(self.settings, source.len())?;
                Some(Heldout {
                    source,
                    chunks,
                    sequences,
                    batch_size: self.settings.batch_size,
                    should_stop: None,
                })
            }
        };
        // Beside damaged ones, an older one may be the only one that is left.
        if skipped.is_empty() {
            checkpoint::remove_old(&checkpoints)?;
        }
        let saved_step = restored.as_ref().map(|progress| progress.step);
        let products = trainer.model.device().products();
        let all_before = restored.as_ref().map_or("", |progress| &progress.products);
        let before = all_before.rsplit(THEN).next().unwrap_or_default();
        let has_changed = !before.is_empty() && before != products;
        if has_changed {
            let event = Event::OtherProducts { before, now: &products };
            report(listener, self.folder, event)?;
        }
        let products = match has_changed {
            true => format!("{all_before}{THEN}{products}"),
            false if before.is_empty() => products,
            false => all_before.to_owned(),
        };
        let progress = Progress {
            products,
            ..restored.unwrap_or(Progress {
                step: 0,
                best: None,
                fingerprint,
                products: String::new(),
            })
        };
        Ok(RunState {
            folder: self.folder.to_owned(),
            settings: self.settings,
            trainer,
            plan,
            schedule,
            training: self.training,
            heldout,
            progress,
            saved_step,
            saved_at: Instant::now(),
            batch_limit: match self.settings.micro_batch_size {
                0 => BatchLimit::up_to(self.settings.batch_size),
                size => BatchLimit::fixed(size),
            },
        })
    }

    /// Opens the source of teacher outputs, and reports its cache if there is one.
    fn open_teachers(
        &self,
        listener: &mut dyn Listener,
    ) -> Result<Option<DistillState>, TrainError> {
        let Some(distill) = &self.distill else { return Ok(None) };
        let inputs = DistillInputs {
            device: self.model.device(),
            vocab_size: self.model.config().vocab_size,
            settings: self.settings,
            training: self.training,
            validation: self.validation,
        };
        let signals = signals::open(distill, &inputs)?;
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
        identity::fingerprint(identity::of_run(self.settings, distill, self.seed, model, inputs))
    }
}

fn report(listener: &mut dyn Listener, folder: &Path, event: Event<'_>) -> Result<(), TrainError> {
    listener.on_event(event).map_err(|cause| TrainError::Io { path: folder.to_owned(), cause })
}

impl RunState<'_> {
    fn announce(&self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let event = Event::Started {
            step: self.progress.step,
            total_steps: self.plan.total_steps,
            steps_per_epoch: self.plan.steps_per_epoch(),
            tokens_per_step: self.settings.batch_size * self.settings.sequence_length,
        };
        report(listener, &self.folder, event)
    }

    fn epoch(&self) -> f64 {
        self.progress.step as f64 / self.plan.steps_per_epoch() as f64
    }

    fn step(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let start = Instant::now();
        let done = self.progress.step;
        let (chunks, sequences) = self.plan.step(done)?;
        let learning_rate = self.schedule.learning_rate(done);
        let (known, device) = (self.batch_limit.size(), self.trainer.model.device().clone());
        let found = self.batch_limit.fit(&*device, sequences.len(), |size| {
            let cut =
                |sequences| MicroBatch::cut(TextKind::Training, self.training, &chunks, sequences);
            let micro_batches: Vec<_> = sequences.chunks(size).map(cut).collect();
            self.trainer.gradient(&micro_batches, done + 1)
        });
        let found = found.map_err(TrainError::out_of_memory(self.settings.sequence_length))??;
        self.trainer.update(done + 1, learning_rate, found.gradient_norm);
        self.progress.step = done + 1;
        if self.batch_limit.size() < known {
            let (sequences, batch_size) = (self.batch_limit.size(), self.settings.batch_size);
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
        };
        report(listener, &self.folder, Event::Step(record))
    }

    fn evaluate(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let Some(heldout) = &self.heldout else { return Ok(()) };
        let start = Instant::now();
        let by_objective = self.settings.select_by == Selection::Objective;
        let (model, distill) = self.trainer.student();
        let found = match distill.filter(|_| by_objective) {
            Some(DistillState { settings, signals }) => {
                heldout.distillation(model, settings, &mut **signals)?
            }
            None => heldout.cross_entropy(&[model])?,
        };
        let selected = found.objective.unwrap_or(found.cross_entropy);
        if !selected.is_finite() {
            return Err(TrainError::HeldoutNotFinite { step: self.progress.step, loss: selected });
        }
        let best = self.progress.best.is_none_or(|(lowest, _)| selected < lowest);
        let record = EvaluationRecord {
            step: self.progress.step,
            epoch: self.epoch(),
            cross_entropy: found.cross_entropy,
            perplexity: found.cross_entropy.exp(),
            objective: found.objective,
            best,
            tokens: found.tokens,
            seconds: start.elapsed().as_secs_f64(),
        };
        if best {
            best::save(&self.trainer.model, &self.folder)?;
            self.progress.best = Some((selected, self.progress.step));
        }
        report(listener, &self.folder, Event::Evaluation(record))
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
        let path = checkpoint::save(
            &checkpoints,
            &self.trainer.model,
            &self.trainer.optimizer,
            &self.progress,
        )?;
        self.saved_step = Some(step);
        self.saved_at = Instant::now();
        report(listener, &self.folder, Event::Checkpoint { step, path: &path })
    }

    /// Puts the best weights, or the last ones where nothing was evaluated, into `final/`.
    fn finish(self) -> Result<Outcome, TrainError> {
        let (best, place) = (self.folder.join(best::FOLDER), self.folder.join("final"));
        let mut model = self.trainer.model;
        if self.progress.best.is_some() {
            best::verify(&self.folder)?;
            hugging_face::read_weights(&best.join("model.safetensors"), &mut model)?;
        }
        hugging_face::save(&model, &place)?;
        let Progress { step, best, products, .. } = self.progress;
        Ok(Outcome::Finished { step, best, products })
    }
}

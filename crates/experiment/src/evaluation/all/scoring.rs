//! The scoring of one model or ensemble, benchmark by benchmark.

use std::path::{Path, PathBuf};

use corpus::Tokenizer;
use eval::age_of_acquisition::{AgeScore, WORD_LIST};
use eval::classification::ClassificationTask;
use eval::output::predictions::{self, TaskPredictions};
use eval::{
    AgeOfAcquisition, Benchmark, BenchmarkResult, HeldOutLoss, Kind, LossResult, Outcome, Rules,
    TaskResult, ZeroShot,
};
use serde_json::{Value, json};

use super::AllSettings;
use super::available::AvailableBenchmark;
use super::model_scores::ModelScores;
use crate::error::{Context, ExperimentError, Result, refuse};
use crate::evaluation::ages::{AgeData, AgeSettings, files_of_ages};
use crate::evaluation::loss::{self, HeldoutText};
use crate::evaluation::results::{DATA, SAMPLES, keep};
use crate::evaluation::{LoadedModel, choices, models, tokenizer};
use crate::failures::{Failures, Part};
use crate::files;
use crate::finetuning::jobs::Jobs;
use crate::finetuning::seeds;
use crate::finetuning::subject::FinetuneSubject;
use crate::finetuning::tuner::Tuner;
use crate::identity;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::run::samples::samples;
use crate::stage::{Stage, Stages, Status};

/// What the answers of a group of models follow from, of each folder.
pub(super) type Identities = Vec<Value>;

/// What the answers of a group of models follow from, read from the folder of each.
pub(super) fn identities(group: &[LoadedModel], observer: &dyn Observer) -> Result<Identities> {
    let identity = |loaded: &LoadedModel| {
        // A tokenizer that cannot be used is known before anything is scored.
        Tokenizer::from_folder(&loaded.path)?;
        identity::answers(&loaded.path, &**loaded.model.device(), observer)
    };
    group.iter().map(identity).collect()
}

/// The form of the files that stages write; files of another form are written anew.
const FORMAT: u32 = 1;

/// One model's folder, and what is known of it so far.
pub(super) struct Scoring<'a> {
    settings: &'a AllSettings,
    observer: &'a dyn Observer,
    group: &'a [LoadedModel],
    folder: PathBuf,
    stages: Stages<'a>,
    /// The weights and tokenizers of the group.
    model: Stage,
    scores: ModelScores,
    /// Whether the benchmark at work is to be scored; of another one only a result that is done
    /// and up to date is taken.
    is_wanted: bool,
}

impl<'a> Scoring<'a> {
    pub(super) fn new(
        settings: &'a AllSettings,
        observer: &'a dyn Observer,
        group: &'a [LoadedModel],
        identities: &Identities,
        folder: &Path,
        scores: ModelScores,
    ) -> Result<Self> {
        let model = Stage::new("model", identities)?;
        let machine = Machine::of(&**group[0].model.device());
        let (folder, stages) =
            (folder.to_owned(), Stages::open(folder)?.observed(observer).on(machine));
        Ok(Self { settings, observer, group, folder, stages, model, scores, is_wanted: true })
    }

    /// Everything that was measured.
    pub(super) fn finish(self) -> ModelScores {
        self.scores
    }

    /// Scores a benchmark unless that is done, and adds the result to the model's scores, or what
    /// failed to the failures. One that is not wanted is not scored, and its result is only added
    /// if it is done.
    ///
    /// # Errors
    /// When something happens that concerns all other benchmarks too.
    pub(super) fn perform(
        &mut self,
        found: &AvailableBenchmark,
        failures: &mut Failures,
    ) -> Result<()> {
        let (benchmark, kind) = (found.benchmark, found.benchmark.kind());
        self.is_wanted = found.is_wanted;
        let families = self.group.iter().map(|loaded| loaded.model.config().architecture);
        let other = families.into_iter().find(|family| !family.is_causal());
        if let Some(family) = other.filter(|_| kind.is_causal_only()) {
            self.skip(benchmark, &format!("{} does not predict the next token", family.kind()));
            return Ok(());
        }
        let part = Part::whole(&self.scores.name, benchmark.name());
        let (path, observer) = (found.path.as_path(), self.observer);
        if !found.is_wanted {
            // What cannot be read of an earlier result is not shown.
            let _ = match kind {
                Kind::FineTuned(tasks) => self.finetune(benchmark, tasks, path, failures),
                Kind::ZeroShot(zero_shot) => self.score_choices(found, zero_shot),
                Kind::HeldOutLoss => self.measure_loss(path),
                Kind::AgeOfAcquisition => self.measure_ages(path),
            };
            return Ok(());
        }
        match kind {
            Kind::FineTuned(tasks) => return self.finetune(benchmark, tasks, path, failures),
            Kind::ZeroShot(zero_shot) => {
                failures.attempt(part, observer, || self.score_choices(found, zero_shot))?
            }
            Kind::HeldOutLoss => failures.attempt(part, observer, || self.measure_loss(path))?,
            Kind::AgeOfAcquisition => {
                failures.attempt(part, observer, || self.measure_ages(path))?
            }
        };
        Ok(())
    }

    /// Has a causal model by itself write a few texts, unless that is done. Scores without them are
    /// whole: what fails is noted.
    ///
    /// # Errors
    /// When something happens that concerns all other benchmarks too.
    pub(super) fn write_samples(&self) -> Result<()> {
        let [loaded] = self.group else { return Ok(()) };
        if !loaded.model.config().architecture.is_causal() {
            return Ok(());
        }
        let work = || {
            let stage = Stage::new("samples", &FORMAT)?.after(&self.model);
            self.stages.perform(&stage, &[Path::new(SAMPLES)], self.observer, |_| {
                let written = samples(&loaded.model, &tokenizer(self.group)?)?;
                files::write_json(&self.folder.join(SAMPLES), &written)
            })
        };
        let part = Part::whole(&self.scores.name, "samples");
        Failures::default().attempt(part, self.observer, work).map(drop)
    }

    fn skip(&self, benchmark: &dyn Benchmark, why: &str) {
        if !self.is_wanted {
            return;
        }
        self.observer.warn(format_args!(
            "{}: {} is left out: {why}",
            self.scores.label,
            benchmark.name()
        ));
    }

    /// Does `work`, which writes `BENCHMARK/result.json`, unless that is there and follows from the
    /// same things. Returns whether there is a result.
    fn stage(
        &self,
        benchmark: &dyn Benchmark,
        settings: Value,
        inputs: &[PathBuf],
        work: impl FnOnce(&Self, &Path) -> Result<()>,
    ) -> Result<bool> {
        let stage = Stage::new(benchmark.name(), &json!([settings, FORMAT]))?
            .after(&self.model)
            .reads_all(&|| self.observer.should_stop(), inputs)?;
        let place = Path::new(benchmark.name());
        let mut outputs = vec![place.join("result.json")];
        if matches!(benchmark.kind(), Kind::ZeroShot(_)) {
            outputs.extend(["predictions.jsonl", DATA].map(|name| place.join(name)));
        }
        if matches!(benchmark.kind(), Kind::AgeOfAcquisition) {
            outputs.extend(files_of_ages());
        }
        let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
        let file = self.folder.join(outputs[0]);
        if !self.is_wanted && self.stages.status(&stage)? != Status::Done {
            return Ok(false);
        }
        self.stages.perform(&stage, &outputs, self.observer, |_| {
            // An older result must not be taken for the one that is asked for now.
            file.parent().map_or(Ok(()), files::make_folder)?;
            files::remove(&file)?;
            work(self, &file).map_err(ExperimentError::or_interrupted)
        })?;
        Ok(true)
    }

    fn measure_loss(&mut self, text: &Path) -> Result<()> {
        let (clean, sequence_length) = (self.settings.clean, self.settings.sequence_length);
        let text = HeldoutText { data: text, raw_tokens: false, clean, sequence_length };
        let settings = json!([clean, sequence_length]);
        let inputs = identity::text_files(text.data)?;
        let is_there = self.stage(&HeldOutLoss, settings, &inputs, |scoring, file| {
            let found = loss::measure(scoring.group, text, scoring.observer)?;
            let label = &scoring.scores.label;
            scoring.observer.note(format_args!("{label}: held-out loss {:.4}", found.loss));
            files::write_json(file, &found)
        })?;
        if !is_there {
            return Ok(());
        }
        let found: LossResult = files::read_json(&self.folder.join("loss/result.json"))?;
        self.scores.measured.push(found.measured());
        Ok(())
    }

    /// Scores a benchmark of choices unless that is done, and reads what was written. Files that
    /// are not whole are written anew.
    fn score_choices(
        &mut self,
        found: &AvailableBenchmark,
        benchmark: &'static dyn ZeroShot,
    ) -> Result<()> {
        let folder = self.folder.join(benchmark.name());
        if read_outcome(&folder).is_none() {
            if !self.is_wanted {
                return Ok(());
            }
            self.stages.forget(&Stage::new(benchmark.name(), &FORMAT)?)?;
        }
        let asked = self.settings.rules;
        // The rules of a benchmark that only one pipeline has are no setting.
        let chooses = [Rules::Year2023, Rules::Year2024].map(|year| benchmark.rules(year));
        let settings = if chooses[0] == chooses[1] { json!(null) } else { json!(asked) };
        let files = benchmark.files(&found.path)?;
        let is_there = self.stage(benchmark, settings, &files, |scoring, _| {
            let (models, tokenizer) = (models(scoring.group), tokenizer(scoring.group)?);
            let tasks = found.tasks(benchmark)?;
            let label = format!("{} on {}", scoring.scores.label, found.path.display());
            let observer = scoring.observer;
            let outcome =
                choices::score(&models, benchmark, tasks, asked, &tokenizer, label, observer)?;
            let precision = scoring.group[0].model.device().arithmetic();
            keep(&outcome, &scoring.folder, &found.path, precision)
        })?;
        if !is_there {
            return Ok(());
        }
        let damaged = || refuse(format_args!("{} is not as it was written", folder.display()));
        let outcome = read_outcome(&folder)
            .map_or_else(damaged, Ok)
            .advise("give the same command again; other programs must leave that folder alone")?;
        self.scores.outcomes.push(outcome);
        Ok(())
    }

    fn measure_ages(&mut self, place: &Path) -> Result<()> {
        let listed = place.join("sent_words.json");
        let Some(contexts) = self.settings.contexts.clone().or(listed.is_file().then_some(listed))
        else {
            self.skip(&AgeOfAcquisition, "no child-directed text is named with --contexts");
            return Ok(());
        };
        let ages = AgeSettings {
            as_published: self.settings.as_published,
            ..AgeSettings::new(place.join(WORD_LIST), contexts)
        };
        let settings = json!([ages.contexts_per_word, ages.as_published]);
        let mut inputs = identity::text_files(&ages.contexts)?;
        inputs.push(ages.words.clone());
        let is_there = self.stage(&AgeOfAcquisition, settings, &inputs, |scoring, file| {
            let data = AgeData::read(&ages, self.observer)?;
            let found = data.measure(scoring.group, Some(&scoring.folder), scoring.observer)?;
            files::write_json(file, &found.score)
        })?;
        if !is_there {
            return Ok(());
        }
        let found: AgeScore = files::read_json(&self.folder.join("aoa/result.json"))?;
        self.scores.measured.push(found.measured());
        Ok(())
    }

    /// Fine-tunes for every task of a benchmark, which keeps its own records in
    /// `BENCHMARK/TASK/seed-N`.
    fn finetune(
        &mut self,
        benchmark: &'static dyn Benchmark,
        tasks: &'static [ClassificationTask],
        place: &Path,
        failures: &mut Failures,
    ) -> Result<()> {
        let [subject] = self.group else {
            self.skip(benchmark, "an ensemble is not fine-tuned");
            return Ok(());
        };
        let (recipe, observer) = (&self.settings.finetuning, self.observer);
        let part = Part::whole(&self.scores.name, benchmark.name());
        let tasks: Vec<_> = tasks.iter().collect();
        let open = || {
            let (name, rules) = (self.scores.name.clone(), recipe.rules);
            FinetuneSubject::open(name, &subject.path, rules, self.observer)
        };
        let read = || {
            let jobs = Jobs::read(place, &tasks, recipe.rules, false)?;
            Ok((open()?, jobs.require_files(place)?))
        };
        let found = match self.is_wanted {
            true => failures.attempt(part, observer, read)?,
            false => read().ok(),
        };
        let Some((tuned, Jobs { jobs, broken, skipped })) = found else { return Ok(()) };
        if self.is_wanted {
            skipped.iter().for_each(|why| observer.warn(format_args!("{why}")));
            for broken in broken {
                failures.add(broken.part(&self.scores.name), broken.why, observer);
            }
        }
        let (max_steps, device) = (self.settings.max_steps, subject.model.device().clone());
        let tuner = Tuner { recipe, max_steps, keep: false, device, observer };
        let folder = self.folder.join(benchmark.name());
        for (index, seed) in seeds(&self.settings.seeds).into_iter().enumerate() {
            for job in &jobs {
                let work = || match self.is_wanted {
                    true => tuner.finetune_task(&tuned, job, seed, &folder).map(Some),
                    false => tuner.finished(&tuned, job, seed, &folder),
                };
                let part = tuner.part(&tuned, job, seed);
                let found = match self.is_wanted {
                    true => failures.attempt(part, observer, work)?.flatten(),
                    false => work()?,
                };
                if let Some(results) = found {
                    self.scores.add_finetuned(index, results);
                }
            }
        }
        Ok(())
    }
}

/// A benchmark's scores with the answers behind them, if both files are there, whole, and about the
/// same items.
pub(crate) fn read_outcome(folder: &Path) -> Option<Outcome> {
    let result: BenchmarkResult =
        serde_json::from_slice(&std::fs::read(folder.join("result.json")).ok()?).ok()?;
    let answers = predictions::read(&folder.join("predictions.jsonl")).ok()?;
    let same = |(task, answers): (&TaskResult, &TaskPredictions)| {
        task.name == answers.task && task.items == answers.predictions.len()
    };
    let fits = result.tasks.len() == answers.len() && result.tasks.iter().zip(&answers).all(same);
    fits.then(|| Outcome {
        result,
        predictions: answers.into_iter().map(|task| task.predictions).collect(),
    })
}

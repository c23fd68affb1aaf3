//! The scoring of one model or ensemble, benchmark by benchmark.

use std::path::{Path, PathBuf};

use corpus::Tokenizer;
use eval::ewok::Variant;
use eval::output::predictions::{self, TaskPredictions};
use eval::{Outcome, Rules, SuiteResult, TaskResult};
use model::hugging_face;
use serde_json::{Value, json};

use super::AllSettings;
use super::card::Card;
use super::data::{AtHand, Benchmark, WORD_LIST};
use crate::error::{Context, ExperimentError, Result, refuse};
use crate::evaluation::ages::{AgeData, AgeSettings};
use crate::evaluation::loss::{self, HeldoutText};
use crate::evaluation::pairs::score_folder;
use crate::evaluation::results::keep;
use crate::evaluation::{LoadedModel, ewok, models, tokenizer};
use crate::failures::{Failures, Part};
use crate::files;
use crate::finetuning::jobs::{Jobs, select_tasks};
use crate::finetuning::seeds;
use crate::finetuning::tuner::{FinetuneSubject, Tuner};
use crate::observer::Observer;
use crate::stage::{Stage, Stages};

/// What the answers of a group of models follow from: configurations, weights and tokenizers.
pub type Identities = Vec<(String, String)>;

/// Those of a group, which are read from its folders.
pub fn identities(group: &[LoadedModel]) -> Result<Identities> {
    let identity = |loaded: &LoadedModel| {
        let tokenizer = Tokenizer::from_folder(&loaded.path)?;
        Ok((hugging_face::fingerprint(&loaded.path)?, tokenizer.content_hash()))
    };
    group.iter().map(identity).collect()
}

/// The form of the files that stages write; files of another form are written anew.
const FORMAT: u32 = 1;

/// One model's folder, and what is known of it so far.
pub struct Scoring<'a> {
    settings: &'a AllSettings,
    observer: &'a dyn Observer,
    group: &'a [LoadedModel],
    folder: PathBuf,
    stages: Stages,
    /// The weights and tokenizers of the group.
    model: Stage,
    card: Card,
}

impl<'a> Scoring<'a> {
    pub fn new(
        settings: &'a AllSettings,
        observer: &'a dyn Observer,
        group: &'a [LoadedModel],
        identities: &Identities,
        folder: &Path,
        card: Card,
    ) -> Result<Self> {
        let model = Stage::new("model", identities)?;
        let (folder, stages) = (folder.to_owned(), Stages::open(folder)?);
        Ok(Self { settings, observer, group, folder, stages, model, card })
    }

    /// Everything that was measured.
    pub fn finish(self) -> Card {
        self.card
    }

    /// Measures a benchmark unless that is done, and puts the result on the card, or what failed
    /// among the failures.
    ///
    /// # Errors
    /// When something happens that concerns all other benchmarks too.
    pub fn perform(&mut self, at_hand: &AtHand, failures: &mut Failures) -> Result<()> {
        let (benchmark, place) = (at_hand.benchmark, at_hand.place.as_path());
        let is_masked =
            self.group.iter().any(|loaded| !loaded.model.config().architecture.is_causal());
        if is_masked && matches!(benchmark, Benchmark::Loss | Benchmark::Aoa) {
            self.skip(benchmark, "a masked model does not predict the next token");
            return Ok(());
        }
        if matches!(benchmark, Benchmark::Glue | Benchmark::Msgs) {
            return self.finetune(benchmark, place, failures);
        }
        let part = Part::whole(&self.card.name, benchmark.name());
        let observer = self.observer;
        failures.attempt(part, observer, || self.measure(benchmark, place))?;
        Ok(())
    }

    /// A benchmark that needs no training.
    fn measure(&mut self, benchmark: Benchmark, place: &Path) -> Result<()> {
        let rules = self.settings.rules;
        match benchmark {
            Benchmark::Loss => {
                let settings = json!([self.settings.clean, self.settings.sequence_length]);
                self.stage(benchmark, settings, &[place], |scoring, file| {
                    scoring.measure_loss(place, file)
                })?;
                self.card.loss = Some(files::read_json(&self.folder.join("loss/result.json"))?);
            }
            Benchmark::Ewok => self.suite(benchmark, json!(null), place, |scoring| {
                scoring.score_ewok(place, Variant::Pipeline2024)
            })?,
            Benchmark::EwokOfficial => self.suite(benchmark, json!(null), place, |scoring| {
                scoring.score_ewok(place, Variant::Official)
            })?,
            Benchmark::Aoa => self.measure_ages(place)?,
            _ => self.suite(benchmark, json!(rules), place, |scoring| {
                scoring.score_pairs(benchmark, place, rules)
            })?,
        }
        Ok(())
    }

    fn skip(&self, benchmark: Benchmark, why: &str) {
        self.observer.note(format_args!(
            "{}: {} is left out: {why}",
            self.card.label,
            benchmark.name()
        ));
    }

    /// Does `work`, which writes `BENCHMARK/result.json`, unless that is there and follows from the
    /// same things.
    fn stage(
        &self,
        benchmark: Benchmark,
        settings: Value,
        inputs: &[&Path],
        work: impl FnOnce(&Self, &Path) -> Result<()>,
    ) -> Result<()> {
        let mut stage =
            Stage::new(benchmark.name(), &json!([settings, FORMAT]))?.after(&self.model);
        for input in inputs {
            stage = stage.reads(input)?;
        }
        let output = Path::new(benchmark.name()).join("result.json");
        let file = self.folder.join(&output);
        self.stages.perform(&stage, &[&output], self.observer, |_| {
            // An older result must not be taken for the one that is asked for now.
            file.parent().map_or(Ok(()), files::make_folder)?;
            files::remove(&file)?;
            work(self, &file).map_err(ExperimentError::or_interrupted)
        })
    }

    fn measure_loss(&self, text: &Path, file: &Path) -> Result<()> {
        let (clean, sequence_length) = (self.settings.clean, self.settings.sequence_length);
        let text = HeldoutText { data: text, raw_tokens: false, clean, sequence_length };
        let found = loss::measure(self.group, text, self.observer)?;
        self.observer.note(format_args!("{}: held-out loss {:.4}", self.card.label, found.loss));
        files::write_json(file, &found)
    }

    fn score_pairs(&self, benchmark: Benchmark, place: &Path, rules: Rules) -> Result<()> {
        let models = models(self.group);
        let tokenizer = tokenizer(self.group)?;
        let mut outcome =
            score_folder(&models, place, rules, &tokenizer, &self.card.label, self.observer)?;
        // The folder's name says what it holds, even where it holds a part only.
        outcome.result.suite = benchmark.suite().unwrap_or(outcome.result.suite);
        keep(&outcome, &self.folder)
    }

    fn score_ewok(&self, place: &Path, variant: Variant) -> Result<()> {
        keep(
            &ewok::score(self.group, &eval::ewok::read(place)?, variant, self.observer)?,
            &self.folder,
        )
    }

    /// Scores a suite unless that is done, and reads what was written. Files that are not whole are
    /// written anew.
    fn suite(
        &mut self,
        benchmark: Benchmark,
        settings: Value,
        place: &Path,
        score: impl Fn(&Self) -> Result<()>,
    ) -> Result<()> {
        let folder = self.folder.join(benchmark.name());
        if read_outcome(&folder).is_none() {
            self.stages.forget(&Stage::new(benchmark.name(), &FORMAT)?)?;
        }
        self.stage(benchmark, settings, &[place], |scoring, _| score(scoring))?;
        let damaged = || refuse(format_args!("{} is not as it was written", folder.display()));
        let outcome = read_outcome(&folder)
            .map_or_else(damaged, Ok)
            .advise("give the same command again; other programs must leave that folder alone")?;
        self.card.suites.push(outcome);
        Ok(())
    }

    fn measure_ages(&mut self, place: &Path) -> Result<()> {
        let listed = place.join("sent_words.json");
        let Some(contexts) = self.settings.contexts.clone().or(listed.is_file().then_some(listed))
        else {
            self.skip(Benchmark::Aoa, "no child-directed text is named with --contexts");
            return Ok(());
        };
        let ages = AgeSettings {
            as_published: self.settings.as_published,
            ..AgeSettings::new(place.join(WORD_LIST), contexts)
        };
        let settings = json!([ages.contexts_per_word, ages.as_published]);
        self.stage(Benchmark::Aoa, settings, &[&ages.words, &ages.contexts], |scoring, file| {
            let data = AgeData::read(&ages)?;
            let found = data.measure(scoring.group, Some(&scoring.folder), scoring.observer)?;
            files::write_json(file, &found.score)
        })?;
        self.card.ages = Some(files::read_json(&self.folder.join("aoa/result.json"))?);
        Ok(())
    }

    /// Fine-tunes for every task of a suite, which keeps its own records in `SUITE/TASK/seed-N`.
    fn finetune(
        &mut self,
        benchmark: Benchmark,
        place: &Path,
        failures: &mut Failures,
    ) -> Result<()> {
        let [subject] = self.group else {
            self.skip(benchmark, "an ensemble is not fine-tuned");
            return Ok(());
        };
        let (recipe, observer) = (&self.settings.finetuning, self.observer);
        let part = Part::whole(&self.card.name, benchmark.name());
        let tasks = select_tasks(&[benchmark.name().to_owned()])?;
        let open = || FinetuneSubject::open(self.card.name.clone(), &subject.path);
        let read = || {
            let jobs = Jobs::read(place, &tasks, recipe.rules, false)?;
            Ok((open()?, jobs.require_files(place)?))
        };
        let Some((tuned, Jobs { jobs, broken, skipped })) =
            failures.attempt(part, observer, read)?
        else {
            return Ok(());
        };
        skipped.iter().for_each(|why| observer.note(format_args!("{why}")));
        for broken in broken {
            failures.add(broken.part(&self.card.name), broken.why, observer);
        }
        let (max_steps, device) = (self.settings.max_steps, subject.model.device().clone());
        let tuner = Tuner { recipe, max_steps, keep: false, device, observer };
        let folder = self.folder.join(benchmark.name());
        for (index, seed) in seeds(&self.settings.seeds).into_iter().enumerate() {
            for job in &jobs {
                let work = || tuner.finetune_task(&tuned, job, seed, &folder);
                let part = tuner.part(&tuned, job, seed);
                if let Some(results) = failures.attempt(part, observer, work)? {
                    self.card.add_finetuned(index, results);
                }
            }
        }
        Ok(())
    }
}

/// A suite's scores with the answers behind them, if both files are there, whole, and about the
/// same items.
fn read_outcome(folder: &Path) -> Option<Outcome> {
    let result: SuiteResult =
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

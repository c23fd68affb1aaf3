//! The scoring of one model or ensemble, benchmark by benchmark.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use corpus::Tokenizer;
use eval::ewok::Variant;
use eval::output::predictions::{self, TaskPredictions};
use eval::{Outcome, Rules, SuiteResult, TaskResult};
use model::{Model, hugging_face};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::card::Card;
use super::data::{AtHand, Benchmark, WORD_LIST};
use crate::args::{AgesArgs, AllArgs};
use crate::commands::evaluate::loss::{self, HeldoutText};
use crate::commands::evaluate::results::keep;
use crate::commands::evaluate::{Subject, ages, ewok, tokenizer};
use crate::commands::finetune::jobs::{Jobs, select_tasks};
use crate::commands::finetune::seeds;
use crate::commands::finetune::tuner::{self, Tuner};
use crate::console;
use crate::failure::{Failure, Hint, Interrupted};
use crate::interrupt::{Interrupt, is_stop};
use crate::pipeline::evaluation::score_folder;
use crate::recipe::FinetuneRecipe;
use crate::setbacks::{Part, Setbacks};
use crate::stage::{Stage, Stages, Status};
use base::atomic_file;

fn interrupted() -> anyhow::Error {
    Interrupted { resume: "the same command".to_owned() }.into()
}

/// What the answers of a group of models follow from: configurations, weights and tokenizers.
pub type Identities = Vec<(String, String)>;

/// Those of a group, which are read from its folders.
pub fn identities(group: &[Subject]) -> anyhow::Result<Identities> {
    let identity = |subject: &Subject| {
        let tokenizer = Tokenizer::from_folder(&subject.path)?;
        Ok((hugging_face::fingerprint(&subject.path)?, tokenizer.content_hash()))
    };
    group.iter().map(identity).collect()
}

/// The form of the files that stages write; files of another form are written anew.
const FORMAT: u32 = 1;

/// One model's folder, and what is known of it so far.
pub struct Scoring<'a> {
    args: &'a AllArgs,
    recipe: &'a FinetuneRecipe,
    interrupt: &'a Interrupt,
    group: &'a [Subject],
    folder: PathBuf,
    stages: Stages,
    /// The weights and tokenizers of the group.
    model: Stage,
    card: Card,
}

impl<'a> Scoring<'a> {
    pub fn new(
        args: &'a AllArgs,
        recipe: &'a FinetuneRecipe,
        interrupt: &'a Interrupt,
        group: &'a [Subject],
        identities: &Identities,
        folder: &Path,
        card: Card,
    ) -> anyhow::Result<Self> {
        let model = Stage::new("model", identities)?;
        let (folder, stages) = (folder.to_owned(), Stages::open(folder)?);
        Ok(Self { args, recipe, interrupt, group, folder, stages, model, card })
    }

    /// Everything that was measured.
    pub fn finish(self) -> Card {
        self.card
    }

    /// Measures a benchmark unless that is done, and puts the result on the card, or what failed
    /// among the setbacks.
    ///
    /// # Errors
    /// When something happens that concerns all other benchmarks too.
    pub fn perform(&mut self, at_hand: &AtHand, setbacks: &mut Setbacks) -> anyhow::Result<()> {
        let (benchmark, place) = (at_hand.benchmark, at_hand.place.as_path());
        let is_masked =
            self.group.iter().any(|subject| !subject.model.config().architecture.is_causal());
        if is_masked && matches!(benchmark, Benchmark::Loss | Benchmark::Aoa) {
            self.skip(benchmark, "a masked model does not predict the next token");
            return Ok(());
        }
        if matches!(benchmark, Benchmark::Glue | Benchmark::Msgs) {
            return self.finetune(benchmark, place, setbacks);
        }
        let part = Part::whole(&self.card.name, benchmark.name());
        setbacks.attempt(part, || self.measure(benchmark, place))?;
        Ok(())
    }

    /// A benchmark that needs no training.
    fn measure(&mut self, benchmark: Benchmark, place: &Path) -> anyhow::Result<()> {
        let rules = Rules::from(self.args.rules);
        match benchmark {
            Benchmark::Loss => {
                let settings = json!([self.args.clean, self.args.sequence_length]);
                self.stage(benchmark, settings, &[place], |scoring, file| {
                    scoring.measure_loss(place, file)
                })?;
                self.card.loss = Some(self.read("loss/result.json")?);
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
        console::note(format_args!("{}: {} is left out: {why}", self.card.label, benchmark.name()));
    }

    /// Does `work`, which writes `BENCHMARK/result.json`, unless that is there and follows from the
    /// same things.
    fn stage(
        &self,
        benchmark: Benchmark,
        settings: Value,
        inputs: &[&Path],
        work: impl FnOnce(&Self, &Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut stage =
            Stage::new(benchmark.name(), &json!([settings, FORMAT]))?.after(&self.model);
        for input in inputs {
            stage = stage.reads(input)?;
        }
        if self.stages.status(&stage)? == Status::Done {
            return Ok(());
        }
        if self.interrupt.is_requested() {
            return Err(interrupted());
        }
        self.stages.forget(&stage)?;
        let output = Path::new(benchmark.name()).join("result.json");
        let file = self.folder.join(&output);
        // Nobody may take an older result for the one that is asked for now.
        clear(&file)?;
        work(self, &file).map_err(|error| if is_stop(&error) { interrupted() } else { error })?;
        Ok(self.stages.mark_done(&stage, &[&output])?)
    }

    fn measure_loss(&self, text: &Path, file: &Path) -> anyhow::Result<()> {
        let (clean, sequence_length) = (self.args.clean, self.args.sequence_length);
        let text = HeldoutText { data: text, raw_tokens: false, clean, sequence_length };
        let found = loss::measure(self.group, text, Some(self.interrupt))?;
        console::note(format_args!("{}: held-out loss {:.4}", self.card.label, found.loss));
        atomic_file::write(file, format!("{:#}\n", serde_json::to_value(&found)?).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn score_pairs(&self, benchmark: Benchmark, place: &Path, rules: Rules) -> anyhow::Result<()> {
        let models: Vec<&Model> = self.group.iter().map(|subject| &subject.model).collect();
        let tokenizer = tokenizer(self.group)?;
        let mut outcome = score_folder(
            &models,
            place,
            rules,
            &tokenizer,
            &self.card.label,
            Some(self.interrupt),
        )?;
        // The folder's name says what it holds, even where it holds a part only.
        outcome.result.suite = benchmark.suite().unwrap_or(outcome.result.suite);
        keep(&outcome, &self.folder)
    }

    fn score_ewok(&self, place: &Path, variant: Variant) -> anyhow::Result<()> {
        keep(
            &ewok::score(self.group, &eval::ewok::read(place)?, variant, Some(self.interrupt))?,
            &self.folder,
        )
    }

    fn read<T: DeserializeOwned>(&self, inside: &str) -> anyhow::Result<T> {
        let path = self.folder.join(inside);
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no longer what was written", path.display()))
            .hint("delete that file and give the same command again")
    }

    /// Scores a suite unless that is done, and reads what was written. Files that are not whole are
    /// written anew.
    fn suite(
        &mut self,
        benchmark: Benchmark,
        settings: Value,
        place: &Path,
        score: impl Fn(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let folder = self.folder.join(benchmark.name());
        if read_outcome(&folder).is_none() {
            self.stages.forget(&Stage::new(benchmark.name(), &FORMAT)?)?;
        }
        self.stage(benchmark, settings, &[place], |scoring, _| score(scoring))?;
        let outcome = read_outcome(&folder)
            .with_context(|| format!("{} is not as it was written", folder.display()));
        self.card
            .suites
            .push(outcome.hint(
                "give the same command again; other programs must leave that folder alone",
            )?);
        Ok(())
    }

    fn measure_ages(&mut self, place: &Path) -> anyhow::Result<()> {
        let listed = place.join("sent_words.json");
        let Some(contexts) = self.args.contexts.clone().or(listed.is_file().then_some(listed))
        else {
            self.skip(Benchmark::Aoa, "no child-directed text is named with --contexts");
            return Ok(());
        };
        let args = AgesArgs {
            common: self.args.common.clone(),
            words: place.join(WORD_LIST),
            contexts,
            contexts_per_word: eval::age_of_acquisition::DEFAULT_CONTEXTS,
            as_published: self.args.as_published,
            output: None,
        };
        let settings = json!([args.contexts_per_word, args.as_published]);
        self.stage(Benchmark::Aoa, settings, &[&args.words, &args.contexts], |scoring, file| {
            let score =
                ages::measure(&args, scoring.group, &scoring.folder, Some(scoring.interrupt))?;
            atomic_file::write(file, format!("{:#}\n", serde_json::to_value(score)?).as_bytes())
                .with_context(|| format!("cannot write {}", file.display()))
        })?;
        self.card.ages = Some(self.read("aoa/result.json")?);
        Ok(())
    }

    /// Fine-tunes for every task of a suite, which keeps its own books in `SUITE/TASK/seed-N`.
    fn finetune(
        &mut self,
        benchmark: Benchmark,
        place: &Path,
        setbacks: &mut Setbacks,
    ) -> anyhow::Result<()> {
        let [subject] = self.group else {
            self.skip(benchmark, "an ensemble is not fine-tuned");
            return Ok(());
        };
        let rules = Rules::from(self.recipe.rules);
        let part = Part::whole(&self.card.name, benchmark.name());
        let tasks = select_tasks(&[benchmark.name().to_owned()])?;
        let open = || tuner::Subject::open(self.card.name.clone(), &subject.path);
        let read = || Ok((open()?, Jobs::read(place, &tasks, rules, false)?.require_files(place)?));
        let Some((tuned, Jobs { jobs, broken, skipped })) = setbacks.attempt(part, read)? else {
            return Ok(());
        };
        skipped.iter().for_each(console::note);
        broken.iter().for_each(|broken| {
            setbacks.add(broken.part(&self.card.name), Failure::from(&broken.why))
        });
        let device = subject.model.device().clone();
        let (recipe, interrupt) = (self.recipe, self.interrupt);
        let tuner =
            Tuner { recipe, max_steps: self.args.max_steps, keep: false, device, interrupt };
        let folder = self.folder.join(benchmark.name());
        for (index, seed) in seeds(&self.args.seeds).into_iter().enumerate() {
            for job in &jobs {
                let work = || tuner.finetune_task(&tuned, job, seed, &folder);
                if let Some(results) = setbacks.attempt(tuner.part(&tuned, job, seed), work)? {
                    self.card.add_finetuned(index, results);
                }
            }
        }
        Ok(())
    }
}

/// Makes room for a result: its folder, and no older one in it.
fn clear(file: &Path) -> anyhow::Result<()> {
    let parent = file.parent().unwrap_or(file);
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    match std::fs::remove_file(file) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(cause).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
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

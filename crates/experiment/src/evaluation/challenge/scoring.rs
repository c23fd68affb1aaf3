//! The scoring of one model or ensemble, task by task.

mod aoa;

use std::path::{Path, PathBuf};

use ::report::format::counted;
use eval::challenge::aoa::AoaScore;
use eval::challenge::files::{predictions, report, to_text};
use eval::challenge::reading::{
    self, ReadingMode, ReadingOutcome, ReadingScore, measure, read_table,
};
use eval::challenge::{
    Answer, Asking, ChallengeBackend, ChallengeTask, ChallengeTokenizer, Question, TaskScore,
    score_questions,
};
use eval::{EvalError, Scorer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) use self::aoa::AoaTask;
use super::glue::GlueScore;
use super::task::{AnyTask, AvailableTask};
use super::tokenizer::FolderTokenizer;
use super::{ChallengeSettings, PREDICTIONS};
use crate::error::{ExperimentError, Result};
use crate::evaluation::progress::ScoringProgress;
use crate::evaluation::{LoadedModel, models, tokenizer};
use crate::failures::{Failures, Part};
use crate::files::{self, write_json, write_text};
use crate::identity;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::stage::{Stage, Stages, Status};
use crate::tokenizers;

/// The form of the files that stages write; files of another form are written anew.
const FORMAT: u32 = 1;

/// The file with a task's scores, beside those of the pipelines.
const SCORE: &str = "score.json";
/// The file with the score of every candidate, one question a line.
const ANSWERS: &str = "answers.jsonl";
/// The pipelines' reports.
const REPORT: &str = "best_temperature_report.txt";
const READING_REPORT: &str = "report.txt";

/// The scores of any task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyScore {
    /// Of choices between texts.
    Choices(TaskScore),
    /// Of reading times.
    Reading {
        /// The scores.
        score: ReadingScore,
        /// Rows of the table.
        rows: usize,
        /// Which tokens stood for a word.
        #[serde(default)]
        mode: ReadingMode,
    },
    /// Of the ages at which words are acquired.
    Aoa(AoaScore),
    /// Of a model that was fine-tuned for GLUE.
    Glue(GlueScore),
}

impl AnyScore {
    /// The score of a task over all, as tables show it.
    pub(crate) fn shown(&self, task: AnyTask) -> f64 {
        match (self, task) {
            (Self::Choices(score), AnyTask::Choices(task)) => TaskScore::shown(task, score.score),
            (Self::Choices(score), _) => score.score,
            (Self::Reading { score, .. }, _) => score.mean,
            (Self::Aoa(score), _) => 100.0 * score.score,
            (Self::Glue(score), _) => 100.0 * score.glue,
        }
    }

    /// The number in tables, with a mark where it does not compare with the pipelines'.
    pub(super) fn to_cell(&self, task: AnyTask) -> String {
        match self {
            Self::Reading { score, mode: ReadingMode::Proper, .. } => {
                format!("{:.2} (proper)", score.mean)
            }
            _ => format!("{:.2}", self.shown(task)),
        }
    }

    /// How many answers there are, of each checkpoint where there are several.
    pub(super) fn answers(&self) -> usize {
        match self {
            Self::Choices(score) => score.items,
            Self::Reading { rows, .. } => *rows,
            Self::Aoa(score) => score.texts,
            Self::Glue(score) => score.answers,
        }
    }

    /// How many items the score is of.
    pub(super) fn items(&self) -> usize {
        match self {
            Self::Aoa(score) => score.words,
            _ => self.answers(),
        }
    }
}

/// The scores of a task, and where its answers are.
pub struct TaskOutcome {
    /// The task.
    pub task: AnyTask,
    /// The scores.
    pub score: AnyScore,
    /// The files of its answers, by their keys in the file of all answers.
    pub answers: Vec<(&'static str, PathBuf)>,
    /// Checkpoints that it lacks; without them it does not stand in the file of all answers.
    pub missing: Vec<String>,
}

/// One model, and the folder of its results.
pub(super) struct Scoring<'a> {
    settings: &'a ChallengeSettings,
    observer: &'a dyn Observer,
    group: &'a [LoadedModel],
    tokenizer: FolderTokenizer,
    backend: ChallengeBackend,
    name: String,
    folder: PathBuf,
    /// The name of the checkpoint that the model is, and of its folder below `folder`.
    revision: &'a str,
    stages: Stages<'a>,
    model: Stage,
}

impl<'a> Scoring<'a> {
    /// The scoring of a model as a revision, with results below `folder`.
    ///
    /// # Errors
    /// When the model cannot be asked by the back end, or its folder cannot be read.
    pub(super) fn new(
        settings: &'a ChallengeSettings,
        observer: &'a dyn Observer,
        group: &'a [LoadedModel],
        backend: ChallengeBackend,
        folder: &Path,
        name: &str,
        revision: &'a str,
    ) -> Result<Self> {
        backend.check(&Scorer::of_readings(models(group))?)?;
        let identity = |loaded: &LoadedModel| {
            identity::answers(&loaded.path, &**loaded.model.device(), observer)
        };
        let identities = group.iter().map(identity).collect::<Result<Vec<_>>>()?;
        let tokenizer = FolderTokenizer(tokenizer(group)?);
        let machine = Machine::of(&**group[0].model.device());
        let stages = Stages::open(folder)?.observed(observer).on(machine);
        let model = Stage::new("model", &identities)?;
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Ok(Self {
            settings,
            observer,
            group,
            tokenizer,
            backend,
            name,
            folder,
            revision,
            stages,
            model,
        })
    }

    /// The scoring of a checkpoint of the model's training, asked as the model is, with results in
    /// the same folder.
    ///
    /// # Errors
    /// When the checkpoint cannot be asked so, or has another tokenizer.
    pub(super) fn of_revision<'b>(
        &'b self,
        group: &'b [LoadedModel],
        revision: &'b str,
    ) -> Result<Scoring<'b>> {
        tokenizers::require_same(&group[0].path, "the checkpoint", &self.tokenizer.0)?;
        let (name, backend) = (self.name_at(revision), self.backend);
        Scoring::new(self.settings, self.observer, group, backend, &self.folder, &name, revision)
    }

    /// The name of a checkpoint in messages.
    pub(super) fn name_at(&self, revision: &str) -> String {
        format!("{} at {revision}", self.name)
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        self.observer
    }

    /// Warns where nothing predicts the first token of a text.
    pub(super) fn warn_of_first_token(&self) {
        if self.backend == ChallengeBackend::Causal && !self.tokenizer.begins_texts() {
            self.observer.warn(format_args!(
                "{}: its tokenizer puts no token before texts, so that the first token of a text \
                 is not scored (as in the pipeline)",
                self.name
            ));
        }
    }

    /// Scores the tasks that are not done yet. Those that fail for a reason of their own, and those
    /// that are neither wanted nor done, are left out.
    ///
    /// # Errors
    /// When something happens that concerns all other tasks too.
    pub(super) fn perform_all(
        &self,
        available: &[AvailableTask],
        failures: &mut Failures,
    ) -> Result<Vec<TaskOutcome>> {
        let mut found = Vec::new();
        for task in available {
            found.extend(self.attempt(task, failures, || self.perform(task))?);
        }
        Ok(found)
    }

    /// Does a part of a task; nothing when it fails for a reason of its own. What cannot be read of
    /// an earlier result that is not wanted is no failure.
    ///
    /// # Errors
    /// When something happens that concerns all other tasks too.
    pub(super) fn attempt<T>(
        &self,
        task: &AvailableTask,
        failures: &mut Failures,
        work: impl FnOnce() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if !task.is_wanted {
            return Ok(work().unwrap_or_default());
        }
        let part = Part::whole(&self.name, task.task.name());
        Ok(failures.attempt(part, self.observer, work)?.flatten())
    }

    /// The folder of a task's files, as the pipelines name it, for the folder of its data.
    fn place(&self, task: AnyTask, data: &Path) -> PathBuf {
        let backend = match task {
            AnyTask::Reading if self.backend.is_encoder_decoder() => "enc_dec",
            _ => self.backend.name(),
        };
        let place = match (task, self.settings.reading) {
            (AnyTask::Reading, ReadingMode::Proper) => PathBuf::from("reading_proper"),
            _ => task.place(data),
        };
        Path::new(self.revision).join("zero_shot").join(backend).join(place)
    }

    /// The stage that fills a folder with what the model answers.
    fn stage(&self, place: &Path, settings: &Value) -> Result<Stage> {
        let name = place.to_string_lossy().replace(['/', '\\'], "-");
        Ok(Stage::new(&name, settings)?.after(&self.model))
    }

    fn perform(&self, found: &AvailableTask) -> Result<Option<TaskOutcome>> {
        let data = &found.folder;
        match found.task {
            AnyTask::Choices(task) => {
                let files = [SCORE, ANSWERS, PREDICTIONS, REPORT];
                self.perform_by(found, None, &files, |folder| self.ask(task, data, folder))
            }
            AnyTask::Reading => {
                let files = [SCORE, PREDICTIONS, READING_REPORT];
                let mode = Some(self.settings.reading);
                self.perform_by(found, mode, &files, |folder| self.read(data, folder))
            }
            // It takes the checkpoints of a training, or fine-tunings.
            AnyTask::Aoa | AnyTask::Glue => Ok(None),
        }
    }

    /// The outcome of a task that leaves files in a folder, made by `score` unless that is done.
    fn perform_by(
        &self,
        found: &AvailableTask,
        mode: Option<ReadingMode>,
        files: &[&str],
        score: impl Fn(&Path) -> Result<()>,
    ) -> Result<Option<TaskOutcome>> {
        let (task, year) = (found.task, self.settings.year);
        let place = self.place(task, &found.folder);
        let stage = self
            .stage(&place, &json!([year, self.backend, mode, FORMAT]))?
            .reads_all(&|| self.observer.should_stop(), task.files(&found.folder)?)?;
        if !found.is_wanted && self.stages.status(&stage)? != Status::Done {
            return Ok(None);
        }
        let outputs: Vec<PathBuf> = files.iter().map(|file| place.join(file)).collect();
        let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
        let folder = self.folder.join(&place);
        self.stages.perform(&stage, &outputs, self.observer, |_| {
            files::make_folder(&folder)?;
            score(&folder).map_err(ExperimentError::or_interrupted)
        })?;
        let score = files::read_json(&folder.join(SCORE))?;
        // Only the pipelines' own reading goes to the leaderboard.
        let sections = match mode {
            Some(ReadingMode::Proper) => Vec::new(),
            _ => task.sections(year),
        };
        let answers =
            sections.into_iter().map(|section| (section, folder.join(PREDICTIONS))).collect();
        Ok(Some(TaskOutcome { task, score, answers, missing: Vec::new() }))
    }

    /// Asks the model all questions of a task, and writes the task's files.
    fn ask(&self, task: &'static ChallengeTask, data: &Path, folder: &Path) -> Result<()> {
        let year = self.settings.year;
        let questions = task.read(data, year)?;
        if questions.is_empty() {
            return Err(EvalError::Empty { path: data.to_owned() }.into());
        }
        let should_stop = || self.observer.should_stop();
        let scorer = self.scorer()?.stopping_when(&should_stop);
        let total = questions.len() as u64;
        let mut progress = self.progress(&scorer, task.title, "questions", total);
        let asking = Asking { year, backend: self.backend, by_token: task.by_token };
        let tokenizer: &dyn ChallengeTokenizer = &self.tokenizer;
        let on_progress = |done, _| progress.update(done as u64);
        let answers = score_questions(&scorer, asking, &questions, tokenizer, on_progress)?;
        let score = TaskScore::of(task, &questions, &answers);
        let ties = counted(score.ties as u64, "tie");
        progress.finish(&format!("{:.2}, {ties}", TaskScore::shown(task, score.score)));
        write_text(&folder.join(ANSWERS), &answer_lines(&questions, &answers))?;
        let answers = as_text(&predictions(task, &questions, &answers))?;
        write_text(&folder.join(PREDICTIONS), &answers)?;
        write_text(&folder.join(REPORT), &report(task, &score))?;
        write_json(&folder.join(SCORE), &AnyScore::Choices(score))
    }

    /// Computes what the model's surprisals add to the prediction of reading times, and writes the
    /// task's files.
    fn read(&self, data: &Path, folder: &Path) -> Result<()> {
        let table = read_table(&AnyTask::Reading.files(data)?[0])?;
        let should_stop = || self.observer.should_stop();
        let scorer = self.scorer()?.stopping_when(&should_stop);
        // How many texts there are is known when they are read.
        let mut progress = self.progress(&scorer, "Reading", "texts", 0);
        let on_progress = |done, _| progress.update(done as u64);
        let (backend, mode) = (self.backend, self.settings.reading);
        let found = measure(&scorer, backend, mode, &table, &self.tokenizer, on_progress)?;
        let ReadingOutcome { score, surprisals, .. } = found;
        let (eyes, self_paced) = (score.eye_tracking, score.self_paced);
        progress.finish(&format!("eye tracking {eyes:.2}, self-paced {self_paced:.2}"));
        write_text(&folder.join(PREDICTIONS), &reading::predictions(&surprisals))?;
        write_text(&folder.join(READING_REPORT), &reading::report(&score))?;
        write_json(&folder.join(SCORE), &AnyScore::Reading { score, rows: surprisals.len(), mode })
    }

    fn progress<'s>(
        &'s self,
        scorer: &'s Scorer<'s>,
        title: &str,
        unit: &str,
        total: u64,
    ) -> ScoringProgress<'s> {
        let label = format!("{} on {title}", self.name);
        ScoringProgress::begin(scorer, self.observer, label, unit, total)
    }

    fn scorer(&self) -> Result<Scorer<'a>> {
        let models = models(self.group);
        let scorer = match self.backend {
            ChallengeBackend::Causal => Scorer::new(models)?,
            _ => Scorer::of_readings(models)?,
        };
        Ok(scorer.beyond_trained_positions())
    }
}

/// The answers to questions with the scores of all candidates, one question a line.
fn answer_lines(questions: &[Question], answers: &[Answer]) -> String {
    let line = |(question, answer): (&Question, &Answer)| {
        let line = json!({
            "uid": question.uid,
            "right": question.right,
            "chosen": answer.chosen,
            "scores": answer.scores,
            "tokens": answer.tokens,
        });
        format!("{line}\n")
    };
    questions.iter().zip(answers).map(line).collect()
}

/// A value as one line of the pipelines' JSON.
fn as_text(value: &impl Serialize) -> Result<String> {
    to_text(value).map_err(|cause| EvalError::Encoding { cause: cause.to_string() }.into())
}

/// The back end of a model's kind.
pub(super) fn suitable_backend(group: &[LoadedModel]) -> ChallengeBackend {
    let family = group[0].model.config().architecture;
    match (family.is_causal(), family.is_encoder_decoder()) {
        (true, _) => ChallengeBackend::Causal,
        (_, true) => ChallengeBackend::EncDecMask,
        _ => ChallengeBackend::Mlm,
    }
}

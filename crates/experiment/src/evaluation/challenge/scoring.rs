//! The scoring of one model or ensemble, task by task.

use std::path::{Path, PathBuf};

use eval::challenge::files::{predictions, report, to_text};
use eval::challenge::{
    Answer, Asking, ChallengeBackend, ChallengeTask, ChallengeTokenizer, Question, TaskScore,
    score_questions,
};
use eval::{EvalError, Scorer};
use report::format::counted;
use serde_json::json;

use super::tokenizer::FolderTokenizer;
use super::{AvailableTask, ChallengeSettings};
use crate::error::{ExperimentError, Result};
use crate::evaluation::progress::ScoringProgress;
use crate::evaluation::{LoadedModel, models, tokenizer};
use crate::failures::{Failures, Part};
use crate::files::{self, write_json, write_text};
use crate::identity;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::stage::{Stage, Stages, Status};

/// The form of the files that stages write; files of another form are written anew.
const FORMAT: u32 = 1;

/// The folder of a finished model's results: the pipelines' name of its revision.
const MAIN: &str = "main";

/// The file with a task's scores, beside those of the pipelines.
const SCORE: &str = "score.json";
/// The file with a task's answers, by the name that the pipelines give it.
pub(super) const PREDICTIONS: &str = "predictions.json";
/// The file with the score of every candidate, one question a line.
const ANSWERS: &str = "answers.jsonl";
const REPORT: &str = "best_temperature_report.txt";

/// The scores of a task, and where its files are.
pub struct TaskOutcome {
    /// The task.
    pub task: &'static ChallengeTask,
    /// The scores.
    pub score: TaskScore,
    /// The folder of its files.
    pub folder: PathBuf,
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
    stages: Stages<'a>,
    model: Stage,
}

impl<'a> Scoring<'a> {
    pub(super) fn new(
        settings: &'a ChallengeSettings,
        observer: &'a dyn Observer,
        group: &'a [LoadedModel],
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let backend = settings.backend.unwrap_or(suitable(group));
        backend.check(&Scorer::of_readings(models(group))?)?;
        let identity = |loaded: &LoadedModel| {
            identity::answers(&loaded.path, &**loaded.model.device(), observer)
        };
        let identities = group.iter().map(identity).collect::<Result<Vec<_>>>()?;
        let tokenizer = FolderTokenizer::new(tokenizer(group)?, suitable(group) == MLM)?;
        if backend == ChallengeBackend::Causal && !tokenizer.begins_texts() {
            observer.note(format_args!(
                "{name}: its tokenizer puts no token before texts, so that the first token of a \
                 text is not scored (as in the pipeline)"
            ));
        }
        let machine = Machine::of(&**group[0].model.device());
        let stages = Stages::open(folder)?.observed(observer).on(machine);
        let model = Stage::new("model", &identities)?;
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Ok(Self { settings, observer, group, tokenizer, backend, name, folder, stages, model })
    }

    pub(super) fn backend(&self) -> ChallengeBackend {
        self.backend
    }

    /// Scores a task unless that is done. None where it failed for a reason of its own, or is
    /// neither wanted nor done.
    ///
    /// # Errors
    /// When something happens that concerns all other tasks too.
    pub(super) fn perform(
        &self,
        found: &AvailableTask,
        failures: &mut Failures,
    ) -> Result<Option<TaskOutcome>> {
        let part = Part::whole(&self.name, found.task.name);
        if !found.is_wanted {
            // What cannot be read of an earlier result is not shown.
            return Ok(self.score(found).ok().flatten());
        }
        Ok(failures.attempt(part, self.observer, || self.score(found))?.flatten())
    }

    /// The folder of a task's files, as the pipelines name it.
    fn place(&self, found: &AvailableTask) -> PathBuf {
        let data = found.folder.file_name().unwrap_or_default();
        Path::new(MAIN).join("zero_shot").join(self.backend.name()).join(found.task.kind).join(data)
    }

    fn score(&self, found: &AvailableTask) -> Result<Option<TaskOutcome>> {
        let (task, year) = (found.task, self.settings.year);
        let place = self.place(found);
        let name = place.to_string_lossy().replace(['/', '\\'], "-");
        let stage = Stage::new(&name, &json!([year, self.backend, FORMAT]))?
            .after(&self.model)
            .reads_all(&|| self.observer.should_stop(), task.files(&found.folder)?)?;
        if !found.is_wanted && self.stages.status(&stage)? != Status::Done {
            return Ok(None);
        }
        let outputs = [SCORE, ANSWERS, PREDICTIONS, REPORT].map(|file| place.join(file));
        let folder = self.folder.join(&place);
        let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
        self.stages.perform(&stage, &outputs, self.observer, |_| {
            files::make_folder(&folder)?;
            self.ask(found, &folder).map_err(ExperimentError::or_interrupted)
        })?;
        let score = files::read_json(&folder.join(SCORE))?;
        Ok(Some(TaskOutcome { task, score, folder }))
    }

    /// Asks the model all questions of a task, and writes the task's files.
    fn ask(&self, found: &AvailableTask, folder: &Path) -> Result<()> {
        let (task, year) = (found.task, self.settings.year);
        let questions = task.read(&found.folder, year)?;
        let should_stop = || self.observer.should_stop();
        let scorer = self.scorer()?.stopping_when(&should_stop);
        let (label, total) = (format!("{} on {}", self.name, task.title), questions.len() as u64);
        let mut progress =
            ScoringProgress::begin(&scorer, self.observer, label, "questions", total);
        let asking = Asking { year, backend: self.backend, by_token: task.by_token };
        let tokenizer: &dyn ChallengeTokenizer = &self.tokenizer;
        let on_progress = |done, _| progress.update(done as u64);
        let answers = score_questions(&scorer, asking, &questions, tokenizer, on_progress)?;
        let score = TaskScore::of(task, &questions, &answers);
        let ties = counted(score.ties as u64, "tie");
        progress.finish(&format!("{:.2}, {ties}", score.score));
        write_text(&folder.join(ANSWERS), &answer_lines(&questions, &answers))?;
        let answers = as_text(&predictions(task, &questions, &answers))?;
        write_text(&folder.join(PREDICTIONS), &answers)?;
        write_text(&folder.join(REPORT), &report(task, &score))?;
        write_json(&folder.join(SCORE), &score)
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

const MLM: ChallengeBackend = ChallengeBackend::Mlm;

/// A value as one line of the pipelines' JSON.
pub(super) fn as_text(value: &impl serde::Serialize) -> Result<String> {
    to_text(value).map_err(|cause| EvalError::Encoding { cause: cause.to_string() }.into())
}

/// The back end of a model's kind.
fn suitable(group: &[LoadedModel]) -> ChallengeBackend {
    let family = group[0].model.config().architecture;
    match (family.is_causal(), family.is_encoder_decoder()) {
        (true, _) => ChallengeBackend::Causal,
        (_, true) => ChallengeBackend::EncDecMask,
        _ => MLM,
    }
}

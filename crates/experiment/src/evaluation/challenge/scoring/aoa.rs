//! The age-of-acquisition task: every checkpoint of a training gives surprisals, a stage each, and
//! all of them together a score.

use std::path::{Path, PathBuf};

use eval::EvalError;
use eval::challenge::ChallengeTokenizer;
use eval::challenge::aoa::{
    AoaData, AoaScore, MeasuredCheckpoint, Surprisals, WordAge, score_file, surprisal_file,
    surprisals,
};
use serde_json::json;

use super::{AnyScore, FORMAT, SCORE, Scoring, TaskOutcome};
use crate::error::{ExperimentError, Result};
use crate::evaluation::challenge::checkpoints::Revision;
use crate::evaluation::challenge::task::{AOA_FILES, AnyTask, AvailableTask};
use crate::files::{self, write_json, write_text};
use crate::stage::{Stage, Status};

/// The surprisals of a checkpoint, in its own folder.
const SURPRISALS: &str = "surprisals.json";
/// The ages of every word, one word a line, beside the files of the pipelines.
const AGES: &str = "ages.jsonl";
/// The pipelines' files, of all checkpoints.
const ALL_SURPRISALS: &str = "surprisal.json";
const AOA_SCORE: &str = "aoa_score.json";

/// The task with its data.
pub(in crate::evaluation::challenge) struct AoaTask {
    data: AoaData,
    contexts: PathBuf,
    children: PathBuf,
    /// Whether it is to be scored; otherwise only what is done already is taken.
    is_wanted: bool,
}

impl AoaTask {
    /// Reads the data.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub(in crate::evaluation::challenge) fn read(found: &AvailableTask) -> Result<Self> {
        let [contexts, children] = AOA_FILES.map(|name| found.folder.join(name));
        let data = AoaData::read(&contexts, &children)?;
        Ok(Self { data, contexts, children, is_wanted: found.is_wanted })
    }
}

/// What a checkpoint was found to know of the words.
pub(in crate::evaluation::challenge) struct MeasuredWords {
    stage: Stage,
    surprisals: MeasuredCheckpoint,
}

impl Scoring<'_> {
    /// The surprisals of all words with this checkpoint, measured unless that is done; none where
    /// they are neither wanted nor done.
    ///
    /// # Errors
    /// When the model or its tokenizer fails, or a file cannot be read or written.
    pub(in crate::evaluation::challenge) fn measure_words(
        &self,
        task: &AoaTask,
        revision: &Revision,
    ) -> Result<Option<MeasuredWords>> {
        let place = self.place_of_words();
        let stage = self.stage(&place, &json!([self.backend, FORMAT]))?;
        let stage = stage.reads_unless(&|| self.observer.should_stop(), &task.contexts)?;
        if !task.is_wanted && self.stages.status(&stage)? != Status::Done {
            return Ok(None);
        }
        let file = place.join(SURPRISALS);
        self.stages.perform(&stage, &[&file], self.observer, |_| {
            files::make_folder(&self.folder.join(&place))?;
            let found = self.ask_for_words(&task.data).map_err(ExperimentError::or_interrupted)?;
            write_json(&self.folder.join(&file), &found)
        })?;
        let surprisals = MeasuredCheckpoint {
            name: revision.name.clone(),
            words_seen: revision.words_seen,
            surprisals: files::read_json(&self.folder.join(&file))?,
        };
        Ok(Some(MeasuredWords { stage, surprisals }))
    }

    fn ask_for_words(&self, data: &AoaData) -> Result<Surprisals> {
        let should_stop = || self.observer.should_stop();
        let scorer = self.scorer()?.stopping_when(&should_stop);
        let title = AnyTask::Aoa.title();
        let mut progress = self.progress(&scorer, title, "texts", data.texts() as u64);
        let tokenizer: &dyn ChallengeTokenizer = &self.tokenizer;
        let on_progress = |done, _| progress.update(done as u64);
        let found = surprisals(&scorer, self.backend, &data.words, tokenizer, on_progress)?;
        progress.finish("surprisals");
        Ok(found)
    }

    /// The score of a training whose finished model this is, from the surprisals of those
    /// checkpoints that are there. None where there is none, or it is neither wanted nor done.
    ///
    /// # Errors
    /// As [`measure_words`](Self::measure_words).
    pub(in crate::evaluation::challenge) fn score_words(
        &self,
        task: &AoaTask,
        measured: Vec<MeasuredWords>,
        track: &[Revision],
    ) -> Result<Option<TaskOutcome>> {
        if measured.is_empty() {
            return Ok(None);
        }
        let place = self.place_of_words();
        let settings = json!([self.settings.year, self.backend, track.len(), FORMAT]);
        let stage = self.stage(&place, &settings)?;
        let stage = measured.iter().fold(stage, |stage, words| stage.after(&words.stage));
        let files = [&task.contexts, &task.children];
        let stage = stage.reads_all(&|| self.observer.should_stop(), files)?;
        if !task.is_wanted && self.stages.status(&stage)? != Status::Done {
            return Ok(None);
        }
        let checkpoints: Vec<MeasuredCheckpoint> =
            measured.into_iter().map(|words| words.surprisals).collect();
        let outputs = [SCORE, AGES, ALL_SURPRISALS, AOA_SCORE].map(|file| place.join(file));
        let outputs = outputs.each_ref().map(PathBuf::as_path);
        let folder = self.folder.join(&place);
        self.stages.perform(&stage, &outputs, self.observer, |_| {
            files::make_folder(&folder)?;
            let of_year =
                AoaScore::of(self.settings.year, &task.data, &checkpoints, &self.tokenizer);
            let (score, ages) = of_year?;
            let all = surprisal_file(&self.name, &task.data.words, &checkpoints, track.len());
            write_text(&folder.join(ALL_SURPRISALS), &all.map_err(encoding)?)?;
            let shown = score_file(&score).map_err(encoding)?;
            write_text(&folder.join(AOA_SCORE), &shown)?;
            write_text(&folder.join(AGES), &age_lines(&ages))?;
            write_json(&folder.join(SCORE), &AnyScore::Aoa(score))
        })?;
        let is_missing = |revision: &&Revision| {
            checkpoints.iter().all(|checkpoint| checkpoint.name != revision.name)
        };
        let missing = track.iter().filter(is_missing).map(|revision| revision.name.clone());
        Ok(Some(self.outcome_of_words(&folder, missing.collect())?))
    }

    fn outcome_of_words(&self, folder: &Path, missing: Vec<String>) -> Result<TaskOutcome> {
        let score = files::read_json(&folder.join(SCORE))?;
        if let AnyScore::Aoa(AoaScore { unread, .. }) = &score
            && *unread > 0
        {
            self.observer.warn(format_args!(
                "{}: {unread} texts of the age of acquisition are longer than the model's \
                 positions, and their surprisals are missing (as in the pipeline)",
                self.name
            ));
        }
        let sections = AnyTask::Aoa.sections(self.settings.year).into_iter();
        let files = [ALL_SURPRISALS, AOA_SCORE].map(|file| folder.join(file));
        let answers = sections.zip(files).collect();
        Ok(TaskOutcome { task: AnyTask::Aoa, score, answers, missing })
    }

    fn place_of_words(&self) -> PathBuf {
        self.place(AnyTask::Aoa, Path::new(""))
    }
}

/// The ages of words, one word a line.
fn age_lines(ages: &[WordAge]) -> String {
    ages.iter().map(|age| format!("{}\n", json!(age))).collect()
}

fn encoding(cause: serde_json::Error) -> ExperimentError {
    EvalError::Encoding { cause: cause.to_string() }.into()
}

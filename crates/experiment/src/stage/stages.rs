//! The finished stages of a run.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use base::{atomic_file, stop};
use report::format::time_of_day;
use serde::{Deserialize, Serialize};

use super::outputs::{self, Look, OutputFile};
use super::{Reason, Stage, StageError, Status, failed};
use crate::error::ExperimentError;
use crate::machine::Machine;
use crate::observer::Observer;

/// The file that a finished stage leaves.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    fingerprint: String,
    stage: Stage,
    outputs: Vec<OutputFile>,
    /// Of a trained model, the precision and what computed the products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) products: Option<String>,
    /// When and where it ended; not known of older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<StageEnd>,
}

impl Record {
    /// What identifies everything that the stage followed from.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The stage, with what it followed from.
    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The files that it left, relative to its folder, with their hashes.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.outputs.iter().map(|output| (output.path.as_path(), output.hash.as_str()))
    }
}

/// The end of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageEnd {
    /// The moment, in UTC.
    pub(crate) time: String,
    /// Seconds that the process which finished it has worked on it.
    pub(crate) seconds: f64,
    /// What it ran on.
    pub(crate) machine: Machine,
}

/// The finished stages of one run.
pub struct Stages<'a> {
    run: PathBuf,
    /// Can ask to stop while files are hashed.
    observer: Option<&'a dyn Observer>,
    /// What stages run on, for their records.
    machine: Option<Machine>,
    /// When the work on the last stage began.
    begun: Cell<Instant>,
    performed: Cell<usize>,
    skipped: Cell<usize>,
    /// Stages whose outputs have been hashed by this process.
    verified: RefCell<BTreeSet<String>>,
    /// What computed the products of stages that this process performed, by their names.
    products: RefCell<BTreeMap<String, String>>,
}

impl<'a> Stages<'a> {
    /// The stages of the run in this folder; makes `stages/` when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(run: &Path) -> Result<Self, StageError> {
        let folder = run.join("stages");
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        Ok(Self::look(run))
    }

    /// The stages of the run in this folder, to be looked at; nothing is made.
    pub fn look(run: &Path) -> Self {
        Self {
            run: run.to_path_buf(),
            observer: None,
            machine: None,
            begun: Cell::new(Instant::now()),
            performed: Cell::new(0),
            skipped: Cell::new(0),
            verified: RefCell::default(),
            products: RefCell::default(),
        }
    }

    /// These stages, whose files are hashed until the observer asks to stop.
    pub fn observed(self, observer: &'a dyn Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// These stages, which run on a machine that their records name.
    pub fn on(self, machine: Machine) -> Self {
        Self { machine: Some(machine), ..self }
    }

    fn should_stop(&self) -> impl Fn() -> bool + Sync + use<'a> {
        let observer = self.observer;
        move || observer.is_some_and(|observer| observer.should_stop())
    }

    /// Runs a stage unless it is done, and records that it is. `work` receives the reason; outputs
    /// are files, and folders with all that they hold, relative to the run's folder.
    ///
    /// # Errors
    /// Those of `work`; [`StageError::Damaged`] when the output of a stage that this one uses is
    /// not as it was; [`ExperimentError::Interrupted`] when the observer asked to stop.
    pub fn perform(
        &self,
        stage: &Stage,
        outputs: &[&Path],
        observer: &dyn Observer,
        work: impl FnOnce(&Reason) -> crate::Result<()>,
    ) -> crate::Result<()> {
        let Status::Run(reason) = self.status(stage)? else {
            self.skipped.set(self.skipped.get() + 1);
            return Ok(());
        };
        if observer.should_stop() {
            return Err(ExperimentError::Interrupted);
        }
        for used in stage.uses() {
            self.verify(used)?;
        }
        // From here on the old output may be half replaced: no record may state that it is done.
        self.forget(stage)?;
        self.begun.set(Instant::now());
        work(&reason)?;
        self.mark_done(stage, outputs)?;
        self.performed.set(self.performed.get() + 1);
        Ok(())
    }

    /// Notes what computed the products of a stage, for its record.
    pub fn computed(&self, stage: &Stage, products: String) {
        self.products.borrow_mut().insert(stage.name.clone(), products);
    }

    /// What computed the products of a finished stage, where its record has it.
    pub fn products(&self, name: &str) -> Option<String> {
        self.record(name).ok().flatten()?.products
    }

    /// Whether a stage is finished and used what another one has left last.
    pub fn is_of(&self, name: &str, used: &str) -> bool {
        let record = |name| self.record(name).ok().flatten();
        let (Some(one), Some(other)) = (record(name), record(used)) else { return false };
        one.stage.stages.get(used) == Some(&other.fingerprint)
    }

    /// The files that a finished stage left, relative to the run's folder.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn outputs_of(&self, name: &str) -> Result<Vec<PathBuf>, StageError> {
        let outputs = self.record(name)?.map(|record| record.outputs).unwrap_or_default();
        Ok(outputs.into_iter().map(|output| output.path).collect())
    }

    /// How many stages were performed, and how many were done already.
    pub fn counts(&self) -> (usize, usize) {
        (self.performed.get(), self.skipped.get())
    }

    /// Whether the stage has to run, and why. Outputs of its size and time are not read again when
    /// they are large.
    ///
    /// # Errors
    /// When the record or an output cannot be read.
    pub fn status(&self, stage: &Stage) -> Result<Status, StageError> {
        let Some(record) = self.record(&stage.name)? else {
            return Ok(Status::Run(Reason::NeverFinished));
        };
        if record.fingerprint != stage.fingerprint() {
            return Ok(Status::Run(record.stage.difference(stage)));
        }
        let problem = self.problem(&record, Look::Quick)?;
        Ok(problem.map_or(Status::Done, Status::Run))
    }

    /// Hashes everything that a stage of this name left, once in a process. Does nothing about a
    /// stage without a record.
    ///
    /// # Errors
    /// [`StageError::Damaged`] when a file is not as it was.
    pub fn verify(&self, name: &str) -> Result<(), StageError> {
        if self.verified.borrow().contains(name) {
            return Ok(());
        }
        let Some(record) = self.record(name)? else { return Ok(()) };
        match self.problem(&record, Look::Close)? {
            Some(Reason::OutputDamaged { path } | Reason::OutputMissing { path }) => {
                Err(StageError::Damaged { stage: name.to_owned(), path: self.run.join(path) })
            }
            _ => {
                self.verified.borrow_mut().insert(name.to_owned());
                Ok(())
            }
        }
    }

    /// Notes that the outputs of a stage are elsewhere, where they are verified: a record that this
    /// run has of its own does not count.
    pub fn mark_elsewhere(&self, stage: &Stage) {
        self.verified.borrow_mut().insert(stage.name.clone());
    }

    /// Puts outputs of a finished stage that are damaged or lost back, where `spare` names a file
    /// that has the same contents. Returns the outputs that came back.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn restore(
        &self,
        stage: &Stage,
        spare: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Vec<PathBuf>, StageError> {
        let record = self.record(&stage.name)?;
        let Some(record) = record.filter(|record| record.fingerprint == stage.fingerprint()) else {
            return Ok(Vec::new());
        };
        let should_stop = self.should_stop();
        let mut restored = Vec::new();
        for output in record.outputs {
            let place = self.run.join(&output.path);
            let problem = output.problem(&should_stop, &self.run, Look::Quick);
            let problem = problem.map_err(failed("read", &place))?;
            let Some(spare) = problem.and_then(|_| spare(&output.path)) else { continue };
            if output.is_in(&should_stop, &spare).map_err(failed("read", &spare))? {
                let copy = || {
                    place.parent().map_or(Ok(()), fs::create_dir_all)?;
                    atomic_file::write_with(&place, |beside| fs::copy(&spare, beside).map(drop))
                };
                copy().map_err(failed("write", &place))?;
                restored.push(output.path);
            }
        }
        Ok(restored)
    }

    /// Copies the record of a finished stage, for [`adopt`](Self::adopt).
    ///
    /// # Errors
    /// When the record cannot be read or the copy not be written.
    pub fn copy_record(&self, stage: &Stage, copy: &Path) -> Result<(), StageError> {
        let path = self.path(&stage.name);
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        atomic_file::write(copy, &bytes).map_err(failed("write", copy))
    }

    /// Takes a copied record for that of the stage, if it is one and every output is as it states.
    ///
    /// # Errors
    /// When an output cannot be read or the record not be written.
    pub fn adopt(&self, stage: &Stage, copy: &Path) -> Result<bool, StageError> {
        let Ok(bytes) = fs::read(copy) else { return Ok(false) };
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        let record = record.filter(|record| record.fingerprint == stage.fingerprint());
        let Some(record) = record else { return Ok(false) };
        if self.problem(&record, Look::Close)?.is_some() {
            return Ok(false);
        }
        let path = self.path(&stage.name);
        atomic_file::write(&path, &bytes).map_err(failed("write", &path))?;
        Ok(true)
    }

    /// Records that the stage is done, with its outputs in the run's folder.
    ///
    /// # Errors
    /// When an output cannot be read or the record not be written.
    pub fn mark_done(&self, stage: &Stage, outputs: &[&Path]) -> Result<(), StageError> {
        self.write_record(stage, outputs, &self.path(&stage.name))
    }

    /// Writes what a finished stage left to a place of the caller's own.
    ///
    /// # Errors
    /// When an output cannot be read or the record not be written.
    pub fn write_record<P: AsRef<Path>>(
        &self,
        stage: &Stage,
        outputs: &[P],
        place: &Path,
    ) -> Result<(), StageError> {
        let outputs: Vec<&Path> = outputs.iter().map(AsRef::as_ref).collect();
        let outputs = outputs::list(&self.should_stop(), &self.run, &outputs);
        let outputs = outputs.map_err(failed("read", &self.run))?;
        let (fingerprint, stage) = (stage.fingerprint(), stage.clone());
        let products = self.products.borrow().get(&stage.name).cloned();
        let end = self.machine.clone().map(|machine| StageEnd {
            time: time_of_day(SystemTime::now()),
            seconds: self.begun.get().elapsed().as_secs_f64(),
            machine,
        });
        let record = Record { fingerprint, stage, outputs, products, end };
        let text = serde_json::to_string_pretty(&record)
            .map_err(|source| StageError::Settings { stage: record.stage.name.clone(), source })?;
        atomic_file::write(place, text.as_bytes()).map_err(failed("write", place))
    }

    /// Removes the record of a stage of this name, whatever its settings were.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn forget(&self, stage: &Stage) -> Result<(), StageError> {
        let path = self.path(&stage.name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(StageError::File { action: "remove", path, source })
            }
            _ => atomic_file::sync_entry(&path).map_err(failed("write", &path)),
        }
    }

    fn problem(&self, record: &Record, look: Look) -> Result<Option<Reason>, StageError> {
        for output in &record.outputs {
            let path = self.run.join(&output.path);
            let problem = output.problem(&self.should_stop(), &self.run, look);
            let problem = problem.map_err(failed("read", &path))?;
            if problem.is_some() {
                return Ok(problem);
            }
        }
        Ok(None)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.run.join("stages").join(format!("{name}.json"))
    }

    /// What the stage left when it was last done. A record that cannot be understood counts as
    /// none.
    pub(crate) fn record(&self, name: &str) -> Result<Option<Record>, StageError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StageError::File { action: "read", path, source }),
        }
    }
}

/// Checks the files of a folder against a copied record of the stage that left them, which may have
/// been moved with it. A copy that is not there or cannot be understood knows nothing.
///
/// # Errors
/// [`StageError::Damaged`] when a file is not as it was.
pub fn verify_folder(copy: &Path, folder: &Path) -> Result<(), StageError> {
    let bytes = fs::read(copy).unwrap_or_default();
    let Ok(Record { stage, outputs, .. }) = serde_json::from_slice(&bytes) else { return Ok(()) };
    for output in outputs {
        let is_in_folder = output.path.parent().and_then(Path::file_name) == folder.file_name();
        let Some(name) = output.path.file_name().filter(|_| is_in_folder) else { continue };
        let path = folder.join(name);
        if !output.is_in(&stop::never, &path).map_err(failed("read", &path))? {
            return Err(StageError::Damaged { stage: stage.name, path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    struct Run {
        folder: TempDir,
        stages: Stages<'static>,
    }

    fn run() -> Run {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("text")).unwrap();
        fs::write(folder.path().join("text/b.train"), "two").unwrap();
        fs::write(folder.path().join("text/a.train"), "one").unwrap();
        fs::write(folder.path().join("out"), "").unwrap();
        let stages = Stages::open(folder.path()).unwrap();
        Run { folder, stages }
    }

    fn stage(run: &Run, settings: Value) -> Stage {
        let text = run.folder.path().join("text");
        let files = ["a.train", "b.train"].map(|name| text.join(name));
        let there = files.iter().filter(|file| file.exists());
        Stage::new("clean", &settings).unwrap().reads_all(&stop::never, there).unwrap()
    }

    fn reason(run: &Run, stage: &Stage) -> String {
        match run.stages.status(stage).unwrap() {
            Status::Done => "done".to_string(),
            Status::Run(reason) => reason.to_string(),
        }
    }

    #[test]
    fn a_stage_is_done_until_something_changes() {
        let run = run();
        let first = stage(&run, json!({ "clean": true, "train": { "epochs": 4 } }));
        assert_eq!(reason(&run, &first), "not done yet");
        run.stages.mark_done(&first, &[Path::new("out")]).unwrap();
        assert_eq!(run.stages.status(&first).unwrap(), Status::Done);
        assert!(!run.folder.path().join("stages/clean.json.partial").exists());

        let changed = stage(&run, json!({ "clean": true, "train": { "epochs": 8 } }));
        assert_eq!(reason(&run, &changed), "settings changed: train.epochs was 4, is 8");
        let gone = stage(&run, json!({ "train": { "epochs": 4 } }));
        assert_eq!(reason(&run, &gone), "settings changed: clean was true, is not set");

        fs::remove_file(run.folder.path().join("out")).unwrap();
        assert_eq!(reason(&run, &first), "output out is missing");
    }

    /// A run with one finished stage of a file and a folder, and what it left.
    fn finished() -> (Run, Stage) {
        let run = run();
        fs::create_dir(run.folder.path().join("made")).unwrap();
        fs::write(run.folder.path().join("made/weights"), "weights").unwrap();
        let stage = stage(&run, json!(1));
        run.stages.mark_done(&stage, &[Path::new("out"), Path::new("made")]).unwrap();
        assert_eq!(reason(&run, &stage), "done");
        (run, stage)
    }

    #[test]
    fn damaged_outputs_are_found_at_any_time_of_change() {
        let (run, stage) = finished();
        let path = run.folder.path().join("made/weights");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        for text in ["Weights", "weight", "weights and more", ""] {
            fs::write(&path, text).unwrap();
            fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
            assert_eq!(reason(&run, &stage), "output made/weights is not as it was written");
            let problem = run.stages.verify("clean").unwrap_err().to_string();
            assert!(problem.ends_with("made/weights is not as stage clean left it"), "{problem}");
        }
        fs::write(&path, "weights").unwrap();
        assert_eq!(reason(&run, &stage), "done", "another time alone is no damage");
        run.stages.verify("clean").unwrap();
    }

    #[test]
    fn outputs_come_back_from_a_file_of_the_same_contents_alone() {
        let (run, stage) = finished();
        let spare = run.folder.path().join("spare");
        fs::remove_dir_all(run.folder.path().join("made")).unwrap();
        let restore = || {
            run.stages.restore(&stage, |output| output.starts_with("made").then(|| spare.clone()))
        };
        assert_eq!(restore().unwrap(), Vec::<PathBuf>::new(), "there is no such file");
        fs::write(&spare, "another").unwrap();
        assert_eq!(restore().unwrap(), Vec::<PathBuf>::new());
        fs::write(&spare, "weights").unwrap();
        assert_eq!(restore().unwrap(), [Path::new("made/weights")]);
        assert_eq!(reason(&run, &stage), "done");
    }

    #[test]
    fn a_stage_does_not_use_what_is_damaged() {
        let (run, lower) = finished();
        let upper = Stage::new("tokens", &()).unwrap().after(&lower);
        fs::remove_file(run.folder.path().join("out")).unwrap();
        let work = |_: &Reason| panic!("it must not run");
        let refused = run.stages.perform(&upper, &[], &crate::Silent, work);
        assert!(refused.unwrap_err().to_string().contains("out is not as stage clean left it"));
    }

    #[test]
    fn contents_count_and_nothing_else_of_a_file() {
        let run = run();
        let first = stage(&run, json!(1));
        run.stages.mark_done(&first, &[]).unwrap();
        fs::write(run.folder.path().join("text/b.train"), "two").unwrap();
        assert_eq!(stage(&run, json!(1)), first);
        fs::write(run.folder.path().join("text/b.train"), "TWO").unwrap();
        assert_eq!(reason(&run, &stage(&run, json!(1))), "input b.train changed");
        fs::remove_file(run.folder.path().join("text/b.train")).unwrap();
        assert_eq!(reason(&run, &stage(&run, json!(1))), "input b.train changed");
    }

    #[test]
    fn a_single_file_is_named_by_its_name() {
        let run = run();
        let stage =
            Stage::new("x", &()).unwrap().reads(&run.folder.path().join("text/a.train")).unwrap();
        assert_eq!(stage.files.keys().collect::<Vec<_>>(), ["a.train"]);
        let twice = stage.clone().reads(&run.folder.path().join("text/a.train")).unwrap();
        assert_eq!(twice.files.keys().collect::<Vec<_>>(), ["a.train", "a.train (1)"]);
        let absent = Stage::new("x", &())
            .unwrap()
            .reads(&run.folder.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(absent.starts_with("cannot read ") && absent.contains("none"), "{absent}");
        let folder = Stage::new("x", &()).unwrap().reads(&run.folder.path().join("text"));
        assert!(folder.unwrap_err().to_string().ends_with("it is not a regular file"));
    }

    #[test]
    fn a_change_below_reaches_the_stages_above() {
        let run = run();
        let lower = stage(&run, json!(1));
        let upper = Stage::new("tokens", &()).unwrap().after(&lower);
        run.stages.mark_done(&upper, &[]).unwrap();
        assert_eq!(reason(&run, &upper), "done");
        let upper = Stage::new("tokens", &()).unwrap().after(&stage(&run, json!(2)));
        assert_eq!(reason(&run, &upper), "stage clean changed");
    }

    #[test]
    fn a_record_that_makes_no_sense_counts_as_none() {
        let run = run();
        let stage = stage(&run, json!(1));
        fs::write(run.folder.path().join("stages/clean.json"), "{").unwrap();
        assert_eq!(reason(&run, &stage), "not done yet");
    }

    #[test]
    fn single_precision_settings_read_back_equal() {
        let run = run();
        let stage = stage(&run, serde_json::to_value(0.1f32).unwrap());
        run.stages.mark_done(&stage, &[]).unwrap();
        assert_eq!(reason(&run, &stage), "done");
    }
}

//! What there is to fine-tune for: the named tasks whose files are there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eval::classification::{
    ClassificationTask, Rows, TaskFiles, classification_tasks, find_files, find_task,
};
use eval::{BENCHMARKS, Benchmark, EvalError, Rules};

use crate::error::{Context, ExperimentError, Result, refuse, wrong_usage};
use crate::failures::Part;
use crate::recipe::suggestion;

/// Items that a fine-tuned model answers.
pub struct Questions {
    /// The task that the items belong to.
    pub task: &'static ClassificationTask,
    /// The items.
    pub rows: Rows,
}

/// One fine-tuning.
pub struct Job {
    /// The items to learn from.
    pub training: Rows,
    /// The first set belongs to the training items and chooses the weights; the model answers the
    /// others besides.
    pub validation: Vec<Questions>,
}

/// The jobs of a folder.
#[derive(Default)]
pub struct Jobs {
    /// What can be done.
    pub jobs: Vec<Job>,
    /// Tasks whose files are there and cannot be used, and why.
    pub broken: Vec<Broken>,
    /// What was left out and why, in sentences.
    pub skipped: Vec<String>,
}

/// A job that cannot be done.
pub struct Broken {
    /// The task that names the settings comes first.
    pub tasks: Vec<&'static ClassificationTask>,
    /// The reason.
    pub why: Arc<ExperimentError>,
}

impl Broken {
    /// What a model cannot be fine-tuned for.
    pub fn part(&self, model: &str) -> Part {
        let tasks = self.tasks.iter().map(|task| task.name).collect();
        Part { tasks, ..Part::whole(model, self.tasks[0].benchmark.name()) }
    }
}

impl Job {
    /// The tasks of its sets.
    pub fn tasks(&self) -> Vec<&'static ClassificationTask> {
        self.validation.iter().map(|questions| questions.task).collect()
    }

    /// The task that names the settings.
    pub fn task(&self) -> &'static ClassificationTask {
        self.validation[0].task
    }
}

/// The tasks of a list of names, in the order of the benchmarks: `glue` and `msgs` stand for those
/// of a pipeline; no name at all for all of its tasks.
pub fn select_tasks(names: &[String], rules: Rules) -> Result<Vec<&'static ClassificationTask>> {
    for name in names {
        if find_task(name).is_none() && !fine_tuned().any(|benchmark| benchmark.name() == name) {
            let benchmarks = fine_tuned().map(|benchmark| benchmark.name());
            let known: Vec<&str> =
                benchmarks.chain(classification_tasks().map(|task| task.name)).collect();
            return wrong_usage(format_args!(
                "--tasks {name}: there is no such task; {}",
                suggestion(name, known.iter().copied())
            ))
            .advise(format!("give --tasks some of: {}", known.join(", ")));
        }
    }
    let asked = |task: &&ClassificationTask| {
        let named = |wanted: &str| names.iter().any(|name| name == wanted);
        let is_of_all = names.is_empty() || named(task.benchmark.name());
        named(task.name) || (is_of_all && task.is_of(rules))
    };
    Ok(classification_tasks().filter(asked).collect())
}

fn fine_tuned() -> impl Iterator<Item = &'static dyn Benchmark> {
    BENCHMARKS.iter().copied().filter(|benchmark| benchmark.kind().is_fine_tuned())
}

impl Jobs {
    /// Reads the files of the tasks. A task without a training or a validation file is skipped; of
    /// a task that was not named and has neither is left out silently.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(
        folder: &Path,
        tasks: &[&'static ClassificationTask],
        rules: Rules,
        named: bool,
    ) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map(drop);
        entries.map_err(|cause| EvalError::Io { path: folder.to_owned(), cause })?;
        let mut found = Self::default();
        for task in tasks {
            // By 2024 the model fine-tuned for MNLI answers both halves: they are one job,
            // whichever was asked for.
            let shared = rules == Rules::Year2024 && task.name.starts_with("mnli");
            if shared && task.name == "mnli-mm" && tasks.iter().any(|other| other.name == "mnli") {
                continue;
            }
            let first = if shared { find_task("mnli").unwrap_or(task) } else { task };
            let besides = find_task("mnli-mm").filter(|_| shared);
            found.add(folder, first, besides, named)?;
        }
        Ok(found)
    }

    /// # Errors
    /// When no task's files can be used.
    pub fn require_any(mut self, folder: &Path) -> Result<Self> {
        if self.jobs.is_empty() && !self.broken.is_empty() {
            return Err(ExperimentError::Shared(self.broken.remove(0).why));
        }
        self.require_files(folder)
    }

    /// # Errors
    /// When there are no files of any task.
    pub fn require_files(self, folder: &Path) -> Result<Self> {
        if !self.jobs.is_empty() || !self.broken.is_empty() {
            return Ok(self);
        }
        let why = if self.skipped.is_empty() {
            String::new()
        } else {
            format!(": {}", self.skipped.join("; "))
        };
        refuse(format_args!("{} has the files of no task{why}", folder.display())).advise(
            "give a folder with TASK.train.jsonl and TASK.valid.jsonl, such as rte.train.jsonl",
        )
    }

    /// Adds a task, and the items of another one that its model answers `besides`, where they are
    /// there.
    fn add(
        &mut self,
        folder: &Path,
        task: &'static ClassificationTask,
        besides: Option<&'static ClassificationTask>,
        named: bool,
    ) -> Result<()> {
        let (training, validation) = match find_files(folder, task) {
            TaskFiles { training: Some(training), validation: Some(validation) } => {
                (training, validation)
            }
            TaskFiles { training: None, validation: None } if !named => return Ok(()),
            TaskFiles { training, validation } => {
                let missing = match (training, validation) {
                    (None, None) => "training and no validation",
                    (None, _) => "training",
                    _ => "validation",
                };
                let folder = folder.display();
                self.skipped.push(format!(
                    "{}: skipped, there is no {missing} file in {folder}",
                    task.name
                ));
                return Ok(());
            }
        };
        let besides = besides.and_then(|task| Some((task, find_files(folder, task).validation?)));
        let sets: Vec<_> = [(task, validation)].into_iter().chain(besides).collect();
        let job = Rows::read(task, &training).and_then(|training| {
            let read = |(task, path): &(&'static _, PathBuf)| {
                Ok(Questions { task, rows: Rows::read(task, path)? })
            };
            Ok(Job {
                training,
                validation: sets.iter().map(read).collect::<std::result::Result<_, EvalError>>()?,
            })
        });
        match job.map_err(ExperimentError::from) {
            Ok(job) => self.jobs.push(job),
            Err(why) if why.concerns_everything() => return Err(why),
            Err(why) => {
                let tasks = sets.iter().map(|(task, _)| *task).collect();
                self.broken.push(Broken { tasks, why: why.into() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        select_tasks(&names, Rules::Year2024).unwrap().iter().map(|task| task.name).collect()
    }

    #[test]
    fn tasks_are_chosen_by_name_and_by_suite() {
        assert_eq!(select(&["wsc", "rte", "wsc"]), ["rte", "wsc"]);
        assert_eq!(
            (select(&["glue"]).len(), select(&["msgs", "rte"]).len(), select(&[]).len()),
            (11, 12, 22)
        );
        let error = select_tasks(&["rtee".to_owned()], Rules::Year2024).unwrap_err().to_string();
        assert_eq!(error, "--tasks rtee: there is no such task; did you mean `rte`?");
        for rules in [Rules::Year2025, Rules::Year2026] {
            let count = |names: &[&str]| {
                let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
                select_tasks(&names, rules).unwrap().len()
            };
            assert_eq!((count(&["glue"]), count(&["glue", "cola"]), count(&["qnli"])), (7, 8, 1));
        }
    }

    /// The tasks of each job of a folder with these files, and what was skipped.
    fn jobs(
        files: &[&str],
        tasks: &[&str],
        rules: Rules,
    ) -> std::result::Result<(Vec<Vec<&'static str>>, Vec<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let item = |label| {
                format!(
                    "{{\"premise\": \"a\", \"hypothesis\": \"b\", \"sentence\": \"c\", \"label\": \
                     {label}}}\n"
                )
            };
            std::fs::write(folder.path().join(file), item(0) + &item(1)).unwrap();
        }
        let names: Vec<String> = tasks.iter().map(|name| name.to_string()).collect();
        let found = Jobs::read(
            folder.path(),
            &select_tasks(&names, rules).unwrap(),
            rules,
            !tasks.is_empty(),
        );
        let found = found.map_err(|error| error.to_string())?;
        let tasks =
            |job: &Job| job.validation.iter().map(|questions| questions.task.name).collect();
        let shown = |text: &String| text.replace(&folder.path().display().to_string(), "DATA");
        Ok((found.jobs.iter().map(tasks).collect(), found.skipped.iter().map(shown).collect()))
    }

    const MNLI: [&str; 3] = ["mnli.train.jsonl", "mnli.valid.jsonl", "mnli-mm.valid.jsonl"];

    #[test]
    fn the_mismatched_half_is_a_task_of_its_own_only_in_2023() {
        for asked in [&["mnli"][..], &["mnli-mm"], &["mnli", "mnli-mm"], &[]] {
            assert_eq!(
                jobs(&MNLI, asked, Rules::Year2024).unwrap().0,
                [["mnli", "mnli-mm"]],
                "{asked:?}"
            );
        }
        assert_eq!(jobs(&MNLI, &[], Rules::Year2023).unwrap().0, [["mnli"], ["mnli-mm"]]);
        assert_eq!(jobs(&MNLI, &["mnli-mm"], Rules::Year2023).unwrap().0, [["mnli-mm"]]);
        assert_eq!(jobs(&MNLI[..2], &["mnli"], Rules::Year2024).unwrap().0, [["mnli"]]);
        assert_eq!(jobs(&MNLI, &[], Rules::Year2026).unwrap().0, [["mnli"]]);
    }

    #[test]
    fn tasks_without_files_are_skipped_with_the_reason() {
        let files = ["cola.train.json", "cola.validation.json", "sst2.valid.jsonl"];
        let (found, skipped) = jobs(&files, &[], Rules::Year2024).unwrap();
        assert_eq!(
            (found, skipped),
            (vec![vec!["cola"]], vec!["sst2: skipped, there is no training file in DATA".into()])
        );
        let (_, skipped) = jobs(&files, &["cola", "rte"], Rules::Year2024).unwrap();
        assert_eq!(skipped, ["rte: skipped, there is no training and no validation file in DATA"]);
        let refusal = |names: &[&str], asked: &[&str]| {
            let (found, skipped) = jobs(names, asked, Rules::Year2024).unwrap();
            assert!(found.is_empty());
            let nothing = Jobs { skipped, ..Jobs::default() };
            nothing.require_any(Path::new("DATA")).err().unwrap().to_string()
        };
        assert!(
            refusal(&files, &["sst2"]).contains("DATA has the files of no task: sst2: skipped")
        );
        assert!(refusal(&[], &[]).ends_with("has the files of no task"));
    }

    /// A job goes with all of its sets: its model would otherwise be trained again when the broken
    /// one is mended.
    #[test]
    fn a_broken_file_concerns_its_job_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let item =
            "{\"premise\": \"a\", \"hypothesis\": \"b\", \"sentence\": \"c\", \"label\": 0}\n";
        for file in ["mnli.train.jsonl", "mnli.valid.jsonl", "cola.train.jsonl", "cola.valid.jsonl"]
        {
            write(file, item);
        }
        write("mnli-mm.valid.jsonl", &item[..20]);
        let read = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            let rules = Rules::Year2024;
            Jobs::read(folder.path(), &select_tasks(&names, rules).unwrap(), rules, true).unwrap()
        };
        let found = read(&["cola", "mnli"]);
        assert_eq!(
            (found.jobs.len(), found.jobs[0].task().name, found.broken.len()),
            (1, "cola", 1)
        );
        let part = found.broken[0].part("a");
        assert_eq!((part.to_string().as_str(), part.tasks), ("a on mnli", vec!["mnli", "mnli-mm"]));
        assert!(found.broken[0].why.to_string().contains("mnli-mm.valid.jsonl, line 1: bad JSON"));
        // With nothing else to do that is the end.
        let end = read(&["mnli"]).require_any(folder.path()).err().unwrap().to_string();
        assert!(end.contains("mnli-mm.valid.jsonl, line 1: bad JSON"), "{end}");
    }
}

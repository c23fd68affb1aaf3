//! Failures in the folder of the results, for the page about it, and as JSON.

use std::path::Path;
use std::sync::Arc;

use eval::classification::find_task;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHECKPOINT, Failures, Part};
use crate::error::{ExperimentError, Result};
use crate::evaluation::challenge::{AnyTask, all_tasks};
use crate::files;

/// The file with the parts that failed, in the folder that the results are in.
const FILE: &str = "failed.json";

/// A part that failed, as the file has it.
#[derive(Serialize, Deserialize)]
struct Entry {
    model: String,
    benchmark: String,
    tasks: Vec<String>,
    seed: Option<u64>,
    reason: String,
}

impl Failures {
    /// Writes what failed beside the results, in place of what failed in an earlier call.
    ///
    /// # Errors
    /// When the file cannot be written or removed.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        match self.0.is_empty() {
            true => files::remove(&path),
            false => files::write_json(&path, &self.entries()),
        }
    }

    /// The parts that failed in the last call that filled a folder; none where the file is not
    /// there.
    ///
    /// # Errors
    /// When the file cannot be read, or names a benchmark or a task that is not known.
    pub(crate) fn kept(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let entries: Vec<Entry> = files::read_json(&path)?;
        let failure = |entry: Entry| {
            let error = ExperimentError::Refused(entry.reason.clone());
            Some((entry.part()?, error.into()))
        };
        let failed: Option<Vec<_>> = entries.into_iter().map(failure).collect();
        let unknown = format!("{} names what is not known", path.display());
        failed.map(Self).ok_or(ExperimentError::Refused(unknown))
    }

    /// These failures with other names of the models.
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        self.0.iter_mut().for_each(|(part, _)| part.model = name(&part.model));
        self
    }

    /// These failures and those of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The parts that failed, as text, each with its reason.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(part, error)| (part.to_string(), error.cause()))
    }

    /// The failures of a model, as JSON.
    pub fn to_json(&self, model: &str) -> Value {
        let of_model = self.entries().into_iter().filter(|entry| entry.model == model);
        of_model.map(|entry| json!(entry)).collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |(part, error): &(Part, Arc<ExperimentError>)| Entry {
            model: part.model.clone(),
            benchmark: part.benchmark.to_owned(),
            tasks: part.tasks.iter().map(|task| (*task).to_owned()).collect(),
            seed: part.seed,
            reason: error.cause(),
        };
        self.0.iter().map(entry).collect()
    }
}

impl Entry {
    /// The part, where the benchmark, or the task of the challenge, and tasks are known.
    fn part(self) -> Option<Part> {
        let of_challenge = || {
            all_tasks().map(AnyTask::name).chain([CHECKPOINT]).find(|name| *name == self.benchmark)
        };
        let known = eval::find_benchmark(&self.benchmark).map(|benchmark| benchmark.name());
        let benchmark = known.or_else(of_challenge)?;
        let tasks = self.tasks.iter().map(|task| Some(find_task(task)?.name));
        Some(Part {
            model: self.model,
            benchmark,
            tasks: tasks.collect::<Option<_>>()?,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Silent;

    #[test]
    fn what_failed_last_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut failures = Failures::default();
        let part = Part { tasks: vec!["rte"], seed: Some(1), ..Part::whole("m", "glue") };
        failures.add(part, ExperimentError::Refused("x".to_owned()).into(), &Silent);
        let part = Part::whole("m", "comps");
        failures.add(part, ExperimentError::Refused("y".to_owned()).into(), &Silent);
        failures.keep(folder).unwrap();
        let kept = Failures::kept(folder).unwrap().renamed(|model| format!("run/{model}"));
        assert_eq!(kept.mark("run/m", "glue", Some("rte")), Some("failed (1)".to_owned()));
        assert_eq!(kept.footnotes(), "(1) run/m on rte, seed 1: x\n(2) run/m on comps: y\n");
        std::fs::write(folder.join(FILE), "[{").unwrap();
        assert!(Failures::kept(folder).is_err(), "it is damaged");
        Failures::default().keep(folder).unwrap();
        assert!(
            !folder.join(FILE).exists() && Failures::kept(folder).unwrap().listed().count() == 0
        );
    }
}

//! Parts of the work that fail while the others go on: a task whose data is broken, a fine-tuning
//! that diverges.
//!
//! Such a part is reported at once and stands as `failed (N)` in the tables, with reason N in a
//! footnote; when everything else is done, the work ends with [`ExperimentError::Parts`].

mod kept;

use std::fmt;
use std::sync::Arc;

use engine::fault;

use crate::error::{Context, ExperimentError, Result};
use crate::observer::Observer;

/// What is done for one model: a benchmark, or one of its tasks with one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The model's short name.
    pub model: String,
    /// The benchmark's name in files.
    pub benchmark: &'static str,
    /// The tasks of the part; none for all of the benchmark.
    pub tasks: Vec<&'static str>,
    /// The seed, where the part has one.
    pub seed: Option<u64>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.model, self.tasks.first().unwrap_or(&self.benchmark))?;
        self.seed.map_or(Ok(()), |seed| write!(f, ", seed {seed}"))
    }
}

/// What stands in place of a benchmark where a checkpoint of the challenge cannot be read.
pub(crate) const CHECKPOINT: &str = "checkpoint";

impl Part {
    /// A benchmark with all its tasks.
    pub fn whole(model: &str, benchmark: &'static str) -> Self {
        Self { model: model.to_owned(), benchmark, tasks: Vec::new(), seed: None }
    }

    fn covers(&self, model: &str, benchmark: &str, task: Option<&str>) -> bool {
        let covers = |task: &str| self.tasks.is_empty() || self.tasks.contains(&task);
        self.model == model && self.benchmark == benchmark && task.is_none_or(covers)
    }
}

/// The parts that failed so far, each with its reason.
#[derive(Clone, Debug, Default)]
pub struct Failures(Vec<(Part, Arc<ExperimentError>)>);

impl Failures {
    /// Does a part; nothing when it failed for a reason of its own.
    ///
    /// # Errors
    /// When the reason concerns all other parts too.
    pub fn attempt<T>(
        &mut self,
        part: Part,
        observer: &dyn Observer,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        let error = match fault::catch(work) {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(error)) => error,
            Err(fault) => fault.into(),
        };
        if error.concerns_everything() {
            return Err(error).within(|| part.to_string());
        }
        self.add(part, error.into(), observer);
        Ok(None)
    }

    /// Records that a part failed, and reports it.
    pub fn add(&mut self, part: Part, error: Arc<ExperimentError>, observer: &dyn Observer) {
        observer.warn(format_args!("{part}: failed: {}", error.cause()));
        self.0.push((part, error));
    }

    /// The distinct reasons, in the order in which they came.
    fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = Vec::new();
        for (_, error) in &self.0 {
            let cause = error.cause();
            if !reasons.contains(&cause) {
                reasons.push(cause);
            }
        }
        reasons
    }

    /// What a table shows instead of a number, such as `failed (1)`: for a benchmark of a model
    /// when anything of it failed, for a task when that did.
    pub fn mark(&self, model: &str, benchmark: &str, task: Option<&str>) -> Option<String> {
        self.mark_where(|part| part.covers(model, benchmark, task))
    }

    /// What a table shows instead of a mean over several benchmarks when anything of one of them
    /// failed.
    pub fn mark_of_any(&self, model: &str, benchmarks: &[&str]) -> Option<String> {
        self.mark_where(|part| {
            benchmarks.iter().any(|benchmark| part.covers(model, benchmark, None))
        })
    }

    /// Whether the fine-tuning for a task with a seed is among them.
    pub(crate) fn has_finetuning(
        &self,
        model: &str,
        benchmark: &str,
        task: &str,
        seed: Option<u64>,
    ) -> bool {
        let is_meant = |part: &Part| {
            part.covers(model, benchmark, Some(task)) && (part.seed.is_none() || part.seed == seed)
        };
        self.0.iter().any(|(part, _)| is_meant(part))
    }

    fn mark_where(&self, is_meant: impl Fn(&Part) -> bool) -> Option<String> {
        let failed = self.0.iter().filter(|(part, _)| is_meant(part));
        let failed: Vec<String> = failed.map(|(_, error)| error.cause()).collect();
        let all = self.reasons();
        let numbers = all.iter().enumerate().filter(|(_, reason)| failed.contains(reason));
        let numbers: Vec<String> = numbers.map(|(index, _)| (index + 1).to_string()).collect();
        (!numbers.is_empty()).then(|| format!("failed ({})", numbers.join(", ")))
    }

    /// The names of the tasks of a benchmark that failed for any model.
    pub fn tasks(&self, benchmark: &str) -> Vec<&'static str> {
        let parts = self.0.iter().filter(|(part, _)| part.benchmark == benchmark);
        parts.flat_map(|(part, _)| part.tasks.iter().copied()).collect()
    }

    /// The parts that failed for a reason, in words.
    fn parts(&self, reason: &str) -> String {
        let failed = self.0.iter().filter(|(_, error)| error.cause() == reason);
        names(&failed.map(|(part, _)| part).collect::<Vec<_>>())
    }

    /// The lines below a table that explain its numbers; empty where nothing failed.
    pub fn footnotes(&self) -> String {
        let reasons = self.reasons().into_iter().enumerate();
        let line = |(index, reason): (usize, String)| {
            format!("({}) {}: {reason}\n", index + 1, self.parts(&reason))
        };
        reasons.map(line).collect()
    }

    /// The end of the work.
    ///
    /// # Errors
    /// [`ExperimentError::Parts`] when anything failed.
    pub fn conclude(self) -> Result<()> {
        let reasons = self.reasons();
        let message = match &reasons[..] {
            [] => return Ok(()),
            [reason] => format!("{} failed: {reason}", self.parts(reason)),
            _ => {
                let parts: Vec<&Part> = self.0.iter().map(|(part, _)| part).collect();
                format!("{} parts failed: {}", parts.len(), names(&parts))
            }
        };
        let mut distinct: Vec<Arc<ExperimentError>> = Vec::new();
        for (_, error) in self.0 {
            if !distinct.iter().any(|known| known.cause() == error.cause()) {
                distinct.push(error);
            }
        }
        Err(ExperimentError::Parts { message, reasons: distinct })
    }
}

/// Of many parts, those that are named.
const NAMED: usize = 4;

fn names(parts: &[&Part]) -> String {
    let named =
        parts.iter().take(NAMED).map(|part| part.to_string()).collect::<Vec<_>>().join("; ");
    match parts.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use engine::Fault;

    use super::*;
    use crate::observer::Silent;

    fn part(model: &str, task: &'static str, seed: u64) -> Part {
        Part { tasks: vec![task], seed: Some(seed), ..Part::whole(model, "glue") }
    }

    fn refused(reason: &str) -> ExperimentError {
        ExperimentError::Refused(reason.to_owned())
    }

    fn with(parts: &[(&str, &'static str, u64, &str)]) -> Failures {
        let mut failures = Failures::default();
        for (model, task, seed, reason) in parts {
            let found = failures.attempt(part(model, task, *seed), &Silent, || -> Result<()> {
                Err(refused(reason)).advise(format!("change {reason}"))
            });
            assert_eq!(found.unwrap(), None);
        }
        failures
    }

    fn end(failures: Failures) -> (String, Vec<String>) {
        match failures.conclude() {
            Err(ExperimentError::Parts { message, reasons }) => {
                let advice =
                    |error: &Arc<ExperimentError>| error.advice().unwrap_or_default().to_owned();
                (message, reasons.iter().map(advice).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_failed_is_marked_where_it_belongs() {
        let failures = with(&[("a", "rte", 1, "x"), ("a", "rte", 2, "y"), ("b", "wsc", 1, "x")]);
        let mark = |model, task| failures.mark(model, "glue", task).unwrap_or_default();
        assert_eq!(
            [mark("a", Some("rte")), mark("b", Some("wsc"))],
            ["failed (1, 2)", "failed (1)"]
        );
        assert_eq!([mark("a", Some("wsc")), mark("c", None)], ["", ""]);
        assert_eq!([mark("a", None), mark("b", None)], ["failed (1, 2)", "failed (1)"]);
        assert_eq!(failures.mark("a", "msgs", None), None);
        let failed = |seed| failures.has_finetuning("b", "glue", "wsc", Some(seed));
        assert_eq!([failed(1), failed(2)], [true, false]);
        assert_eq!(failures.mark_of_any("b", &["msgs", "glue"]), Some("failed (1)".to_owned()));
        assert_eq!(failures.mark_of_any("b", &[]), None);
        let notes = "(1) a on rte, seed 1; b on wsc, seed 1: x\n(2) a on rte, seed 2: y\n";
        assert_eq!(failures.footnotes(), notes);
        assert_eq!(failures.tasks("glue"), ["rte", "rte", "wsc"]);
        assert_eq!(failures.to_json("b")[0]["reason"], "x");
        let mut whole = Failures::default();
        whole.add(Part::whole("a", "blimp"), refused("z").into(), &Silent);
        assert_eq!(whole.mark("a", "blimp", Some("any task")), Some("failed (1)".to_owned()));
    }

    #[test]
    fn the_end_names_what_failed() {
        assert!(Failures::default().conclude().is_ok());
        let one = with(&[("a", "rte", 1, "x"), ("b", "rte", 1, "x")]);
        let expected = "a on rte, seed 1; b on rte, seed 1 failed: x";
        assert_eq!(end(one), (expected.to_owned(), vec!["change x".to_owned()]));
        let many = [("a", "rte", 1, "x"), ("a", "rte", 2, "y"), ("a", "rte", 3, "y")];
        let more = [("a", "wsc", 1, "z"), ("b", "wsc", 1, "z"), ("b", "wsc", 2, "z")];
        let (message, advice) = end(with(&[many, more].concat()));
        let named = "a on rte, seed 1; a on rte, seed 2; a on rte, seed 3; a on wsc, seed 1";
        assert_eq!(message, format!("6 parts failed: {named}; and 2 more"));
        assert_eq!(advice, ["change x", "change y", "change z"]);
        let (message, _) =
            end(with(&(0..55).map(|seed| ("a", "rte", seed, "x")).collect::<Vec<_>>()));
        assert!(message.ends_with("a on rte, seed 3; and 51 more failed: x"), "{message}");
    }

    #[test]
    fn what_concerns_everything_ends_the_work() {
        let ends = |error: ExperimentError| {
            let mut failures = Failures::default();
            let found =
                failures.attempt(part("a", "rte", 1), &Silent, || -> Result<()> { Err(error) });
            assert_eq!(found.is_err(), failures.conclude().is_ok());
            found.err().map(|error| error.cause())
        };
        let stopped = ends(ExperimentError::Interrupted).unwrap();
        assert!(stopped.starts_with("a on rte, seed 1: interrupted"), "{stopped}");
        let source = std::io::ErrorKind::StorageFull.into();
        let full = ExperimentError::File { action: "write", path: "result.json".into(), source };
        assert!(ends(full).is_some());
        let lost = Fault::Device { device: "cuda:0".into(), what: "gone".into() };
        assert!(ends(train::TrainError::Device(lost.clone()).into()).is_some());
        assert!(ends(lost.into()).is_some());
        assert!(ends(refused("bad line")).is_none());
        // Memory that one part lacks another may not need.
        let full = Fault::OutOfMemory { device: "cuda:0".into(), wanted: 3, free: 2, total: 2 };
        assert!(ends(full.clone().into()).is_none());
        let raised = Failures::default()
            .attempt(part("a", "rte", 1), &Silent, || -> Result<()> { fault::raise(full) });
        assert_eq!(raised.unwrap(), None);
    }
}

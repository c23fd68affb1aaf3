//! Parts of a command that fail while the others go on: a task whose data is broken, a fine-tuning
//! that diverges.
//!
//! Such a part is told at once, stands as `failed` with a number in the tables, under which the
//! number's reason stands, and ends the command with exit code 1 when everything else is done.

use std::fmt;

use engine::fault;
use serde_json::{Value, json};

use crate::console;
use crate::failure::{Failure, Hint, concerns_everything};

/// What a command does for one model: a benchmark, or one of its tasks with one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub model: String,
    /// The benchmark's name in files.
    pub benchmark: &'static str,
    /// The tasks that it stands for; none for all of the benchmark.
    pub tasks: Vec<&'static str>,
    pub seed: Option<u64>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.model, self.tasks.first().unwrap_or(&self.benchmark))?;
        self.seed.map_or(Ok(()), |seed| write!(f, ", seed {seed}"))
    }
}

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
#[derive(Debug, Default)]
pub struct Setbacks(Vec<(Part, Failure)>);

impl Setbacks {
    /// Does a part; nothing when it failed for a reason of its own.
    ///
    /// # Errors
    /// When the reason concerns all other parts too.
    pub fn attempt<T>(
        &mut self,
        part: Part,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let error = match fault::catch(work) {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(error)) => error,
            Err(fault) => fault.into(),
        };
        if concerns_everything(&error) {
            return Err(error.context(part.to_string()));
        }
        self.add(part, Failure::from(&error));
        Ok(None)
    }

    /// Notes that a part failed, and says so.
    pub fn add(&mut self, part: Part, failure: Failure) {
        console::note(format_args!("{part}: failed: {}", failure.cause));
        self.0.push((part, failure));
    }

    /// The distinct reasons, in the order in which they came.
    fn reasons(&self) -> Vec<&Failure> {
        let mut reasons: Vec<&Failure> = Vec::new();
        for (_, failure) in &self.0 {
            if !reasons.contains(&failure) {
                reasons.push(failure);
            }
        }
        reasons
    }

    /// What a table shows instead of a number, such as `failed (1)`: for a benchmark of a model
    /// when anything of it failed, for a task when that did.
    pub fn mark(&self, model: &str, benchmark: &str, task: Option<&str>) -> Option<String> {
        self.mark_where(|part| part.covers(model, benchmark, task))
    }

    /// The same for a mean over several benchmarks.
    pub fn mark_of_any(&self, model: &str, benchmarks: &[&str]) -> Option<String> {
        self.mark_where(|part| {
            benchmarks.iter().any(|benchmark| part.covers(model, benchmark, None))
        })
    }

    fn mark_where(&self, is_meant: impl Fn(&Part) -> bool) -> Option<String> {
        let failed: Vec<&Failure> =
            self.0.iter().filter(|(part, _)| is_meant(part)).map(|(_, failure)| failure).collect();
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
    fn parts(&self, reason: &Failure) -> String {
        let parts: Vec<&Part> =
            self.0.iter().filter(|(_, failure)| failure == reason).map(|(part, _)| part).collect();
        names(&parts)
    }

    /// The lines below a table that say what its numbers stand for; empty where nothing failed.
    pub fn footnotes(&self) -> String {
        let reasons = self.reasons().into_iter().enumerate();
        reasons
            .map(|(index, reason)| {
                format!("({}) {}: {}\n", index + 1, self.parts(reason), reason.cause)
            })
            .collect()
    }

    /// Those of a model, as JSON.
    pub fn to_json(&self, model: &str) -> Value {
        let of_model = self.0.iter().filter(|(part, _)| part.model == model);
        let entry = |(part, failure): &(Part, Failure)| {
            let Part { benchmark, tasks, seed, .. } = part;
            json!({ "benchmark": benchmark, "tasks": tasks, "seed": seed, "reason": failure.cause })
        };
        of_model.map(entry).collect()
    }

    /// The end of a command.
    ///
    /// # Errors
    /// When anything failed: all that did, with the reason where there is one for all, and what to
    /// do.
    pub fn conclude(&self) -> anyhow::Result<()> {
        let reasons = self.reasons();
        let failed = match &reasons[..] {
            [] => return Ok(()),
            [reason] => format!("{} failed: {}", self.parts(reason), reason.cause),
            _ => {
                let parts: Vec<&Part> = self.0.iter().map(|(part, _)| part).collect();
                format!("{} parts failed: {}", parts.len(), names(&parts))
            }
        };
        let mut advice: Vec<&str> = Vec::new();
        for reason in reasons {
            if !advice.contains(&reason.advice.as_str()) {
                advice.push(&reason.advice);
            }
        }
        let advice = match advice[..] {
            [one] if one.contains("is kept") => one.to_owned(),
            [one] => format!("{one}; what succeeded is kept"),
            _ => "mend the causes below the table and give the same command again; what \
             succeeded is kept"
                .to_owned(),
        };
        Err(anyhow::anyhow!(failed)).hint(advice)
    }
}

/// Of many parts, those that are told by name.
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
    use anyhow::anyhow;
    use engine::Fault;

    use super::*;
    use crate::failure::Interrupted;

    fn part(model: &str, task: &'static str, seed: u64) -> Part {
        Part { tasks: vec![task], seed: Some(seed), ..Part::whole(model, "glue") }
    }

    fn with(parts: &[(&str, &'static str, u64, &str)]) -> Setbacks {
        let mut setbacks = Setbacks::default();
        for (model, task, seed, reason) in parts {
            let found = setbacks.attempt(part(model, task, *seed), || -> anyhow::Result<()> {
                Err(anyhow!("{reason}")).hint(format!("change {reason}"))
            });
            assert_eq!(found.unwrap(), None);
        }
        setbacks
    }

    fn end(setbacks: &Setbacks) -> (String, String) {
        let failure = Failure::from(&setbacks.conclude().unwrap_err());
        assert_eq!(failure.code, 1);
        (failure.cause, failure.advice)
    }

    #[test]
    fn what_failed_is_marked_where_it_belongs() {
        let setbacks = with(&[("a", "rte", 1, "x"), ("a", "rte", 2, "y"), ("b", "wsc", 1, "x")]);
        let mark = |model, task| setbacks.mark(model, "glue", task).unwrap_or_default();
        assert_eq!(
            [mark("a", Some("rte")), mark("b", Some("wsc"))],
            ["failed (1, 2)", "failed (1)"]
        );
        assert_eq!([mark("a", Some("wsc")), mark("c", None)], ["", ""]);
        assert_eq!([mark("a", None), mark("b", None)], ["failed (1, 2)", "failed (1)"]);
        assert_eq!(setbacks.mark("a", "msgs", None), None);
        assert_eq!(setbacks.mark_of_any("b", &["msgs", "glue"]), Some("failed (1)".to_owned()));
        assert_eq!(setbacks.mark_of_any("b", &[]), None);
        assert_eq!(
            setbacks.footnotes(),
            "(1) a on rte, seed 1; b on wsc, seed 1: x\n(2) a on rte, seed 2: y\n"
        );
        assert_eq!(setbacks.tasks("glue"), ["rte", "rte", "wsc"]);
        assert_eq!(setbacks.to_json("b")[0]["reason"], "x");
        let mut whole = Setbacks::default();
        whole.add(Part::whole("a", "blimp"), Failure::from(&anyhow!("z")));
        assert_eq!(whole.mark("a", "blimp", Some("any task")), Some("failed (1)".to_owned()));
    }

    #[test]
    fn the_last_words_name_what_failed_and_what_to_do() {
        assert!(Setbacks::default().conclude().is_ok());
        let one = with(&[("a", "rte", 1, "x"), ("b", "rte", 1, "x")]);
        let expected =
            ("a on rte, seed 1; b on rte, seed 1 failed: x", "change x; what succeeded is kept");
        assert_eq!(end(&one), (expected.0.to_owned(), expected.1.to_owned()));
        let many = [
            ("a", "rte", 1, "x"),
            ("a", "rte", 2, "y"),
            ("a", "rte", 3, "y"),
            ("a", "wsc", 1, "z"),
        ];
        let (cause, advice) =
            end(&with(&[&many[..], &[("b", "wsc", 1, "z"), ("b", "wsc", 2, "z")]].concat()));
        let named = "a on rte, seed 1; a on rte, seed 2; a on rte, seed 3; a on wsc, seed 1";
        assert_eq!(cause, format!("6 parts failed: {named}; and 2 more"));
        assert!(advice.starts_with("mend the causes below the table"), "{advice}");
        let (cause, _) =
            end(&with(&(0..55).map(|seed| ("a", "rte", seed, "x")).collect::<Vec<_>>()));
        assert!(cause.ends_with("a on rte, seed 3; and 51 more failed: x"), "{cause}");
    }

    #[test]
    fn what_concerns_everything_is_no_setback() {
        let ends = |error: anyhow::Error| {
            let mut setbacks = Setbacks::default();
            let found =
                setbacks.attempt(part("a", "rte", 1), || -> anyhow::Result<()> { Err(error) });
            assert_eq!(found.is_err(), setbacks.conclude().is_ok());
            found.err().map(|error| Failure::from(&error).cause)
        };
        let stopped = ends(Interrupted { resume: "x".into() }.into()).unwrap();
        assert!(stopped.starts_with("a on rte, seed 1: interrupted"), "{stopped}");
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(ends(anyhow!(full).context("cannot write result.json")).is_some());
        let lost = Fault::Device { device: "cuda:0".into(), what: "gone".into() };
        assert!(ends(train::TrainError::Device(lost.clone()).into()).is_some());
        assert!(ends(lost.into()).is_some());
        assert!(ends(anyhow!("bad line")).is_none());
        // Memory that one part lacks another may not need.
        let full = Fault::OutOfMemory { device: "cuda:0".into(), wanted: 3, free: 2, total: 2 };
        assert!(ends(full.clone().into()).is_none());
        let raised = Setbacks::default()
            .attempt(part("a", "rte", 1), || -> anyhow::Result<()> { fault::raise(full) });
        assert_eq!(raised.unwrap(), None);
    }
}

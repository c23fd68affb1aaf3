//! What a command that failed prints: one line of cause, one line of what to do; and the exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use corpus::CorpusError;
use engine::{DeviceError, Fault};
use eval::EvalError;
use eval::age_of_acquisition::AgeError;
use experiment::ExperimentError;
use experiment::error::{chain, one_line};
use experiment::lock::LockError;
use experiment::recipe::{Place, RecipeError};
use experiment::stage::StageError;
use model::ModelError;
use sweep::SweepError;
use sweep::store::StoreError;
use train::TrainError;

use crate::{advice, console};

/// Exit codes; 0 means done. A command line or a recipe that is wrong, with all that the recipe
/// names, is wrong usage; everything else that fails is a failure, also an argument's file.
const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

/// What to do about an error whose type alone does not lead to it.
pub trait Hint<T> {
    /// Carries the advice along with the error; the cause stays as it is.
    fn hint(self, advice: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, advice: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|cause| Advised { advice: advice.into(), cause: cause.into() }.into())
    }
}

/// An error with advice; it reads like the error alone.
#[derive(Debug)]
struct Advised {
    advice: String,
    cause: anyhow::Error,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// Ends a command that was asked to stop and has saved its work.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; everything up to here is saved")]
pub struct Interrupted {
    /// The command that continues.
    pub resume: String,
}

/// Names the command that continues interrupted work.
pub trait Resume<T> {
    /// Turns an interruption into one that names the command.
    ///
    /// # Errors
    /// The error as it was, or [`Interrupted`] in its context.
    fn resume_with(self, command: impl FnOnce() -> String) -> anyhow::Result<T>;
}

impl<T> Resume<T> for experiment::Result<T> {
    fn resume_with(self, command: impl FnOnce() -> String) -> anyhow::Result<T> {
        self.map_err(|error| match error.is_stop() {
            true => {
                let cause = error.cause();
                let interrupted = anyhow::Error::new(Interrupted { resume: command() });
                match cause.strip_suffix(&format!(": {interrupted}")) {
                    Some(context) => interrupted.context(context.to_owned()),
                    None => interrupted,
                }
            }
            false => error.into(),
        })
    }
}

/// Ends a command that was asked to stop and leaves nothing unfinished.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing unfinished is left")]
struct Abandoned {
    /// The command that begins again.
    again: String,
}

/// Names the command that does abandoned work again.
pub trait Abandon<T> {
    /// Turns an interruption into one that names this process's command.
    ///
    /// # Errors
    /// The error as it was, or an interruption.
    fn or_abandoned(self) -> anyhow::Result<T>;
}

impl<T, E: Into<ExperimentError>> Abandon<T> for Result<T, E> {
    fn or_abandoned(self) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            match error.is_stop() {
                true => Abandoned { again: console::this_command() }.into(),
                false => error.into(),
            }
        })
    }
}

/// Ends a command whose arguments, each right by itself, do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// What a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub cause: String,
    pub advice: String,
    pub code: u8,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = if self.code == INTERRUPTED { "stopped" } else { "error" };
        write!(f, "{head}: {}\n{:>width$}: {}", self.cause, "next", self.advice, width = head.len())
    }
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        Self { cause: one_line(chain(error.as_ref())), advice: advice(error), code: code(error) }
    }
}

/// The first error of a type in the chain, also behind advice.
fn find<T: Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&T> {
    chain(error.as_ref()).find_map(|link| {
        let behind = || link.downcast_ref::<Advised>().and_then(|advised| find(&advised.cause));
        link.downcast_ref::<T>().or_else(behind)
    })
}

/// The experiment's errors in the chain, also behind advice.
fn experiment_errors(error: &anyhow::Error) -> impl Iterator<Item = &ExperimentError> {
    let behind = find::<Advised>(error).map(|advised| &advised.cause);
    let all = [Some(error), behind].into_iter().flatten();
    all.flat_map(|error| chain(error.as_ref())).filter_map(|link| link.downcast_ref())
}

fn code(error: &anyhow::Error) -> u8 {
    let is_wrong_usage = |error| matches!(error, &ExperimentError::WrongUsage(_));
    if find::<Interrupted>(error).is_some()
        || find::<Abandoned>(error).is_some()
        || experiment_errors(error).any(ExperimentError::is_stop)
    {
        INTERRUPTED
    } else if find::<RecipeError>(error).is_some()
        || find::<WrongUsage>(error).is_some()
        || experiment_errors(error).any(is_wrong_usage)
        || matches!(
            find(error),
            Some(SweepError::Changed { .. } | SweepError::Space(_) | SweepError::WrongUsage(_))
        )
        || matches!(
            find(error),
            Some(StoreError::Address(_) | StoreError::NoStudy { .. } | StoreError::NoTrial(_))
        )
    {
        WRONG_USAGE
    } else {
        FAILED
    }
}

fn advice(error: &anyhow::Error) -> String {
    if let Some(advised) = find::<Advised>(error) {
        return advised.advice.clone();
    }
    if let Some(interrupted) = find::<Interrupted>(error) {
        return format!("continue with: {}", interrupted.resume);
    }
    if let Some(abandoned) = find::<Abandoned>(error) {
        return format!("begin again with: {}", abandoned.again);
    }
    if let Some(advice) = experiment_errors(error).find_map(ExperimentError::advice) {
        return advice.to_owned();
    }
    if let Some(ExperimentError::Parts { reasons, .. }) = find(error) {
        return parts_advice(reasons);
    }
    if let Some(advice) = find::<SweepError>(error).and_then(advice::on_sweep) {
        return advice.to_owned();
    }
    if code(error) == WRONG_USAGE && find::<RecipeError>(error).is_none() {
        return "see `babyllama help` and `babyllama COMMAND --help`".to_string();
    }
    if let Some(recipe) = find::<RecipeError>(error) {
        let of_input = match recipe {
            RecipeError::Input { .. } => library_advice(error),
            _ => None,
        };
        return of_input.unwrap_or(recipe_advice(recipe)).to_string();
    }
    if let Some(LockError::Held { process, .. }) = find::<LockError>(error) {
        return match process {
            Some(process) => format!("wait until it ends, or stop it with: kill {process}"),
            None => "wait until it ends, or choose another --output".to_string(),
        };
    }
    library_advice(error).unwrap_or(advice::MEND).to_string()
}

/// What to do about parts that failed: the one thing that would mend all, if there is one.
fn parts_advice(reasons: &[Arc<ExperimentError>]) -> String {
    let mut advice: Vec<String> = Vec::new();
    for reason in reasons {
        let one = self::advice(&anyhow::Error::new(ExperimentError::Shared(reason.clone())));
        if !advice.contains(&one) {
            advice.push(one);
        }
    }
    match &advice[..] {
        [one] if one.contains("is kept") => one.clone(),
        [one] => format!("{one}; what succeeded is kept"),
        _ => "mend the causes below the table and give the same command again; what succeeded is \
              kept"
            .to_owned(),
    }
}

/// A library's error comes before the error of the file system that may be behind it.
fn library_advice(error: &anyhow::Error) -> Option<&'static str> {
    (find::<StageError>(error).and_then(advice::on_stage))
        .or_else(|| find::<TrainError>(error).map(advice::on_training))
        .or_else(|| find::<ModelError>(error).map(advice::on_model))
        .or_else(|| find::<CorpusError>(error).map(advice::on_corpus))
        .or_else(|| find::<EvalError>(error).map(advice::on_evaluation))
        .or_else(|| find::<AgeError>(error).map(advice::on_ages))
        .or_else(|| find::<DeviceError>(error).map(advice::on_device))
        .or_else(|| find::<Fault>(error).map(advice::on_fault))
        .or_else(|| find::<io::Error>(error).map(advice::on_file))
}

fn recipe_advice(error: &RecipeError) -> &'static str {
    match error {
        RecipeError::Read { .. } => "check the path; the folder recipes/ has recipes to begin with",
        RecipeError::Override { .. } => {
            "write it like --set student.train.epochs=4, or rte.epochs=2 for fine-tuning"
        }
        RecipeError::NoModel { .. } | RecipeError::Fault { place: Place::CommandLine(_), .. } => {
            "change that flag and give the command again"
        }
        RecipeError::Input { key, .. } if key.contains("sources[") => {
            "name files of the corpus without their endings"
        }
        RecipeError::Input { .. } => {
            "name another one, or give the recipe that tokenizer with tokenizer.path"
        }
        RecipeError::Fault { place: Place::File { .. }, .. } => {
            "change it there, or override it with --set KEY=VALUE"
        }
        RecipeError::Syntax { .. } | RecipeError::Write(_) => {
            "change it there; see https://toml.io for what TOML allows"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use anyhow::{Context, anyhow};

    use super::*;

    fn failure(error: impl Into<anyhow::Error>) -> Failure {
        Failure::from(&error.into())
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read tokens.bin: {source}")]
    struct Reading {
        source: io::Error,
    }

    #[test]
    fn two_lines_say_cause_and_next_step() {
        let error = Reading { source: io::Error::new(ErrorKind::StorageFull, "no space\nleft") };
        let failure = failure(anyhow!(error).context("stage tokens"));
        assert_eq!(failure.code, 1);
        assert_eq!(
            failure.to_string(),
            "error: stage tokens: cannot read tokens.bin: no space left\n next: make room on the \
             disk and give the \
             same command again; what was finished is kept"
        );
    }

    #[test]
    fn advice_travels_with_any_error() {
        let result: Result<(), Reading> = Err(Reading { source: ErrorKind::NotFound.into() });
        let failure =
            failure(result.hint("write the tokens first").context("stage x").unwrap_err());
        assert_eq!(failure.advice, "write the tokens first");
        assert_eq!(failure.cause, "stage x: cannot read tokens.bin: entity not found");
    }

    #[test]
    fn wrong_recipes_are_wrong_usage() {
        let absent = || experiment::recipe::load(Path::new("no/such.toml"), &[]);
        let plain = failure(absent().unwrap_err());
        assert_eq!((plain.code, plain.cause.matches("os error").count()), (2, 1));
        assert!(
            plain.advice.starts_with("check the path; the folder recipes/"),
            "{}",
            plain.advice
        );
        // Advice does not hide the type.
        assert_eq!(failure(absent().hint("x").unwrap_err()).code, 2);
        assert_eq!(failure(WrongUsage("--a needs --b".into())).code, 2);
    }

    #[test]
    fn interruptions_say_how_to_continue() {
        let error =
            anyhow!(Interrupted { resume: "babyllama run x.toml".into() }).context("model student");
        let failure = failure(error);
        assert_eq!(
            (failure.code, failure.advice.as_str()),
            (130, "continue with: babyllama run x.toml")
        );
        assert!(
            failure.to_string().starts_with("stopped: model student: interrupted"),
            "{failure}"
        );
    }

    #[test]
    fn a_held_run_names_the_process_to_stop() {
        let failure = failure(LockError::Held { run: "runs/x".into(), process: Some(12) });
        assert_eq!(failure.cause, "runs/x is in use by process 12");
        assert_eq!(failure.advice, "wait until it ends, or stop it with: kill 12");
    }

    #[test]
    fn a_full_disk_is_seen_behind_every_library() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        let advice = |error: anyhow::Error| failure(error.context("stage x")).advice;
        let model = || ModelError::Io { path: "m".into(), cause: full() };
        assert!(advice(model().into()).starts_with("make room on the disk"));
        assert!(advice(TrainError::Model(model()).into()).starts_with("make room on the disk"));
        assert!(
            advice(TrainError::Io { path: "c".into(), cause: full() }.into())
                .starts_with("make room on the disk")
        );
        assert!(
            advice(CorpusError::Write { path: "t".into(), cause: full() }.into())
                .starts_with("make room")
        );
        assert!(advice(full().into()).starts_with("make room"));
        let large = io::Error::from(ErrorKind::FileTooLarge);
        assert!(advice(large.into()).contains("`ulimit -f unlimited`"));
    }

    #[test]
    fn lost_and_full_devices_say_what_to_do() {
        let full = || Fault::OutOfMemory {
            device: "cuda:0".into(),
            wanted: 3 << 30,
            free: 1 << 30,
            total: 8 << 30,
        };
        let plain = failure(full());
        assert_eq!((plain.code, plain.cause), (1, full().to_string()));
        assert!(plain.advice.starts_with("end other programs"), "{}", plain.advice);
        assert_eq!(failure(TrainError::Device(full())).advice, plain.advice);
        let split = |sequences| {
            failure(TrainError::OutOfMemory { sequences, length: 128, fault: full() }).advice
        };
        assert!(
            split(1) == plain.advice && split(16).contains("micro_batch_size"),
            "{}",
            split(16)
        );
        let text = || EvalError::OutOfMemory { tokens: 50, fault: full() };
        assert!(
            failure(text()).advice == plain.advice
                && failure(AgeError::Scoring(text())).advice == plain.advice
        );
        let lost = Fault::Device { device: "cuda:0".into(), what: "cannot finish".into() };
        assert!(failure(lost).advice.contains("nvidia-smi"));
        let unable =
            || Fault::Unsupported { device: "cuda:0".into(), what: "heads are large".into() };
        assert!(
            failure(unable()).advice.contains("--device cpu")
                && !ExperimentError::from(unable()).concerns_everything()
        );
        let missing =
            DeviceError::NoLibrary { library: "libnvrtc", purpose: "compile its kernels" };
        assert!(failure(missing).advice.contains("LD_LIBRARY_PATH"));
    }

    #[test]
    fn anything_else_still_says_what_to_do() {
        assert_eq!(
            failure(anyhow!("the sky fell at step 7")).advice,
            "mend the cause and give the same command again; what was finished is kept"
        );
    }
}

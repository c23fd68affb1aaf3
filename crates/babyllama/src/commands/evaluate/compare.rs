//! `babyllama evaluate compare`: two models' answers to the same items.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use eval::classification::find_task;
use eval::output::predictions::{self, TaskPredictions};
use eval::statistics::{Difference, Resampling, compare as compare_answers};
use eval::{Benchmark, BenchmarkResult, Metric, OtherPairs};
use experiment::outputs::Kind;
use experiment::scored_items::ScoredItems;
use experiment::{Observer, outputs};
use report::format::in_one_line;
use report::{Align, Table};
use serde_json::json;

use crate::args::CompareArgs;
use crate::console::{self, Console};
use crate::failure::{Hint, WrongUsage};
use base::atomic_file;

/// A model's answers, with the scores that were written beside them.
struct Answers {
    path: PathBuf,
    tasks: Vec<TaskPredictions>,
    result: Option<BenchmarkResult>,
    /// What they are to, where it is recorded.
    scored: ScoredItems,
}

/// What `--json` holds.
const DIFFERENCES: Kind<'static> = Kind::Json(&["first", "second", "units", "mean"]);

/// Differences with intervals and tests, task by task and over all.
pub fn compare(args: &CompareArgs) -> anyhow::Result<()> {
    let resampling = resampling(args)?;
    let inputs = [args.first.clone(), args.second.clone()];
    let json = args.json.as_deref();
    let _json = json.map(|path| outputs::prepare_file(path, &inputs, DIFFERENCES)).transpose()?;
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    // Other tasks are no matter of the items' texts.
    let shape = |answers: &Answers| -> Vec<(String, usize)> {
        let tasks = answers.tasks.iter();
        tasks.map(|task| (task.task.clone(), task.predictions.len())).collect()
    };
    if shape(&first) == shape(&second) {
        check_items(&first.scored, &second.scored)?;
    }
    check_results(&first, &second)?;
    let result = first.result.as_ref().or(second.result.as_ref());
    let metric = |task: &str| {
        let tasks = result.iter().flat_map(|result| &result.tasks);
        let known = tasks.into_iter().find(|known| known.name == task).map(|known| known.metric);
        // What was fine-tuned leaves no benchmark's scores, but its tasks are known.
        known.or(find_task(task).map(|task| task.metric)).unwrap_or(Metric::Accuracy)
    };
    let unit = |task| result.map_or(task, |result| result.unit_of(task));
    let benchmark: &dyn Benchmark = result.map_or(&OtherPairs, |result| result.benchmark);
    let console = Console::showing();
    let (observer, mut has_begun) = (&console as &dyn Observer, false);
    let see = |done: usize, all: usize| {
        if !std::mem::replace(&mut has_begun, true) {
            observer.begin("resampling", "items", all as u64, 0);
        }
        observer.advance(done as u64, "");
        if done == all {
            observer.end(done as u64, "");
        }
    };
    let (a, b) = (&first.tasks, &second.tasks);
    let found = compare_answers(benchmark, a, b, unit, metric, &resampling, see)
        .hint("compare answers to the same files: score both models on them with --output")?;
    let numbers = ["items", "A", "B", "B - A", "interval", "McNemar p", "exchange p"];
    let mut table = Table::new(
        [("task", Align::Left)].into_iter().chain(numbers.map(|head| (head, Align::Right))),
    );
    for unit in found.units.iter().chain([&found.mean]) {
        table.push(row(unit));
    }
    console::print(format!("A: {}\nB: {}\n", first.path.display(), second.path.display()))?;
    console::print_table(&table)?;
    if let Some(path) = &args.json {
        let value = json!({
            "first": first.path.to_string_lossy(),
            "second": second.path.to_string_lossy(),
            "confidence": args.confidence,
            "resamples": args.resamples,
            "seed": args.seed,
            "units": found.units,
            "mean": found.mean,
        });
        atomic_file::write(path, format!("{value:#}\n").as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn resampling(args: &CompareArgs) -> anyhow::Result<Resampling> {
    if args.resamples == 0 {
        anyhow::bail!(WrongUsage("--resamples is 0; it must be at least 1".into()));
    }
    if !(args.confidence > 0.0 && args.confidence < 1.0) {
        anyhow::bail!(WrongUsage(format!(
            "--confidence is {}; it must be between 0 and 1",
            args.confidence
        )));
    }
    Ok(Resampling { resamples: args.resamples, confidence: args.confidence, seed: args.seed })
}

/// The answers in a file, or in a folder that a command filled.
fn read(path: &Path) -> anyhow::Result<Answers> {
    let file = if path.is_dir() { path.join("predictions.jsonl") } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        let inside = with_answers(path, 2);
        if let [first, ..] = &inside[..] {
            let folders: Vec<_> = inside.iter().map(|path| path.display().to_string()).collect();
            return Err(anyhow!("{} has no answers itself, but folders with some", path.display()))
                .hint(match inside.len() {
                    1 => format!("give {}", first.display()),
                    _ => format!("give one of {}", folders.join(", ")),
                });
        }
        let what = if path.join("config.json").exists() { "a model" } else { "a folder" };
        return Err(anyhow!("{} is {what} without answers (predictions.jsonl)", path.display()))
            .hint(
                "score both models first, as in `babyllama evaluate blimp MODEL --data PAIRS \
                 --output scores`, and give scores/MODEL/BENCHMARK",
            );
    }
    let tasks = predictions::read(&file)?;
    let beside = file.with_file_name("result.json");
    let result = match std::fs::read(&beside) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(result) => Some(result),
            // That of a fine-tuning has another form.
            Err(_) if tasks.iter().all(|task| find_task(&task.task).is_some()) => None,
            Err(cause) => Err(cause)
                .with_context(|| format!("{} does not hold a benchmark's scores", beside.display()))
                .hint(
                    "score the model again, or give predictions.jsonl from a folder without \
                 result.json",
                )?,
        },
        Err(cause) if cause.kind() == ErrorKind::NotFound => None,
        Err(cause) => {
            return Err(cause).with_context(|| format!("cannot read {}", beside.display()));
        }
    };
    let scored = ScoredItems::beside(&file);
    Ok(Answers { path: path.to_owned(), tasks, result, scored })
}

/// Refuses answers to other items, as their files were when they were scored; where that is not
/// recorded, two places of the items are a warning.
fn check_items(first: &ScoredItems, second: &ScoredItems) -> anyhow::Result<()> {
    let Some((one, other)) = first.data.as_ref().zip(second.data.as_ref()) else { return Ok(()) };
    let (one, other) = (in_one_line(one), in_one_line(other));
    if first.are_others(second) {
        let places = if one == other {
            format!("{one}, which was edited")
        } else {
            format!("{one} and of {other}")
        };
        return Err(anyhow!("the answers are to items of other texts: of {places}"))
            .hint("score both models on the same files, and compare those answers");
    }
    let is_known = first.items.is_some() && second.items.is_some();
    if one != other && !is_known {
        console::warn(format_args!("the answers are to items of {one} and of {other}"));
    }
    Ok(())
}

/// Refuses answers to other questions, or by other rules, which add up to other scores.
fn check_results(first: &Answers, second: &Answers) -> anyhow::Result<()> {
    let Some((one, other)) = first.result.as_ref().zip(second.result.as_ref()) else {
        return Ok(());
    };
    let (of_one, of_other) = (one.benchmark.name(), other.benchmark.name());
    if of_one != of_other {
        return Err(anyhow!("the answers are to other questions: of {of_one} and of {of_other}"))
            .hint("compare two models' answers to the same benchmark");
    }
    if one.rules != other.rules {
        let (of_one, of_other) = (one.rules.name(), other.rules.name());
        return Err(anyhow!("the answers are by the rules of {of_one} and of {of_other}"))
            .hint("score both models by the same --rules, and compare those answers");
    }
    Ok(())
}

/// The folders with answers in a folder, up to `levels` levels down, by name.
fn with_answers(folder: &Path, levels: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    let inside = |path: PathBuf| match path.join("predictions.jsonl").is_file() {
        true => vec![path],
        false if levels > 1 => with_answers(&path, levels - 1),
        false => Vec::new(),
    };
    folders.into_iter().flat_map(inside).collect()
}

fn row(unit: &Difference) -> Vec<String> {
    let percent = |score: f64| format!("{:.1}", 100.0 * score);
    let signed = |score: f64| format!("{:+.1}", 100.0 * score);
    let p_value = |p: f64| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
    vec![
        unit.name.clone(),
        unit.items.to_string(),
        percent(unit.first),
        percent(unit.second),
        signed(unit.difference),
        format!("{} to {}", signed(unit.interval.low), signed(unit.interval.high)),
        p_value(unit.mcnemar.p_value),
        p_value(unit.permutation_p),
    ]
}

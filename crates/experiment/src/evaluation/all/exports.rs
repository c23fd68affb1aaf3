//! The files of the scores: `scores.csv` of all models, and of each model `results.json` in
//! lm-evaluation-harness's shape and the file of answers that BabyLM's 2024 track takes.

use std::io::Write;
use std::path::Path;

use base::atomic_file;
use eval::output::harness;
use eval::output::submission::Submission;
use eval::{
    BENCHMARKS, Benchmark, BenchmarkResult, Kind, Outcome, Rules, Section, Task, TaskResult,
    chosen_texts,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use report::format::counted;

use super::available::AvailableBenchmark;
use super::model_scores::ModelScores;
use crate::error::{Context, FileContext, Result, refuse};
use crate::failures::Failures;
use crate::files;
use crate::observer::Observer;

/// Writes the files of one model into its folder. Of fine-tuned tasks the first seed counts; a
/// benchmark of which a task failed has no mean, and stays out of `results.json`.
pub(super) fn write(
    scores: &ModelScores,
    folder: &Path,
    available: &[AvailableBenchmark],
    rules: Rules,
    failures: &Failures,
    observer: &dyn Observer,
) -> Result<()> {
    let is_whole =
        |benchmark: &dyn Benchmark| failures.mark(&scores.name, benchmark.name(), None).is_none();
    let finetuned = BENCHMARKS.iter().copied().filter(|benchmark| benchmark.kind().is_fine_tuned());
    let finetuned: Vec<_> = finetuned
        .filter(|benchmark| is_whole(*benchmark))
        .filter_map(|benchmark| scores.results(benchmark, rules).into_iter().next())
        .collect();
    let zero_shot = scores.outcomes.iter().map(|outcome| &outcome.result);
    let all: Vec<_> = zero_shot.chain(&finetuned).collect();
    let results = harness::results(&scores.name, &scores.label, &all);
    files::write_json(&folder.join("results.json"), &results)?;
    // The name of the file states whether the track would take it.
    let [answers, part] = ["json.gz", "incomplete.json.gz"]
        .map(|ending| folder.join(format!("{}_textonly_predictions.{ending}", scores.name)));
    let submission = if rules == Rules::Year2024 {
        submission(scores, folder, available)?
    } else {
        Submission::default()
    };
    // Files of an earlier call do not go with these scores.
    [&answers, &part].into_iter().try_for_each(|path| files::remove(path))?;
    if submission.is_empty() {
        return Ok(());
    }
    let (missing, resized) = (submission.missing(), resized_sections(&all));
    let is_complete = missing.is_empty() && resized.is_empty();
    let answers = if is_complete { answers } else { part };
    if !is_complete {
        let lacks = [missing_line(&missing)].into_iter().filter(|line| !line.is_empty());
        let resized = resized.iter().map(|section| format!("the published items of {section}"));
        observer.warn(format_args!(
            "{}: the 2024 track would not take {}: it lacks {}",
            scores.name,
            answers.display(),
            lacks.chain(resized).collect::<Vec<_>>().join(", ")
        ));
    }
    let pack = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes)?;
        atomic_file::write(&answers, &packed.finish()?)
    };
    pack(submission.to_json().to_string().as_bytes()).at("write", &answers)
}

/// The sections that were answered for more or fewer items than the published files have.
fn resized_sections(results: &[&BenchmarkResult]) -> Vec<&'static str> {
    let of = |result: &&BenchmarkResult| {
        let coverage = result.coverage()?;
        result.benchmark.section().filter(|_| coverage.resized > 0).map(|section| section.name)
    };
    results.iter().filter_map(of).collect()
}

/// Whole sections by their names; of a section that is there, how many tasks are not.
fn missing_line(missing: &[String]) -> String {
    let mut sections: Vec<(&str, Option<u64>)> = Vec::new();
    for name in missing {
        match (name.split_once('/'), sections.last_mut()) {
            (None, _) => sections.push((name, None)),
            (Some((section, _)), Some((last, Some(count)))) if *last == section => *count += 1,
            (Some((section, _)), _) => sections.push((section, Some(1))),
        }
    }
    let shown = |(section, count): &(&str, Option<u64>)| match count {
        None => format!("all of {section}"),
        Some(count) => format!("{} of {section}", counted(*count, "task")),
    };
    match missing.len() {
        0..=6 => missing.join(", "),
        _ => sections.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

/// The answers as texts and labels, from the data and the files of the fine-tunings.
fn submission(
    scores: &ModelScores,
    folder: &Path,
    available: &[AvailableBenchmark],
) -> Result<Submission> {
    let mut submission = Submission::default();
    for found in available {
        let benchmark = found.benchmark;
        let Some(section) = benchmark.section() else { continue };
        match (benchmark.kind(), scores.outcome(benchmark)) {
            (Kind::ZeroShot(reader), Some(outcome)) => {
                add_choices(&mut submission, &section, found.tasks(reader)?, outcome);
            }
            (Kind::FineTuned(_), None) => {
                let folder = folder.join(benchmark.name());
                add_labels(&mut submission, &section, benchmark, scores, &folder)?;
            }
            _ => {}
        }
    }
    Ok(submission)
}

fn add_choices(submission: &mut Submission, section: &Section, tasks: &[Task], outcome: &Outcome) {
    for (task, answers) in tasks.iter().zip(&outcome.predictions) {
        submission.add(section, &task.name, chosen_texts(task, answers));
    }
}

/// The labels of all validation items, from the files that fine-tuning leaves.
fn add_labels(
    submission: &mut Submission,
    section: &Section,
    benchmark: &dyn Benchmark,
    scores: &ModelScores,
    folder: &Path,
) -> Result<()> {
    for result in scores.first_seed().iter().filter(|result| result.is_of(benchmark)) {
        let name = &result.score.name;
        let path = folder
            .join(name)
            .join(format!("seed-{}", result.course.settings.seed))
            .join("predictions.txt");
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        let label =
            |line: &str| line.split_once('\t').and_then(|(_, label)| label.parse::<i64>().ok());
        let labels: Option<Vec<i64>> = text.lines().skip(1).map(label).collect();
        let damaged = || refuse(format_args!("{} is not as it was written", path.display()));
        let labels = labels
            .map_or_else(damaged, Ok)
            .advise("delete that file and give the same command again")?;
        submission.add(section, name, labels);
    }
    Ok(())
}

/// The first line of `scores.csv`.
pub(super) const CSV_HEADING: &str =
    "model,suite,task,seed,metric,score,standard_error,items,correct,ties,truncated";

/// One line for each model, task and seed.
pub(super) fn csv(models: &[ModelScores]) -> String {
    let mut text = format!("{CSV_HEADING}\n");
    let mut line = |fields: [&str; 11]| text += &report::csv::line(fields);
    for scores in models {
        for measured in &scores.measured {
            for part in &measured.parts {
                let (value, items) = (part.value.to_string(), part.items.to_string());
                let [name, unit] = [measured.benchmark.name(), measured.unit];
                let empty = "";
                line([
                    &scores.name,
                    name,
                    &part.name,
                    empty,
                    unit,
                    &value,
                    empty,
                    &items,
                    empty,
                    empty,
                    empty,
                ]);
            }
        }
        for (benchmark, seed, task) in every_task(scores) {
            let numbers = [task.items, task.correct, task.ties, task.truncated]
                .map(|number| number.to_string());
            let [items, correct, ties, truncated] = &numbers;
            let error = task.standard_error.map_or(String::new(), |error| error.to_string());
            let (metric, score) = (task.metric.name(), task.score.to_string());
            let [benchmark, name] = [benchmark.name(), &task.name];
            line([
                &scores.name,
                benchmark,
                name,
                &seed,
                metric,
                &score,
                &error,
                items,
                correct,
                ties,
                truncated,
            ]);
        }
    }
    text
}

/// All tasks of a model, with the seed where they were trained for.
fn every_task(
    scores: &ModelScores,
) -> impl Iterator<Item = (&'static dyn Benchmark, String, &TaskResult)> {
    let zero_shot = scores.outcomes.iter().flat_map(|outcome| {
        let result = &outcome.result;
        result.tasks.iter().map(|task| (result.benchmark, String::new(), task))
    });
    zero_shot.chain(
        scores.every_finetuned().map(|(benchmark, seed, task)| (benchmark, seed.to_string(), task)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_submission_lacks_is_named_by_its_parts() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(missing_line(&names(&["glue/rte", "ewok"])), "glue/rte, ewok");
        let many = names(&["glue/a", "glue/b", "glue/c", "blimp/d", "blimp/e", "ewok", "aoa"]);
        assert_eq!(
            missing_line(&many),
            "3 tasks of glue, 2 tasks of blimp, all of ewok, all of aoa"
        );
    }
}

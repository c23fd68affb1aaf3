//! The files of one model: `results.json` in lm-evaluation-harness's shape, and the file of answers
//! that BabyLM's 2024 track takes.

use std::io::Write;
use std::path::Path;

use eval::ewok;
use eval::output::harness;
use eval::output::submission::{Section, Submission};
use eval::{Outcome, Rules, Suite, pairs};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::card::Card;
use super::data::{AtHand, Benchmark};
use crate::error::{Context, FileContext, Result, refuse};
use crate::failures::Failures;
use crate::files;
use crate::observer::Observer;
use base::atomic_file;

/// Writes both into the model's folder. Of fine-tuned tasks the first seed counts; a suite of which
/// a task failed has no mean, and stays out of `results.json`.
pub fn write(
    card: &Card,
    folder: &Path,
    at_hand: &[AtHand],
    rules: Rules,
    failures: &Failures,
    observer: &dyn Observer,
) -> Result<()> {
    let whole = |suite: &Suite| failures.mark(&card.name, suite.name(), None).is_none();
    let finetuned = [Suite::Glue, Suite::Msgs].into_iter().filter(whole);
    let finetuned: Vec<_> = finetuned
        .filter_map(|suite| card.finetuned_suites(suite, rules).into_iter().next())
        .collect();
    let zero_shot = card.suites.iter().map(|outcome| &outcome.result);
    let suites: Vec<_> = zero_shot.chain(&finetuned).collect();
    let results = harness::results(&card.name, &card.label, &suites);
    files::write_json(&folder.join("results.json"), &results)?;
    let answers = folder.join(format!("{}_textonly_predictions.json.gz", card.name));
    let submission = if rules == Rules::Year2024 {
        submission(card, folder, at_hand)?
    } else {
        Submission::default()
    };
    if submission.is_empty() {
        // One of an earlier call does not go with these scores.
        return files::remove(&answers);
    }
    let missing = submission.missing();
    if !missing.is_empty() {
        let missing =
            if missing.len() > 6 { format!("{} tasks", missing.len()) } else { missing.join(", ") };
        observer.note(format_args!(
            "{}: the file of answers for the 2024 track lacks {missing}",
            card.name
        ));
    }
    let pack = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes)?;
        atomic_file::write(&answers, &packed.finish()?)
    };
    pack(submission.to_json().to_string().as_bytes()).at("write", &answers)
}

/// The answers as texts and labels, from the data and the files of the fine-tunings.
fn submission(card: &Card, folder: &Path, at_hand: &[AtHand]) -> Result<Submission> {
    let mut submission = Submission::default();
    for AtHand { benchmark, place } in at_hand {
        let outcome = benchmark.suite().and_then(|suite| card.suite(suite));
        match (benchmark, outcome) {
            (Benchmark::BlimpFiltered, Some(outcome)) => {
                add_pairs(&mut submission, Section::Blimp, place, outcome)?
            }
            (Benchmark::BlimpSupplement, Some(outcome)) => {
                add_pairs(&mut submission, Section::BlimpSupplement, place, outcome)?
            }
            (Benchmark::Ewok, Some(outcome)) => add_ewok(&mut submission, place, outcome)?,
            (Benchmark::Glue, None) => {
                add_labels(&mut submission, card, &folder.join(benchmark.name()))?
            }
            _ => {}
        }
    }
    Ok(submission)
}

fn add_pairs(
    submission: &mut Submission,
    section: Section,
    place: &Path,
    outcome: &Outcome,
) -> Result<()> {
    for (task, answers) in pairs::read_folder(place)?.iter().zip(&outcome.predictions) {
        let chosen = task.pairs.iter().zip(answers).map(|(pair, answer)| {
            let sentence = if answer.predicted == 0 { &pair.good } else { &pair.bad };
            format!(" {sentence}")
        });
        submission.add_choices(section, &task.name, chosen);
    }
    Ok(())
}

/// Only the pipeline's own variant has targets to choose between.
fn add_ewok(submission: &mut Submission, place: &Path, outcome: &Outcome) -> Result<()> {
    for (domain, answers) in ewok::read(place)?.iter().zip(&outcome.predictions) {
        let chosen = domain.items.iter().zip(answers).map(|(item, answer)| {
            let target = if answer.predicted == 0 { &item.target1 } else { &item.target2 };
            format!(" {target}")
        });
        submission.add_choices(Section::Ewok, &domain.name, chosen);
    }
    Ok(())
}

/// The labels of all validation items, from the files that fine-tuning leaves.
fn add_labels(submission: &mut Submission, card: &Card, folder: &Path) -> Result<()> {
    for result in card.first_seed().iter().filter(|result| result.is_of(Suite::Glue)) {
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
        submission.add_labels(Section::Glue, name, labels);
    }
    Ok(())
}

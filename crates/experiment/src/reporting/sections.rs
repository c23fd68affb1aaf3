//! The parts of the page.

use eval::{BENCHMARKS, Rules};
use report::format::{counted, time_of_day};
use report::page::{Block, Sample};

use super::curves;
use super::found::{Found, FoundScores, items as items_at};
use super::tasks::{self, Answers};
use super::{finetunings, model_tables, named, papers, records, settings};
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::all::report as tables;

/// When and where the folders were filled.
pub(super) fn subtitle(all: &[Found]) -> String {
    let now = time_of_day(std::time::SystemTime::now());
    let mut parts = Vec::new();
    if let [found] = all {
        parts.push(found.folder.display().to_string());
        if let Some((first, last)) = &found.times {
            parts.push(format!("{first} to {last}"));
        }
    }
    let working = all.iter().filter(|found| found.process.is_some()).count();
    if working > 0 {
        parts.push(format!("under way in {}", counted(working as u64, "folder")));
    }
    parts.push(format!("written {now} by babyllama {}", env!("CARGO_PKG_VERSION")));
    parts.join(" · ")
}

/// Names of what is missing for one reason that are listed.
const LISTED: usize = 4;

/// What is missing, for each reason once.
pub(super) fn missing(all: &[Found]) -> Vec<Block> {
    let mut groups: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for found in all {
        for lack in &found.missing {
            let of = match (lack.of.is_empty(), all.len()) {
                (is_empty, 1) => (!is_empty).then(|| lack.of.clone()),
                (true, _) => Some(found.name.clone()),
                (false, _) => Some(named(found, &lack.of, true)),
            };
            let same =
                |(what, why, _): &&mut (&str, &str, _)| *what == lack.what && *why == lack.why;
            match groups.iter_mut().find(same) {
                Some((.., names)) => names.extend(of),
                None => groups.push((&lack.what, &lack.why, of.into_iter().collect())),
            }
        }
    }
    let block = |(what, why, names): (&str, &str, Vec<String>)| {
        let listed = names[..names.len().min(LISTED)].join(", ");
        let of = match names.len() {
            0 => String::new(),
            count if count > LISTED => format!(" of {listed} and {} more", count - LISTED),
            _ => format!(" of {listed}"),
        };
        Block::Missing { what: format!("{what}{of}"), why: why.to_owned() }
    };
    groups.into_iter().map(block).collect()
}

fn table(caption: &str, table: report::Table) -> Block {
    Block::Table { caption: caption.to_owned(), table }
}

/// All scores, each under the name that it has on the page.
fn scored(all: &[Found]) -> Vec<(String, &Found, &FoundScores)> {
    let several = all.len() > 1;
    let of = |found: &'_ Found| -> Vec<(String, usize)> {
        let scores = found.scores.iter().enumerate();
        scores.map(|(index, one)| (named(found, &one.scores.name, several), index)).collect()
    };
    all.iter()
        .flat_map(|found| {
            of(found).into_iter().map(move |(name, index)| (name, found, &found.scores[index]))
        })
        .collect()
}

/// Copies with the names of the page, and the rules that most of them were scored by.
fn renamed(all: &[Found]) -> (Vec<ModelScores>, Rules) {
    let scored = scored(all);
    let rules = scored.iter().find_map(|(.., one)| one.rules).unwrap_or(Rules::Year2024);
    let same = scored.iter().filter(|(.., one)| one.rules.is_none_or(|own| own == rules));
    let renamed = same.map(|(name, _, one)| {
        let mut scores = one.scores.clone();
        scores.name.clone_from(name);
        scores
    });
    (renamed.collect(), rules)
}

pub(super) fn results(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    blocks.extend(model_tables::results(all).map(|found| table("", found)));
    blocks.extend(
        model_tables::trainings(all)
            .map(|found| table("How they were trained, and the text that they have seen.", found)),
    );
    let (scores, rules) = renamed(all);
    match tables::overview(&scores, rules) {
        _ if scores.is_empty() => {}
        Ok(overview) => {
            blocks.push(table(
                &format!("By the rules of {}. {}", rules.name(), tables::EXPLANATION),
                overview,
            ));
        }
        Err(error) => {
            blocks.push(Block::Missing { what: "intervals".to_owned(), why: error.cause() });
        }
    }
    blocks.extend(records::machines(all).map(|(caption, found)| table(&caption, found)));
    blocks
}

pub(super) fn curves(all: &[Found]) -> Vec<Block> {
    let several = all.len() > 1;
    let mut logs = Vec::new();
    for found in all {
        for model in &found.models {
            logs.extend(model.log.as_ref().map(|log| (named(found, &model.name, several), log)));
        }
    }
    curves::curves(&logs).into_iter().map(Block::Curves).collect()
}

/// Curves of fine-tunings.
pub(super) fn finetunings(all: &[Found]) -> Vec<Block> {
    let named = scored(all);
    let models: Vec<(&str, &ModelScores)> =
        named.iter().map(|(name, _, one)| (&name[..], &one.scores)).collect();
    finetunings::curves(&models).into_iter().map(Block::Curves).collect()
}

/// The papers' figures, as far as there is something to draw.
pub(super) fn figures(all: &[Found]) -> Vec<Block> {
    let (named, (scores, rules)) = (scored(all), renamed(all));
    let mut figures = Vec::new();
    figures.extend(papers::beside_printed(&scores, rules));
    figures.extend(papers::violins(&scores, rules));
    figures.extend(papers::fits(&named));
    figures.extend(papers::scalings(all));
    figures.extend(papers::sources(&scores));
    for &benchmark in BENCHMARKS {
        let found = comparable(&named, benchmark);
        let answers: Vec<Answers<'_>> = found.iter().map(|(answers, _)| *answers).collect();
        figures.extend(papers::groups(&answers));
    }
    figures.into_iter().map(Block::Figure).collect()
}

/// The answers to a benchmark of all models that answered the same items, the one that others are
/// compared with first, and where the items are.
fn comparable<'a>(
    scored: &'a [(String, &'a Found, &'a FoundScores)],
    benchmark: &dyn eval::Benchmark,
) -> Vec<(Answers<'a>, &'a FoundScores)> {
    let mut answers: Vec<(u8, Answers<'_>, &FoundScores)> = Vec::new();
    for (name, found, one) in scored {
        let Some(outcome) = one.scores.outcome(benchmark) else { continue };
        let model = found.models.iter().find(|model| model.name == one.scores.name);
        // Twins first, then students, teachers, ensembles.
        let rank = match model {
            Some(model) if model.has_teachers => 1,
            Some(model) if model.is_teacher => 2,
            Some(_) => 0,
            None if found.models.is_empty() => 0,
            None => 3,
        };
        if !outcome.predictions.is_empty() {
            answers.push((rank, Answers { model: name, outcome }, one));
        }
    }
    answers.sort_by_key(|(rank, ..)| *rank);
    let first = answers.first().map(|(_, first, _)| first.outcome);
    let is_same = |(_, answers, _): &(u8, Answers<'_>, &FoundScores)| {
        first.is_some_and(|first| tasks::is_same(first, answers.outcome))
    };
    answers.into_iter().filter(is_same).map(|(_, answers, one)| (answers, one)).collect()
}

pub(super) fn tasks(all: &[Found]) -> Vec<Block> {
    let (mut blocks, mut marked) = (Vec::new(), Vec::new());
    let scored = scored(all);
    for &benchmark in BENCHMARKS {
        let found = comparable(&scored, benchmark);
        let answers: Vec<Answers<'_>> = found.iter().map(|(answers, _)| *answers).collect();
        let [first, _, ..] = &answers[..] else { continue };
        let title = first.outcome.result.title();
        if benchmark.reference().is_empty() && answers.len() <= tasks::MOST_MODELS {
            marked.push(title.clone());
        }
        let left_out = tasks::left_out(&answers, &title);
        for by_group in [true, false] {
            let what = if by_group { "by group" } else { "by task" };
            let caption = format!("{title} {what}. {}{left_out}", tasks::MARKS);
            blocks.extend(tasks::marked(&answers, by_group).map(|found| table(&caption, found)));
        }
    }
    let (scores, rules) = renamed(all);
    match tables::differences(&scores) {
        Ok(found) => blocks.extend(found.map(|found| table(tables::DIFFERENCES, found))),
        Err(error) => {
            blocks.push(Block::Missing { what: "differences".to_owned(), why: error.cause() });
        }
    }
    // Tables without printed scores have nothing that the ones above lack.
    let printed = |(title, ..): &(String, report::Table, String)| !marked.contains(title);
    let rest = tables::task_tables(&scores, rules).filter(printed);
    blocks.extend(rest.map(|(title, found, notes)| {
        table(format!("{title}. {}", notes.replace('\n', " ")).trim_end(), found)
    }));
    blocks
}

pub(super) fn items(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let scored = scored(all);
    for &benchmark in BENCHMARKS {
        let found = comparable(&scored, benchmark);
        let Some((first, one)) = found.first() else { continue };
        let title = first.outcome.result.title();
        let place = one.data.get(benchmark.name());
        let Some(tasks) = place.and_then(|place| items_at(benchmark.name(), place)) else {
            let why = match place {
                Some(place) => format!("{} is not there or cannot be read.", place.display()),
                None => "data.json beside its scores does not state where its data is.".to_owned(),
            };
            blocks.push(Block::Missing { what: format!("the items of {title}"), why });
            continue;
        };
        let answers: Vec<Answers<'_>> = found.iter().map(|(answers, _)| *answers).collect();
        if tasks.len() != first.outcome.predictions.len()
            || tasks.iter().zip(&first.outcome.predictions).any(|(a, b)| a.items.len() != b.len())
        {
            let why = "the files have other items now than when they were scored.".to_owned();
            blocks.push(Block::Missing { what: format!("the items of {title}"), why });
            continue;
        }
        blocks.extend(
            tasks::hardest(&answers, &tasks).map(|found| {
                table(&format!("{title}: the hardest items. {}", tasks::MARGINS), found)
            }),
        );
        if let [from, to, ..] = answers[..] {
            let (before, after) = (from.model, to.model);
            let captions = [
                format!("{title}: right by {after}, wrong by {before}."),
                format!("{title}: wrong by {after}, right by {before}."),
            ];
            let flipped = tasks::flipped(from, to, &tasks).into_iter().zip(captions);
            blocks.extend(flipped.filter_map(|(found, caption)| Some(table(&caption, found?))));
        }
    }
    blocks
}

pub(super) fn samples(all: &[Found]) -> Vec<Block> {
    let mut samples = Vec::new();
    for (name, _, one) in scored(all) {
        samples.extend(one.samples.iter().map(|sample| {
            let how = if sample.is_greedy { "the likeliest tokens" } else { "a draw" };
            Sample {
                model: format!("{name}, {how}"),
                prompt: sample.prompt.clone(),
                text: sample.text.clone(),
            }
        }));
    }
    if samples.is_empty() { Vec::new() } else { vec![Block::Samples(samples)] }
}

pub(super) fn recipes(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let recipes: Vec<(String, &toml::Table)> = all
        .iter()
        .filter_map(|found| Some((found.name.clone(), &found.recipe.as_ref()?.1)))
        .collect();
    blocks.extend(
        settings::of_runs(&recipes).map(|found| table("Settings in which the runs differ.", found)),
    );
    for found in all {
        let Some((text, recipe)) = &found.recipe else { continue };
        let of = if all.len() > 1 { format!(" of {}", found.name) } else { String::new() };
        blocks.extend(
            settings::of_models(recipe)
                .map(|found| table(&format!("Settings in which the models{of} differ."), found)),
        );
        let title = format!("The whole recipe{of}, with every default");
        blocks.push(Block::Pre { title, text: text.clone() });
    }
    blocks
}

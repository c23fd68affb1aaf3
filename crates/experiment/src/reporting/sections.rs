//! The parts of the page.

use eval::{BENCHMARKS, Benchmark, Outcome, Task};
use report::figures::Palette;
use report::format::{counted, time_of_day};
use report::page::{Block, Sample};

use super::comparable::{Comparable, comparable};
use super::curves::{self, Drawn, TrainingFlops};
use super::found::{Found, FoundScores, items as items_at};
use super::log::Quantity;
use super::shown::{Scored, Shown, other_rules, scored, set_of, sets, sets_of};
use super::tasks::{self, Answers};
use super::{finetunings, losses, model_tables, named, papers, records, settings};
use crate::evaluation::all::differences::{DIFFERENCES, differences_of};
use crate::evaluation::all::model_scores::ModelScores;
use crate::evaluation::all::parts::parts;
use crate::evaluation::all::report as tables;
use crate::held_out::{self, HeldOut};

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

pub(super) fn results(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(found) = model_tables::results(all) {
        blocks.push(match found.sentences.is_empty() {
            true => table("", found.table),
            // The first sentence names the table's files.
            false => table(&format!("Results. {}", found.sentences), found.table),
        });
        blocks.extend(found.over_seeds.map(|found| table(&found.caption, found.table)));
    }
    blocks.extend(
        model_tables::trainings(all)
            .map(|found| table("How they were trained, and the text that they have seen.", found)),
    );
    for (number, scored) in sets(all).iter().enumerate() {
        let shown = Shown::of(scored);
        let (scores, rules) = (&shown.scores[..], shown.rules);
        blocks.extend(other_rules(all, rules).filter(|_| number == 0));
        match tables::overview(scores, rules, &shown.failures) {
            _ if scores.is_empty() => {}
            Ok((overview, explanation)) => {
                let caption = format!("By the rules of {}. {explanation}", rules.name());
                let sentences =
                    [caption, sets_of(scored), parts(scores, rules, &shown.failures)].into_iter();
                let failed = shown.failures.footnotes().replace('\n', " ").trim_end().to_owned();
                let sentences = sentences.chain(shown.all_sentences()).chain([failed]);
                let sentences = sentences.filter(|it| !it.is_empty());
                blocks.push(table(&sentences.collect::<Vec<_>>().join(" "), overview));
            }
            Err(error) => {
                blocks.push(Block::Missing { what: "intervals".to_owned(), why: error.cause() });
            }
        }
    }
    blocks.extend(records::machines(all).map(|(caption, found)| table(&caption, found)));
    blocks
}

pub(super) fn curves(all: &[Found], palette: &Palette) -> Vec<Block> {
    let several = all.len() > 1;
    let (mut drawn, mut measured) = (Vec::new(), Vec::new());
    for found in all {
        for model in &found.models {
            let Some(log) = &model.log else { continue };
            let name = named(found, &model.name, several);
            drawn.push(Drawn { name, log, flops: TrainingFlops::of(found, &model.name) });
            if log.is_evaluated() {
                measured.push((named(found, &model.name, several), &model.held_out));
            }
        }
    }
    let (names, measured): (Vec<&str>, Vec<&HeldOut>) =
        measured.iter().map(|(name, held_out)| (&name[..], *held_out)).unzip();
    let groups = held_out::groups(&measured);
    let apart = groups.first().map_or_else(String::new, |base| {
        held_out::apart("apart from the others are", &names, &measured, base)
    });
    let without: Vec<&str> = drawn
        .iter()
        .filter(|model| model.log.count > 0 && !model.log.has(Quantity::Loss))
        .map(|model| &model.name[..])
        .collect();
    let missing = (!without.is_empty()).then(|| Block::Missing {
        what: format!("losses of {}", without.join(", ")),
        why: "those of all steps are no numbers, as of a training that diverged.".to_owned(),
    });
    let curves = curves::curves(&drawn, &apart, palette).into_iter().map(Block::Curves);
    missing.into_iter().chain(curves).collect()
}

/// Curves of fine-tunings.
pub(super) fn finetunings(all: &[Found], palette: &Palette) -> Vec<Block> {
    let named = scored(all);
    let models: Vec<(&str, &ModelScores)> =
        named.iter().map(|(name, _, one)| (&name[..], &one.scores)).collect();
    finetunings::curves(&models, palette).into_iter().map(Block::Curves).collect()
}

/// The papers' figures, as far as there is something to draw.
pub(super) fn figures(all: &[Found], palette: &Palette) -> Vec<Block> {
    let (named, sets) = (scored(all), sets(all));
    let shown = Shown::of(&named);
    let (scores, rules) = (&shown.scores[..], shown.rules);
    let mut blocks = Vec::new();
    let printed = papers::beside_printed(scores, rules, palette).into_iter();
    let violins = papers::violins(scores, rules, palette);
    blocks.extend(printed.chain(violins).map(Block::Figure));
    blocks.extend(sets.iter().flat_map(|set| losses::fits(set, palette)));
    blocks.extend(losses::scalings(all, palette));
    blocks.extend(losses::sources(&named, palette));
    for set in &sets {
        for &benchmark in BENCHMARKS {
            let found = comparable(set, benchmark);
            let Some(title) = found.title() else { continue };
            let figure = papers::groups(&title, &found.answers(), &found.left_out, palette);
            blocks.extend(figure.map(Block::Figure));
        }
    }
    blocks
}

pub(super) fn tasks(all: &[Found]) -> Vec<Block> {
    sets(all).iter().flat_map(|set| tasks_of_set(set)).collect()
}

/// The tables of a set of each benchmark's items.
fn tasks_of_set(scored: &[Scored<'_>]) -> Vec<Block> {
    let (mut blocks, mut marked) = (Vec::new(), Vec::new());
    let compared: Vec<Comparable<'_>> =
        BENCHMARKS.iter().map(|&benchmark| comparable(scored, benchmark)).collect();
    for (benchmark, found) in BENCHMARKS.iter().zip(&compared) {
        let answers = found.answers();
        let (Some(title), [_, _, ..]) = (found.title(), &answers[..]) else {
            if !found.left_out.is_empty() {
                let what = format!("{} of several models task by task", benchmark.title());
                blocks.push(Block::Missing { what, why: found.left_out.clone() });
            }
            continue;
        };
        let is_all = found.left_out.is_empty() && answers.len() <= tasks::MOST_MODELS;
        if benchmark.reference().is_empty() && is_all {
            marked.push(benchmark.name());
        }
        let others = match found.left_out.is_empty() {
            true => String::new(),
            false => format!(" {}", found.left_out),
        };
        let left_out = tasks::left_out(&answers, &title) + &others;
        for by_group in [true, false] {
            let what = if by_group { "by group" } else { "by task" };
            let caption = format!("{title} {what}. {}{left_out}", tasks::MARKS);
            blocks.extend(tasks::marked(&answers, by_group).map(|found| table(&caption, found)));
        }
    }
    let of_sets = sets_of(scored);
    let lists = compared.iter().map(|found| {
        found.models.iter().map(|(answers, _)| (answers.model, answers.outcome)).collect()
    });
    match differences_of(lists) {
        Ok(found) => {
            let caption = format!("{DIFFERENCES} {of_sets}");
            blocks.extend(found.map(|found| table(caption.trim_end(), found)));
        }
        Err(error) => {
            blocks.push(Block::Missing { what: "differences".to_owned(), why: error.cause() });
        }
    }
    // Tables without printed scores have nothing that the ones above lack.
    let shown = Shown::of(scored);
    let rest = tables::task_tables(&shown.scores, shown.rules, &shown.failures);
    let rest = rest.filter(|(benchmark, ..)| !marked.contains(&benchmark.name()));
    blocks.extend(rest.map(|(benchmark, title, found, notes)| {
        let set = set_of(scored, benchmark).map_or_else(String::new, |set| format!(", {set}"));
        let notes =
            format!("{} {}", notes.replace('\n', " ").trim_end(), shown.sentence(benchmark));
        table(format!("{title}{set}. {}", notes.trim()).trim_end(), found)
    }));
    blocks
}

pub(super) fn items(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for scored in &sets(all) {
        for &benchmark in BENCHMARKS {
            let found = comparable(scored, benchmark);
            let Some(title) = found.title() else { continue };
            match items_of(&found, benchmark) {
                Ok(tasks) => blocks.extend(item_tables(&title, &found.answers(), &tasks)),
                Err(why) => {
                    blocks.push(Block::Missing { what: format!("the items of {title}"), why })
                }
            }
        }
    }
    blocks
}

/// The items that models answered, from the first files that still are those; otherwise why not.
fn items_of(found: &Comparable<'_>, benchmark: &dyn Benchmark) -> Result<Vec<Task>, String> {
    let mut why = None;
    for (answers, one) in &found.models {
        match read_items(answers.outcome, one, benchmark) {
            Ok(tasks) => return Ok(tasks),
            Err(own) => why = why.or(Some(own)),
        }
    }
    why.map_or_else(|| Ok(Vec::new()), Err)
}

fn read_items(
    outcome: &Outcome,
    one: &FoundScores,
    benchmark: &dyn Benchmark,
) -> Result<Vec<Task>, String> {
    let Some(items) = one.data.get(benchmark.name()) else {
        return Err("data.json beside its scores does not state where its data is.".to_owned());
    };
    let place = items.place.display();
    let unreadable = || format!("{place} is not there or cannot be read.");
    let tasks = items_at(benchmark.name(), &items.place).ok_or_else(unreadable)?;
    let fits = tasks.len() == outcome.predictions.len()
        && tasks.iter().zip(&outcome.predictions).all(|(a, b)| a.items.len() == b.len());
    match fits && !items.are_edited() {
        true => Ok(tasks),
        false => Err(format!("{place} has other items now than when they were scored.")),
    }
}

/// The hardest items, and those that only one of the first two models gets right.
fn item_tables(title: &str, answers: &[Answers<'_>], tasks: &[Task]) -> Vec<Block> {
    let hardest = tasks::hardest(answers, tasks)
        .map(|found| table(&format!("{title}: the hardest items. {}", tasks::MARGINS), found));
    let mut blocks: Vec<Block> = hardest.into_iter().collect();
    if let &[from, to, ..] = answers {
        let (before, after) = (from.model, to.model);
        let captions = [
            format!("{title}: right by {after}, wrong by {before}."),
            format!("{title}: wrong by {after}, right by {before}."),
        ];
        let flipped = tasks::flipped(from, to, tasks).into_iter().zip(captions);
        blocks.extend(flipped.filter_map(|(found, caption)| Some(table(&caption, found?))));
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

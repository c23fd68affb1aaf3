//! The parts of the page.

use eval::{BENCHMARKS, Benchmark, HeldOutLoss, Rules, Task};
use report::figures::Palette;
use report::format::{counted, time_of_day};
use report::page::{Block, Sample};

use super::curves;
use super::found::{Found, FoundScores, items as items_at};
use super::tasks::{self, Answers};
use super::{finetunings, losses, model_tables, named, papers, records, settings};
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

/// Scores under the name that they have on the page, with where they were found.
type Scored<'a> = (String, &'a Found, &'a FoundScores);

/// All scores, each under the name that it has on the page.
fn scored(all: &[Found]) -> Vec<Scored<'_>> {
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

/// The same, and behind them those of second sets of a benchmark's items, of third ones, and so on.
fn sets<'a>(all: &'a [Found]) -> Vec<Vec<Scored<'a>>> {
    let first = scored(all);
    let count = first.iter().map(|(.., one)| one.further.len()).max().unwrap_or(0);
    let set = |number: usize| {
        let of_model =
            |(name, found, one): Scored<'a>| Some((name, found, one.further.get(number)?));
        scored(all).into_iter().filter_map(of_model).collect()
    };
    let further: Vec<Vec<Scored<'a>>> = (0..count).map(set).collect();
    [first].into_iter().chain(further).collect()
}

/// The name of a set of a benchmark's items; none where there is one set.
fn set_of(scored: &[Scored<'_>], benchmark: &dyn Benchmark) -> Option<String> {
    let names = scored.iter().filter_map(|(.., one)| one.set_names.get(benchmark.name()).cloned());
    let mut names: Vec<String> = names.collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// A sentence on the sets that scores are of, where there are several.
fn sets_of(scored: &[Scored<'_>]) -> String {
    let set = |benchmark: &&'static dyn Benchmark| {
        Some(format!("{} of {}", benchmark.title(), set_of(scored, *benchmark)?))
    };
    let sets: Vec<String> = BENCHMARKS.iter().filter_map(set).collect();
    match sets.is_empty() {
        true => String::new(),
        false => format!("Of models with several sets of pairs: {}.", sets.join(", ")),
    }
}

/// Copies with the names of the page, and the rules that most of them were scored by.
fn renamed(scored: &[Scored<'_>]) -> (Vec<ModelScores>, Rules) {
    let rules = scored.iter().find_map(|(.., one)| one.rules).unwrap_or(Rules::Year2024);
    let same = scored.iter().filter(|(.., one)| one.rules.is_none_or(|own| own == rules));
    let renamed = same.map(|(name, _, one)| {
        let mut scores = one.scores.clone();
        scores.name.clone_from(name);
        scores
    });
    (renamed.collect(), rules)
}

/// The scores without the answers to other items than those of the first model.
fn of_same_items(scored: &[Scored<'_>], scores: &[ModelScores]) -> Vec<ModelScores> {
    let found = |name: &str| scored.iter().find(|(known, ..)| known == name).map(|(.., one)| *one);
    let first = scores.first().and_then(|first| found(&first.name));
    let mut scores = scores.to_vec();
    for own in &mut scores {
        let Some((first, one)) = first.zip(found(&own.name)) else { continue };
        for outcome in &mut own.outcomes {
            if !first.has_items_of(one, outcome.result.benchmark) {
                outcome.predictions.clear();
            }
        }
    }
    scores
}

/// The models that tables and figures of benchmarks leave out, as other rules scored them.
fn other_rules(all: &[Found], rules: Rules) -> Option<Block> {
    let scored = scored(all);
    let others = scored.iter().filter_map(|(name, _, one)| {
        let own = one.rules.filter(|own| *own != rules)?;
        Some(format!("{name} ({})", own.name()))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| Block::Missing {
        what: format!("scores of {} beside the others", others.join(", ")),
        why: format!("scores of different rules do not compare; these are by {}.", rules.name()),
    })
}

/// A sentence on scored losses that do not compare with the others; empty where all do.
fn losses_apart(all: &[Found]) -> String {
    let scored = scored(all);
    let with_loss = scored.iter().filter(|(.., one)| one.held_out_loss.is_some());
    let (names, measured): (Vec<&str>, Vec<&HeldOut>) =
        with_loss.map(|(name, _, one)| (&name[..], &one.held_out)).unzip();
    let groups = held_out::groups(&measured);
    groups.first().map_or_else(String::new, |base| {
        held_out::apart("apart from the others are", &names, &measured, base)
    })
}

pub(super) fn results(all: &[Found]) -> Vec<Block> {
    let mut blocks = Vec::new();
    blocks.extend(model_tables::results(all).map(|(apart, found)| match apart.is_empty() {
        true => table("", found),
        // The first sentence names the table's files.
        false => table(&format!("Results. {apart}"), found),
    }));
    blocks.extend(
        model_tables::trainings(all)
            .map(|found| table("How they were trained, and the text that they have seen.", found)),
    );
    for (number, scored) in sets(all).iter().enumerate() {
        let (scores, rules) = renamed(scored);
        let losses = if number == 0 { losses_apart(all) } else { String::new() };
        blocks.extend(other_rules(all, rules).filter(|_| number == 0));
        match tables::overview(&scores, rules) {
            _ if scores.is_empty() => {}
            Ok(overview) => {
                let caption = format!("By the rules of {}. {}", rules.name(), tables::EXPLANATION);
                let sentences = [caption, sets_of(scored), parts(&scores, rules), losses];
                let sentences = sentences.into_iter().filter(|it| !it.is_empty());
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
    let (mut logs, mut measured) = (Vec::new(), Vec::new());
    for found in all {
        for model in &found.models {
            let Some(log) = &model.log else { continue };
            logs.push((named(found, &model.name, several), log));
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
    curves::curves(&logs, &apart, palette).into_iter().map(Block::Curves).collect()
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
    let (scores, rules) = renamed(&named);
    let mut blocks = Vec::new();
    let printed = papers::beside_printed(&scores, rules, palette).into_iter();
    let violins = papers::violins(&scores, rules, palette);
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

/// The models whose answers to a benchmark are compared.
struct Comparable<'a> {
    /// Those that answered the same items, the one that others are compared with first, with where
    /// the items are.
    models: Vec<(Answers<'a>, &'a FoundScores)>,
    /// A sentence on the others, with the reasons; empty where there are none.
    left_out: String,
}

impl<'a> Comparable<'a> {
    /// What they are answers to; none where there are none.
    fn title(&self) -> Option<String> {
        self.models.first().map(|(answers, one)| one.title(answers.outcome))
    }

    fn answers(&self) -> Vec<Answers<'a>> {
        self.models.iter().map(|(answers, _)| *answers).collect()
    }
}

/// A model's answers with its place among others.
type Ranked<'a> = (u8, Answers<'a>, &'a FoundScores);

/// The answers to a benchmark of the models that answered the same items: of different ones those
/// that most models answered.
fn comparable<'a>(scored: &'a [Scored<'a>], benchmark: &dyn Benchmark) -> Comparable<'a> {
    let mut answers: Vec<Ranked<'_>> = Vec::new();
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
        answers.push((rank, Answers { model: name, outcome }, one));
    }
    answers.sort_by_key(|(rank, ..)| *rank);
    let is_alike = |(_, one, of_one): &Ranked<'_>, (_, other, of_other): &Ranked<'_>| {
        tasks::is_same(one.outcome, other.outcome) && of_one.has_items_of(of_other, benchmark)
    };
    let alike = |one: &Ranked<'_>| answers.iter().filter(|other| is_alike(one, other)).count();
    // Of equal counts the first.
    let most = answers.iter().rev().max_by_key(|one| alike(one)).copied();
    let Some(base) = most else {
        return Comparable { models: Vec::new(), left_out: String::new() };
    };
    let (models, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|one| is_alike(&base, one));
    let why = |(_, other, of_other): &Ranked<'_>| {
        let why = match base.2.has_items_of(of_other, benchmark) {
            true => tasks::difference(base.1.outcome, other.outcome),
            false => "its items have other texts".to_owned(),
        };
        format!("{} ({why})", other.model)
    };
    let others: Vec<String> = others.iter().map(why).collect();
    let left_out = match others.is_empty() {
        true => String::new(),
        false => {
            format!("Left out, as only answers to the same items compare: {}.", others.join("; "))
        }
    };
    let models = models.into_iter().map(|(_, answers, one)| (answers, one)).collect();
    Comparable { models, left_out }
}

pub(super) fn tasks(all: &[Found]) -> Vec<Block> {
    sets(all).iter().flat_map(|set| tasks_of_set(all, set)).collect()
}

/// The tables of a set of each benchmark's items.
fn tasks_of_set(all: &[Found], scored: &[Scored<'_>]) -> Vec<Block> {
    let (mut blocks, mut marked) = (Vec::new(), Vec::new());
    for &benchmark in BENCHMARKS {
        let found = comparable(scored, benchmark);
        let answers = found.answers();
        let (Some(title), [_, _, ..]) = (found.title(), &answers[..]) else {
            if !found.left_out.is_empty() {
                let what = format!("{} of several models task by task", benchmark.title());
                blocks.push(Block::Missing { what, why: found.left_out });
            }
            continue;
        };
        let is_all = found.left_out.is_empty() && answers.len() <= tasks::MOST_MODELS;
        if benchmark.reference().is_empty() && is_all {
            marked.push(benchmark.name());
        }
        let others = Some(found.left_out).filter(|others| !others.is_empty());
        let others = others.map_or_else(String::new, |others| format!(" {others}"));
        let left_out = tasks::left_out(&answers, &title) + &others;
        for by_group in [true, false] {
            let what = if by_group { "by group" } else { "by task" };
            let caption = format!("{title} {what}. {}{left_out}", tasks::MARKS);
            blocks.extend(tasks::marked(&answers, by_group).map(|found| table(&caption, found)));
        }
    }
    let (scores, rules) = renamed(scored);
    let of_sets = sets_of(scored);
    match tables::differences(&of_same_items(scored, &scores)) {
        Ok(found) => {
            let caption = format!("{} {of_sets}", tables::DIFFERENCES);
            blocks.extend(found.map(|found| table(caption.trim_end(), found)));
        }
        Err(error) => {
            blocks.push(Block::Missing { what: "differences".to_owned(), why: error.cause() });
        }
    }
    // Tables without printed scores have nothing that the ones above lack.
    let rest = tables::task_tables(&scores, rules);
    let rest = rest.filter(|(benchmark, ..)| !marked.contains(&benchmark.name()));
    let losses = losses_apart(all);
    blocks.extend(rest.map(|(benchmark, title, found, notes)| {
        let losses = if benchmark.name() == HeldOutLoss.name() { &losses } else { "" };
        let set = set_of(scored, benchmark).map_or_else(String::new, |set| format!(", {set}"));
        let notes = format!("{} {losses}", notes.replace('\n', " ").trim_end());
        table(format!("{title}{set}. {notes}").trim_end(), found)
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

/// The items that models answered, where their files are still those; otherwise why not.
fn items_of(found: &Comparable<'_>, benchmark: &dyn Benchmark) -> Result<Vec<Task>, String> {
    let Some((first, one)) = found.models.first() else { return Ok(Vec::new()) };
    let Some(items) = one.data.get(benchmark.name()) else {
        return Err("data.json beside its scores does not state where its data is.".to_owned());
    };
    let place = items.place.display();
    let unreadable = || format!("{place} is not there or cannot be read.");
    let tasks = items_at(benchmark.name(), &items.place).ok_or_else(unreadable)?;
    let fits = tasks.len() == first.outcome.predictions.len()
        && tasks.iter().zip(&first.outcome.predictions).all(|(a, b)| a.items.len() == b.len());
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

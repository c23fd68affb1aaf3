//! Tables of the models: what they came to, how they were trained, and what they have seen.

use std::collections::BTreeMap;

use report::format::{NOTHING, duration, grouped, short};
use report::{Align, Table, TableRow, closing_table};

use super::found::{Found, FoundScores};
use super::models::FoundModel;
use super::named;
use crate::held_out::{self, HeldOut};
use crate::over_seeds::{SeedGroup, SeedTable, seed_groups, seed_table};
use crate::run::exposure;
use crate::scored_items;

/// What models came to.
pub(super) struct Results {
    /// On losses and scores that do not compare.
    pub(super) sentences: String,
    /// Losses, scores, speed and seeds as at the end of a run.
    pub(super) table: Table,
    /// Models that differ in their seeds alone.
    pub(super) over_seeds: Option<SeedTable>,
}

/// What the models of all folders came to; none without any.
pub(super) fn results(all: &[Found]) -> Option<Results> {
    let scores = all.iter().flat_map(|found| &found.scores).flat_map(FoundScores::titled);
    let mut titles: Vec<String> = Vec::new();
    for (title, ..) in scores {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let rows: Vec<Row<'_>> =
        all.iter().flat_map(|found| rows(found, all.len() > 1, &titles)).collect();
    let losses: Vec<Option<&HeldOut>> = rows.iter().map(|row| row.held_out).collect();
    let (letters, of_losses) = held_out::letters(&losses);
    let (mut of_pairs, mut pair_letters) = (String::new(), vec![Vec::new(); rows.len()]);
    for set in 0..titles.len() {
        let items: Vec<Option<&String>> = rows.iter().map(|row| row.items[set]).collect();
        let (letters, sentence) = scored_items::letters(&items);
        pair_letters.iter_mut().zip(letters).for_each(|(own, letter)| own.push(letter));
        of_pairs = if sentence.is_empty() { of_pairs } else { sentence };
    }
    let rows = rows.into_iter().zip(letters).zip(pair_letters);
    let rows =
        rows.map(|((row, letter), pair_letters)| TableRow { letter, pair_letters, ..row.row });
    let rows: Vec<TableRow> = rows.collect();
    let sentences = [of_losses, of_pairs].into_iter().filter(|text| !text.is_empty());
    let sentences = sentences.collect::<Vec<_>>().join(" ");
    let groups: Vec<_> =
        all.iter().map(|found| seed_groups_of(found, all.len() > 1, &rows)).collect();
    (!rows.is_empty()).then(|| Results {
        sentences,
        table: closing_table(&rows, &titles),
        over_seeds: seed_table(&groups, &titles),
    })
}

/// The groups of a run's models that differ in their seeds alone, by the names of the page.
fn seed_groups_of<'a>(found: &Found, several: bool, rows: &'a [TableRow]) -> Vec<SeedGroup<'a>> {
    let recipe = found.recipe.as_ref().and_then(|(_, recipe)| recipe.get("evaluate")?.get("seeds"));
    let group = |(name, members): (&String, &toml::Value)| {
        let members = members.as_array()?.iter().filter_map(toml::Value::as_str);
        let members = members.map(|member| named(found, member, several)).collect();
        Some((named(found, name, several), members))
    };
    let groups = recipe.and_then(toml::Value::as_table).into_iter().flatten();
    let groups: BTreeMap<String, Vec<String>> = groups.filter_map(group).collect();
    let is = |model: &FoundModel, name: &str| named(found, &model.name, several) == name;
    let model = |name: &str| found.models.iter().find(|model| is(model, name));
    let is_plain =
        |name: &str| model(name).is_some_and(|model| !model.has_teachers && !model.is_teacher);
    let flops = |name: &str| found.seen(&model(name)?.name, "flops_with_teachers");
    seed_groups(&groups, rows, is_plain, flops)
}

/// A row with what its numbers are of.
struct Row<'a> {
    row: TableRow,
    /// What its loss is measured on, where it has one.
    held_out: Option<&'a HeldOut>,
    /// Hashes of the items of each set, as far as they are known.
    items: Vec<Option<&'a String>>,
}

/// Models in the recipe's order, also those that are not scored yet, then ensembles.
fn rows<'a>(found: &'a Found, several: bool, titles: &[String]) -> Vec<Row<'a>> {
    let models = found.models.iter().map(|model| {
        let scores = found.scores.iter().find(|one| one.scores.name == model.name);
        let summary = model.summary;
        let own = summary.and_then(|summary| summary.best_loss);
        let scored = scores.and_then(|one| one.held_out_loss.map(|loss| (loss, &one.held_out)));
        let loss = scored.or(own.map(|loss| (loss, &model.held_out)));
        let row = TableRow {
            model: named(found, &model.name, several),
            parameters: match scores {
                Some(one) if one.scores.parameters > 0 => one.scores.parameters,
                _ => model.parameters,
            },
            best_epoch: summary.and_then(|summary| summary.best_epoch),
            held_out_loss: loss.map(|(loss, _)| loss),
            pairs: shares(scores, titles),
            tokens_per_second: summary.and_then(|summary| summary.tokens_per_second()),
            minutes: summary.map(|summary| summary.seconds / 60.0),
            seed: model.seed.and_then(|seed| u64::try_from(seed).ok()),
            ..TableRow::default()
        };
        let held_out = loss.map(|(_, held_out)| held_out);
        Row { row, held_out, items: items(scores, titles) }
    });
    let others = found
        .scores
        .iter()
        .filter(|one| found.models.iter().all(|model| model.name != one.scores.name));
    let others = others.map(|one| {
        let row = TableRow {
            model: named(found, &one.scores.name, several),
            parameters: one.scores.parameters,
            held_out_loss: one.held_out_loss,
            pairs: shares(Some(one), titles),
            ..TableRow::default()
        };
        let held_out = one.held_out_loss.map(|_| &one.held_out);
        Row { row, held_out, items: items(Some(one), titles) }
    });
    // What was fine-tuned alone, from a folder that is gone, has none of these numbers.
    let is_known = |Row { row, .. }: &Row<'_>| {
        row.parameters > 0 || row.held_out_loss.is_some() || row.pairs.iter().any(Option::is_some)
    };
    models.chain(others.filter(is_known)).collect()
}

/// The score of each title, where there is one.
fn shares(scores: Option<&FoundScores>, titles: &[String]) -> Vec<Option<f64>> {
    let own = scores.map(FoundScores::titled).unwrap_or_default();
    let share = |title: &String| own.iter().find(|(known, ..)| known == title).map(|it| it.1);
    titles.iter().map(share).collect()
}

/// The hash of the items of each title, where it is known.
fn items<'a>(scores: Option<&'a FoundScores>, titles: &[String]) -> Vec<Option<&'a String>> {
    let own = scores.map(FoundScores::titled).unwrap_or_default();
    let hash = |title: &String| own.iter().find(|(known, ..)| known == title)?.2;
    titles.iter().map(hash).collect()
}

/// Steps, time, precision and the text that models have seen.
pub(super) fn trainings(all: &[Found]) -> Option<Table> {
    let heads = [
        "steps",
        "time in steps",
        "tokens",
        "words",
        "epochs",
        "words with teachers",
        "FLOPs",
        "FLOPs with teachers",
    ];
    let heads = heads.map(|head| (head, Align::Right));
    let ends = [("model", Align::Left), ("seed", Align::Right), ("products", Align::Left)];
    let mut table =
        Table::new(ends[..1].iter().copied().chain(heads).chain(ends[1..].iter().copied()));
    let several = all.len() > 1;
    let mut any = false;
    for found in all {
        for model in &found.models {
            any = true;
            table.push(training(found, model, several));
        }
    }
    any.then_some(table)
}

fn training(found: &Found, model: &FoundModel, several: bool) -> Vec<String> {
    let number = |key: &str| found.seen(&model.name, key);
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let steps = model.log.as_ref().and_then(|log| log.last_step());
    let seconds = model.log.as_ref().map(|log| log.seconds);
    let tokens = number("tokens").or(model.summary.map(|summary| summary.tokens as f64));
    vec![
        named(found, &model.name, several),
        or_nothing(steps.map(|steps| grouped(steps as u64))),
        or_nothing(seconds.map(duration)),
        or_nothing(tokens.map(short)),
        or_nothing(number("words").map(short)),
        or_nothing(number("epochs").map(|epochs| format!("{epochs:.2}"))),
        or_nothing(number("words_with_teachers").map(short)),
        exposure::flops(number("flops")),
        exposure::flops(number("flops_with_teachers")),
        or_nothing(model.seed.map(|seed| seed.to_string())),
        or_nothing(model.products.clone()),
    ]
}

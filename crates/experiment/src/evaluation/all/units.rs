//! The tasks of a suite, or its groups, one by one: a table with the printed scores beside one's
//! own, and CSV.

use eval::classification::{TASKS, find_task};
use eval::{Metric, Rules, Suite, SuiteResult, TaskResult};
use report::reference::{self, PrintedTable, Track};
use report::{Align, Table};

use super::card::Card;
use crate::failures::Failures;
use crate::finetuning::summary;

/// A suite's results of a card, one a seed; one for a suite that needs no training.
fn results(card: &Card, suite: Suite, rules: Rules) -> Vec<SuiteResult> {
    match card.suite(suite) {
        Some(outcome) => vec![outcome.result.clone()],
        None => card.finetuned_suites(suite, rules),
    }
}

/// The units that any model has, in order.
fn names(all: &[Vec<SuiteResult>]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for unit in all.iter().flatten().flat_map(SuiteResult::units) {
        if !names.contains(&unit.name.as_str()) {
            names.push(&unit.name);
        }
    }
    names
}

/// The tasks of a fine-tuned suite that any model has, or for which any failed, in the papers'
/// order.
pub fn finetuned_tasks(
    cards: &[Card],
    suite: Suite,
    rules: Rules,
    failures: &Failures,
) -> Vec<&'static str> {
    let all: Vec<_> = cards.iter().map(|card| card.finetuned_suites(suite, rules)).collect();
    let (found, failed) = (names(&all), failures.tasks(suite.name()));
    let tasks = TASKS.iter().map(|task| task.name);
    tasks.filter(|task| found.contains(task) || failed.contains(task)).collect()
}

/// A suite's table, and notes on what was tied and cut and on the sources; none when no model has
/// the suite.
pub fn unit_table(
    cards: &[Card],
    suite: Suite,
    rules: Rules,
    failures: &Failures,
) -> Option<(Table, String)> {
    let all: Vec<Vec<SuiteResult>> = cards.iter().map(|card| results(card, suite, rules)).collect();
    let finetuned = finetuned_tasks(cards, suite, rules, failures);
    let names = if finetuned.is_empty() { names(&all) } else { finetuned };
    let first = all.iter().flatten().next()?;
    let printed: Vec<&PrintedTable> = printed_tables(suite, rules, &names);
    let models = printed
        .iter()
        .flat_map(|table| table.rows.iter().map(move |row| (*table, row.model.as_str())));
    let models: Vec<(&PrintedTable, &str)> = models.collect();
    let heads =
        cards.iter().map(|card| card.name.as_str()).chain(models.iter().map(|(_, model)| *model));
    let mut table = Table::new(
        [("task", Align::Left), ("metric", Align::Left)]
            .into_iter()
            .chain(heads.map(|head| (head, Align::Right))),
    );
    // What 2023 prints for tasks of Matthews' coefficient are accuracies, which do not compare.
    let compares = |name: &str| {
        let unit = all.iter().flatten().flat_map(SuiteResult::units).find(|unit| unit.name == name);
        rules != Rules::Year2023 || unit.is_none_or(|unit| unit.metric != Metric::Mcc)
    };
    let value = |table: &PrintedTable, model: &str, name: &str| {
        table.value(model, name).filter(|_| compares(name))
    };
    for name in &names {
        let unit =
            all.iter().flatten().flat_map(SuiteResult::units).find(|unit| unit.name == *name);
        let metric = unit.map(|unit| unit.metric).or(find_task(name).map(|task| task.metric));
        let metric = metric.map_or("", Metric::name);
        let own = cards.iter().zip(&all).map(|(card, results)| {
            let failed = failures.mark(&card.name, suite.name(), Some(name));
            failed.unwrap_or_else(|| score(results, |result| unit_score(result, name)))
        });
        let of_papers = models.iter().map(|(table, model)| {
            value(table, model, name).map_or(String::new(), |value| format!("{value:.1}"))
        });
        table.push(
            [name.to_string(), metric.to_owned()].into_iter().chain(own).chain(of_papers).collect(),
        );
    }
    let own = cards.iter().zip(&all).map(|(card, results)| {
        let failed = failures.mark(&card.name, suite.name(), None);
        failed.unwrap_or_else(|| score(results, |result| Some(result.score)))
    });
    let of_papers = models.iter().map(|(table, model)| {
        let values: Option<Vec<f64>> = names.iter().map(|name| value(table, model, name)).collect();
        values.map_or(String::new(), |values| {
            format!("{:.1}", values.iter().sum::<f64>() / values.len() as f64)
        })
    });
    let what = if first.groups.is_empty() { "mean" } else { "mean of the groups" };
    table.push([what.to_owned(), String::new()].into_iter().chain(own).chain(of_papers).collect());
    Some((table, notes(cards, &all, &printed)))
}

fn unit_score(result: &SuiteResult, name: &str) -> Option<f64> {
    result.units().iter().find(|unit| unit.name == name).map(|unit| unit.score)
}

fn score(results: &[SuiteResult], of: impl Fn(&SuiteResult) -> Option<f64>) -> String {
    let scores: Vec<f64> = results.iter().filter_map(of).collect();
    summary::text(summary::spread(&scores))
}

/// The printed tables of the year that know any of the units.
fn printed_tables(suite: Suite, rules: Rules, names: &[&str]) -> Vec<&'static PrintedTable> {
    let of_suite =
        |table: &&PrintedTable| table.suite == suite.name() && table.track == Track::StrictSmall;
    let knows =
        |table: &&PrintedTable| table.columns.iter().any(|column| names.contains(&column.as_str()));
    reference::tables(rules.year()).iter().filter(of_suite).filter(knows).collect()
}

fn notes(cards: &[Card], all: &[Vec<SuiteResult>], printed: &[&PrintedTable]) -> String {
    let mut notes = String::new();
    for (card, results) in cards.iter().zip(all) {
        let (ties, cut) = (sum(results, |task| task.ties), sum(results, |task| task.truncated));
        if ties + cut > 0 {
            notes += &format!("{}: {ties} ties, {cut} texts cut to fit.\n", card.name);
        }
    }
    for table in printed {
        let models: Vec<&str> = table.rows.iter().map(|row| row.model.as_str()).collect();
        notes += &format!("{}: {} ({}).\n", models.join("; "), table.source, table.measure);
    }
    notes
}

fn sum(results: &[SuiteResult], part: impl Fn(&TaskResult) -> usize) -> usize {
    results.iter().flat_map(|result| &result.tasks).map(part).sum()
}

/// One line for each model, task and seed.
pub fn csv(cards: &[Card]) -> String {
    let mut text =
        "model,suite,task,seed,metric,score,standard_error,items,correct,ties,truncated\n"
            .to_owned();
    let mut line = |fields: [&str; 11]| {
        text += &fields.map(quoted).join(",");
        text.push('\n');
    };
    for card in cards {
        let mut plain = |suite: &str, task: &str, unit: &str, score: f64, items: usize| {
            line([
                &card.name,
                suite,
                task,
                "",
                unit,
                &score.to_string(),
                "",
                &items.to_string(),
                "",
                "",
                "",
            ]);
        };
        if let Some(loss) = &card.loss {
            plain("loss", "all", "nats", loss.loss, loss.tokens);
            for file in &loss.files {
                file.loss.into_iter().for_each(|loss| {
                    plain("loss", &file.file, "nats", loss, file.predicted_tokens)
                });
            }
        }
        if let Some(ages) = &card.ages {
            plain("aoa", "overall", "months", ages.overall_mad, ages.n);
            plain("aoa", "nouns", "months", ages.noun_mad, ages.n_noun);
            plain("aoa", "predicates", "months", ages.predicate_mad, ages.n_predicate);
            plain("aoa", "function_words", "months", ages.functionword_mad, ages.n_functionword);
        }
        for (suite, seed, task) in every_task(card) {
            let numbers = [task.items, task.correct, task.ties, task.truncated]
                .map(|number| number.to_string());
            let [items, correct, ties, truncated] = &numbers;
            let error = task.standard_error.map_or(String::new(), |error| error.to_string());
            let (metric, score) = (task.metric.name(), task.score.to_string());
            let [suite, name] = [suite.name(), &task.name];
            line([
                &card.name, suite, name, &seed, metric, &score, &error, items, correct, ties,
                truncated,
            ]);
        }
    }
    text
}

/// All tasks of a card, with the seed where they were trained for.
fn every_task(card: &Card) -> impl Iterator<Item = (Suite, String, &TaskResult)> {
    let zero_shot = card.suites.iter().flat_map(move |outcome| {
        let result = &outcome.result;
        result.tasks.iter().map(|task| (result.suite, String::new(), task))
    });
    zero_shot
        .chain(card.every_finetuned().map(|(suite, seed, task)| (suite, seed.to_string(), task)))
}

/// A field as CSV wants it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

//! Models that differ in their seeds alone: means with their spread, and differences from models
//! without teachers, seed by seed.

use std::collections::BTreeMap;

use eval::statistics::Spread;
use report::format::{NOTHING, decimal};
use report::{Align, Table, TableRow, lettered};

use crate::run::exposure;

/// Models of a recipe that differ in their seeds alone.
pub(crate) struct SeedGroup<'a> {
    /// The name that the recipe gives them.
    pub(crate) name: String,
    /// A row for each that has results.
    pub(crate) rows: Vec<&'a TableRow>,
    /// Whether they have no teachers and are none, so that others are compared with them.
    pub(crate) is_plain: bool,
    /// Floating-point operations of each training with those of its teachers, where they are known.
    pub(crate) flops: Option<f64>,
}

/// The groups that a recipe names, in the order of their models' rows. `is_plain` is whether a
/// model has no teachers and is none, `flops` are those of a training with its teachers'.
pub(crate) fn seed_groups<'a>(
    named: &BTreeMap<String, Vec<String>>,
    rows: &'a [TableRow],
    is_plain: impl Fn(&str) -> bool,
    flops: impl Fn(&str) -> Option<f64>,
) -> Vec<SeedGroup<'a>> {
    let is_scored =
        |row: &TableRow| row.held_out_loss.is_some() || row.pairs.iter().any(Option::is_some);
    let place = |name: &String| rows.iter().position(|row| row.model == *name && is_scored(row));
    let of_one = |(name, members): (&String, &Vec<String>)| {
        let places: Vec<usize> = members.iter().filter_map(place).collect();
        let work: Option<Vec<f64>> = members.iter().map(|member| flops(member)).collect();
        let work = work.and_then(|work| Spread::of(&work, CONFIDENCE));
        let group = SeedGroup {
            name: name.clone(),
            rows: places.iter().map(|&place| &rows[place]).collect(),
            is_plain: members.iter().all(|member| is_plain(member)),
            flops: work.map(|work| work.mean),
        };
        (places.first().copied(), group)
    };
    let mut groups: Vec<_> = named.iter().map(of_one).collect();
    groups.sort_by_key(|(place, _)| *place);
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A table of groups of models with several seeds.
#[derive(Clone, Debug)]
pub struct SeedTable {
    /// What the columns are.
    pub caption: String,
    /// A row for each group.
    pub table: Table,
}

/// A difference is marked where at least this many seeds have it.
const LEAST_SEEDS: usize = 3;

/// How many of its standard deviations a mean difference must be away from zero.
const DEVIATIONS: f64 = 2.0;

/// The confidence of intervals, which the table does not show.
const CONFIDENCE: f64 = 0.95;

/// Digits of losses, and of scores in percent.
const DIGITS: [usize; 2] = [3, 1];

/// The table of the groups of some runs; none where no group has results of two seeds. `pairs` has
/// the title of each set of minimal pairs that the rows have.
pub(crate) fn seed_table(runs: &[Vec<SeedGroup<'_>>], pairs: &[String]) -> Option<SeedTable> {
    let heads = ["seeds", "held-out loss", "difference"].into_iter();
    let pairs_heads = pairs.iter().flat_map(|title| [title.as_str(), "difference"]);
    let heads = heads.chain(pairs_heads).chain(["minutes", "FLOPs"]);
    let heads = heads.map(|head| (head, Align::Right));
    let mut table = Table::new([("model", Align::Left)].into_iter().chain(heads));
    let (mut bases, mut any) = (Vec::new(), false);
    for groups in runs {
        let shown: Vec<_> = groups.iter().filter(|group| group.rows.len() > 1).collect();
        let base = shown.iter().find(|group| group.is_plain).copied();
        bases.extend(base.filter(|_| shown.len() > 1).map(|base| base.name.as_str()));
        shown.iter().for_each(|group| table.push(cells(group, base, pairs.len())));
        any |= !shown.is_empty();
    }
    any.then(|| SeedTable { caption: caption(&bases), table })
}

fn caption(bases: &[&str]) -> String {
    let means = "Over seeds. Means with the standard deviation of one model.";
    let costs = "Minutes are those of one training, FLOPs with its teachers' trainings.";
    match bases {
        [] => format!("{means} {costs}"),
        bases => format!(
            "{means} Differences are from {}, seed by seed; * where {LEAST_SEEDS} seeds or more \
             differ by more than two standard deviations of their differences. {costs}",
            bases.join(" and ")
        ),
    }
}

/// A value of a row, with the letter of those that it compares with.
type Value<'a> = (f64, &'a str);

fn loss(row: &TableRow) -> Option<Value<'_>> {
    row.held_out_loss.map(|loss| (loss, row.letter.as_str()))
}

/// Right answers to a set of pairs in percent.
fn share(row: &TableRow, set: usize) -> Option<Value<'_>> {
    let letter = row.pair_letters.get(set).map_or("", String::as_str);
    row.pairs.get(set).copied().flatten().map(|share| (100.0 * share, letter))
}

fn cells(group: &SeedGroup<'_>, base: Option<&SeedGroup<'_>>, sets: usize) -> Vec<String> {
    let base = base.filter(|base| base.name != group.name);
    let mut cells = vec![group.name.clone(), group.rows.len().to_string()];
    cells.push(mean(group, loss, DIGITS[0]));
    cells.push(difference(group, base, loss, DIGITS[0]));
    for set in 0..sets {
        let share = |row| share(row, set);
        cells.push(mean(group, share, DIGITS[1]));
        cells.push(difference(group, base, share, DIGITS[1]));
    }
    let minutes: Option<Vec<f64>> = group.rows.iter().map(|row| row.minutes).collect();
    let minutes = minutes.and_then(|minutes| Spread::of(&minutes, CONFIDENCE));
    cells.push(decimal(minutes.map(|minutes| minutes.mean), 1));
    cells.push(exposure::flops(group.flops));
    cells
}

/// The mean of a value with its spread, where all models have it and all compare.
fn mean<'a>(
    group: &SeedGroup<'a>,
    value: impl Fn(&'a TableRow) -> Option<Value<'a>>,
    digits: usize,
) -> String {
    let values: Option<Vec<Value<'_>>> = group.rows.iter().map(|row| value(row)).collect();
    let values = values.filter(|values| values.iter().all(|(_, letter)| *letter == values[0].1));
    let Some(values) = values else { return NOTHING.to_owned() };
    let numbers: Vec<f64> = values.iter().map(|(number, _)| *number).collect();
    let text = Spread::of(&numbers, CONFIDENCE).map(|spread| {
        let deviation = spread.standard_deviation.unwrap_or_default();
        format!("{:.digits$} ± {deviation:.digits$}", spread.mean)
    });
    lettered(text.unwrap_or_else(|| NOTHING.to_owned()), values[0].1)
}

/// The mean of the differences from the models of the base with the same seeds, with their spread
/// and a mark where it counts.
fn difference<'a>(
    group: &SeedGroup<'a>,
    base: Option<&SeedGroup<'a>>,
    value: impl Fn(&'a TableRow) -> Option<Value<'a>>,
    digits: usize,
) -> String {
    let of_one = |row: &&'a TableRow| {
        let same = |other: &&&'a TableRow| row.seed.is_some() && other.seed == row.seed;
        let other = base?.rows.iter().find(same)?;
        let ((own, letter), (other, of_other)) = value(row).zip(value(other))?;
        (letter == of_other).then_some(own - other)
    };
    let differences: Vec<f64> = group.rows.iter().filter_map(of_one).collect();
    let spread = Spread::of(&differences, CONFIDENCE);
    let Some((spread, deviation)) =
        spread.and_then(|spread| Some((spread, spread.standard_deviation?)))
    else {
        return NOTHING.to_owned();
    };
    let counts = spread.count >= LEAST_SEEDS && spread.mean.abs() > DEVIATIONS * deviation;
    let mark = if counts { " *" } else { "" };
    let seeds = match spread.count == group.rows.len() {
        true => String::new(),
        false => format!(" of {}", spread.count),
    };
    format!("{:+.digits$} ± {deviation:.digits$}{mark}{seeds}", spread.mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, loss: f64, pairs: f64) -> TableRow {
        TableRow {
            seed: Some(seed),
            held_out_loss: Some(loss),
            pairs: vec![Some(pairs)],
            minutes: Some(seed as f64),
            ..TableRow::default()
        }
    }

    fn group<'a>(name: &str, rows: &'a [TableRow], is_plain: bool) -> SeedGroup<'a> {
        SeedGroup { name: name.into(), rows: rows.iter().collect(), is_plain, flops: Some(2.5e14) }
    }

    fn lines(runs: &[Vec<SeedGroup<'_>>]) -> Vec<String> {
        let found = seed_table(runs, &["BLiMP".to_owned()]).unwrap();
        let text = found.table.to_markdown();
        text.lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn groups_have_means_and_differences_by_seed() {
        let teachers = [row(4, 4.21, 0.6), row(5, 4.19, 0.58)];
        let plain = [row(1, 4.20, 0.60), row(2, 4.22, 0.58), row(3, 4.18, 0.59)];
        // The order of seeds is another one; BLiMP moves less than its spread.
        let student = [row(3, 4.09, 0.58), row(1, 4.10, 0.62), row(2, 4.13, 0.59)];
        let runs = [vec![
            group("teacher", &teachers, false),
            group("plain", &plain, true),
            group("student", &student, false),
        ]];
        assert_eq!(
            lines(&runs),
            [
                "| teacher | 2 | 4.200 ± 0.014 | - | 59.0 ± 1.4 | - | 4.5 | 250 T |",
                "| plain | 3 | 4.200 ± 0.020 | - | 59.0 ± 1.0 | - | 2.0 | 250 T |",
                "| student | 3 | 4.107 ± 0.021 | -0.093 ± 0.006 \\* | 59.7 ± 2.1 | \
                 +0.7 ± 1.5 | 2.0 | 250 T |",
            ]
        );
        let caption = seed_table(&runs, &[]).unwrap().caption;
        assert!(caption.contains("Differences are from plain, seed by seed"), "{caption}");
    }

    #[test]
    fn a_difference_needs_shared_seeds_and_three_to_count() {
        let plain = [row(1, 4.20, 0.5), row(2, 4.22, 0.5), row(3, 4.18, 0.5)];
        let two = [row(2, 4.12, 0.5), row(3, 4.08, 0.5)];
        let other = [row(2, 4.12, 0.5), row(3, 4.08, 0.5), row(9, 4.0, 0.5)];
        let alone = [row(8, 4.0, 0.5), row(9, 4.0, 0.5)];
        let runs = [vec![
            group("plain", &plain, true),
            group("two", &two, false),
            group("other", &other, false),
            group("alone", &alone, false),
        ]];
        let found: Vec<String> =
            lines(&runs).iter().map(|line| line.split(" | ").nth(3).unwrap().to_owned()).collect();
        assert_eq!(found, ["-", "-0.100 ± 0.000", "-0.100 ± 0.000 of 2", "-"]);
    }

    #[test]
    fn what_does_not_compare_has_no_difference() {
        let lettered = |letter: &str, row: TableRow| TableRow { letter: letter.to_owned(), ..row };
        let plain = [1, 2, 3].map(|seed| lettered("a", row(seed, 4.2, 0.5)));
        let masked = [1, 2, 3].map(|seed| lettered("b", row(seed, 3.1, 0.6)));
        let mixed = [lettered("a", row(1, 4.2, 0.5)), lettered("b", row(2, 3.1, 0.5))];
        let runs = [vec![
            group("plain", &plain, true),
            group("masked", &masked, false),
            group("mixed", &mixed, false),
        ]];
        let found = lines(&runs);
        assert!(found[1].starts_with("| masked | 3 | 3.100 ± 0.000 b | - | 60.0 ± 0.0 | +10.0 ±"));
        assert!(found[2].starts_with("| mixed | 2 | - | - | 50.0 ± 0.0 | +0.0 ± 0.0 |"));
    }

    #[test]
    fn single_models_and_runs_without_a_base_make_no_table_and_no_difference() {
        let one = [row(1, 4.2, 0.5)];
        assert!(seed_table(&[vec![group("a", &one, true)]], &[]).is_none());
        assert!(seed_table(&[], &[]).is_none());
        let two = [row(1, 4.2, 0.5), row(2, 4.2, 0.5)];
        let found = seed_table(&[vec![group("a", &two, false)]], &[]).unwrap();
        assert!(!found.caption.contains("Differences"), "{}", found.caption);
    }
}

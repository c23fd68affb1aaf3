//! The scores that the papers and the pipelines' READMEs print, to stand beside one's own.
//!
//! They are data, as printed (one decimal mostly), each table with its source and with what it
//! measures. Scores of 2023 and of 2024 do not compare where the measure differs: CoLA is an
//! accuracy in one and Matthews' coefficient in the other, a BLiMP group pools items where the mean
//! of 2024 weighs tasks alike.

use std::sync::LazyLock;

use serde::Deserialize;

/// How much text the models of a table were trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// Ten million words.
    StrictSmall,
    /// A hundred million words.
    Strict,
}

impl Track {
    pub fn name(self) -> &'static str {
        match self {
            Track::StrictSmall => "strict-small",
            Track::Strict => "strict",
        }
    }
}

/// A printed table: a row per model, a column per task, group or suite.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedTable {
    /// The name of a suite, as in files: `blimp_filtered`, `blimp_supplement`, `ewok`, `glue`,
    /// `msgs`; `aoa` for the age of acquisition; `overall` for the means of suites.
    pub suite: String,
    pub track: Track,
    /// Where the numbers are printed.
    pub source: String,
    /// What they are. Percent, but for `aoa`, which is in months.
    pub measure: String,
    /// The names of tasks or groups as in files; of `overall` the suites and `macro`.
    pub columns: Vec<String>,
    pub rows: Vec<PrintedRow>,
}

/// A model's row in a printed table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedRow {
    pub model: String,
    /// One number for each column.
    pub values: Vec<f64>,
}

impl PrintedTable {
    /// What a model scores in a column.
    pub fn value(&self, model: &str, column: &str) -> Option<f64> {
        let column = self.columns.iter().position(|name| name == column)?;
        self.rows.iter().find(|row| row.model == model)?.values.get(column).copied()
    }
}

/// A single printed number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrintedScore<'a> {
    pub model: &'a str,
    /// A task, group or suite.
    pub column: &'a str,
    /// Percent; months for the age of acquisition.
    pub value: f64,
    pub source: &'a str,
    pub measure: &'a str,
}

/// One file of tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: Vec<PrintedTable>,
}

/// The embedded files, which the tests read too: they cannot fail later.
static TABLES: LazyLock<[(u16, Vec<PrintedTable>); 2]> = LazyLock::new(|| {
    let read = |text| {
        toml::from_str::<File>(text).expect("the embedded tables are read by the tests").table
    };
    [(2023, read(include_str!("scores-2023.toml"))), (2024, read(include_str!("scores-2024.toml")))]
});

/// All tables printed in a year, in the order of their file; none for other years than 2023 and
/// 2024.
pub fn tables(year: u16) -> &'static [PrintedTable] {
    TABLES.iter().find(|(of, _)| *of == year).map_or(&[], |(_, tables)| tables)
}

/// All scores of a suite that were printed in a year for a track, row by row.
pub fn scores(year: u16, track: Track, suite: &str) -> impl Iterator<Item = PrintedScore<'static>> {
    let chosen =
        tables(year).iter().filter(move |table| table.track == track && table.suite == suite);
    chosen.flat_map(|table| {
        table.rows.iter().flat_map(move |row| {
            table.columns.iter().zip(&row.values).map(move |(column, &value)| PrintedScore {
                model: &row.model,
                column,
                value,
                source: &table.source,
                measure: &table.measure,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
        let values: Vec<f64> = values.into_iter().collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// The mean of a model's scores in a suite.
    fn mean_of(year: u16, suite: &str, source: &str, model: &str) -> f64 {
        let found = scores(year, Track::StrictSmall, suite)
            .filter(|s| s.model == model && s.source.contains(source));
        mean(found.map(|score| score.value))
    }

    fn overall(model: &str, column: &str) -> f64 {
        tables(2024).iter().find_map(|table| table.value(model, column)).unwrap()
    }

    #[test]
    fn every_row_fills_its_columns_and_no_model_stands_twice() {
        let all: Vec<&PrintedTable> = [2023, 2024].into_iter().flat_map(tables).collect();
        assert_eq!((tables(2023).len(), tables(2024).len(), tables(2025).len()), (10, 6, 0));
        for table in all {
            let most = if table.suite == "aoa" { 3.0 } else { 100.0 };
            for (index, row) in table.rows.iter().enumerate() {
                assert_eq!(row.values.len(), table.columns.len(), "{} {}", table.suite, row.model);
                assert!(
                    row.values.iter().all(|value| (0.0..=most).contains(value)),
                    "{} {}",
                    table.suite,
                    row.model
                );
                assert!(table.rows[..index].iter().all(|other| other.model != row.model));
            }
            assert!(
                table
                    .columns
                    .iter()
                    .enumerate()
                    .all(|(index, name)| !table.columns[..index].contains(name))
            );
            assert!(!table.source.is_empty() && !table.measure.is_empty());
        }
    }

    #[test]
    fn printed_macro_averages_are_those_of_the_printed_columns() {
        for track in [Track::StrictSmall, Track::Strict] {
            let table = tables(2024)
                .iter()
                .find(|table| table.suite == "overall" && table.track == track)
                .unwrap();
            assert_eq!(table.columns.last().unwrap(), "macro");
            for row in &table.rows {
                let [parts @ .., printed] = &row.values[..] else { panic!("an empty row") };
                let found = mean(parts.iter().copied());
                assert!((found - printed).abs() < 0.1, "{}: {found} and not {printed}", row.model);
            }
        }
        let run = |model| {
            mean(
                ["blimp_filtered", "blimp_supplement", "ewok", "glue"]
                    .map(|column| overall(model, column)),
            )
        };
        assert!((run("BabyLlama-2, run 1") - 64.05).abs() < 1e-9);
        assert!((run("BabyLlama-2, run 2") - 64.225).abs() < 1e-9);
    }

    #[test]
    fn printed_suite_averages_are_those_of_their_tasks() {
        let first = mean_of(2024, "glue", "table 5", "BabyLlama-2, run 1");
        let second = mean_of(2024, "glue", "table 5", "BabyLlama-2, run 2");
        assert!(
            (first - 69.336).abs() < 1e-3 && (second - 70.164).abs() < 1e-3,
            "{first} {second}"
        );
        for (suite, source) in
            [("glue", "README"), ("blimp_supplement", "README"), ("ewok", "README")]
        {
            let found = mean_of(2024, suite, source, "BabyLlama (10M)");
            assert!((found - overall("BabyLlama (10M)", suite)).abs() < 0.1, "{suite}: {found}");
        }
        assert!((first - overall("BabyLlama-2, run 1", "glue")).abs() < 0.1);
        assert!((second - overall("BabyLlama-2, run 2", "glue")).abs() < 0.1);
    }

    #[test]
    fn scores_come_with_their_source() {
        let found: Vec<_> = scores(2023, Track::StrictSmall, "aoa").collect();
        assert_eq!(found.len(), 12);
        assert_eq!(
            (found[0].model, found[0].column, found[0].value),
            ("OPT-125m", "overall", 2.03)
        );
        assert!(found[0].source.contains("2023") && found[0].measure.contains("months"));
        assert_eq!(scores(2024, Track::Strict, "ewok").count(), 0);
        assert_eq!(Track::StrictSmall.name(), "strict-small");
    }
}

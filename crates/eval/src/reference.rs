//! The scores that the papers and the pipelines' READMEs print, to stand beside one's own. Each
//! benchmark has its own ([`Benchmark::reference`](crate::Benchmark::reference)).
//!
//! They are data, as printed (one decimal mostly), each table with its source and with what it
//! measures. Scores of 2023 and of 2024 do not compare where the measure differs: CoLA is an
//! accuracy in one and Matthews' coefficient in the other, a BLiMP group pools items where the mean
//! of 2024 weighs tasks alike.

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

/// A printed table: a row for each model, a column for each task, group or benchmark.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceTable {
    /// The pipeline by whose rules it is scored, 2023 or 2024.
    pub year: u16,
    /// The text that the models were trained on.
    pub track: Track,
    /// Where the numbers are printed.
    pub source: String,
    /// What they are.
    pub measure: String,
    /// The names of tasks or groups as in files; of means over benchmarks these and `macro`.
    pub columns: Vec<String>,
    /// The models.
    pub rows: Vec<ReferenceRow>,
}

/// A model's row in a printed table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceRow {
    /// Unique in its table.
    pub model: String,
    /// One number for each column: percent, but for the age of acquisition, which is in months.
    pub values: Vec<f64>,
}

impl ReferenceTable {
    /// A model's score in a column.
    pub fn value(&self, model: &str, column: &str) -> Option<f64> {
        let column = self.columns.iter().position(|name| name == column)?;
        self.rows.iter().find(|row| row.model == model)?.values.get(column).copied()
    }
}

/// The tables of a year and a track.
pub fn of_year(
    tables: &'static [ReferenceTable],
    year: u16,
    track: Track,
) -> impl Iterator<Item = &'static ReferenceTable> {
    tables.iter().filter(move |table| table.year == year && table.track == track)
}

/// A file of tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: Vec<ReferenceTable>,
}

/// The tables of a file that is embedded in the program.
///
/// # Panics
/// When they cannot be read, which a test of every benchmark excludes.
pub(crate) fn embedded(text: &str) -> Vec<ReferenceTable> {
    toml::from_str::<File>(text).expect("the embedded tables are read by the tests").table
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::benchmark::Benchmark;
    use crate::benchmarks::{AgeOfAcquisition, BENCHMARKS, BlimpSupplement, Ewok, Glue};
    use crate::macro_average;

    /// Every row fills its columns, and nothing is printed twice in a table.
    pub(crate) fn check(name: &str, tables: &[ReferenceTable]) {
        let most = if name == "aoa" { 3.0 } else { 100.0 };
        for table in tables {
            for (index, row) in table.rows.iter().enumerate() {
                let place = format!("{name} {}", row.model);
                assert_eq!(row.values.len(), table.columns.len(), "{place}");
                assert!(row.values.iter().all(|value| (0.0..=most).contains(value)), "{place}");
                assert!(table.rows[..index].iter().all(|other| other.model != row.model));
            }
            let mut columns = table.columns.iter().enumerate();
            assert!(columns.all(|(index, name)| !table.columns[..index].contains(name)));
            assert!(!table.source.is_empty() && !table.measure.is_empty());
        }
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// The mean of a model's scores in a benchmark, of 2024.
    fn mean_of(benchmark: &dyn Benchmark, source: &str, model: &str) -> f64 {
        let mut tables = of_year(benchmark.reference(), 2024, Track::StrictSmall)
            .filter(|table| table.source.contains(source));
        let table = tables.find(|table| table.rows.iter().any(|row| row.model == model)).unwrap();
        mean(&table.rows.iter().find(|row| row.model == model).unwrap().values)
    }

    fn overall(model: &str, column: &str) -> f64 {
        macro_average::reference().iter().find_map(|table| table.value(model, column)).unwrap()
    }

    #[test]
    fn every_row_fills_its_columns_and_no_model_stands_twice() {
        let overall = macro_average::reference();
        check("overall", overall);
        let of_benchmarks = BENCHMARKS.iter().flat_map(|benchmark| benchmark.reference());
        let all: Vec<&ReferenceTable> = of_benchmarks.chain(overall).collect();
        let count = |year| all.iter().filter(|table| table.year == year).count();
        assert_eq!((count(2023), count(2024), all.len()), (10, 6, 16));
    }

    #[test]
    fn printed_macro_averages_are_those_of_the_printed_columns() {
        for table in macro_average::reference() {
            assert_eq!(table.columns.last().unwrap(), "macro");
            for row in &table.rows {
                let [parts @ .., printed] = &row.values[..] else { panic!("an empty row") };
                let found = mean(parts);
                assert!((found - printed).abs() < 0.1, "{}: {found} and not {printed}", row.model);
            }
        }
        let run =
            |model| mean(&macro_average::PARTS.map(|benchmark| overall(model, benchmark.name())));
        assert!((run("BabyLlama-2, run 1") - 64.05).abs() < 1e-9);
        assert!((run("BabyLlama-2, run 2") - 64.225).abs() < 1e-9);
    }

    #[test]
    fn printed_benchmark_averages_are_those_of_their_tasks() {
        let first = mean_of(&Glue, "table 5", "BabyLlama-2, run 1");
        let second = mean_of(&Glue, "table 5", "BabyLlama-2, run 2");
        assert!(
            (first - 69.336).abs() < 1e-3 && (second - 70.164).abs() < 1e-3,
            "{first} {second}"
        );
        let benchmarks: [&dyn Benchmark; 3] = [&Glue, &BlimpSupplement, &Ewok];
        for benchmark in benchmarks {
            let found = mean_of(benchmark, "README", "BabyLlama (10M)");
            let printed = overall("BabyLlama (10M)", benchmark.name());
            assert!((found - printed).abs() < 0.1, "{benchmark:?}: {found}");
        }
        assert!((first - overall("BabyLlama-2, run 1", "glue")).abs() < 0.1);
        assert!((second - overall("BabyLlama-2, run 2", "glue")).abs() < 0.1);
    }

    #[test]
    fn scores_come_with_their_source() {
        let found: Vec<_> =
            of_year(AgeOfAcquisition.reference(), 2023, Track::StrictSmall).collect();
        let [table] = found[..] else { panic!("one table") };
        assert_eq!(table.rows.len() * table.columns.len(), 12);
        assert_eq!(
            (table.rows[0].model.as_str(), table.columns[0].as_str(), table.rows[0].values[0]),
            ("OPT-125m", "overall", 2.03)
        );
        assert!(table.source.contains("2023") && table.measure.contains("months"));
        assert_eq!(of_year(Ewok.reference(), 2024, Track::Strict).count(), 0);
    }
}

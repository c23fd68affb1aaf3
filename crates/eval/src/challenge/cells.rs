//! Cells of tables as pandas reads them, which the pipelines do.

use crate::csv::Record;

/// What counts as a missing cell: the names of pandas 2, with which the pipelines read files.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// What a cell holds, unless it is missing.
pub(super) fn cell<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.get(name).filter(|text| !MISSING.contains(text))
}

/// The number of a cell, unless it is missing. The error is the cause alone.
pub(super) fn number(record: &Record, name: &str) -> Result<Option<f64>, String> {
    let Some(text) = cell(record, name) else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(format!("`{name}` is {text:?}, which is no number")),
    }
}

//! How much of the variance of results each parameter of a search explains.

use super::bars::{Bar, bars};
use super::{Figure, Palette, number, number_or_empty};

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportanceBar {
    /// The parameter.
    pub parameter: String,
    /// The share that it explains, 0 to 1.
    pub importance: f64,
    /// Its standard deviation between the trees of a forest.
    pub deviation: Option<f64>,
}

/// A bar for each parameter, the most important first.
pub fn importance(title: &str, parameters: &[ImportanceBar]) -> Figure {
    let mut sorted: Vec<&ImportanceBar> = parameters.iter().collect();
    // What is no number is last.
    sorted.sort_by(|a, b| {
        let key = |bar: &ImportanceBar| if bar.importance.is_nan() { -1.0 } else { bar.importance };
        key(b).total_cmp(&key(a)).then_with(|| a.parameter.cmp(&b.parameter))
    });
    let bar = |row: &&ImportanceBar| Bar {
        row: row.parameter.clone(),
        series: String::new(),
        value: row.importance,
        interval: row
            .deviation
            .map(|spread| ((row.importance - spread).max(0.0), row.importance + spread)),
        mark: String::new(),
    };
    let drawn: Vec<Bar> = sorted.iter().map(bar).collect();
    let figure = bars(title, "share of the variance", &drawn, &Palette::default());
    let row = |row: &&ImportanceBar| {
        vec![row.parameter.clone(), number(row.importance), number_or_empty(row.deviation)]
    };
    let columns = ["parameter", "importance", "standard deviation"].map(str::to_owned).to_vec();
    Figure { columns, rows: sorted.iter().map(row).collect(), ..figure }
}

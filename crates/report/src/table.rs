//! Aligned tables, as plain text and as Markdown, and the one that closes a run.

use crate::format::{NOTHING, decimal, grouped, percent, short};

/// On which side a column's cells line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table of text.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with the given column heads.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(head, align)| (head.to_string(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing stay empty, cells beyond the last column are dropped.
    pub fn push(&mut self, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Columns two spaces apart under a ruled head, each line ended by a line feed.
    pub fn to_text(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| head.clone()).collect();
        let widths = self.widths(|cell| cell.chars().count());
        let rule = widths.iter().map(|&width| "-".repeat(width)).collect();
        let mut text = String::new();
        for cells in [&heads, &rule].into_iter().chain(&self.rows) {
            text.push_str(self.aligned(cells, &widths).join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// A Markdown table that also lines up when read as it is.
    pub fn to_markdown(&self) -> String {
        let escape = |cell: &String| cell.replace('|', "\\|");
        // A rule needs three signs.
        let widths = self.widths(|cell| cell.replace('|', "\\|").chars().count().max(3));
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| escape(head)).collect();
        let rule: Vec<String> = self
            .columns
            .iter()
            .zip(&widths)
            .map(|((_, align), &width)| ruled(*align, width))
            .collect();
        let rows = self.rows.iter().map(|row| row.iter().map(escape).collect::<Vec<_>>());
        let mut text = String::new();
        for cells in [heads, rule].into_iter().chain(rows) {
            text.push_str(&format!("| {} |\n", self.aligned(&cells, &widths).join(" | ")));
        }
        text
    }

    /// The width of each column, by the width of a cell.
    fn widths(&self, width_of: impl Fn(&str) -> usize) -> Vec<usize> {
        let width = |(index, (head, _)): (usize, &(String, Align))| {
            let cells = self.rows.iter().map(|row| width_of(&row[index]));
            cells.max().unwrap_or(0).max(width_of(head))
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> Vec<String> {
        let pad = |((cell, &width), (_, align)): ((&String, &usize), &(String, Align))| match align
        {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        };
        cells.iter().zip(widths).zip(&self.columns).map(pad).collect()
    }
}

fn ruled(align: Align, width: usize) -> String {
    match align {
        Align::Left => "-".repeat(width),
        Align::Right => format!("{}:", "-".repeat(width - 1)),
    }
}

/// The closing table's row of a model or an ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRow {
    /// The name.
    pub model: String,
    /// The number of weights.
    pub parameters: u64,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: Option<f64>,
    /// Mean negative log-likelihood of a token of held-out text, in nats.
    pub held_out_loss: Option<f64>,
    /// Share of minimal pairs judged right, 0 to 1.
    pub blimp: Option<f64>,
    /// Training speed.
    pub tokens_per_second: Option<f64>,
    /// Training time.
    pub minutes: Option<f64>,
    /// Seed of the training.
    pub seed: Option<u64>,
}

impl TableRow {
    /// e to the held-out loss.
    pub fn perplexity(&self) -> Option<f64> {
        self.held_out_loss.map(f64::exp)
    }
}

/// The table that ends a run, one line a model, in the given order.
pub fn closing_table(rows: &[TableRow]) -> Table {
    let right = [
        "parameters",
        "best epoch",
        "held-out loss",
        "perplexity",
        "BLiMP",
        "tokens/s",
        "minutes",
        "seed",
    ];
    let heads = [("model", Align::Left)].into_iter().chain(right.map(|head| (head, Align::Right)));
    let mut table = Table::new(heads);
    for row in rows {
        table.push(vec![
            row.model.clone(),
            grouped(row.parameters),
            decimal(row.best_epoch, 2),
            decimal(row.held_out_loss, 3),
            decimal(row.perplexity(), 2),
            percent(row.blimp),
            row.tokens_per_second.map_or(NOTHING.to_string(), short),
            decimal(row.minutes, 1),
            row.seed.map_or(NOTHING.to_string(), |seed| seed.to_string()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([("name", Align::Left), ("n", Align::Right)]);
        table.push(vec!["é|b".into(), "1,000".into()]);
        table.push(vec!["longer".into()]);
        table
    }

    #[test]
    fn text_lines_up_by_characters() {
        assert_eq!(sample().to_text(), "name        n\n------  -----\né|b     1,000\nlonger\n");
    }

    #[test]
    fn markdown_escapes_bars_and_marks_the_alignment() {
        let expected =
            "| name   |     n |\n| ------ | ----: |\n| é\\|b   | 1,000 |\n| longer |       |\n";
        assert_eq!(sample().to_markdown(), expected);
        let narrow = Table::new([("a", Align::Left), ("b", Align::Right)]);
        assert_eq!(narrow.to_markdown(), "| a   |   b |\n| --- | --: |\n");
    }

    #[test]
    fn the_closing_table_shows_what_is_known() {
        let student = TableRow {
            model: "student".into(),
            parameters: 58_343_936,
            best_epoch: Some(4.0),
            held_out_loss: Some(4.0),
            blimp: Some(0.732),
            tokens_per_second: Some(2950.0),
            minutes: Some(12.34),
            seed: Some(7),
        };
        let ensemble = TableRow {
            model: "a + b".into(),
            parameters: 10,
            held_out_loss: Some(0.0),
            ..TableRow::default()
        };
        let text = closing_table(&[student, ensemble]).to_text();
        let words =
            |line: usize| text.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(
            words(2),
            [
                "student",
                "58,343,936",
                "4.00",
                "4.000",
                "54.60",
                "73.2",
                "%",
                "2.95",
                "k",
                "12.3",
                "7"
            ]
        );
        assert_eq!(words(3), ["a", "+", "b", "10", "-", "0.000", "1.00", "-", "-", "-", "-"]);
    }
}

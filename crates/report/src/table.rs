//! Aligned tables, as plain text, Markdown, HTML, LaTeX and CSV.

mod dresses;

use std::collections::HashSet;
use std::ops::Range;

use crate::format::in_one_line;

/// On which side a column's cells line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Which of several numbers is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// The least, such as a loss.
    Lowest,
    /// The largest, such as a score.
    Highest,
}

impl Best {
    /// Whether a value is better than another one.
    pub(crate) fn prefers(self, value: f64, other: f64) -> bool {
        match self {
            Self::Lowest => value < other,
            Self::Highest => value > other,
        }
    }
}

/// A table of text.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// Rows and columns of the cells that are bold where a table can have bold cells.
    bold: HashSet<(usize, usize)>,
}

impl Table {
    /// An empty table with the given column heads; control characters in them are escaped.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(head, align)| (in_one_line(head), align));
        Self { columns: columns.collect(), rows: Vec::new(), bold: HashSet::new() }
    }

    /// Adds a row. Cells that are missing stay empty, cells beyond the last column are dropped, and
    /// control characters, which names of files may have, are escaped.
    pub fn push(&mut self, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells.iter().map(|cell| in_one_line(cell)).collect());
    }

    /// Makes the best number of a column bold, and all that are as good by what is printed. The
    /// number of a cell is its first word; of a single one, none is best.
    pub fn mark_best_of_column(&mut self, column: usize, best: Best) {
        let rows = 0..self.rows.len();
        self.mark_best(rows.map(|row| (row, column)).collect(), best);
    }

    /// Makes the best number of each row bold, of the columns from `first` on, and all that are as
    /// good; see [`Table::mark_best_of_column`].
    pub fn mark_best_of_rows(&mut self, first: usize, best: Best) {
        for row in 0..self.rows.len() {
            let columns = first..self.columns.len();
            self.mark_best(columns.map(|column| (row, column)).collect(), best);
        }
    }

    /// Makes the best number of some columns of the last row bold, and all that are as good.
    pub(crate) fn mark_best_of_last_row(&mut self, columns: Range<usize>, best: Best) {
        if let Some(row) = self.rows.len().checked_sub(1) {
            self.mark_best(columns.map(|column| (row, column)).collect(), best);
        }
    }

    fn mark_best(&mut self, cells: Vec<(usize, usize)>, best: Best) {
        let value = |&(row, column): &(usize, usize)| {
            let value = leading_number(self.rows.get(row)?.get(column)?)?;
            Some(if best == Best::Lowest { -value } else { value })
        };
        let values: Vec<((usize, usize), f64)> =
            cells.iter().filter_map(|cell| Some((*cell, value(cell)?))).collect();
        let highest = values.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
        if values.len() > 1 {
            let best = values.iter().filter(|(_, value)| *value == highest);
            self.bold.extend(best.map(|(cell, _)| *cell));
        }
    }

    /// Columns two spaces apart under a ruled head, each line ended by a line feed.
    pub fn to_text(&self) -> String {
        self.to_text_within(usize::MAX)
    }

    /// The table as text ([`Table::to_text`]) in lines of at most `columns` characters, as far as
    /// that can be done: heads take several lines, then long cells of the first column are cut,
    /// then the last columns are left out, with a line that names them.
    pub fn to_text_within(&self, columns: usize) -> String {
        let whole = self.widths(|cell| cell.chars().count(), |head| head.chars().count());
        if total(&whole) <= columns {
            return self.lines(&[self.heads()], &whole);
        }
        let mut widths = self.widths(|cell| cell.chars().count(), longest_word);
        let mut kept = widths.len();
        loop {
            let others = total(&widths[..kept]) - widths[0];
            let spare = columns.saturating_sub(others);
            if spare >= widths[0].min(NARROWEST_LABEL) || kept <= 2 {
                widths[0] = widths[0].min(spare.max(NARROWEST_LABEL));
                break;
            }
            kept -= 1;
        }
        let heads = wrapped_heads(&self.heads()[..kept], &widths[..kept]);
        let mut text = self.lines(&heads, &widths[..kept]);
        if kept < self.columns.len() {
            let left_out: Vec<_> =
                self.columns[kept..].iter().map(|(head, _)| head.as_str()).collect();
            text.push_str(&format!("(not shown: {})\n", left_out.join(", ")));
        }
        text
    }

    fn heads(&self) -> Vec<String> {
        self.columns.iter().map(|(head, _)| head.clone()).collect()
    }

    /// Head lines, rule and rows, as many columns as there are widths.
    fn lines(&self, heads: &[Vec<String>], widths: &[usize]) -> String {
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        let mut text = String::new();
        for cells in heads.iter().chain([&rule]).chain(&self.rows) {
            text.push_str(self.aligned(cells, widths).join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// The width of each column, by the widths of a cell and of a head.
    fn widths(
        &self,
        of_cell: impl Fn(&str) -> usize,
        of_head: impl Fn(&str) -> usize,
    ) -> Vec<usize> {
        let width = |(index, (head, _)): (usize, &(String, Align))| {
            let cells = self.rows.iter().map(|row| of_cell(&row[index]));
            cells.max().unwrap_or(0).max(of_head(head))
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> Vec<String> {
        let pad = |((cell, &width), (_, align)): ((&String, &usize), &(String, Align))| {
            let cell = cut(cell, width);
            match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        };
        cells.iter().zip(widths).zip(&self.columns).map(pad).collect()
    }
}

/// Below this a cut label names nothing.
const NARROWEST_LABEL: usize = 12;

/// The width of columns with the gaps between them.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

fn longest_word(head: &str) -> usize {
    head.split(' ').map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Heads in as many lines as the longest needs, the last words at the bottom.
fn wrapped_heads(heads: &[String], widths: &[usize]) -> Vec<Vec<String>> {
    let wrapped: Vec<Vec<String>> =
        heads.iter().zip(widths).map(|(head, &width)| wrap(head, width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let line = |number: usize| {
        let text = |lines: &Vec<String>| {
            let at = (number + lines.len()).checked_sub(height);
            at.map(|at| lines[at].clone()).unwrap_or_default()
        };
        wrapped.iter().map(text).collect()
    };
    (0..height).map(line).collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text, or as much of it as fits with a sign that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The number that a cell begins with.
fn leading_number(cell: &str) -> Option<f64> {
    let word = cell.split_whitespace().next()?;
    word.replace(',', "").parse().ok().filter(|value: &f64| value.is_finite())
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
    fn a_table_fits_into_narrow_lines() {
        let heads =
            [("model", Align::Left), ("held-out loss", Align::Right), ("seed", Align::Right)];
        let mut table = Table::new(heads);
        table.push(vec!["a model with a long name".into(), "3.251".into(), "1234567890".into()]);
        let width = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(table.to_text_within(51), table.to_text());
        let wrapped = table.to_text_within(50);
        assert!(wrapped.starts_with(&format!("{:26}held-out\nmodel", "")), "{wrapped}");
        let cut = table.to_text_within(36);
        assert!(cut.contains("a model with …") && width(&cut) <= 36, "{cut}");
        let dropped = table.to_text_within(25);
        assert!(dropped.ends_with("3.251\n(not shown: seed)\n"), "{dropped}");
        assert!(width(&dropped) <= 25, "{dropped}");
        let least = table.to_text_within(1);
        assert!(least.contains("a model wit…") && least.contains("3.251"), "{least}");
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let mut table = Table::new([("two\nlines", Align::Left)]);
        table.push(vec!["a\n\u{1b}[31mb".into()]);
        assert_eq!(table.to_text(), "two\\nlines\n--------------\na\\n\\u{1b}[31mb\n");
        let markdown = table.to_markdown();
        assert!(markdown.starts_with("| two\\nlines      |\n"), "{markdown}");
    }
}

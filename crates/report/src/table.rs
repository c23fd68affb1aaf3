//! Aligned tables, as plain text and as Markdown.

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
}

//! A table in the forms in which others show it.

use super::{Align, Table};
use crate::csv;

impl Table {
    /// A Markdown table that also lines up when read as it is; marked cells are bold.
    pub fn to_markdown(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| in_markdown(head)).collect();
        let bold = |cell: String| format!("**{cell}**");
        let rows: Vec<Vec<String>> = self.cells(in_markdown, bold);
        // A rule needs three signs.
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([heads[column].chars().count(), 3]).max().unwrap_or(3)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let rule: Vec<String> = self
            .columns
            .iter()
            .zip(&widths)
            .map(|((_, align), &width)| match align {
                Align::Left => "-".repeat(width),
                Align::Right => format!("{}:", "-".repeat(width - 1)),
            })
            .collect();
        let lines = [&heads, &rule].into_iter().chain(&rows);
        let line =
            |cells: &Vec<String>| format!("| {} |\n", self.aligned(cells, &widths).join(" | "));
        lines.map(line).collect()
    }

    /// A table of HTML; marked cells are bold, and columns of numbers have the class `number`.
    pub fn to_html(&self) -> String {
        let open = |tag: &str, align: Align| match align {
            Align::Left => format!("<{tag}>"),
            Align::Right => format!("<{tag} class=\"number\">"),
        };
        let row = |tag: &str, cells: &[String]| {
            let cell = |(cell, (_, align)): (&String, &(String, Align))| {
                format!("{}{cell}</{tag}>", open(tag, *align))
            };
            let cells: String = cells.iter().zip(&self.columns).map(cell).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| in_html(head)).collect();
        let rows = self.cells(in_html, |cell| format!("<strong>{cell}</strong>"));
        let body: String = rows.iter().map(|cells| row("td", cells)).collect();
        format!(
            "<table>\n<thead>\n{}</thead>\n<tbody>\n{body}</tbody>\n</table>\n",
            row("th", &heads)
        )
    }

    /// A `tabular` of LaTeX with the rules of `booktabs`; marked cells are bold. Letters of other
    /// scripts need an engine that reads Unicode.
    pub fn to_latex(&self) -> String {
        let columns: String = self
            .columns
            .iter()
            .map(|(_, align)| if *align == Align::Left { 'l' } else { 'r' })
            .collect();
        let line = |cells: &Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| in_latex(head)).collect();
        let rows = self.cells(in_latex, |cell| format!("\\textbf{{{cell}}}"));
        let body: String = rows.iter().map(line).collect();
        format!(
            "% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{}\\midrule\n\
             {body}\\bottomrule\n\\end{{tabular}}\n",
            line(&heads)
        )
    }

    /// Heads and cells as CSV (RFC 4180, with line feeds).
    pub fn to_csv(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| head.clone()).collect();
        let lines = std::iter::once(&heads).chain(&self.rows);
        lines.map(|cells| csv::line(cells.iter().map(String::as_str))).collect()
    }

    /// All cells, escaped, and those that are marked made bold.
    fn cells(
        &self,
        escape: impl Fn(&str) -> String,
        bold: impl Fn(String) -> String,
    ) -> Vec<Vec<String>> {
        let of_row = |(row, cells): (usize, &Vec<String>)| {
            let cell = |(column, cell): (usize, &String)| match self.bold.contains(&(row, column)) {
                true => bold(escape(cell)),
                false => escape(cell),
            };
            cells.iter().enumerate().map(cell).collect()
        };
        self.rows.iter().enumerate().map(of_row).collect()
    }
}

/// Text that Markdown shows as it is: signs with a meaning get a backslash. Underscores within
/// words have none.
fn in_markdown(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (index, &letter) in letters.iter().enumerate() {
        let is_word = |at: Option<usize>| {
            at.and_then(|at| letters.get(at)).is_some_and(|letter| letter.is_alphanumeric())
        };
        let next = letters.get(index + 1);
        let has_meaning = match letter {
            '|' | '<' | '&' | '*' | '`' | '[' | ']' | '~' => true,
            '_' => !(is_word(index.checked_sub(1)) && is_word(Some(index + 1))),
            '\\' => next.is_none_or(char::is_ascii_punctuation),
            _ => false,
        };
        if has_meaning {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn in_html(text: &str) -> String {
    crate::figures::escaped(text)
}

fn in_latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            // In any encoding of fonts: \textquotedbl is in T1 alone.
            '"' => escaped.push_str("\\symbol{34}"),
            '\'' => escaped.push_str("\\textquotesingle{}"),
            '`' => escaped.push_str("\\textasciigrave{}"),
            '±' => escaped.push_str("$\\pm$"),
            '−' => escaped.push_str("$-$"),
            '…' => escaped.push_str("\\ldots{}"),
            // After a row's end a bracket would be taken for its argument, a star for its form.
            '[' | '*' => escaped.extend(['{', letter, '}']),
            // Two would become a dash.
            '-' if escaped.ends_with('-') => escaped.push_str("{-}"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::Best;
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([("name", Align::Left), ("loss", Align::Right)]);
        table.push(vec!["a_b|<i>&".into(), "3.5 ± 0.1".into()]);
        table.push(vec!["__x__ 50 %".into(), "1,003.25".into()]);
        table.push(vec!["c".into(), "-".into()]);
        table.mark_best_of_column(1, Best::Lowest);
        table
    }

    #[test]
    fn markdown_is_escaped_and_lines_up() {
        let expected = [
            "| name           |          loss |",
            "| -------------- | ------------: |",
            "| a_b\\|\\<i>\\&    | **3.5 ± 0.1** |",
            "| \\_\\_x\\_\\_ 50 % |      1,003.25 |",
            "| c              |             - |",
        ];
        assert_eq!(sample().to_markdown().lines().collect::<Vec<_>>(), expected);
        let narrow = Table::new([("a", Align::Left), ("b", Align::Right)]);
        assert_eq!(narrow.to_markdown(), "| a   |   b |\n| --- | --: |\n");
    }

    #[test]
    fn markdown_keeps_names_and_shows_signs() {
        let cases = [
            ("bnc_spoken", "bnc_spoken"),
            ("__init__", "\\_\\_init\\_\\_"),
            ("a\\|b", "a\\\\\\|b"),
            ("two\\nlines", "two\\nlines"),
            ("end\\", "end\\\\"),
            (
                "[x](javascript:y) <b> `c` *d* &amp;",
                "\\[x\\](javascript:y) \\<b> \\`c\\` \\*d\\* \\&amp;",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(in_markdown(text), expected);
        }
    }

    #[test]
    fn html_has_no_markup_of_cells() {
        let mut table = Table::new([("<b>", Align::Left), ("n", Align::Right)]);
        table.push(vec!["</td><script>'\"&".into(), "2".into()]);
        table.push(vec!["b".into(), "3".into()]);
        table.mark_best_of_column(1, Best::Highest);
        let expected = [
            "<table>",
            "<thead>",
            "<tr><th>&lt;b&gt;</th><th class=\"number\">n</th></tr>",
            "</thead>",
            "<tbody>",
            "<tr><td>&lt;/td&gt;&lt;script&gt;&#39;&quot;&amp;</td>\
             <td class=\"number\">2</td></tr>",
            "<tr><td>b</td><td class=\"number\"><strong>3</strong></td></tr>",
            "</tbody>",
            "</table>",
        ];
        assert_eq!(table.to_html().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn latex_has_rules_bold_numbers_and_no_commands_of_cells() {
        let expected = [
            r"% \usepackage{booktabs}",
            r"\begin{tabular}{lr}",
            r"\toprule",
            r"name & loss \\",
            r"\midrule",
            r"a\_b\textbar{}\textless{}i\textgreater{}\& & \textbf{3.5 $\pm$ 0.1} \\",
            r"\_\_x\_\_ 50 \% & 1,003.25 \\",
            r"c & - \\",
            r"\bottomrule",
            r"\end{tabular}",
        ];
        assert_eq!(sample().to_latex().lines().collect::<Vec<_>>(), expected);
        let hostile = in_latex("\\input{/etc/passwd} $x^2$ ~ # --");
        let known = "\\textbackslash{}input\\{/etc/passwd\\} \\$x\\textasciicircum{}2\\$ \
                     \\textasciitilde{} \\# -{-}";
        assert_eq!(hostile, known);
        let quotes = "\\symbol{34}it\\textquotesingle{}s\\symbol{34}";
        assert_eq!(in_latex("\"it's\""), quotes, "no encoding of fonts is needed");
    }

    #[test]
    fn the_best_of_rows_and_columns_is_marked() {
        let mut table =
            Table::new([("task", Align::Left), ("a", Align::Right), ("b", Align::Right)]);
        table.push(vec!["x".into(), "50.0".into(), "51.0 [48, 54]".into()]);
        table.push(vec!["y".into(), "52.0".into(), "52.0".into()]);
        table.push(vec!["z".into(), "49.0".into(), "-".into()]);
        table.mark_best_of_rows(1, Best::Highest);
        let mut bold: Vec<_> = table.bold.iter().copied().collect();
        bold.sort_unstable();
        assert_eq!(bold, [(0, 2), (1, 1), (1, 2)]);
        table.mark_best_of_column(9, Best::Highest);
        assert_eq!(table.bold.len(), 3);
        assert_eq!(table.to_csv(), "task,a,b\nx,50.0,\"51.0 [48, 54]\"\ny,52.0,52.0\nz,49.0,-\n");
    }
}

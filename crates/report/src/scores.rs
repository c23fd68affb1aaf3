//! Tables of scores: tasks or benchmarks by models, and the one that closes a run.

use crate::format::{NOTHING, decimal, grouped, percent, short};
use crate::table::{Align, Best, Table};

/// A table of scores: columns that name a row, such as the task and its metric, then a column for
/// each model, one's own first and those of papers behind them.
#[derive(Clone, Debug)]
pub struct ScoreTable {
    table: Table,
    labels: usize,
}

impl ScoreTable {
    /// An empty table. `labels` are the heads of the columns that name a row.
    pub fn new<'a>(labels: &[(&'a str, Align)], models: impl IntoIterator<Item = &'a str>) -> Self {
        let models = models.into_iter().map(|model| (model, Align::Right));
        let columns = labels.iter().copied().chain(models);
        Self { table: Table::new(columns), labels: labels.len() }
    }

    /// Adds a row: its labels, and a score for each model. Scores of the last models may be
    /// missing.
    pub fn row<'a>(
        &mut self,
        labels: impl IntoIterator<Item = &'a str>,
        scores: impl IntoIterator<Item = String>,
    ) {
        self.table.push(labels.into_iter().map(str::to_owned).chain(scores).collect());
    }

    /// Makes the best score of the last row bold, of the first `models` models.
    pub fn mark_best(&mut self, models: usize, best: Best) {
        self.table.mark_best_of_last_row(self.labels..self.labels + models, best);
    }

    /// The table to print.
    pub fn into_table(self) -> Table {
        self.table
    }
}

/// A share from 0 to 1 in percent with one decimal, without a sign.
pub fn points(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// The closing table's row of a model or an ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRow {
    /// The name.
    pub model: String,
    /// The number of weights; 0 where it is not known.
    pub parameters: u64,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: Option<f64>,
    /// Mean negative log-likelihood of a token of held-out text, in nats.
    pub held_out_loss: Option<f64>,
    /// Where held-out losses do not all compare, a letter that those have in common which do.
    pub letter: String,
    /// Share of minimal pairs judged right, 0 to 1, of each set.
    pub pairs: Vec<Option<f64>>,
    /// Of each set whose scores do not all compare, a letter that those have in common which do;
    /// may be shorter than `pairs`.
    pub pair_letters: Vec<String>,
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

/// A perplexity, short also where a model has diverged.
fn perplexity(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() && value >= 1e6 => format!("{value:.2e}"),
        value => decimal(value, 2),
    }
}

/// The table that closes a run, one line a model, in the given order. `pairs` has the title of
/// each set of minimal pairs that was scored.
pub fn closing_table(rows: &[TableRow], pairs: &[String]) -> Table {
    let first = ["parameters", "best epoch", "held-out loss", "perplexity"];
    let pairs = pairs.iter().map(String::as_str);
    let heads = first.into_iter().chain(pairs.clone()).chain(["tokens/s", "minutes", "seed"]);
    let heads = heads.map(|head| (head, Align::Right));
    let mut table = Table::new([("model", Align::Left)].into_iter().chain(heads));
    let pair_letter =
        |row: &TableRow, set: usize| row.pair_letters.get(set).cloned().unwrap_or_default();
    for row in rows {
        let first = [
            row.model.clone(),
            if row.parameters == 0 { NOTHING.to_string() } else { grouped(row.parameters) },
            decimal(row.best_epoch, 2),
            lettered(decimal(row.held_out_loss, 3), &row.letter),
            lettered(perplexity(row.perplexity()), &row.letter),
        ];
        let last = [
            row.tokens_per_second.map_or(NOTHING.to_string(), short),
            decimal(row.minutes, 1),
            row.seed.map_or(NOTHING.to_string(), |seed| seed.to_string()),
        ];
        let pairs = pairs.clone().enumerate().map(|(set, _)| {
            let share = row.pairs.get(set).copied().flatten();
            lettered(percent(share), &pair_letter(row, set))
        });
        table.push(first.into_iter().chain(pairs).chain(last).collect());
    }
    if rows.iter().all(|row| row.letter.is_empty()) {
        table.mark_best_of_column(3, Best::Lowest);
        table.mark_best_of_column(4, Best::Lowest);
    }
    for set in 0..pairs.count() {
        if rows.iter().all(|row| pair_letter(row, set).is_empty()) {
            table.mark_best_of_column(5 + set, Best::Highest);
        }
    }
    table
}

/// A number with the letter of those that it compares with; without one where all compare.
pub fn lettered(text: String, letter: &str) -> String {
    if letter.is_empty() { text } else { format!("{text} {letter}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stand_by_task_and_model() {
        let labels = [("task", Align::Left), ("items", Align::Right)];
        let mut table = ScoreTable::new(&labels, ["student", "printed"]);
        table.row(["rte", "139"], [points(0.5216)]);
        table.row(["wsc", "52"], [points(0.5), "57.7".to_owned()]);
        let expected = "task  items  student  printed\n----  -----  -------  -------\n\
                        rte     139     52.2\nwsc      52     50.0     57.7\n";
        assert_eq!(table.into_table().to_text(), expected);
    }

    #[test]
    fn losses_that_do_not_compare_have_letters_and_no_best() {
        let row = |loss, letter: &str| TableRow {
            held_out_loss: Some(loss),
            letter: letter.to_owned(),
            ..TableRow::default()
        };
        let table = closing_table(&[row(1.0, "a"), row(2.0, "b"), row(3.0, "a")], &[]);
        let text = table.to_markdown();
        assert!(text.contains(" 1.000 a |") && text.contains(" 7.39 b |"), "{text}");
        assert!(!text.contains("**"), "{text}");
        let table = closing_table(&[row(1.0, ""), row(2.0, "")], &[]).to_markdown();
        assert!(table.contains("**1.000**"), "{table}");
    }

    #[test]
    fn scores_of_other_items_have_letters_and_no_best() {
        let row = |pairs: [f64; 2], letter: &str| TableRow {
            pairs: pairs.map(Some).to_vec(),
            pair_letters: vec![letter.to_owned()],
            ..TableRow::default()
        };
        let titles = ["one".to_owned(), "two".to_owned()];
        let table = closing_table(&[row([0.5, 0.6], "a"), row([0.7, 0.8], "b")], &titles);
        let text = table.to_markdown();
        assert!(text.contains("50.0 % a |") && text.contains("70.0 % b |"), "{text}");
        assert!(text.contains("**80.0 %**") && !text.contains("**70.0"), "{text}");
    }

    #[test]
    fn the_closing_table_shows_what_is_known() {
        let student = TableRow {
            model: "student".into(),
            parameters: 58_343_936,
            best_epoch: Some(4.0),
            held_out_loss: Some(4.0),
            letter: String::new(),
            pairs: vec![Some(0.732)],
            pair_letters: Vec::new(),
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
        let text = closing_table(&[student, ensemble], &["built-in pairs".to_owned()]).to_text();
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

//! Tables of trials and confirmations.

use eval::statistics::Spread;
use report::format::{NOTHING, decimal, percent};
use report::{Align, Table};

use crate::confirm::ConfirmedRow;
use crate::luck::expected_best;
use crate::overview::{Overview, Standing, TrialLine};
use crate::store::Direction;

/// The best trials of a study, as many as that.
pub fn best(overview: &Overview, count: usize) -> Vec<&TrialLine> {
    let line = |number: &u64| overview.trials.iter().find(|trial| trial.number == *number);
    overview.ranked.iter().take(count).filter_map(line).collect()
}

/// Trials with their settings and scores.
pub fn trials(overview: &Overview, shown: &[&TrialLine]) -> Table {
    let scores = overview.score_names();
    let mut settings: Vec<String> = Vec::new();
    for (key, _) in shown.iter().flat_map(|trial| &trial.settings) {
        if !settings.contains(key) {
            settings.push(key.clone());
        }
    }
    let mut columns = vec![
        ("trial", Align::Right),
        ("state", Align::Left),
        ("done", Align::Right),
        ("value", Align::Right),
    ];
    let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let heads: Vec<String> = settings.iter().map(|key| short(key)).collect();
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    columns.extend(scores.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(columns);
    for trial in shown {
        let mut row = vec![
            trial.number.to_string(),
            trial.standing.word().to_owned(),
            percent(Some(trial.share)),
            decimal(trial.value, 4),
        ];
        row.extend(settings.iter().map(|key| setting(trial, key)));
        let score = |name: &String| decimal(trial.scores.get(name).copied(), 4);
        row.extend(scores.iter().map(score));
        table.push(row);
    }
    table
}

/// A setting in few digits.
fn setting(trial: &TrialLine, key: &str) -> String {
    let Some((_, value)) = trial.settings.iter().find(|(name, _)| name == key) else {
        return NOTHING.to_owned();
    };
    match value.parse::<f64>() {
        Ok(number) if number.fract() != 0.0 && number.abs() < 0.01 => format!("{number:.2e}"),
        Ok(number) if number.fract() != 0.0 => format!("{number:.4}"),
        _ => value.trim_matches('"').to_owned(),
    }
}

/// What a confirmation has come to; the best mean is marked.
pub fn confirmation(rows: &[ConfirmedRow], direction: Direction) -> Table {
    let mut table = Table::new([
        ("settings", Align::Left),
        ("in the search", Align::Right),
        ("mean", Align::Right),
        ("deviation", Align::Right),
        ("seeds", Align::Right),
        ("gain over the baseline", Align::Right),
        ("", Align::Left),
    ]);
    for row in rows {
        let gain = match row.gain {
            Some((mean, Some(deviation))) => format!("{mean:+.4} ± {deviation:.4}"),
            Some((mean, None)) => format!("{mean:+.4}"),
            None => NOTHING.to_owned(),
        };
        table.push(vec![
            row.label.clone(),
            decimal(row.search, 4),
            decimal(row.mean, 4),
            decimal(row.deviation, 4),
            row.values.len().to_string(),
            gain,
            row.verdict.word().to_owned(),
        ]);
    }
    table.mark_best_of_column(2, direction.best());
    table
}

/// What luck alone would give the best of as many trials, by the deviations between seeds of a
/// confirmation; `None` where there is nothing to compare.
pub fn luck(overview: &Overview, rows: &[ConfirmedRow]) -> Option<String> {
    let trials = (overview.trials.len() - overview.count(Standing::Failed)) as u64;
    let deviations: Vec<f64> = rows.iter().filter_map(|row| row.deviation).collect();
    let deviation = Spread::of(&deviations, 0.95).filter(|_| trials > 1)?.mean;
    Some(format!(
        "By luck alone the best of {trials} equal trials looks {:.4} better than it is ({:.2} \
         standard deviations between seeds).",
        expected_best(trials) * deviation,
        expected_best(trials)
    ))
}

/// How far a study is, in a line.
pub fn progress(overview: &Overview) -> String {
    let standings = [
        Standing::Complete,
        Standing::Stopped,
        Standing::Failed,
        Standing::Running,
        Standing::Paused,
        Standing::Queued,
    ];
    let parts: Vec<String> = standings
        .iter()
        .map(|&standing| (overview.count(standing), standing.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let parts = if parts.is_empty() { "none has begun".to_owned() } else { parts.join(", ") };
    let (begun, total) = (overview.trials.len(), overview.total);
    format!("{}: {begun} of {total} trials, {parts}", overview.name)
}

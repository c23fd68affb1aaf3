//! The trials of a search in their order, with the best so far.

use super::canvas::{Canvas, Spot};
use super::chart::{Chart, draw_sample};
use super::frame::Legend;
use super::scale::{Ruler, Scale, four_digits, typical};
use super::style::{HEIGHT, Ink};
use super::{Figure, caption, number_or_empty};
use crate::Best;

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Complete,
    /// A stopping rule ended it.
    Stopped,
    /// Without a result.
    Failed,
}

impl Ending {
    /// All, in the order of a legend.
    pub(crate) const ALL: [Self; 3] = [Self::Complete, Self::Stopped, Self::Failed];

    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Draws a trial.
    pub(crate) fn draw(self, canvas: &mut Canvas, at: Spot) {
        match self {
            Self::Complete => canvas.dot(at, 3.0, Ink::of_series(0).faded(0.8)),
            Self::Stopped => canvas.ring(at, 3.0, Ink::of_series(4)),
            Self::Failed => canvas.marker(5, at, Ink::of_series(3)),
        }
    }
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryTrial {
    /// Its number.
    pub number: u64,
    /// Its result, or its last report.
    pub value: Option<f64>,
    /// How it ended.
    pub ending: Ending,
}

impl HistoryTrial {
    /// Its value where that has a place on the axis.
    fn place(&self) -> Option<f64> {
        self.value.filter(|value| Scale::Linear.has(*value))
    }
}

/// The trials by number, and the best of the complete ones so far. Failed trials are at the
/// worse end.
pub fn history(title: &str, value: &str, goal: Best, trials: &[HistoryTrial]) -> Figure {
    let mut sorted: Vec<&HistoryTrial> = trials.iter().collect();
    sorted.sort_by_key(|trial| trial.number);
    let typical = typical(goal, sorted.iter().filter_map(|trial| trial.place()));
    let mut endings = Ending::ALL.to_vec();
    endings.retain(|ending| sorted.iter().any(|trial| trial.ending == *ending));
    let names = endings.iter().map(|ending| ending.word());
    let mut chart = Chart::new(
        Legend::new(names.chain(["best so far"])),
        HEIGHT,
        Ruler::of_counts(sorted.iter().map(|trial| trial.number)),
        Ruler::of(Scale::Linear, typical.iter().copied(), 6),
        ("trial", value),
    );
    draw_trials(&mut chart, goal, &sorted);
    let improvements = improvements(goal, &sorted);
    draw_steps(&mut chart, &improvements);
    let canvas = chart.finish(!typical.is_empty(), |canvas, index, at| match endings.get(index) {
        Some(ending) => ending.draw(canvas, at),
        None => draw_sample(canvas, at, Ink::of_series(1), 1.75),
    });
    let valued = sorted.iter().filter(|trial| trial.value.is_some()).count();
    let placed = sorted.iter().filter(|trial| trial.place().is_some()).count();
    let text = caption(&beyond_text(placed - typical.len()), valued - placed);
    let text = match improvements.last() {
        Some(&(_, best)) => format!("Best: {}. {text}", four_digits(best)).trim_end().to_owned(),
        None => text,
    };
    Figure::new(title, text, canvas, &["trial", value, "state"])
        .with_rows(sorted.into_iter().map(row).collect())
}

/// A trial as a row of the figure.
fn row(trial: &HistoryTrial) -> Vec<String> {
    let ending = trial.ending.word().to_owned();
    vec![trial.number.to_string(), number_or_empty(trial.value), ending]
}

/// Each trial with the sign of its ending, where it has a value or failed.
fn draw_trials(chart: &mut Chart, goal: Best, sorted: &[&HistoryTrial]) {
    let Chart { canvas, frame, .. } = chart;
    let worst = if goal == Best::Lowest { frame.top + 6.0 } else { frame.bottom - 6.0 };
    for trial in sorted {
        let y = match trial.ending {
            Ending::Failed => Some(worst),
            Ending::Complete | Ending::Stopped => trial.place().map(|value| frame.down(value)),
        };
        if let Some(y) = y {
            trial.ending.draw(canvas, (frame.across(trial.number as f64), y));
        }
    }
}

/// The complete trials that were better than all before them: numbers and values.
fn improvements(goal: Best, sorted: &[&HistoryTrial]) -> Vec<(u64, f64)> {
    let mut found: Vec<(u64, f64)> = Vec::new();
    for trial in sorted.iter().filter(|trial| trial.ending == Ending::Complete) {
        if let Some(value) = trial.place()
            && found.last().is_none_or(|&(_, best)| goal.prefers(value, best))
        {
            found.push((trial.number, value));
        }
    }
    found
}

/// The best value so far, in steps.
fn draw_steps(chart: &mut Chart, improvements: &[(u64, f64)]) {
    let Chart { canvas, frame, .. } = chart;
    let mut steps: Vec<Spot> = Vec::new();
    for &(number, value) in improvements {
        let x = frame.across(number as f64);
        steps.extend(steps.last().map(|&(_, y)| (x, y)));
        steps.push((x, frame.down(value)));
    }
    steps.extend(steps.last().map(|&(_, y)| (frame.right, y)));
    canvas.line(steps, Ink::of_series(1), 1.75);
}

/// A sentence on values at the end of an axis.
pub(crate) fn beyond_text(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "One value far beyond the others is drawn at the end of the axis.".to_owned(),
        count => format!("{count} values far beyond the others are drawn at the end of the axis."),
    }
}

//! The trials of a search in their order, with the best so far.

use super::canvas::{Canvas, Spot};
use super::frame::{Frame, Legend};
use super::scale::{Ruler, Scale, four_digits, typical};
use super::style::{HEIGHT, Ink, WIDTH};
use super::{Figure, caption, note_nothing, number_or_empty};
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

/// The trials by number, and the best of the complete ones so far. Failed trials are at the
/// worse end.
pub fn history(title: &str, value: &str, goal: Best, trials: &[HistoryTrial]) -> Figure {
    let of = |trial: &HistoryTrial| trial.value.filter(|value| Scale::Linear.has(*value));
    let mut sorted: Vec<&HistoryTrial> = trials.iter().collect();
    sorted.sort_by_key(|trial| trial.number);
    let typical = typical(goal, sorted.iter().filter_map(|trial| of(trial)));
    let endings = [Ending::Complete, Ending::Stopped, Ending::Failed];
    let endings: Vec<Ending> = endings
        .into_iter()
        .filter(|ending| sorted.iter().any(|trial| trial.ending == *ending))
        .collect();
    let names = endings.iter().map(|ending| ending.word());
    let legend = Legend::new(names.chain(["best so far"]));
    let frame = Frame::new(
        (0.0, 0.0),
        (WIDTH - legend.width(), HEIGHT),
        Ruler::of_counts(sorted.iter().map(|trial| trial.number)),
        Ruler::of(Scale::Linear, typical.iter().copied(), 6),
        ("trial", value),
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT + legend.height());
    frame.draw(&mut canvas);
    let worst = if goal == Best::Lowest { frame.top + 6.0 } else { frame.bottom - 6.0 };
    let mut best: Option<f64> = None;
    let mut steps: Vec<Spot> = Vec::new();
    for trial in &sorted {
        let x = frame.across(trial.number as f64);
        match (of(trial), trial.ending) {
            (Some(value), Ending::Complete | Ending::Stopped) => {
                trial.ending.draw(&mut canvas, (x, frame.down(value)));
            }
            (_, Ending::Failed) => Ending::Failed.draw(&mut canvas, (x, worst)),
            _ => {}
        }
        let result = of(trial).filter(|_| trial.ending == Ending::Complete);
        if let Some(value) = result
            && best.is_none_or(|best| goal.prefers(value, best))
        {
            steps.extend(steps.last().map(|&(_, y)| (x, y)));
            steps.push((x, frame.down(value)));
            best = Some(value);
        }
    }
    steps.extend(steps.last().map(|&(_, y)| (frame.right, y)));
    canvas.line(steps, Ink::of_series(1), 1.75);
    if typical.is_empty() {
        note_nothing(&mut canvas, &frame);
    }
    legend.draw(
        &mut canvas,
        (frame.right + 12.0, frame.top),
        |canvas, index, (x, y)| match endings.get(index) {
            Some(ending) => ending.draw(canvas, (x, y)),
            None => canvas.line(vec![(x - 8.0, y), (x + 8.0, y)], Ink::of_series(1), 1.75),
        },
    );
    let valued = sorted.iter().filter_map(|trial| trial.value);
    let left_out = valued.filter(|value| !Scale::Linear.has(*value)).count();
    let beyond = sorted.iter().filter_map(|trial| of(trial)).count() - typical.len();
    let text = caption(&beyond_text(beyond), left_out);
    let row = |trial: &&HistoryTrial| {
        let ending = trial.ending.word().to_owned();
        vec![trial.number.to_string(), number_or_empty(trial.value), ending]
    };
    let rows = sorted.iter().map(row).collect();
    let columns = ["trial", value, "state"];
    let figure = Figure::new(title, text, canvas, &columns).with_rows(rows);
    match best {
        Some(best) => {
            let first = format!("Best: {}.", four_digits(best));
            let caption = format!("{first} {}", figure.caption).trim_end().to_owned();
            Figure { caption, ..figure }
        }
        None => figure,
    }
}

/// A sentence on values at the end of an axis.
pub(crate) fn beyond_text(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "One value far beyond the others is drawn at the end of the axis.".to_owned(),
        count => format!("{count} values far beyond the others are drawn at the end of the axis."),
    }
}

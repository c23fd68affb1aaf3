//! The result of trials against each of their settings.

use super::canvas::{Anchor, Canvas, Spot};
use super::frame::Frame;
use super::history::{Ending, beyond_text};
use super::scale::{Ruler, Scale, typical};
use super::setting::{Setting, SettingAxis, SettingRuler, columns, row, value_of};
use super::style::{Ink, NORMAL, SMALL, WIDTH};
use super::{Figure, caption, note_nothing, number};
use crate::Best;

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePoint {
    /// Its number.
    pub number: u64,
    /// A value for each setting; `None` of a setting that takes no part.
    pub settings: Vec<Option<Setting>>,
    /// Its result, or its last report.
    pub value: f64,
    /// How it ended.
    pub ending: Ending,
}

/// Panels beside each other.
const COLUMNS: usize = 3;
/// More panels fit on no page.
const PANELS: usize = 24;
/// Height of a panel, in pixels.
const HEIGHT: f64 = 170.0;

/// A panel for each setting; the best complete trial is marked.
pub fn slices(
    title: &str,
    value: &str,
    goal: Best,
    axes: &[SettingAxis],
    points: &[SlicePoint],
) -> Figure {
    let drawn: Vec<&SlicePoint> =
        points.iter().filter(|point| Scale::Linear.has(point.value)).collect();
    let typical = typical(goal, drawn.iter().map(|point| point.value));
    let panels = Panels {
        value,
        results: Ruler::of(Scale::Linear, typical.iter().copied(), 4),
        best: best_complete(goal, &drawn),
        drawn: &drawn,
    };
    let below = HEIGHT * axes.len().min(PANELS).div_ceil(COLUMNS).max(1) as f64;
    let mut canvas = Canvas::new(WIDTH, below + 20.0);
    for (index, axis) in axes.iter().take(PANELS).enumerate() {
        panels.draw(&mut canvas, index, axis);
    }
    if axes.is_empty() {
        note_nothing(&mut canvas, (WIDTH / 2.0, HEIGHT / 2.0), SMALL);
    }
    panels.draw_legend(&mut canvas, below + 8.0);
    let mut text = beyond_text(drawn.len() - typical.len());
    if axes.len() > PANELS {
        text = format!("{text} The first {PANELS} of {} settings.", axes.len());
    }
    let row = |point: &SlicePoint| {
        let last = [number(point.value), point.ending.word().to_owned()];
        row(point.number.to_string(), &point.settings, axes.len(), last)
    };
    let text = caption(text.trim(), points.len() - drawn.len());
    Figure::new(title, text, canvas, &columns(axes, &[value, "state"]))
        .with_rows(points.iter().map(row).collect())
}

/// The best of the trials that are complete.
fn best_complete<'a>(goal: Best, drawn: &[&'a SlicePoint]) -> Option<&'a SlicePoint> {
    let complete = drawn.iter().copied().filter(|point| point.ending == Ending::Complete);
    complete.reduce(|best, point| if goal.prefers(point.value, best.value) { point } else { best })
}

/// What is drawn in every panel.
struct Panels<'a> {
    /// What the results are.
    value: &'a str,
    results: Ruler,
    drawn: &'a [&'a SlicePoint],
    best: Option<&'a SlicePoint>,
}

impl Panels<'_> {
    /// The panel of a setting.
    fn draw(&self, canvas: &mut Canvas, index: usize, axis: &SettingAxis) {
        let settings: Vec<&Setting> =
            self.drawn.iter().filter_map(|point| value_of(&point.settings, index)).collect();
        let ruler = SettingRuler::of(axis.kind, settings.iter().copied(), 3, 64.0);
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let wide = WIDTH / COLUMNS as f64;
        let upper = (wide * column as f64, HEIGHT * row as f64);
        let lower = (upper.0 + wide, upper.1 + HEIGHT);
        let titles = (axis.name.as_str(), if column == 0 { self.value } else { "" });
        let frame = Frame::new(upper, lower, ruler.ruler.clone(), self.results.clone(), titles);
        frame.draw(canvas);
        let spot = |point: &SlicePoint| {
            let x = ruler.value(value_of(&point.settings, index)?)?;
            Some(frame.at(x, point.value))
        };
        for point in self.drawn {
            if let Some(at) = spot(point) {
                point.ending.draw(canvas, at);
            }
        }
        if let Some(at) = self.best.and_then(spot) {
            draw_best(canvas, at);
        }
        if settings.is_empty() {
            note_nothing(canvas, frame.middle(), NORMAL);
        }
    }

    /// The signs of trials in one line below the panels.
    fn draw_legend(&self, canvas: &mut Canvas, y: f64) {
        let mut endings = Ending::ALL.to_vec();
        endings.retain(|ending| self.drawn.iter().any(|point| point.ending == *ending));
        endings.sort_by_key(|ending| ending.word());
        let x = |index: usize| WIDTH / 2.0 - 140.0 + 95.0 * index as f64;
        for (index, ending) in endings.iter().enumerate() {
            ending.draw(canvas, (x(index), y));
            canvas.text(ending.word(), (x(index) + 10.0, y), Anchor::Start, SMALL);
        }
        if self.best.is_some() {
            let x = x(endings.len());
            draw_best(canvas, (x, y));
            canvas.text("best", (x + 10.0, y), Anchor::Start, SMALL);
        }
    }
}

/// The sign of the best trial.
fn draw_best(canvas: &mut Canvas, at: Spot) {
    canvas.marker(3, at, Ink::of_series(1));
}

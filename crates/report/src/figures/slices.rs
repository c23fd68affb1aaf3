//! The result of trials against each of their settings.

use super::canvas::{Anchor, Canvas};
use super::frame::Frame;
use super::history::{Ending, beyond_text};
use super::scale::{Ruler, Scale, typical};
use super::setting::{Setting, SettingAxis, SettingRuler};
use super::style::{Ink, SMALL, WIDTH};
use super::{Figure, caption, note_nothing, number};
use crate::Best;

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePoint {
    /// Its number.
    pub number: u64,
    /// A value for each setting; `None` of one that takes no part.
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
    let setting = |point: &SlicePoint, axis: usize| point.settings.get(axis).cloned().flatten();
    let drawn: Vec<&SlicePoint> =
        points.iter().filter(|point| Scale::Linear.has(point.value)).collect();
    let complete = drawn.iter().filter(|point| point.ending == Ending::Complete);
    let best = complete
        .copied()
        .reduce(|best, point| if goal.prefers(point.value, best.value) { point } else { best });
    let typical = typical(goal, drawn.iter().map(|point| point.value));
    let shown = axes.len().min(PANELS);
    let rows = shown.div_ceil(COLUMNS).max(1);
    let mut canvas = Canvas::new(WIDTH, HEIGHT * rows as f64 + 20.0);
    for (index, axis) in axes.iter().take(shown).enumerate() {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let wide = WIDTH / COLUMNS as f64;
        let upper = (wide * column as f64, HEIGHT * row as f64);
        let settings: Vec<Setting> =
            drawn.iter().filter_map(|point| setting(point, index)).collect();
        let ruler = SettingRuler::of(axis.kind, settings.iter(), 3, 64.0);
        let y_title = if column == 0 { value } else { "" };
        let frame = Frame::new(
            upper,
            (upper.0 + wide, upper.1 + HEIGHT),
            ruler.ruler.clone(),
            Ruler::of(Scale::Linear, typical.iter().copied(), 4),
            (&axis.name, y_title),
        );
        frame.draw(&mut canvas);
        let spot = |point: &SlicePoint| {
            let setting = setting(point, index)?;
            ruler.value(&setting).map(|x| frame.at(x, point.value))
        };
        for point in &drawn {
            if let Some(at) = spot(point) {
                point.ending.draw(&mut canvas, at);
            }
        }
        if let Some(at) = best.and_then(spot) {
            canvas.marker(3, at, Ink::of_series(1));
        }
        if settings.is_empty() {
            note_nothing(&mut canvas, &frame);
        }
    }
    if axes.is_empty() {
        let middle = (WIDTH / 2.0, HEIGHT / 2.0);
        canvas.text_in("no values", middle, Anchor::Middle, SMALL, Ink::FAINT);
    }
    let (width, below) = (WIDTH / 2.0, HEIGHT * rows as f64 + 8.0);
    let mut endings: Vec<Ending> = Vec::new();
    for point in &drawn {
        if !endings.contains(&point.ending) {
            endings.push(point.ending);
        }
    }
    endings.sort_by_key(|ending| ending.word());
    for (index, ending) in endings.iter().enumerate() {
        let x = width - 140.0 + 95.0 * index as f64;
        ending.draw(&mut canvas, (x, below));
        canvas.text(ending.word(), (x + 10.0, below), Anchor::Start, SMALL);
    }
    if best.is_some() {
        let x = width - 140.0 + 95.0 * endings.len() as f64;
        canvas.marker(3, (x, below), Ink::of_series(1));
        canvas.text("best", (x + 10.0, below), Anchor::Start, SMALL);
    }
    let mut text = beyond_text(drawn.len() - typical.len());
    if axes.len() > shown {
        text = format!("{text} The first {PANELS} of {} settings.", axes.len());
    }
    let row = |point: &SlicePoint| {
        let of_axis = |index| setting(point, index).map(|it| it.text()).unwrap_or_default();
        let settings = (0..axes.len()).map(of_axis);
        let last = [number(point.value), point.ending.word().to_owned()];
        [point.number.to_string()].into_iter().chain(settings).chain(last).collect()
    };
    let table = points.iter().map(row).collect();
    let columns: Vec<&str> = ["trial"]
        .into_iter()
        .chain(axes.iter().map(|axis| axis.name.as_str()))
        .chain([value, "state"])
        .collect();
    let left_out = points.len() - drawn.len();
    Figure::new(title, caption(text.trim(), left_out), canvas, &columns).with_rows(table)
}

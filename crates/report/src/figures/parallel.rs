//! Parallel coordinates: the settings and the result of each trial as one line (BabyLlama, arXiv
//! 2308.02019, figures 1 to 4).

use super::canvas::{Anchor, Canvas, Spot};
use super::history::beyond_text;
use super::scale::{Ruler, Scale, typical};
use super::setting::{Kind, Setting, SettingAxis, SettingRuler};
use super::style::{BESIDE, Ink, NORMAL, SMALL, WIDTH, fitted, text_width};
use super::{Figure, caption, number};
use crate::Best;

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelLine {
    /// A name for the rows, such as the trial's number.
    pub name: String,
    /// A value for each axis; `None` of a setting that takes no part.
    pub settings: Vec<Option<Setting>>,
    /// The result, on the last axis.
    pub result: f64,
}

/// Of more lines, the best are drawn.
const LINES: usize = 2000;
/// Height of the axes, in pixels.
const HEIGHT: f64 = 260.0;
/// Place of the highest of two rows of names.
const NAMES: f64 = 14.0;
/// Place of the upper end of axes.
const TOP: f64 = NAMES + 34.0;

/// Settings on axes of their own and the result on the last, which gives the color: blue is best.
/// A setting that takes no part in a trial is below its axis.
pub fn parallel(
    title: &str,
    axes: &[SettingAxis],
    result: &str,
    goal: Best,
    lines: &[ParallelLine],
) -> Figure {
    let setting = |line: &ParallelLine, axis: usize| line.settings.get(axis).cloned().flatten();
    let mut drawn: Vec<&ParallelLine> =
        lines.iter().filter(|line| Scale::Linear.has(line.result)).collect();
    drawn.sort_by(|a, b| match goal {
        Best::Lowest => a.result.total_cmp(&b.result),
        Best::Highest => b.result.total_cmp(&a.result),
    });
    let left_out = lines.len() - drawn.len();
    drawn.truncate(LINES);
    let rulers: Vec<SettingRuler> = axes
        .iter()
        .enumerate()
        .map(|(index, axis)| {
            let values: Vec<Setting> =
                drawn.iter().filter_map(|line| setting(line, index)).collect();
            let longest = (2000.0 / axes.len().max(1) as f64).clamp(40.0, 100.0);
            SettingRuler::of(axis.kind, values.iter(), 5, longest)
        })
        .collect();
    let typical = typical(goal, drawn.iter().map(|line| line.result));
    let results = Ruler::of(Scale::Linear, typical.iter().copied(), 5);
    let widths = results.ticks.iter().map(|(_, label)| text_width(label, SMALL));
    let last = WIDTH - 14.0 - widths.fold(20.0, f64::max);
    let first = 30.0;
    let across = |index: usize| match axes.len() {
        0 => last,
        count => first + (last - first) * index as f64 / count as f64,
    };
    let place = |ruler: &SettingRuler, value: &Option<Setting>| match value {
        Some(value) => ruler.value(value).map(|value| down(ruler.ruler.place(value))),
        None => Some(TOP + HEIGHT + 22.0),
    };
    let slot = (last - first) / axes.len().max(1) as f64;
    let names = axes.iter().map(|axis| text_width(&axis.name, SMALL));
    let is_wide = names.fold(text_width(result, SMALL), f64::max) + 10.0 > slot;
    let room = if is_wide { 2.0 * slot } else { slot };
    let is_partial = |index: usize| drawn.iter().any(|line| setting(line, index).is_none());
    let below = if (0..axes.len()).any(is_partial) { 40.0 } else { 12.0 };
    let mut canvas = Canvas::new(WIDTH, TOP + HEIGHT + below);
    let opacity = (20.0 / drawn.len().max(1) as f64).sqrt().clamp(0.15, 0.7);
    // The best are above the others.
    for (rank, line) in drawn.iter().enumerate().rev() {
        let spots: Vec<Spot> = rulers
            .iter()
            .enumerate()
            .filter_map(|(index, ruler)| {
                place(ruler, &setting(line, index)).map(|y| (across(index), y))
            })
            .chain([(last, down(results.place(line.result)))])
            .collect();
        let share = results.place(line.result);
        let share = if goal == Best::Lowest { share } else { 1.0 - share };
        // One alone is the best, wherever its axis ends.
        let ink = Ink::of_share(if rank == 0 { 0.0 } else { share });
        let (opacity, width) = if rank == 0 { (1.0, 2.5) } else { (opacity, 1.25) };
        canvas.line(spots, ink.faded(opacity), width);
    }
    for (index, axis) in axes.iter().enumerate() {
        let labels = &rulers[index].ruler.ticks;
        draw_axis(&mut canvas, across(index), labels, |value| rulers[index].ruler.place(value));
        if is_partial(index) {
            let at = (across(index) + 6.0, TOP + HEIGHT + 22.0);
            canvas.text("none", at, Anchor::Start, SMALL - 1.0);
        }
        draw_name(&mut canvas, &axis.name, index % 2 == 1 || !is_wide, across(index), room);
    }
    draw_axis(&mut canvas, last, &results.ticks, |value| results.place(value));
    draw_name(&mut canvas, result, axes.len() % 2 == 1 || !is_wide, last, room);
    if drawn.is_empty() {
        let middle = (WIDTH / 2.0, TOP + HEIGHT / 2.0);
        canvas.text_in("no values", middle, Anchor::Middle, NORMAL, Ink::FAINT);
    }
    let beyond = drawn.len() - typical.len();
    let mut text = "Blue is best; the best trial is the thickest line.".to_owned();
    if drawn.len() == LINES {
        text.push_str(&format!(" The best {LINES} trials."));
    }
    let text = format!("{text} {}", beyond_text(beyond)).trim_end().to_owned();
    let row = |line: &ParallelLine| {
        let value = |index: usize| setting(line, index).map(|it| it.text()).unwrap_or_default();
        let values = (0..axes.len()).map(value);
        [line.name.clone()].into_iter().chain(values).chain([number(line.result)]).collect()
    };
    let rows = lines.iter().map(row).collect();
    let columns: Vec<&str> = ["trial"]
        .into_iter()
        .chain(axes.iter().map(|axis| axis.name.as_str()))
        .chain([result])
        .collect();
    Figure::new(title, caption(&text, left_out), canvas, &columns).with_rows(rows)
}

fn down(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

fn draw_axis(canvas: &mut Canvas, x: f64, ticks: &[(f64, String)], place: impl Fn(f64) -> f64) {
    canvas.line(vec![(x, TOP), (x, TOP + HEIGHT)], Ink::TEXT, 1.25);
    for (value, label) in ticks {
        let y = down(place(*value));
        canvas.line(vec![(x, y), (x + 4.0, y)], Ink::TEXT, 0.75);
        canvas.text(label, (x + 6.0, y), Anchor::Start, SMALL - 1.0);
    }
}

/// A name above its axis; of wide ones, every second is lower.
fn draw_name(canvas: &mut Canvas, name: &str, is_lower: bool, x: f64, room: f64) {
    let name = fitted(name, (room - 8.0).clamp(30.0, BESIDE), SMALL);
    let half = text_width(&name, SMALL) / 2.0;
    let x = x.max(half + 2.0).min(WIDTH - half - 2.0);
    let y = if is_lower { NAMES + 15.0 } else { NAMES };
    canvas.text(&name, (x, y), Anchor::Middle, SMALL);
}

impl SettingAxis {
    /// An axis of a kind.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

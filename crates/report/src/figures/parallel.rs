//! Parallel coordinates: the settings and the result of each trial as one line (BabyLlama, arXiv
//! 2308.02019, figures 1 to 4).

use super::canvas::{Anchor, Canvas, Spot};
use super::history::beyond_text;
use super::scale::{Ruler, Scale, typical};
use super::setting::{Setting, SettingAxis, SettingRuler, columns, row, value_of};
use super::style::{BESIDE, Ink, NORMAL, SMALL, WIDTH, fitted, text_width};
use super::{Figure, caption, note_nothing, number};
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

/// Place of the first axis.
const FIRST: f64 = 30.0;
/// Place of what takes no part in a trial.
const NONE: f64 = TOP + HEIGHT + 22.0;

/// Settings on axes of their own and the result on the last, which gives the color: blue is best.
/// A setting that takes no part in a trial is below its axis.
pub fn parallel(
    title: &str,
    axes: &[SettingAxis],
    result: &str,
    goal: Best,
    lines: &[ParallelLine],
) -> Figure {
    let mut drawn: Vec<&ParallelLine> =
        lines.iter().filter(|line| Scale::Linear.has(line.result)).collect();
    let left_out = lines.len() - drawn.len();
    drawn.sort_by(|a, b| match goal {
        Best::Lowest => a.result.total_cmp(&b.result),
        Best::Highest => b.result.total_cmp(&a.result),
    });
    drawn.truncate(LINES);
    let typical = typical(goal, drawn.iter().map(|line| line.result));
    let results = Ruler::of(Scale::Linear, typical.iter().copied(), 5);
    let layout = Layout::new(axes, result, results, &drawn);
    let mut canvas = Canvas::new(WIDTH, layout.height());
    draw_lines(&mut canvas, &layout, goal, &drawn);
    for index in 0..layout.names.len() {
        draw_axis(&mut canvas, &layout, index);
        draw_name(&mut canvas, &layout, index);
    }
    if drawn.is_empty() {
        note_nothing(&mut canvas, (WIDTH / 2.0, TOP + HEIGHT / 2.0), NORMAL);
    }
    let text = explanation(drawn.len(), drawn.len() - typical.len());
    let row = |line: &ParallelLine| {
        row(line.name.clone(), &line.settings, axes.len(), [number(line.result)])
    };
    Figure::new(title, caption(&text, left_out), canvas, &columns(axes, &[result]))
        .with_rows(lines.iter().map(row).collect())
}

/// What the color and the thickness of lines are, and which lines are drawn in another way.
fn explanation(drawn: usize, beyond: usize) -> String {
    let mut text = "Blue is best; the best trial is the thickest line.".to_owned();
    if drawn == LINES {
        text.push_str(&format!(" The best {LINES} trials."));
    }
    format!("{text} {}", beyond_text(beyond)).trim_end().to_owned()
}

/// The axes, from the left: the settings, and the result last.
struct Layout<'a> {
    /// What the axes are called.
    names: Vec<&'a str>,
    settings: Vec<SettingRuler>,
    results: Ruler,
    /// For each setting whether it takes no part in a trial.
    is_partial: Vec<bool>,
    /// The horizontal place of the last axis.
    last: f64,
}

impl<'a> Layout<'a> {
    fn new(
        axes: &'a [SettingAxis],
        result: &'a str,
        results: Ruler,
        drawn: &[&ParallelLine],
    ) -> Self {
        let longest = (2000.0 / axes.len().max(1) as f64).clamp(40.0, 100.0);
        let ruler = |(index, axis): (usize, &SettingAxis)| {
            let values = drawn.iter().filter_map(|line| value_of(&line.settings, index));
            SettingRuler::of(axis.kind, values, 5, longest)
        };
        let is_partial =
            |index: usize| drawn.iter().any(|line| value_of(&line.settings, index).is_none());
        let widths = results.ticks.iter().map(|(_, label)| text_width(label, SMALL));
        Self {
            names: axes.iter().map(|axis| axis.name.as_str()).chain([result]).collect(),
            settings: axes.iter().enumerate().map(ruler).collect(),
            is_partial: (0..axes.len()).map(is_partial).collect(),
            last: WIDTH - 14.0 - widths.fold(20.0, f64::max),
            results,
        }
    }

    /// The height of the drawing.
    fn height(&self) -> f64 {
        let below = if self.is_partial.contains(&true) { 40.0 } else { 12.0 };
        TOP + HEIGHT + below
    }

    /// The ends and labels of an axis.
    fn ruler(&self, index: usize) -> &Ruler {
        self.settings.get(index).map_or(&self.results, |setting| &setting.ruler)
    }

    /// The horizontal place of an axis.
    fn across(&self, index: usize) -> f64 {
        match self.settings.len() {
            count if index >= count => self.last,
            count => FIRST + (self.last - FIRST) * index as f64 / count as f64,
        }
    }

    /// The distance of two axes.
    fn slot(&self) -> f64 {
        (self.last - FIRST) / self.settings.len().max(1) as f64
    }

    /// Whether a name has no room above its axis beside its neighbours.
    fn is_wide(&self) -> bool {
        let widths = self.names.iter().map(|name| text_width(name, SMALL));
        widths.fold(0.0, f64::max) + 10.0 > self.slot()
    }

    /// Where the line of a trial crosses the axes; a value without a place is passed over.
    fn spots(&self, line: &ParallelLine) -> Vec<Spot> {
        let spot = |(index, ruler): (usize, &SettingRuler)| {
            let y = match value_of(&line.settings, index) {
                Some(value) => ruler.value(value).map(|value| down(ruler.ruler.place(value))),
                None => Some(NONE),
            };
            y.map(|y| (self.across(index), y))
        };
        let result = (self.last, down(self.results.place(line.result)));
        self.settings.iter().enumerate().filter_map(spot).chain([result]).collect()
    }
}

/// The trials, which are sorted by their results: the best are above the others.
fn draw_lines(canvas: &mut Canvas, layout: &Layout<'_>, goal: Best, drawn: &[&ParallelLine]) {
    let opacity = (20.0 / drawn.len().max(1) as f64).sqrt().clamp(0.15, 0.7);
    for (rank, line) in drawn.iter().enumerate().rev() {
        let share = layout.results.place(line.result);
        let share = if goal == Best::Lowest { share } else { 1.0 - share };
        // One alone is the best, wherever its axis ends.
        let ink = Ink::of_share(if rank == 0 { 0.0 } else { share });
        let (opacity, width) = if rank == 0 { (1.0, 2.5) } else { (opacity, 1.25) };
        canvas.line(layout.spots(line), ink.faded(opacity), width);
    }
}

/// The height of a share of an axis.
fn down(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

fn draw_axis(canvas: &mut Canvas, layout: &Layout<'_>, index: usize) {
    let (x, ruler) = (layout.across(index), layout.ruler(index));
    canvas.line(vec![(x, TOP), (x, TOP + HEIGHT)], Ink::TEXT, 1.25);
    for (value, label) in &ruler.ticks {
        let y = down(ruler.place(*value));
        canvas.line(vec![(x, y), (x + 4.0, y)], Ink::TEXT, 0.75);
        canvas.text(label, (x + 6.0, y), Anchor::Start, SMALL - 1.0);
    }
    if layout.is_partial.get(index) == Some(&true) {
        canvas.text("none", (x + 6.0, NONE), Anchor::Start, SMALL - 1.0);
    }
}

/// The name of an axis above it; where a name is wide, every second is higher than its neighbours.
fn draw_name(canvas: &mut Canvas, layout: &Layout<'_>, index: usize) {
    let is_wide = layout.is_wide();
    let room = if is_wide { 2.0 * layout.slot() } else { layout.slot() };
    let name = fitted(layout.names[index], (room - 8.0).clamp(30.0, BESIDE), SMALL);
    let half = text_width(&name, SMALL) / 2.0;
    let x = layout.across(index).max(half + 2.0).min(WIDTH - half - 2.0);
    let is_lower = index % 2 == 1 || !is_wide;
    let y = if is_lower { NAMES + 15.0 } else { NAMES };
    canvas.text(&name, (x, y), Anchor::Middle, SMALL);
}

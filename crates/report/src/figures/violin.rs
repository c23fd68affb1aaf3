//! Distributions of scores as violins, with the scores of named models (BabyLlama-2, arXiv
//! 2409.17312, figure 1).

use libm::{exp, pow};

use super::canvas::Spot;
use super::chart::Chart;
use super::frame::Legend;
use super::scale::{Ruler, Scale};
use super::style::{HEIGHT, Ink, SMALL, fitted};
use super::{Figure, Palette, caption, distinct, number};

/// The scores of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Violin {
    /// The task.
    pub task: String,
    /// Its scores, such as those of many fine-tunings.
    pub scores: Vec<ViolinScore>,
}

/// A score that a violin is drawn of.
#[derive(Clone, Debug, PartialEq)]
pub struct ViolinScore {
    /// The model.
    pub model: String,
    /// The seed of its fine-tuning.
    pub seed: u64,
    /// The score.
    pub score: f64,
}

/// The score of a named model, for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The task.
    pub task: String,
    /// The model.
    pub model: String,
    /// The score.
    pub score: f64,
}

/// Heights at which a density is computed.
const STEPS: usize = 64;
/// Half the width of a violin, in distances between tasks.
const HALF_WIDTH: f64 = 0.38;

impl Violin {
    /// The scores that have a place.
    fn placed(&self) -> Vec<f64> {
        let scores = self.scores.iter().map(|one| one.score);
        scores.filter(|score| Scale::Linear.has(*score)).collect()
    }
}

/// One violin a task: a Gaussian kernel density with Scott's bandwidth between the lowest and the
/// highest score, the mean and one standard deviation of a sample to both sides, and the marks of
/// named models. All violins have one width. Rows of marks have no seed.
pub fn violin(
    title: &str,
    score: &str,
    violins: &[Violin],
    marks: &[Mark],
    palette: &Palette,
) -> Figure {
    let tasks = violins.iter().map(|violin| violin.task.as_str());
    let tasks = distinct(tasks.chain(marks.iter().map(|mark| mark.task.as_str())));
    let models = distinct(marks.iter().map(|mark| mark.model.as_str()));
    let palette = palette.with(models.iter().copied());
    let scores = violins.iter().flat_map(|violin| violin.scores.iter().map(|one| one.score));
    let all: Vec<f64> = scores.chain(marks.iter().map(|mark| mark.score)).collect();
    let spreads = violins.iter().filter_map(|violin| mean_and_deviation(&violin.placed()));
    let ends = spreads.flat_map(|(mean, deviation)| [mean - deviation, mean + deviation]);
    let names: Vec<String> = tasks.iter().map(|task| fitted(task, 110.0, SMALL)).collect();
    let mut chart = Chart::new(
        Legend::new(models.iter().copied()),
        HEIGHT,
        Ruler::of_names(&names),
        Ruler::of(Scale::Linear, all.iter().copied().chain(ends), 7),
        ("", score),
    );
    let place = |task: &str| tasks.iter().position(|known| *known == task).unwrap_or(0) as f64;
    for violin in violins {
        draw_violin(&mut chart, place(&violin.task), &violin.placed());
    }
    for mark in marks.iter().filter(|mark| Scale::Linear.has(mark.score)) {
        let model = models.iter().position(|known| *known == mark.model).unwrap_or(0);
        // Beside each other, so that equal scores are seen.
        let aside = (model as f64 + 0.5) / models.len().max(1) as f64 - 0.5;
        let at = chart.frame.at(place(&mark.task) + aside * HALF_WIDTH, mark.score);
        chart.canvas.marker(palette.marker(&mark.model), at, palette.ink(&mark.model));
    }
    let left_out = all.iter().filter(|value| !Scale::Linear.has(**value)).count();
    let canvas = chart.finish(left_out < all.len(), |canvas, index, at| {
        canvas.marker(palette.marker(models[index]), at, palette.ink(models[index]));
    });
    let text = match violins.is_empty() {
        true => "",
        false => "Long ticks: means. Short ticks: one standard deviation to both sides.",
    };
    Figure::new(title, caption(text, left_out), canvas, &["task", "model", "seed", score])
        .with_rows(rows(violins, marks))
}

/// The scores, and behind them the marks.
fn rows(violins: &[Violin], marks: &[Mark]) -> Vec<Vec<String>> {
    let row = |task: &str, model: &str, seed: String, score: f64| {
        vec![task.to_owned(), model.to_owned(), seed, number(score)]
    };
    let scores =
        violins.iter().flat_map(|violin| violin.scores.iter().map(move |one| (violin, one)));
    let scores =
        scores.map(|(violin, one)| row(&violin.task, &one.model, one.seed.to_string(), one.score));
    let marks = marks.iter().map(|mark| row(&mark.task, &mark.model, String::new(), mark.score));
    scores.chain(marks).collect()
}

/// The scores of a task: their density, or circles where they have none, and ticks.
fn draw_violin(chart: &mut Chart, center: f64, scores: &[f64]) {
    // Of all models together: the color of none.
    let ink = Ink::TEXT.faded(0.45);
    let Some((mean, deviation)) = mean_and_deviation(scores) else { return };
    let Chart { canvas, frame, .. } = chart;
    match density(scores, deviation) {
        Some(outline) => {
            let spot = |sign: f64, &(score, share): &(f64, f64)| {
                frame.at(center + sign * share * HALF_WIDTH, score)
            };
            let left = outline.iter().map(|it| spot(-1.0, it));
            let right = outline.iter().rev().map(|it| spot(1.0, it));
            let mut path: Vec<Spot> = left.chain(right).collect();
            canvas.area(path.clone(), ink.faded(0.15));
            path.extend(path.first().copied());
            canvas.line(path, ink, 1.0);
        }
        None => scores.iter().for_each(|&score| canvas.ring(frame.at(center, score), 3.0, ink)),
    }
    let mut tick = |score: f64, half: f64, width: f64| {
        let ends = [center - half, center + half].map(|x| frame.at(x, score));
        canvas.line(ends.to_vec(), Ink::TEXT, width);
    };
    tick(mean, 0.26, 1.75);
    if deviation > 0.0 {
        tick(mean - deviation, 0.12, 1.0);
        tick(mean + deviation, 0.12, 1.0);
    }
}

/// Mean and standard deviation of a sample, zero of one value; `None` of no value, or of such
/// large ones that they have none.
fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / count).sum::<f64>();
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let deviation = if values.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() };
    (!values.is_empty() && mean.is_finite() && deviation.is_finite()).then_some((mean, deviation))
}

/// Heights with their density as a share of the highest; `None` of fewer than three values or
/// equal ones.
fn density(values: &[f64], deviation: f64) -> Option<Vec<(f64, f64)>> {
    let bandwidth = deviation * pow(values.len() as f64, -0.2);
    if values.len() < 3 || bandwidth.is_nan() || bandwidth <= 0.0 {
        return None;
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let at = |step: usize| low + (high - low) * step as f64 / STEPS as f64;
    let kernel = |height: f64| {
        let near = values.iter().map(|value| (value - height) / bandwidth);
        near.map(|z| exp(-0.5 * z * z)).sum::<f64>()
    };
    let heights: Vec<(f64, f64)> = (0..=STEPS).map(at).map(|at| (at, kernel(at))).collect();
    let highest = heights.iter().map(|(_, density)| *density).fold(0.0, f64::max);
    Some(heights.into_iter().map(|(at, density)| (at, density / highest)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.gaussian_kde([1, 2, 2.5, 4, 7])` (SciPy 1.17) at 1, 4 and 7.
    #[test]
    fn densities_are_those_of_scipy() {
        let values = [1.0, 2.0, 2.5, 4.0, 7.0];
        let (mean, deviation) = mean_and_deviation(&values).unwrap();
        assert!((mean - 3.3).abs() < 1e-12);
        let outline = density(&values, deviation).unwrap();
        let (first, middle, last) = (outline[0], outline[STEPS / 2], outline[STEPS]);
        assert_eq!([first.0, middle.0, last.0], [1.0, 4.0, 7.0]);
        assert!((middle.1 / first.1 - SCIPY[1] / SCIPY[0]).abs() < 1e-5);
        assert!((last.1 / first.1 - SCIPY[2] / SCIPY[0]).abs() < 1e-5);
    }

    const SCIPY: [f64; 3] = [0.128_468_52, 0.122_024_18, 0.059_007_91];
}

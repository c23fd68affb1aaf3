//! The training curves of all models.

use report::figures::{self, Axis, Curve, Palette};
use report::page::{Curves, Series};

use super::log::{Log, Quantity};

/// Points of all curves of one quantity together, so that many models make no larger page.
const POINTS: usize = 24_000;
/// Points of one curve at least and at most.
const POINTS_OF_ONE: (usize, usize) = (400, 2000);

/// How the names of fine-tunings' charts begin.
pub(super) const FINETUNING: &str = "fine-tuning-";

/// A model's name with its log.
pub(super) type Named<'a> = (String, &'a Log);

/// One chart for each quantity that any model has; `apart` is a sentence on held-out losses that do
/// not compare with the others.
pub(super) fn curves(logs: &[Named<'_>], apart: &str, palette: &Palette) -> Vec<Curves> {
    let points = (POINTS / logs.len().max(1)).clamp(POINTS_OF_ONE.0, POINTS_OF_ONE.1);
    let of = |quantity: Quantity| -> Vec<OfModel> {
        let series = |(name, log): &Named<'_>| {
            Some(OfModel { model: name.clone(), series: log.series(name, quantity, points)? })
        };
        logs.iter().filter_map(series).collect()
    };
    let held_out = |(name, log): &Named<'_>| {
        Some(OfModel { model: name.clone(), series: log.held_out(name, points)? })
    };
    let held_out: Vec<OfModel> = logs.iter().filter_map(held_out).collect();
    let caption = format!(
        "Cross-entropy in nats per token; of averaged weights where there are any. {apart}"
    );
    let mut all =
        vec![chart("held-out-loss", "Held-out loss", caption.trim_end(), held_out, palette)];
    let has_teachers = logs.iter().any(|(_, log)| log.has(Quantity::Kl));
    for quantity in Quantity::ALL {
        let (name, title, caption) = match quantity {
            Quantity::Loss => (
                "loss",
                "Training loss",
                "The objective of each step; of a student the mixture of cross-entropy and \
                 divergence.",
            ),
            // Without teachers it is the loss.
            Quantity::CrossEntropy if !has_teachers => continue,
            Quantity::CrossEntropy => {
                ("cross-entropy", "Training cross-entropy", "In nats per token.")
            }
            Quantity::Kl => (
                "kl",
                "Divergence from the teachers",
                "With the square of the temperature, as the recipe normalises it.",
            ),
            Quantity::LearningRate => ("learning-rate", "Learning rate", ""),
            Quantity::GradientNorm => ("gradient-norm", "Gradient norm", "Before clipping."),
            Quantity::Speed => ("tokens-per-second", "Tokens per second", "Of steps alone."),
        };
        let is_loss = matches!(quantity, Quantity::Loss | Quantity::CrossEntropy);
        let caption = match is_loss && !apart.is_empty() {
            true => format!("{caption} Models that are apart in held-out loss are so here."),
            false => caption.to_owned(),
        };
        all.push(chart(name, title, &caption, of(quantity), palette));
    }
    all.retain(|curves| !curves.series.is_empty());
    all
}

/// A curve with the model whose color it has.
pub(super) struct OfModel {
    pub(super) model: String,
    pub(super) series: Series,
}

/// A chart with its drawing.
pub(super) fn chart(
    name: &str,
    title: &str,
    caption: &str,
    curves: Vec<OfModel>,
    palette: &Palette,
) -> Curves {
    let is_log = name == "gradient-norm";
    let is_measured_seldom = name == "held-out-loss" || name.starts_with(FINETUNING);
    let drawn = curves.iter().map(|OfModel { model, series }| Curve {
        name: series.name.clone(),
        model: model.clone(),
        is_held_out: is_measured_seldom,
        points: series.x[0].iter().copied().zip(series.y.iter().copied()).collect(),
    });
    let drawn: Vec<Curve> = drawn.collect();
    let y = if is_log { Axis::log(title) } else { Axis::linear(title) };
    let drawn = figures::curves(title, &Axis::linear("step"), &y, &drawn, palette);
    let placed = |OfModel { model, series }| Series { place: palette.place(&model), ..series };
    let series: Vec<Series> = curves.into_iter().map(placed).collect();
    let is_empty = series.is_empty();
    let chart = Curves {
        title: title.to_owned(),
        caption: caption.to_owned(),
        is_log,
        is_measured: is_measured_seldom,
        series,
        figure: None,
    };
    if is_empty { chart } else { chart.with_drawing(drawn) }
}

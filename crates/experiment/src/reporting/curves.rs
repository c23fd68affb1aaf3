//! The training curves of all models.

use report::figures::{self, Axis, Curve};
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

/// One chart for each quantity that any model has.
pub(super) fn curves(logs: &[Named<'_>]) -> Vec<Curves> {
    let points = (POINTS / logs.len().max(1)).clamp(POINTS_OF_ONE.0, POINTS_OF_ONE.1);
    let of = |quantity: Quantity| -> Vec<Series> {
        logs.iter().filter_map(|(name, log)| log.series(name, quantity, points)).collect()
    };
    let held_out: Vec<Series> =
        logs.iter().filter_map(|(name, log)| log.held_out(name, points)).collect();
    let mut all = vec![chart(
        "held-out-loss",
        "Held-out loss",
        "Cross-entropy in nats per token; of averaged \
              weights where there are any.",
        held_out,
    )];
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
        all.push(chart(name, title, caption, of(quantity)));
    }
    all.retain(|curves| !curves.series.is_empty());
    all
}

/// A chart with its drawing.
pub(super) fn chart(name: &str, title: &str, caption: &str, series: Vec<Series>) -> Curves {
    let is_log = name == "gradient-norm";
    let is_measured_seldom = name == "held-out-loss" || name.starts_with(FINETUNING);
    let curves = series.iter().map(|series| Curve {
        model: series.name.clone(),
        is_held_out: is_measured_seldom,
        points: series.x[0].iter().copied().zip(series.y.iter().copied()).collect(),
    });
    let y = if is_log { Axis::log(title) } else { Axis::linear(title) };
    let drawn = figures::curves(title, &Axis::linear("step"), &y, &curves.collect::<Vec<_>>());
    Curves {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        is_log,
        figure: (!series.is_empty()).then_some(drawn),
        series,
    }
}

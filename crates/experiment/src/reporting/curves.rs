//! The training curves of all models.

use report::figures::{self, Axis, Curve, Palette};
use report::page::{Axis as PageAxis, Curves, Series};

use super::found::Found;
use super::log::{Log, Quantity};

/// Points of all curves of one quantity together, so that many models make no larger page.
const POINTS: usize = 24_000;
/// Points of one curve at least and at most.
const POINTS_OF_ONE: (usize, usize) = (400, 2000);

/// How the names of fine-tunings' charts begin.
pub(super) const FINETUNING: &str = "fine-tuning-";

/// A model whose training is drawn.
pub(super) struct Drawn<'a> {
    /// Its name on the page.
    pub(super) name: String,
    pub(super) log: &'a Log,
    /// Its FLOPs, where they are counted.
    pub(super) flops: Option<TrainingFlops>,
}

/// The FLOPs of a training, which are spread evenly over its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrainingFlops {
    /// Those of the teachers' trainings.
    pub(super) of_teachers: f64,
    /// Those of the model's own, for each token.
    pub(super) of_token: f64,
}

impl TrainingFlops {
    /// Those of a model that was found, where they were counted.
    pub(super) fn of(found: &Found, model: &str) -> Option<Self> {
        let number = |key| found.seen(model, key);
        let (flops, tokens) = (number("flops")?, number("tokens")?);
        let of_teachers = number("flops_with_teachers")? - flops;
        Some(Self { of_teachers, of_token: flops / tokens })
    }
}

impl Drawn<'_> {
    /// A series with the FLOPs of its points.
    fn with_flops(&self, mut series: Series) -> Series {
        if let Some(flops) = self.flops {
            let tokens = &series.x[PageAxis::Tokens as usize];
            let places = tokens.iter().map(|tokens| flops.of_teachers + tokens * flops.of_token);
            series.x[PageAxis::Flops as usize] = places.collect();
        }
        series
    }
}

/// One chart for each quantity that any model has; `apart` is a sentence on held-out losses that do
/// not compare with the others.
pub(super) fn curves(models: &[Drawn<'_>], apart: &str, palette: &Palette) -> Vec<Curves> {
    let points = (POINTS / models.len().max(1)).clamp(POINTS_OF_ONE.0, POINTS_OF_ONE.1);
    let each = |series: &dyn Fn(&Drawn<'_>) -> Option<Series>| -> Vec<OfModel> {
        let of_model = |model: &Drawn<'_>| {
            let series = model.with_flops(series(model)?);
            Some(OfModel { model: model.name.clone(), series })
        };
        models.iter().filter_map(of_model).collect()
    };
    let of = |quantity| each(&|model| model.log.series(&model.name, quantity, points));
    let held_out = each(&|model| model.log.held_out(&model.name, points));
    let caption = format!(
        "Cross-entropy in nats per token; of averaged weights where there are any. {apart}"
    );
    let mut all =
        vec![chart("held-out-loss", "Held-out loss", caption.trim_end(), held_out, palette)];
    let has_teachers = models.iter().any(|model| model.log.has(Quantity::Kl));
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

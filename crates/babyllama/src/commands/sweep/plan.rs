//! `babyllama sweep plan`: what a sweep will take, before anything runs.

use std::path::Path;

use experiment::estimate::RecipeEstimate;
use experiment::{Recipe, recipe};
use report::format::{decimal, duration, grouped};
use report::{Align, Table};
use sweep::recipe::overrides_of;
use sweep::space::{Prior, Space};
use sweep::stopping::{StopRule, Unit};
use sweep::sweep::Draft;

use crate::args::{DeviceArgs, SweepRecipeArgs};
use crate::console::{self, Console};

/// Prints the space, the rungs and the cost of a sweep.
pub(super) fn plan(args: &SweepRecipeArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let draft = Draft::read(&args.recipe, &args.overrides)?;
    draft.check()?;
    let recipe = &draft.file.recipe;
    let studies = draft.studies.len() as u64;
    console::print(format_args!(
        "{}: {} trials{}\n",
        recipe.name,
        grouped(recipe.trials),
        if studies > 1 { format!(" in each of {studies} studies") } else { String::new() }
    ))?;
    console::print_table(&space_table(&draft.file.space))?;
    console::print("")?;
    console::print(format_args!("sampler: {:?}", recipe.sampler))?;
    console::print(rungs(&recipe.stop))?;
    let seeds = recipe.confirm.seeds;
    let settings = recipe.confirm.top as u64 + 1;
    console::print(format_args!(
        "confirmation: {settings} settings (the baseline is one) with {seeds} seeds each, {} \
         trainings",
        settings * seeds
    ))?;
    let Some(model) = &draft.file.recipe.model else { return Ok(()) };
    let base = |overrides: &[String]| -> anyhow::Result<Recipe> {
        let file = tempfile::Builder::new().suffix(".toml").tempfile()?;
        std::fs::write(file.path(), &draft.base)?;
        let recipe = recipe::load(file.path(), overrides)?;
        Ok(experiment::run::alone(recipe, model, Path::new("")))
    };
    let space = &draft.file.space;
    let middle = space.values(&space.middle());
    let Ok(mut typical) = base(&overrides_of(model, &middle)) else { return Ok(()) };
    // Teachers are trained once; a trial reads what they left.
    typical.models.values_mut().for_each(|section| section.distill = None);
    let device = device.or_precision(typical.precision);
    let console = Console::showing();
    let estimate = RecipeEstimate::of(&typical, device.arithmetic(), None, &console)?;
    let opened = device.open()?;
    let speeds = estimate.speeds(&opened, &console)?;
    let one: f64 = estimate
        .models
        .iter()
        .zip(&speeds)
        .map(|((.., model), speed)| speed.seconds(&model.work))
        .sum();
    console::print(format_args!(
        "a trial at the middle of the space: {} of training on this machine, {}; all {} to their \
         end: {}",
        duration(one),
        opened.name(),
        grouped(recipe.trials),
        duration(one * recipe.trials as f64)
    ))?;
    if recipe.stop != StopRule::None {
        console::print("The stopping rule saves most of that: see the share of trials at a rung.")?;
    }
    Ok(())
}

fn space_table(space: &Space) -> Table {
    let heads = ["10 %", "50 %", "90 %"].map(|head| (head, Align::Right));
    let mut table = Table::new([("setting", Align::Left)].into_iter().chain(heads));
    let quantiles = [0.1, 0.5, 0.9].map(|u| {
        let point = space.parameters().values().map(|parameter| match &parameter.prior {
            Prior::Numeric(_) => Some(u),
            Prior::Categories { .. } => Some(0.0),
        });
        space.values(&point.collect())
    });
    for (key, parameter) in space.parameters() {
        let mut row = vec![key.clone()];
        match &parameter.prior {
            Prior::Categories { values, .. } => {
                let values: Vec<String> =
                    values.iter().map(|value| value.to_string().replace('"', "")).collect();
                row.push(values.join(", "));
            }
            Prior::Numeric(_) => row.extend(quantiles.iter().map(|values| {
                let value = values.get(key).map(toml_number);
                value.unwrap_or_default()
            })),
        }
        table.push(row);
    }
    table
}

fn toml_number(value: &toml::Value) -> String {
    match value {
        toml::Value::Float(number) if number.abs() < 0.01 => format!("{number:.2e}"),
        toml::Value::Float(number) => decimal(Some(*number), 4),
        other => other.to_string(),
    }
}

/// Where trials are decided.
fn rungs(rule: &StopRule) -> String {
    let list = |rungs: Vec<f64>| {
        let shown = rungs.iter().take(8).map(|rung| format!("{rung:.3}"));
        shown.collect::<Vec<_>>().join(", ")
    };
    match (rule, rule.unit()) {
        (StopRule::None, _) => "stopping: none, every trial runs to its end".to_owned(),
        (rule, Unit::Fraction) => {
            format!("stopping: at these shares of a trial's own epochs: {}", list(rule.rungs(1.0)))
        }
        (rule, Unit::Epochs) => {
            format!("stopping: after these epochs: {}", list(rule.rungs(1e6)))
        }
    }
}

//! `babyllama pretrain` and `babyllama distill`: one model on a token file, outside a recipe's run.

use experiment::recipe::{self, ModelRequest};
use experiment::training::single;
use serde_json::json;

use crate::args::{DeviceArgs, TrainArgs};
use crate::console::{self, Console, Style};
use crate::failure::Resume;

/// Trains the model that the flags describe, with teachers if they name any.
pub fn train(
    args: &TrainArgs,
    request: ModelRequest<'_>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let (section, recipe_seed) = recipe::load_model(&request)?;
    let files = args.files();
    if let Some(path) = request.recipe.filter(|_| request.distill.is_none())
        && recipe::has_teachers(path, request.model)?
    {
        console::warn("the model's teachers are left out; `babyllama distill` learns from them");
    }
    let precision = request.recipe.map(recipe::precision).transpose()?.flatten();
    let style = Style::of(args.json);
    let device = device.or_precision(precision);
    single::check(&section, &files, device.known_arithmetic())?;
    let device = device.open_for_training(style)?;
    let console = Console::stopping_on_signals()?.with_style(style);
    single::train_single(&section, recipe_seed, &files, &device, &console)
        .resume_with(console::this_command)?;
    let place = files.output.join("final");
    match style {
        Style::Text => {}
        Style::Quiet => return Ok(()),
        Style::Json => {
            let folder = place.to_string_lossy();
            return console::print_json(json!({ "event": "done", "folder": folder }));
        }
    }
    if files.tokenizer.is_none() {
        console::note(
            "without --tokenizer the model's folder has no tokenizer, which generate and evaluate \
             need",
        );
    }
    console::print(format_args!("The model is in {}", place.display()))
}

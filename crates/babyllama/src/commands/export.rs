//! `babyllama export`: a run's model as a Hugging Face folder.

use std::sync::Arc;

use anyhow::Context;
use corpus::Tokenizer;
use engine::Device;
use engine::cpu::Cpu;
use model::hugging_face;

use crate::args::ExportArgs;
use crate::console;
use crate::failure::Hint;

/// Writes config, weights and tokenizer of a model's best epoch. A run that is not finished exports its best so far.
pub fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let folder = args.run.join("models").join(&args.model);
    let place = ["final", "best"].map(|name| folder.join(name)).into_iter().find(|place| place.is_dir());
    let place = place
        .with_context(|| format!("{} has no trained weights", folder.display()))
        .hint("check the run's folder and the model's name, or let `babyllama run` finish an epoch first")?;
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let model = hugging_face::load(&place, &device)?;
    let tokenizer = Tokenizer::load(&args.run.join("tokenizer/tokenizer.json"))?;
    hugging_face::save(&model, &args.output)?;
    tokenizer.save_folder(&args.output, model.config().max_positions)?;
    console::print(format_args!("{} is in {}", args.model, args.output.display()))
}

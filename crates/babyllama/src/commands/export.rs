//! `babyllama export`: a run's model as a Hugging Face folder with a card.

use std::path::Path;

use anyhow::{Context, bail};
use corpus::Tokenizer;
use experiment::outputs::{self, Kind};
use experiment::run::{card, trained};
use model::{Batch, Model, hugging_face, write_safetensors};
use safetensors::tensor::{Dtype, TensorView};

use crate::args::{DeviceArgs, ExportArgs};
use crate::console;
use crate::failure::WrongUsage;

/// What `--logits` holds.
const LOGITS: Kind<'static> = Kind::Tensors(&["ids", "logits"]);

/// Writes config, weights, tokenizer and card of a model's best epoch. A run that is not finished
/// exports its best so far.
pub fn export(args: &ExportArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let place = trained::weights(&args.run, &args.model)?;
    outputs::check_folder(&args.output, std::slice::from_ref(&place))?;
    trained::check_model_folder(&args.output, &place, args.replace)?;
    let mut _logits = None;
    if let Some(path) = &args.logits {
        let leads_to = |name| outputs::place(path) == outputs::place(&args.output.join(name));
        if trained::EXPORTED.into_iter().any(leads_to) {
            bail!(WrongUsage(format!("{} is a file of the exported model", path.display())));
        }
        _logits = Some(outputs::prepare_file(path, std::slice::from_ref(&place), LOGITS)?);
    }
    let device = device.open()?;
    let model = hugging_face::load_any(&place, &device)?;
    let tokenizer = Tokenizer::from_folder(&place)?;
    let _output = outputs::prepare_folder(&args.output)?;
    hugging_face::save(&model, &args.output)?;
    tokenizer.save_folder(&args.output, model.config().max_positions)?;
    if let Some(path) = &args.logits {
        write_logits(&model, path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let given = card::Given {
        license: args.license.clone(),
        languages: args.languages.clone(),
        datasets: args.datasets.clone(),
    };
    let card = card::card(&args.run, &args.model, &place, model.config(), given);
    if !card::write(&args.output, &card)? {
        console::warn(format_args!(
            "{} stays as it is: it was not written here, or was changed since",
            args.output.join(card::FILE).display()
        ));
    }
    console::print(format_args!("{} is in {}", args.model, args.output.display()))
}

/// Writes `ids` `[tokens]` and `logits` `[tokens, vocab]`. Of an encoder-decoder `ids` are what the
/// decoder reads; the encoder reads them in reverse, which stands in the file's metadata as
/// `encoder_ids`.
fn write_logits(model: &Model, path: &Path) -> anyhow::Result<()> {
    let vocab_size = model.config().vocab_size as u32;
    let count = model.config().max_positions.min(16) as u32;
    // Any ids do, as long as they are spread over the vocabulary.
    let ids: Vec<u32> = (0..count).map(|index| (1 + index * 7919) % vocab_size).collect();
    let mut batch = Batch::from_sequences([&ids]);
    let mut metadata = None;
    if model.config().architecture.is_encoder_decoder() {
        let encoder_ids: Vec<u32> = ids.iter().rev().copied().collect();
        let listed: Vec<String> = encoder_ids.iter().map(u32::to_string).collect();
        metadata = Some([("encoder_ids".to_owned(), listed.join(" "))].into());
        batch = batch.with_source(Batch::from_sequences([&encoder_ids]));
    }
    let hidden = model.hidden_states(&batch);
    let mut logits = vec![0.0; ids.len() * vocab_size as usize];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    let ids_bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let logits_bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let tensors = [
        ("ids", TensorView::new(Dtype::U32, vec![ids.len()], &ids_bytes)?),
        (
            "logits",
            TensorView::new(Dtype::F32, vec![ids.len(), vocab_size as usize], &logits_bytes)?,
        ),
    ];
    Ok(write_safetensors(path, tensors, metadata)?)
}

//! Which of two lines of code a folder of LTG-BERT is for, where its configuration does not state
//! it: the likelier reading of a paragraph shows it, since the weights alone do not.

use std::path::Path;

use corpus::Tokenizer;
use eval::{Request, Scorer};
use model::{Model, PositionHeads};

use crate::error::{Context, Result};
use crate::{Observer, tokenizers};

/// English that any model of it should find likelier than what the other line of code makes of it.
const PARAGRAPH: &str = "\
    The children went down to the river in the morning, because their mother had told them that \
    the boat would be there. When they came to the bridge they saw an old man who was selling \
    apples from a basket. He asked them where they were going, and the youngest of them said that \
    they were looking for their father, who had not come home since the day before.";

/// The model of a folder, with its table of distances cut into heads as its configuration states,
/// or else as makes a paragraph likelier.
///
/// # Errors
/// When that is not stated and the folder has no tokenizer to find out.
pub(crate) fn settle(folder: &Path, model: Model, observer: &dyn Observer) -> Result<Model> {
    let config = model.config();
    if !config.architecture.has_position_heads() || config.position_heads.is_some() {
        return Ok(model);
    }
    let advice = "state \"position_heads\" in its config.json: \"halves\" for the code of the \
                  BabyLM baselines, \"interleaved\" for that of the BNC models and NorBERT";
    let shown = || format!("cannot find out how {} cuts distances into heads", folder.display());
    let tokenizer = Tokenizer::from_folder(folder).within(shown).advise(advice)?;
    let score = |model: &Model| -> Result<f64> {
        let tokens = tokenizers::masked_tokens(&tokenizer)?;
        let (context, continuation) =
            (vec![tokens.start], tokenizers::encode(&tokenizer, PARAGRAPH)?);
        let request = Request { context, continuation };
        let scores = Scorer::masked(vec![model], tokens)?.by_mean().score(&[request], |_, _| ())?;
        Ok(scores.log_probabilities[0])
    };
    let of_halves = score(&model).within(shown).advise(advice)?;
    let model = model.with_position_heads(PositionHeads::Interleaved)?;
    let of_interleaved = score(&model).within(shown).advise(advice)?;
    let (name, found) = match of_interleaved > of_halves {
        true => ("interleaved", model),
        false => ("halves", model.with_position_heads(PositionHeads::Halves)?),
    };
    observer.note(format_args!(
        "{}: heads of distances are {name}: the mean log-probability of a paragraph's tokens is \
         {of_halves:.2} by halves and {of_interleaved:.2} interleaved",
        folder.display()
    ));
    Ok(found)
}

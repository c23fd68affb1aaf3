//! What `export` understands.

use std::path::PathBuf;

use clap::Args;
use experiment::recipe::suggestion;
use report::card::{LICENSES, is_dataset, is_language};

use super::output_path;

#[derive(Debug, Args)]
#[command(after_help = "\
The folder is a new one, an empty one, or a new repository of a hub: one that holds nothing but
README.md, LICENSE, .gitattributes, .gitignore and .git. The model in a folder is replaced with
--replace alone. A README.md that is there already and was not written by this command, or was
changed since, stays in each case, and so does the rest.

Examples:
  babyllama export runs/quickstart --model student --output exported/student
  babyllama export runs/quickstart --model student --output exported/student --license mit \\
      --language en --replace")]
pub struct ExportArgs {
    /// The run's folder.
    pub run: PathBuf,
    /// The model's name in the run.
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// Gets config.json, model.safetensors, the tokenizer, and README.md, the model's card.
    #[arg(long, value_name = "FOLDER", value_parser = output_path())]
    pub output: PathBuf,
    /// Write the logits of a few token ids here, as safetensors, to compare them with another
    /// program's; of an encoder-decoder those of the decoder, with what the encoder read as
    /// `encoder_ids` in the file's metadata.
    #[arg(long, value_name = "FILE", value_parser = output_path())]
    pub logits: Option<PathBuf>,
    /// The licence, for the card's metadata, as Hugging Face's hub names it: mit, apache-2.0,
    /// cc-by-4.0; other for one that the hub does not name, with its text in a file LICENSE.
    #[arg(long, value_name = "NAME", value_parser = license)]
    pub license: Option<String>,
    /// Codes of the text's languages (BCP 47), such as en,de,zh-Hant, for the card's metadata
    /// [default: en for the built-in corpus].
    #[arg(long = "language", value_name = "CODE", value_delimiter = ',', value_parser = language)]
    pub languages: Vec<String>,
    /// Names of the text's data sets on a hub, such as OWNER/NAME, for the card's metadata.
    #[arg(long = "dataset", value_name = "NAME", value_delimiter = ',', value_parser = dataset)]
    pub datasets: Vec<String>,
    /// Replace the model that the folder holds.
    #[arg(long)]
    pub replace: bool,
}

fn license(text: &str) -> Result<String, String> {
    match LICENSES.contains(&text) {
        true => Ok(text.to_owned()),
        false => {
            let near = suggestion(&text.to_lowercase(), LICENSES.iter().copied());
            Err(format!("the hub names no such licence, though it takes `other`; {near}"))
        }
    }
}

fn language(text: &str) -> Result<String, String> {
    let message = "must be a language code (BCP 47), such as en, de, nds or zh-Hant";
    if is_language(text) { Ok(text.to_owned()) } else { Err(message.to_owned()) }
}

fn dataset(text: &str) -> Result<String, String> {
    let message = "must be the name of a data set on a hub: NAME or OWNER/NAME, of letters, \
                   digits, `.`, `_` and `-`";
    if is_dataset(text) { Ok(text.to_owned()) } else { Err(message.to_owned()) }
}

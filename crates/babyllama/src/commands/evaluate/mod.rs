//! `babyllama evaluate`: the scores of any model folder, one file a command.

pub mod ages;
pub mod all;
pub mod choices;
pub mod compare;
pub mod ewok_filter;
pub mod loss;

use std::path::Path;

use experiment::outputs::MadeFolders;
use experiment::{files, outputs};
use serde_json::Value;

use crate::args::EvaluateArgs;

/// Tries the file of `--json` before the work; `data` is what is read besides the models.
fn prepare_json(args: &EvaluateArgs, data: &[&Path]) -> anyhow::Result<Option<MadeFolders>> {
    let inputs: Vec<_> =
        data.iter().map(|path| (*path).to_owned()).chain(args.models.iter().cloned()).collect();
    let json = args.json.as_deref();
    Ok(json.map(|path| outputs::prepare_file(path, &inputs)).transpose()?)
}

fn write_json(args: &EvaluateArgs, value: &Value) -> anyhow::Result<()> {
    Ok(args.json.as_deref().map_or(Ok(()), |path| files::write_json(path, value))?)
}

//! `babyllama evaluate`: the scores of any model folder, one file a command.

pub mod ages;
pub mod all;
pub mod choices;
pub mod compare;
pub mod ewok_filter;
pub mod loss;

use experiment::files;
use serde_json::Value;

use crate::args::EvaluateArgs;

fn write_json(args: &EvaluateArgs, value: &Value) -> anyhow::Result<()> {
    Ok(args.json.as_deref().map_or(Ok(()), |path| files::write_json(path, value))?)
}

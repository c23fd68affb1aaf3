//! `babyllama evaluate`: the scores of any Hugging Face folder, one file a benchmark; here what
//! they share.

pub mod ages;
pub mod all;
pub mod blimp;
pub mod compare;
pub mod ewok;
pub mod loss;
pub mod results;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use corpus::Tokenizer;
use engine::Device;
use model::{Model, ModelError, hugging_face};
use serde_json::Value;

use crate::args::{DeviceArgs, EvaluateArgs};
use crate::pipeline::models::same_tokenizer;
use base::atomic_file;

/// A folder's model.
pub struct Subject {
    path: PathBuf,
    model: Model,
}

/// The models that predict the next token; others are refused.
fn load(args: &EvaluateArgs, device: &DeviceArgs) -> anyhow::Result<Vec<Subject>> {
    load_by(args, device, hugging_face::load)
}

/// Models of any kind, masked ones too.
fn load_any(args: &EvaluateArgs, device: &DeviceArgs) -> anyhow::Result<Vec<Subject>> {
    load_by(args, device, hugging_face::load_any)
}

fn load_by(
    args: &EvaluateArgs,
    device: &DeviceArgs,
    load: impl Fn(&Path, &Arc<dyn Device>) -> Result<Model, ModelError>,
) -> anyhow::Result<Vec<Subject>> {
    let device = device.open()?;
    let load = |path: &PathBuf| Ok(Subject { path: path.clone(), model: load(path, &device)? });
    args.models.iter().map(load).collect()
}

/// The models that are scored together: each by itself, or all as one.
fn groups<'a>(args: &EvaluateArgs, subjects: &'a [Subject]) -> Vec<&'a [Subject]> {
    if args.ensemble { vec![subjects] } else { subjects.chunks(1).collect() }
}

fn label(group: &[Subject]) -> String {
    group.iter().map(|subject| subject.path.display().to_string()).collect::<Vec<_>>().join(" + ")
}

/// The tokenizer of a group of models, which must all have the same.
fn tokenizer(group: &[Subject]) -> anyhow::Result<Tokenizer> {
    let tokenizer = Tokenizer::from_folder(&group[0].path)?;
    for other in &group[1..] {
        same_tokenizer(&other.path, "model", &tokenizer)?;
    }
    Ok(tokenizer)
}

fn write_json(args: &EvaluateArgs, value: &Value) -> anyhow::Result<()> {
    match &args.json {
        None => Ok(()),
        Some(path) => atomic_file::write(path, format!("{value:#}\n").as_bytes())
            .with_context(|| format!("cannot write {}", path.display())),
    }
}

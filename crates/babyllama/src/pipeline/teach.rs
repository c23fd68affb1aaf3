//! `babyllama teach`: lets the teachers of a recipe's students read all the text once, and keeps
//! what they say.

use anyhow::{Context, bail};
use model::hugging_face;
use report::format::short;
use train::settings::SignalKind;
use train::signals::{Audience, open_to_teach};

use super::Pipeline;
use super::models::Trained;
use super::text::Text;
use crate::args::{DeviceArgs, TeachArgs};
use crate::console;
use crate::failure::{Hint, Interrupted, WrongUsage};
use crate::progress::Progress;
use crate::recipe::{self, ModelSection, Recipe, Start};

/// Fills the caches that the recipe's students read, training their teachers where that is still to
/// be done.
pub fn teach(args: &TeachArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load(&args.recipe.recipe, &args.recipe.overrides)?;
    // Before anything is made or replaced.
    let students = students(&recipe, args.model.as_deref())?;
    let (mut pipeline, _lock) = Pipeline::open(
        recipe,
        &args.recipe,
        args.output.as_deref(),
        "teach",
        args.model.as_deref(),
        device,
    )?;
    let text = pipeline.prepare_text()?;
    let trained = pipeline.train_some(&text, &needed(&pipeline.recipe, &students))?;
    for student in &students {
        if pipeline.interrupt.is_requested() {
            return Err(pipeline.interrupted());
        }
        pipeline.fill(student, &text, &trained)?;
    }
    Ok(())
}

/// The students whose teachers' signals are kept: the one that is named, or all.
fn students(recipe: &Recipe, named: Option<&str>) -> anyhow::Result<Vec<String>> {
    let keeps = |section: &ModelSection| {
        section.distill.as_ref().is_some_and(|distill| distill.signal != SignalKind::Online)
    };
    let advice = "write signal = \"hidden\" or \"sampled\" into [models.NAME.distill], or --set \
     NAME.distill.signal=hidden";
    match named {
        Some(name) => match recipe.models.get(name) {
            None => {
                let known = recipe.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                bail!(WrongUsage(format!("--model {name} is none of the recipe's models: {known}")))
            }
            Some(section) if !keeps(section) => {
                Err(WrongUsage(format!("nothing is kept of what teachers say to {name}")))
                    .hint(advice)
            }
            Some(_) => Ok(vec![name.to_owned()]),
        },
        None => {
            let all: Vec<String> = recipe
                .models
                .iter()
                .filter(|(_, section)| keeps(section))
                .map(|(name, _)| name.clone())
                .collect();
            match all.is_empty() {
                true => {
                    Err(WrongUsage("no model of the recipe keeps what its teachers say".into()))
                        .hint(advice)
                }
                false => Ok(all),
            }
        }
    }
}

/// The models of the recipe that teach these students, and those that teach the teachers.
fn needed(recipe: &Recipe, students: &[String]) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    let mut open: Vec<&String> = students.iter().collect();
    while let Some(name) = open.pop() {
        let distill = recipe.models.get(name).and_then(|section| section.distill.as_ref());
        for teacher in distill.iter().flat_map(|distill| &distill.teachers) {
            if recipe.models.contains_key(teacher) && !needed.contains(teacher) {
                needed.push(teacher.clone());
                open.push(teacher);
            }
        }
    }
    needed
}

impl Pipeline {
    /// Makes one student's cache whole.
    fn fill(&self, student: &str, text: &Text, trained: &[Trained]) -> anyhow::Result<()> {
        let section = &self.recipe.models[student];
        let Some(settings) = &section.distill else { return Ok(()) };
        let distillation = self.distillation(settings, text, trained)?;
        let vocab_size = match &section.start {
            Start::Random(_) => text.tokenizer.vocab_size(),
            Start::Folder(folder) => hugging_face::load_config(folder)?.vocab_size,
        };
        let audience = Audience {
            device: &self.device,
            vocab_size,
            settings: &section.train,
            training: &text.training,
            validation: Some(&text.validation),
        };
        let opened = open_to_teach(&distillation, &audience)
            .with_context(|| format!("teachers of {student}"))?;
        let Some(mut teaching) = opened else { return Ok(()) };
        let (sequences, there) = teaching.progress();
        for (folder, bytes) in teaching.folders() {
            console::note(format_args!(
                "{student}  keeps what its teachers say in {} ({}B)",
                folder.display(),
                short(bytes as f64)
            ));
        }
        let mut progress = Progress::begin(
            &format!("teachers of {student}"),
            "sequences",
            sequences as u64,
            there as u64,
        );
        let group = match section.train.micro_batch_size {
            0 => section.train.batch_size,
            size => size,
        };
        let is_whole = teaching
            .teach(&audience, group, &mut |there| {
                progress.update(there as u64, "");
                !self.interrupt.is_requested()
            })
            .with_context(|| format!("teachers of {student}"))?;
        if !is_whole {
            bail!(Interrupted { resume: self.command.clone() });
        }
        let new = sequences - there;
        progress.finish(
            sequences as u64,
            &format!("{new} of {sequences} sequences were read, all are there"),
        );
        Ok(())
    }
}

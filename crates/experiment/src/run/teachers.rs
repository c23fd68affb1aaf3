//! Teacher caches: the teachers of a recipe's students read all the text once, and their outputs
//! are stored.

use std::path::{Path, PathBuf};

use model::hugging_face;
use report::format::short;
use train::run::snapshot;
use train::settings::SignalKind;
use train::signals::{DistillInputs, open_cache};

use super::Run;
use super::models::Trained;
use super::prepared::Prepared;
use crate::error::{Context, ExperimentError, Result, wrong_usage};
use crate::recipe::{ModelSection, OwnTeacher, Recipe, Start, own_teacher};
use crate::verify;

/// The students whose teachers' outputs are kept: the one that is named, or all.
pub(super) fn students(recipe: &Recipe, named: Option<&str>) -> Result<Vec<String>> {
    let keeps = |section: &ModelSection| {
        section.distill.as_ref().is_some_and(|distill| distill.signal != SignalKind::Online)
    };
    let advice = "write signal = \"hidden\" or \"sampled\" into [models.NAME.distill], or --set \
     NAME.distill.signal=hidden";
    match named {
        Some(name) => match recipe.models.get(name) {
            None => {
                let known = recipe.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                wrong_usage(format_args!("--model {name} is none of the recipe's models: {known}"))
            }
            Some(section) if !keeps(section) => {
                wrong_usage(format_args!("no teacher outputs are kept for {name}")).advise(advice)
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
                true => wrong_usage("no model of the recipe keeps teacher outputs").advise(advice),
                false => Ok(all),
            }
        }
    }
}

/// The models of the recipe that teach these students, and those that teach the teachers.
pub(super) fn needed(recipe: &Recipe, students: &[String]) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    let mut open: Vec<&str> = students.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        let distill = recipe.models.get(name).and_then(|section| section.distill.as_ref());
        for teacher in distill.iter().flat_map(|distill| &distill.teachers) {
            let Some(own) = own_teacher(recipe, teacher) else { continue };
            if !needed.iter().any(|known| known == own.name) {
                needed.push(own.name.to_owned());
                open.push(own.name);
            }
        }
    }
    needed
}

/// Whether a model of a recipe is a teacher of another.
pub(super) fn teaches(recipe: &Recipe, name: &str) -> bool {
    let students = recipe.models.values().filter_map(|section| section.distill.as_ref());
    let mut teachers = students.flat_map(|distill| &distill.teachers);
    teachers.any(|teacher| own_teacher(recipe, teacher).is_some_and(|own| own.name == name))
}

/// Where a run keeps the weights of a teacher that it trains.
pub(super) fn weights(run: &Path, teacher: &OwnTeacher<'_>) -> PathBuf {
    let folder = run.join("models").join(teacher.name);
    match teacher.epoch {
        None => folder.join(verify::FINAL),
        Some(epoch) => snapshot(&folder, epoch),
    }
}

impl Run<'_> {
    /// Completes one student's teacher cache.
    pub(super) fn fill(&self, student: &str, text: &Prepared, trained: &[Trained]) -> Result<()> {
        let section = &self.recipe.models[student];
        let Some(settings) = &section.distill else { return Ok(()) };
        let vocab_size = match &section.start {
            Start::Random(_) => text.tokenizer.vocab_size(),
            Start::Folder(folder) => hugging_face::load_config(folder)?.vocab_size,
        };
        let distillation = self.distillation(settings, vocab_size, text, trained)?;
        let inputs = DistillInputs {
            device: &self.device,
            vocab_size,
            settings: &section.train,
            training: &text.training,
            validation: Some(&text.validation),
        };
        let label = format!("teachers of {student}");
        let opened = open_cache(&distillation, &inputs).within(|| label.clone())?;
        let Some(mut cache) = opened else { return Ok(()) };
        let (sequences, there) = cache.progress();
        for (folder, bytes) in cache.folders() {
            self.observer.note(format_args!(
                "{student}  teacher outputs are stored in {} ({}B)",
                folder.display(),
                short(bytes as f64)
            ));
        }
        self.observer.begin(&label, "sequences", sequences as u64, there as u64);
        let group = match section.train.micro_batch_size {
            0 => section.train.batch_size,
            size => size,
        };
        let is_complete = cache
            .complete(&inputs, group, &mut |there| {
                self.observer.advance(there as u64, "");
                !self.observer.should_stop()
            })
            .within(|| label.clone())?;
        if !is_complete {
            return Err(ExperimentError::Interrupted);
        }
        let new = sequences - there;
        let note = format!("{new} of {sequences} sequences were read, all are there");
        self.observer.end(sequences as u64, &note);
        Ok(())
    }
}

//! `babyllama run`: every stage of a recipe in turn; a stage whose inputs have not changed is
//! skipped.

pub mod evaluation;
pub mod models;
pub mod teach;
pub mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use engine::Device;

use crate::args::{DeviceArgs, RecipeArgs, RunArgs};
use crate::cache_place;
use crate::console;
use crate::failure::{Hint, Interrupted};
use crate::interrupt::{Interrupt, is_stop};
use crate::lock::RunLock;
use crate::recipe::{self, Recipe, Start};
use crate::stage::{Stage, Stages, Status};
use base::atomic_file;

/// A run under way.
pub struct Pipeline {
    folder: PathBuf,
    recipe: Recipe,
    stages: Stages,
    device: Arc<dyn Device>,
    interrupt: Interrupt,
    /// The command that continues this run.
    command: String,
    performed: usize,
    skipped: usize,
}

/// Does everything the recipe says.
pub fn run(args: &RunArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let recipe = recipe::load(&args.recipe.recipe, &args.recipe.overrides)?;
    let (mut pipeline, _lock) =
        Pipeline::open(recipe, &args.recipe, args.output.as_deref(), "run", None, device)?;
    let text = pipeline.prepare_text()?;
    let models = pipeline.train_models(&text)?;
    let table = pipeline.evaluate(&text, &models)?;
    pipeline.close(&table)
}

impl Pipeline {
    /// Takes the run's folder and writes down the resolved recipe. `name` is the command that does
    /// it, and `model` the model that it names.
    fn open(
        recipe: Recipe,
        args: &RecipeArgs,
        output: Option<&Path>,
        name: &str,
        model: Option<&str>,
        device: &DeviceArgs,
    ) -> anyhow::Result<(Self, RunLock)> {
        let folder = output.map_or_else(|| Path::new("runs").join(&recipe.name), Path::to_owned);
        check_caches(&recipe, &folder)?;
        let opened = device.open()?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the run's folder {}", folder.display()))
            .hint("check who may write there, or choose another --output")?;
        let lock = RunLock::acquire(&folder)?;
        let resolved = folder.join("recipe.toml");
        let text = format!(
            "# Resolved, with every default written out. BLAKE3 of what follows: {}\n{}",
            recipe.hash()?,
            recipe.resolved()?
        );
        atomic_file::write(&resolved, text.as_bytes())
            .with_context(|| format!("cannot write {}", resolved.display()))?;
        let pipeline = Self {
            stages: Stages::open(&folder)?,
            folder,
            recipe,
            device: opened,
            interrupt: Interrupt::listen().context("cannot listen to signals")?,
            command: command(name, args, model, output, device),
            performed: 0,
            skipped: 0,
        };
        Ok((pipeline, lock))
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside)
    }

    /// Runs a stage unless it is done, and notes that it is. Outputs are relative to the run's
    /// folder.
    fn perform(
        &mut self,
        stage: &Stage,
        outputs: &[&Path],
        work: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Status::Run(reason) = self.stages.status(stage)? else {
            self.skipped += 1;
            return Ok(());
        };
        if self.interrupt.is_requested() {
            return Err(self.interrupted());
        }
        console::note(format_args!("stage {}: {reason}", stage.name()));
        // From here on the old output may be half replaced: no record may vouch for it.
        self.stages.forget(stage)?;
        let result =
            work(self).map_err(|error| if is_stop(&error) { self.interrupted() } else { error });
        result.with_context(|| format!("stage {}", stage.name()))?;
        self.stages.mark_done(stage, outputs)?;
        self.performed += 1;
        Ok(())
    }

    fn interrupted(&self) -> anyhow::Error {
        Interrupted { resume: self.command.clone() }.into()
    }

    fn close(&self, table: &str) -> anyhow::Result<()> {
        console::print(format_args!("\n{table}"))?;
        let folder = self.folder.display();
        match self.performed {
            0 => console::print(format_args!(
                "Nothing to do: all {} stages of {folder} are done and up to date.",
                self.skipped
            )),
            _ => console::print(format_args!(
                "Everything is in {folder}; the models are in {folder}/models/NAME/final."
            )),
        }
    }
}

/// Refuses caches that would lie where the run reads models or puts them.
fn check_caches(recipe: &Recipe, run: &Path) -> anyhow::Result<()> {
    let place = |name: &String| run.join("models").join(name);
    let mut folders: Vec<PathBuf> = recipe.models.keys().map(place).collect();
    for section in recipe.models.values() {
        if let Start::Folder(folder) = &section.start {
            folders.push(folder.clone());
        }
        let teachers = section.distill.iter().flat_map(|distill| &distill.teachers);
        folders
            .extend(teachers.filter(|name| !recipe.models.contains_key(*name)).map(PathBuf::from));
    }
    let mut students =
        recipe.models.iter().filter_map(|(name, section)| Some((name, section.distill.as_ref()?)));
    students.try_for_each(|(name, distill)| {
        cache_place::check(distill, run, folders.iter().map(PathBuf::as_path))
            .with_context(|| format!("model {name}"))
    })
}

/// The command line that continues a run, as a shell reads it.
fn command(
    name: &str,
    args: &RecipeArgs,
    model: Option<&str>,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> String {
    let mut words = vec![format!("babyllama {name}"), quoted(&args.recipe.to_string_lossy())];
    words.extend(args.overrides.iter().map(|value| format!("--set {}", quoted(value))));
    words.extend(model.map(|model| format!("--model {}", quoted(model))));
    words.extend(output.map(|folder| format!("--output {}", quoted(&folder.to_string_lossy()))));
    words.extend(device.words());
    words.join(" ")
}

/// A word in single quotes, unless no shell would make more of it than it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

//! `babyllama run` and `babyllama cache-teachers`: a whole recipe, or its teacher caches.

use std::path::{Path, PathBuf};

use experiment::run::{RunOutcome, RunSettings};
use experiment::{Recipe, recipe};

use crate::args::{CacheTeachersArgs, DeviceArgs, RecipeArgs, RunArgs};
use crate::console::{self, Console};
use crate::failure::Resume;

/// Does everything that the recipe describes, and prints the table.
pub fn run(args: &RunArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let command = CommandLine {
        name: "run",
        recipe: &args.recipe,
        model: None,
        output: args.output.as_deref(),
        prepared: args.prepared.as_deref(),
        device,
    };
    let recipe = recipe::load(&args.recipe.recipe, &args.recipe.overrides)?;
    let settings = command.settings(&recipe)?;
    let outcome = experiment::run::run(recipe, &settings, &Console::stopping_on_signals()?)
        .resume_with(|| command.text())?;
    close(&outcome, &settings.folder)
}

/// Fills the caches that the recipe's students read.
pub fn cache_teachers(args: &CacheTeachersArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let command = CommandLine {
        name: "cache-teachers",
        recipe: &args.recipe,
        model: args.model.as_deref(),
        output: args.output.as_deref(),
        prepared: args.prepared.as_deref(),
        device,
    };
    let recipe = recipe::load(&args.recipe.recipe, &args.recipe.overrides)?;
    experiment::run::check_students(&recipe, command.model)?;
    let settings = command.settings(&recipe)?;
    experiment::run::cache_teachers(
        recipe,
        command.model,
        &settings,
        &Console::stopping_on_signals()?,
    )
    .resume_with(|| command.text())
}

fn close(outcome: &RunOutcome, folder: &Path) -> anyhow::Result<()> {
    console::print(format_args!("\n{}", outcome.table.to_text()))?;
    let folder = folder.display();
    match outcome.performed {
        0 => console::print(format_args!(
            "Nothing to do: all {} stages of {folder} are done and up to date.",
            outcome.skipped
        )),
        _ => console::print(format_args!(
            "Everything is in {folder}; the models are in {folder}/models/NAME/final."
        )),
    }
}

/// A command on a recipe, as it was given.
struct CommandLine<'a> {
    name: &'a str,
    recipe: &'a RecipeArgs,
    model: Option<&'a str>,
    output: Option<&'a Path>,
    prepared: Option<&'a Path>,
    device: &'a DeviceArgs,
}

impl CommandLine<'_> {
    fn settings(&self, recipe: &Recipe) -> anyhow::Result<RunSettings> {
        let folder =
            self.output.map_or_else(|| Path::new("runs").join(&recipe.name), Path::to_owned);
        let prepared = self.prepared.map(PathBuf::from);
        experiment::run::check_caches(recipe, &folder)?;
        Ok(RunSettings { folder, prepared, device: self.device.open()? })
    }

    /// The command line that continues a run, as a shell reads it.
    fn text(&self) -> String {
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let mut words = vec![format!("babyllama {}", self.name), path(&self.recipe.recipe)];
        words.extend(self.recipe.overrides.iter().map(|value| format!("--set {}", quoted(value))));
        words.extend(self.model.map(|model| format!("--model {}", quoted(model))));
        words.extend(self.output.map(|folder| format!("--output {}", path(folder))));
        words.extend(self.prepared.map(|folder| format!("--prepared {}", path(folder))));
        words.extend(self.device.words());
        words.join(" ")
    }
}

/// A word in single quotes, unless a shell takes it as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

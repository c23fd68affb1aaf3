//! `babyllama sweep best`, `export`, `import` and `check`: what comes out of a sweep, or goes in.

use std::path::Path;

use anyhow::{Context, anyhow};
use experiment::outputs::Kind;
use report::format::{counted, is_or_are};
use sweep::export;
use sweep::store::{Store, StoreError};
use sweep::trial::Trial;
use sweep::wandb;

use crate::args::{ExportFormat, SweepBestArgs, SweepExportArgs, SweepImportArgs, SweepPlaceArgs};
use crate::console;
use crate::failure::{Hint, WrongUsage};

/// Prints the recipe of a trial.
pub(super) fn best(args: &SweepBestArgs) -> anyhow::Result<()> {
    let mut sweep = super::open_one(&args.place)?;
    let trial = match args.trial {
        None => sweep.best()?,
        Some(number) => {
            let trials = sweep.trials()?;
            let found = trials.into_iter().find(|trial: &Trial| trial.number() == number);
            found.ok_or(StoreError::NoTrial(number))?
        }
    };
    let text = sweep.recipe_of(&trial, args.round.map(usize::from))?;
    write(args.output.as_deref(), &text, Kind::Beginning(&text))
}

/// Writes all trials.
pub(super) fn export(args: &SweepExportArgs) -> anyhow::Result<()> {
    if args.format == ExportFormat::Sqlite {
        let Some(path) = &args.output else {
            return Err(WrongUsage("a SQLite store is no text".to_owned()))
                .hint("name a new file with --output");
        };
        let found = super::find(&args.place)?;
        export::sqlite(&mut Store::open(&found.address)?, path)?;
        console::note_written(path);
        return Ok(());
    }
    let mut text = String::new();
    for (index, mut sweep) in super::open(&args.place)?.into_iter().enumerate() {
        let overview = sweep.overview()?;
        match args.format {
            ExportFormat::Jsonl => text.push_str(&export::json_lines(&overview)),
            _ if index > 0 => {
                return Err(WrongUsage("the sweep has several studies".to_owned()))
                    .hint("name one with --study, or export jsonl");
            }
            _ => text.push_str(&export::csv(&overview)),
        }
    }
    let kind = match args.format {
        ExportFormat::Jsonl => Kind::Beginning(export::JSON_LINES_BEGINNING),
        _ => Kind::Beginning(export::csv_head(&text)),
    };
    write(args.output.as_deref(), &text, kind)
}

/// Computes every proposal again.
pub(super) fn check(args: &SweepPlaceArgs) -> anyhow::Result<()> {
    let mut differing = 0;
    for mut sweep in super::open(args)? {
        let found = sweep.check()?;
        let name = &sweep.name;
        let same = found.same as u64;
        let (proposals, are) = (counted(same, "proposal"), is_or_are(same));
        console::print(format_args!("{name}: {proposals} {are} the same to the bit"))?;
        if !found.foreign.is_empty() {
            let foreign = found.foreign.len() as u64;
            let were = if foreign == 1 { "was" } else { "were" };
            let trials = counted(foreign, "trial");
            console::print(format_args!("{name}: {trials} {were} enqueued or added from outside"))?;
        }
        for (number, difference) in &found.differs {
            console::print(format_args!("{name}: trial {number}: {difference}"))?;
        }
        differing += found.differs.len() as u64;
    }
    match differing {
        0 => Ok(()),
        count => Err(anyhow!(
            "{} {} not what the sampler would propose",
            counted(count, "trial"),
            is_or_are(count)
        ))
        .hint("the store was edited, or another version of the program made them"),
    }
}

fn write(output: Option<&Path>, text: &str, kind: Kind<'_>) -> anyhow::Result<()> {
    match output {
        None => console::print(text.trim_end()),
        Some(path) => {
            let _made = experiment::outputs::prepare_file(path, &[], kind)?;
            experiment::files::write_text(path, text)?;
            console::note_written(path);
            Ok(())
        }
    }
}

/// Makes a recipe of W&B's file.
pub(super) fn import(args: &SweepImportArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.sweep)
        .with_context(|| format!("cannot read {}", args.sweep.display()))?;
    let import = wandb::read(&text).with_context(|| args.sweep.display().to_string())?;
    import.notes.iter().for_each(console::warn);
    let base = experiment::recipe::load(&args.recipe, &[])?;
    let model = match (&args.model, base.models.len()) {
        (Some(model), _) => model.clone(),
        (None, 1) => base.models.keys().cloned().collect(),
        (None, _) => {
            let known: Vec<&str> = base.models.keys().map(String::as_str).collect();
            return Err(WrongUsage("the recipe has several models".to_owned()))
                .hint(format!("name one with --model: {}", known.join(", ")));
        }
    };
    let named = args.output.as_deref().unwrap_or(&args.sweep);
    let name = named.file_stem().unwrap_or_default().to_string_lossy();
    let recipe = args.recipe.to_string_lossy();
    let text = import.to_recipe(&name, &recipe, &model);
    write(args.output.as_deref(), &text, Kind::Beginning(&text))
}

//! `babyllama evaluate all`: every benchmark whose data is at hand, for every model, and one table.
//!
//! Each benchmark of each model is a stage: what is done already is skipped, so a call that was cut
//! goes on. What fails by itself does not end the rest.

mod card;
mod data;
mod files;
mod scoring;
mod table;
mod units;

use anyhow::{Context, bail};
use eval::Rules;

use super::loss::HeldoutText;
use super::results::{claim_folders, short_names};
use super::{groups, label, load_any};
use crate::args::{AllArgs, DeviceArgs};
use crate::console;
use crate::failure::WrongUsage;
use crate::interrupt::Interrupt;
use crate::lock::RunLock;
use crate::recipe::FinetuneRecipe;
use crate::setbacks::Setbacks;
use base::atomic_file;
use card::Card;
use scoring::Scoring;

pub use data::Benchmark;

/// Scores all models and prints the table.
pub fn all(args: &AllArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let wanted = |benchmark| {
        (args.only.is_empty() || args.only.contains(&benchmark)) && !args.skip.contains(&benchmark)
    };
    let found = data::find(&args.data, args.text.as_deref(), wanted)?;
    for (benchmark, why) in &found.missing {
        console::note(format_args!("{} is left out: {why}", benchmark.name()));
    }
    if let Some(data) = &args.text {
        let (clean, sequence_length) = (args.clean, args.sequence_length);
        HeldoutText { data, raw_tokens: false, clean, sequence_length }.check()?;
    }
    let rules = Rules::from(args.rules);
    let recipe =
        FinetuneRecipe::load(args.recipe.as_deref().unwrap_or(rules.name()), &args.overrides)?;
    if found.finetunes() && Rules::from(recipe.rules) != rules {
        let (recipe, rules) = (Rules::from(recipe.rules).name(), rules.name());
        bail!(WrongUsage(format!(
            "the recipe fine-tunes by the rules of {recipe}, and --rules says {rules}"
        )));
    }
    for named in args.contexts.iter().chain(&args.text) {
        std::fs::metadata(named).with_context(|| format!("cannot read {}", named.display()))?;
    }
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make {}", args.output.display()))?;
    let _lock = RunLock::acquire(&args.output)?;
    let interrupt = Interrupt::listen().context("cannot listen to signals")?;
    let subjects = load_any(&args.common, device)?;
    // Whatever is wrong with a model's folder is known before the first is scored.
    let identities = groups(&args.common, &subjects).into_iter().map(scoring::identities);
    let identities: Vec<_> = identities.collect::<anyhow::Result<_>>()?;
    let (names, folders) = (short_names(&args.common), claim_folders(&args.common, &args.output)?);
    let (mut cards, mut setbacks) = (Vec::new(), Setbacks::default());
    for (index, group) in groups(&args.common, &subjects).into_iter().enumerate() {
        let (folder, card) = (&folders[index], Card::new(&names[index], &label(group), group));
        let mut scoring =
            Scoring::new(args, &recipe, &interrupt, group, &identities[index], folder, card)?;
        for at_hand in &found.at_hand {
            scoring.perform(at_hand, &mut setbacks)?;
        }
        let card = scoring.finish();
        files::write(&card, folder, &found.at_hand, rules, &setbacks)?;
        cards.push(card);
    }
    let report = table::Report::of(&cards, rules, &setbacks)?;
    let write = |name: &str, text: &str| {
        let path = args.output.join(name);
        atomic_file::write(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    };
    write("table.md", &report.markdown)?;
    write("scores.csv", &report.csv)?;
    if let Some(path) = &args.common.json {
        atomic_file::write(path, format!("{:#}\n", report.json).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    console::print(format_args!("\n{}", report.text))?;
    console::print(format_args!(
        "Everything is in {}; table.md has every task.",
        args.output.display()
    ))?;
    setbacks.conclude()
}

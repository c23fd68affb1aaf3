//! `babyllama evaluate ewok`: world knowledge, from a user's own copy of EWoK.

use std::path::Path;

use anyhow::Context;
use eval::ewok::{Domain, Variant, Vocabulary, read, to_lines};
use eval::{Outcome, Rules};
use model::Model;
use report::{Align, Table};
use serde_json::{Value, json};

use super::blimp::table;
use super::results::{claim_folders, keep};
use super::{Subject, groups, label, load_any, tokenizer, write_json};
use crate::args::{DeviceArgs, EvaluateArgs, EwokVariant};
use crate::console;
use crate::failure::Hint;
use crate::interrupt::Interrupt;
use crate::pipeline::evaluation::scorer;
use crate::scoring_progress::ScoringProgress;
use base::atomic_file;

/// Accuracy on EWoK's questions.
pub fn ewok(
    args: &EvaluateArgs,
    data: &Path,
    variant: EwokVariant,
    output: Option<&Path>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let subjects = load_any(args, device)?;
    let domains = read(data)?;
    let folders = output.map(|output| claim_folders(args, output)).transpose()?;
    let mut outcomes = Vec::new();
    for group in groups(args, &subjects) {
        outcomes.push((label(group), score(group, &domains, variant.into(), None)?));
    }
    for (folder, (_, outcome)) in folders.iter().flatten().zip(&outcomes) {
        keep(outcome, folder)?;
    }
    let results: Vec<_> =
        outcomes.iter().map(|(label, outcome)| (label.as_str(), &outcome.result)).collect();
    console::print(table(&results).to_text().trim_end())?;
    let values =
        results.iter().map(|(label, result)| json!({ "model": label, "ewok": result })).collect();
    write_json(args, &Value::Array(values))
}

/// Scores a group of models as one. Only the pipeline of 2024 has EWoK.
pub fn score(
    group: &[Subject],
    domains: &[Domain],
    variant: Variant,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<Outcome> {
    let (tokenizer, rules) = (tokenizer(group)?, Rules::Year2024);
    let models: Vec<&Model> = group.iter().map(|subject| &subject.model).collect();
    let (scorer, prefix) = scorer(&models, rules, &tokenizer)?;
    let should_stop = || interrupt.is_some_and(Interrupt::is_requested);
    let scorer = scorer.stopping_when(&should_stop);
    let total = domains.iter().map(|domain| 2 * domain.items.len()).sum::<usize>() as u64;
    let mut progress =
        ScoringProgress::begin(&scorer, format!("{} on EWoK", label(group)), "questions", total);
    let on_progress = |done, _| progress.update(done as u64);
    let encode = |text: &str| tokenizer.encode(text);
    let outcome = eval::score_ewok(&scorer, domains, variant, rules, prefix, encode, on_progress)?;
    let result = &outcome.result;
    progress.finish(&format!("accuracy {:.1} %, {} ties", 100.0 * result.score, result.ties));
    Ok(outcome)
}

/// Writes the questions all of whose words are in a list, a file for each domain.
pub fn filter(data: &Path, vocabulary: &Path, output: &Path) -> anyhow::Result<()> {
    let (domains, vocabulary) = (read(data)?, Vocabulary::read(vocabulary)?);
    let kept: Vec<Domain> = domains.iter().map(|domain| vocabulary.filter(domain)).collect();
    let count = |domains: &[Domain]| domains.iter().map(|domain| domain.items.len()).sum::<usize>();
    if count(&kept) == 0 {
        let failed = anyhow::anyhow!(
            "every item of {} has a word that the vocabulary lacks",
            data.display()
        );
        return Err(failed).hint(
            "give a list of words, one a line in lower case, with punctuation marks among them",
        );
    }
    let files =
        kept.iter().map(|domain| file_name(&domain.name)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(name) = files
        .iter()
        .enumerate()
        .find(|(at, name)| files[..*at].contains(name))
        .map(|(_, name)| name)
    {
        return Err(anyhow::anyhow!("two domains would be {name}"))
            .hint("rename one of these domains in the data");
    }
    std::fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let mut entries =
        std::fs::read_dir(output).with_context(|| format!("cannot read {}", output.display()))?;
    if entries.next().is_some() {
        return Err(anyhow::anyhow!("{} is not empty", output.display()))
            .hint("name a new folder with --output");
    }
    let mut table =
        Table::new([("domain", Align::Left), ("questions", Align::Right), ("kept", Align::Right)]);
    for ((before, after), name) in domains.iter().zip(&kept).zip(&files) {
        table.push(vec![
            before.name.clone(),
            before.items.len().to_string(),
            after.items.len().to_string(),
        ]);
        if !after.items.is_empty() {
            let path = output.join(name);
            atomic_file::write(&path, to_lines(after).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    table.push(vec!["all".to_owned(), count(&domains).to_string(), count(&kept).to_string()]);
    console::print(table.to_text().trim_end())
}

/// A domain's file. Names come from the data, and must not lead elsewhere.
fn file_name(domain: &str) -> anyhow::Result<String> {
    match domain.trim() {
        "" => Err(anyhow::anyhow!("an item has no domain"))
            .hint("name the domain of every item in its field `Domain`"),
        name => Ok(format!("{}.jsonl", name.replace(['/', '\\'], "-"))),
    }
}

//! `babyllama evaluate aoa`: how well surprisals help to predict when children learn words.

use std::path::Path;

use anyhow::Context;
use corpus::text;
use eval::age_of_acquisition::{
    AgeScore, Context as Sentence, Surprisals, WordFinder, WordList, gather, read_contexts,
    score_as_published, score_corrected, score_words,
};
use eval::{Rules, Scorer};
use model::Model;
use report::reference::{Track, scores};
use report::{Align, Table};
use serde_json::{Value, json};

use super::results::claim_folders;
use super::{Subject, groups, label, load, tokenizer, write_json};
use crate::args::{AgesArgs, DeviceArgs};
use crate::console;
use crate::failure::WrongUsage;
use crate::interrupt::Interrupt;
use crate::pipeline::evaluation::{prefix, tokenizer_of};
use crate::scoring_progress::ScoringProgress;
use base::atomic_file;

/// Where the pipeline puts its files, below a model's folder.
const FOLDER: &str = "aoa_prediction";

/// Mean absolute errors in months of the words that a list and its contexts have in common.
pub fn ages(args: &AgesArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    if args.contexts_per_word == 0 {
        anyhow::bail!(WrongUsage("--contexts-per-word is 0; it must be at least 1".into()));
    }
    let list = WordList::read(&args.words)?;
    let words = list.texts();
    let finder = WordFinder::new(&words);
    let contexts = contexts(args, &finder)?;
    let subjects = load(&args.common, device)?;
    let folders =
        args.output.as_ref().map(|output| claim_folders(&args.common, output)).transpose()?;
    let mut results = Vec::new();
    for (index, group) in groups(&args.common, &subjects).into_iter().enumerate() {
        let found = surprisals(args, group, &contexts, &words, &finder, None)?;
        let folder = folders.as_ref().map(|folders| folders[index].join(FOLDER));
        let score = score_and_keep(&list, &found, folder.as_deref())?;
        results.push((label(group), found, score));
    }
    print(&results, words.len())?;
    let as_json = |(label, found, score): &(String, Surprisals, AgeScore)| {
        json!({
            "model": label,
            "aoa": score,
            "as_published": args.as_published,
            "contexts": contexts.len(),
            "words_found": found.words_found(),
            "unaligned": found.unaligned,
            "truncated": found.truncated,
        })
    };
    write_json(&args.common, &Value::Array(results.iter().map(as_json).collect()))
}

fn contexts(args: &AgesArgs, finder: &WordFinder) -> anyhow::Result<Vec<Sentence>> {
    if args.contexts.extension().is_some_and(|ending| ending == "json") {
        return Ok(read_contexts(&args.contexts, finder)?);
    }
    let texts = text::read_corpus(&args.contexts)?;
    Ok(gather(texts.iter().map(|(_, text)| text.as_str()), finder, args.contexts_per_word)?)
}

/// The surprisals of a group of models as one. Only the pipeline of 2023 has this task.
fn surprisals(
    args: &AgesArgs,
    group: &[Subject],
    contexts: &[Sentence],
    words: &[&str],
    finder: &WordFinder,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<Surprisals> {
    let (tokenizer, rules) = (tokenizer(group)?, Rules::Year2023);
    let scorer = Scorer::new(group.iter().map(|subject| &subject.model).collect::<Vec<&Model>>())?;
    let should_stop = || interrupt.is_some_and(Interrupt::is_requested);
    let scorer = scorer.stopping_when(&should_stop);
    let count = contexts.len() as u64;
    let mut progress = ScoringProgress::begin(
        &scorer,
        format!("{} on words in context", label(group)),
        "contexts",
        count,
    );
    let on_progress =
        |done: usize, total: usize| progress.update(count * done as u64 / total.max(1) as u64);
    let found = if args.as_published {
        let tokenizer = tokenizer_of(rules, &tokenizer)?;
        score_as_published(&scorer, contexts, words, |text| tokenizer.encode(text), on_progress)?
    } else {
        let prefix = prefix(rules, &tokenizer)?;
        let encode = |text: &str| tokenizer.encode(text);
        score_corrected(&scorer, contexts, finder, words.len(), prefix, encode, on_progress)?
    };
    let occurrences: u64 = found.words.iter().map(|word| word.count).sum();
    progress.finish(&format!("{} words, {occurrences} occurrences", found.words_found()));
    Ok(found)
}

fn write(folder: &Path, name: &str, value: &Value) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    atomic_file::write(&path, format!("{value}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Scores a group of models as one, and leaves the pipeline's two files below a model's folder.
pub fn measure(
    args: &AgesArgs,
    group: &[Subject],
    folder: &Path,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<AgeScore> {
    let list = WordList::read(&args.words)?;
    let words = list.texts();
    let finder = WordFinder::new(&words);
    let found = surprisals(args, group, &contexts(args, &finder)?, &words, &finder, interrupt)?;
    score_and_keep(&list, &found, Some(&folder.join(FOLDER)))
}

/// The score of surprisals; both go into the pipeline's two files where there is a folder for them.
fn score_and_keep(
    list: &WordList,
    found: &Surprisals,
    folder: Option<&Path>,
) -> anyhow::Result<AgeScore> {
    if let Some(folder) = folder {
        write(folder, "extracted_average_surprisals.json", &found.to_json(&list.texts()))?;
    }
    let score = score_words(list, found)?;
    if let Some(folder) = folder {
        write(folder, "mean_absolute_deviation_results.json", &serde_json::to_value(score)?)?;
    }
    Ok(score)
}

/// The errors beside the baselines that the pipeline's README prints, and what was left out.
fn print(results: &[(String, Surprisals, AgeScore)], words: usize) -> anyhow::Result<()> {
    let baselines = || scores(2023, Track::StrictSmall, "aoa");
    let models: Vec<&str> =
        baselines().filter(|score| score.column == "overall").map(|score| score.model).collect();
    let own = results.iter().map(|(label, ..)| label.as_str());
    let heads = std::iter::once("rows").chain(own).chain(models.iter().copied());
    let mut table = Table::new(
        [("error in months", Align::Left)]
            .into_iter()
            .chain(heads.map(|head| (head, Align::Right))),
    );
    let parts: Vec<_> = results.iter().map(|(_, _, score)| score.parts()).collect();
    for (index, (name, _, first_rows)) in parts.first().into_iter().flatten().enumerate() {
        // All models read the same contexts; a tokenizer of its own may lose one a word.
        let rows = parts.iter().map(|parts| parts[index].2).max().unwrap_or(*first_rows);
        let own = parts.iter().map(|parts| format!("{:.3}", parts[index].1));
        let printed = models.iter().map(|model| {
            let found = baselines().find(|score| score.model == *model && score.column == *name);
            found.map_or(String::new(), |score| format!("{:.2}", score.value))
        });
        table.push(
            [name.replace('_', " "), rows.to_string()]
                .into_iter()
                .chain(own)
                .chain(printed)
                .collect(),
        );
    }
    console::print(table.to_text().trim_end())?;
    for (label, found, _) in results {
        let missing = words - found.words_found();
        if missing + found.unaligned + found.truncated > 0 {
            console::note(format!(
                "{label}: {missing} of {words} words have no context; {} occurrences share a \
                 token with what stands beside them; {} were cut",
                found.unaligned, found.truncated
            ));
        }
    }
    Ok(())
}

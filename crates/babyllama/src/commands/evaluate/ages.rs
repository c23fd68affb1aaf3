//! `babyllama evaluate aoa`: how well surprisals help to predict when children learn words.

use experiment::evaluation::ages::{AgeData, AgeResult};
use experiment::evaluation::label;
use experiment::evaluation::results::claim_folders;
use report::reference::{Track, scores};
use report::{Align, Table};
use serde_json::{Value, json};

use super::write_json;
use crate::args::{AgesArgs, DeviceArgs};
use crate::console::{self, Console};

/// Mean absolute errors in months of the words that a list and its contexts have in common.
pub fn ages(args: &AgesArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let (data, selection) = (AgeData::read(&args.settings())?, args.common.selection());
    let models = selection.load_causal(&device.open()?)?;
    let folders =
        args.output.as_ref().map(|output| claim_folders(&selection, output)).transpose()?;
    let console = Console::without_signals();
    let mut results = Vec::new();
    for (index, group) in selection.groups(&models).into_iter().enumerate() {
        let folder = folders.as_ref().map(|folders| folders[index].as_path());
        results.push((label(group), data.measure(group, folder, &console)?));
    }
    print(&results, data.words())?;
    let as_json = |(label, AgeResult { score, surprisals }): &(String, AgeResult)| {
        json!({
            "model": label,
            "aoa": score,
            "as_published": args.as_published,
            "contexts": data.contexts(),
            "words_found": surprisals.words_found(),
            "unaligned": surprisals.unaligned,
            "truncated": surprisals.truncated,
        })
    };
    write_json(&args.common, &Value::Array(results.iter().map(as_json).collect()))
}

/// The errors beside the baselines that the pipeline's README prints, and what was left out.
fn print(results: &[(String, AgeResult)], words: usize) -> anyhow::Result<()> {
    let baselines = || scores(2023, Track::StrictSmall, "aoa");
    let models: Vec<&str> =
        baselines().filter(|score| score.column == "overall").map(|score| score.model).collect();
    let own = results.iter().map(|(label, _)| label.as_str());
    let heads = std::iter::once("rows").chain(own).chain(models.iter().copied());
    let mut table = Table::new(
        [("error in months", Align::Left)]
            .into_iter()
            .chain(heads.map(|head| (head, Align::Right))),
    );
    let parts: Vec<_> = results.iter().map(|(_, result)| result.score.parts()).collect();
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
    for (label, AgeResult { surprisals: found, .. }) in results {
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

//! The records that finished stages left in `stages/`, and what the stages ran on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use report::format::{NOTHING, duration};
use report::{Align, Table};
use serde::de::DeserializeOwned;

use super::found::{Found, read as read_file};
use super::named;
use crate::files::entries;
use crate::finetuning::result::FinetuneResult;
use crate::held_out;
use crate::machine::Machine;
use crate::stage::Record;

/// Reads all records of a folder, named with something before their stages' names; what is damaged
/// is named.
pub(super) fn read(found: &mut Found, folder: &Path, before: &str) {
    let paths = entries(&folder.join("stages")).unwrap_or_default();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{before}{stem}");
        if let Some(record) = found.json::<Record>(path, ("record of stage", &name), None) {
            found.records.insert(name, record);
        }
    }
}

/// The machines that the finished stages of a run ran on, or the fine-tunings in the folders
/// `TASK/seed-N` of a model's, in a line each.
pub fn machines_of(folder: &Path) -> BTreeSet<String> {
    fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
        serde_json::from_slice(&read_file(path).ok()?).ok()
    }
    let inside = |folder: &Path| entries(folder).unwrap_or_default();
    let stages = inside(&folder.join("stages"));
    let of_stages = stages.iter().filter_map(|path| Some(read::<Record>(path)?.end?.machine));
    let seeds: Vec<PathBuf> = inside(folder).iter().flat_map(|task| inside(task)).collect();
    let of_seed =
        |seed: &PathBuf| read::<FinetuneResult>(&seed.join("result.json"))?.course.machine;
    let of_seeds = seeds.iter().filter_map(of_seed);
    of_stages.chain(of_seeds).map(|machine| machine.line()).collect()
}

/// A piece of work that a report is about.
struct Work {
    name: String,
    /// Of its end, in UTC; empty where it is not known.
    time: String,
    seconds: f64,
    machine: Machine,
}

/// Stages and trainings by the time of their end, with what they took and ran on; a caption of
/// the machines, which have a letter each where they are several.
pub(super) fn machines(all: &[Found]) -> Option<(String, Table)> {
    let works: Vec<Work> = all.iter().flat_map(|found| works(found, all.len() > 1)).collect();
    let mut lines: Vec<String> = Vec::new();
    for line in works.iter().map(|work| work.machine.line()) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let first = lines.first()?;
    let is_one = lines.len() == 1;
    let letter_of = |work: &Work| {
        let place = lines.iter().position(|line| *line == work.machine.line());
        held_out::letter(place.unwrap_or(0))
    };
    let heads = [("stage", Align::Left), ("ended", Align::Left), ("time", Align::Right)];
    let machine = [("machine", Align::Left)].into_iter().filter(|_| !is_one);
    let mut table = Table::new(heads.into_iter().chain(machine));
    for work in &works {
        let time = if work.time.is_empty() { NOTHING } else { &work.time };
        let mut row = vec![work.name.clone(), time.to_owned(), duration(work.seconds)];
        row.extend((!is_one).then(|| letter_of(work)));
        table.push(row);
    }
    let what = "What ran and how long: of stages that were continued the last part, of \
                fine-tunings the steps of all.";
    let machines = lines.iter().enumerate();
    let machines = machines.map(|(place, line)| format!("{}: {line}", held_out::letter(place)));
    let caption = match is_one {
        true => format!("{what} All of it on: {first}."),
        false => format!("{what} Machines: {}.", machines.collect::<Vec<_>>().join("; ")),
    };
    Some((caption, table))
}

fn works(found: &Found, several: bool) -> Vec<Work> {
    let of_records = found.records.iter().filter_map(|(name, record)| {
        let end = record.end.clone()?;
        let (name, machine) = (named(found, name, several), end.machine);
        Some(Work { name, time: end.time, seconds: end.seconds, machine })
    });
    // A training by itself has no stages.
    let of_models = found.models.iter().filter(|_| found.records.is_empty());
    let of_models = of_models.filter_map(|model| {
        let end = model.end.clone()?;
        let (name, machine) = (named(found, &model.name, several), end.machine);
        Some(Work { name, time: end.time, seconds: end.seconds, machine })
    });
    let mut works: Vec<Work> = of_records.chain(of_models).collect();
    for one in &found.scores {
        let name = format!("{}: fine-tuning", one.scores.name);
        let name = named(found, &name, several);
        for course in one.scores.finetuned().map(|result| &result.course) {
            let Some(machine) = &course.machine else { continue };
            let is_same = |work: &&mut Work| work.name == name && work.machine == *machine;
            match works.iter_mut().find(is_same) {
                Some(work) => work.seconds += course.seconds,
                None => works.push(Work {
                    name: name.clone(),
                    time: String::new(),
                    seconds: course.seconds,
                    machine: machine.clone(),
                }),
            }
        }
    }
    works.sort_by(|a, b| (a.time.is_empty(), &a.time).cmp(&(b.time.is_empty(), &b.time)));
    works
}

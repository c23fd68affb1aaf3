//! Which benchmarks the data at hand allows.

use std::path::{Path, PathBuf};

use eval::Suite;

use crate::error::{Context, FileContext, Result, refuse, wrong_usage};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Benchmark {
    /// Held-out loss.
    Loss,
    BlimpFiltered,
    BlimpSupplement,
    /// All of BLiMP.
    Blimp,
    /// Two targets after one context, as in the pipeline of 2024.
    Ewok,
    /// One target after two contexts, as EWoK's authors ask.
    EwokOfficial,
    /// Age of acquisition.
    Aoa,
    Glue,
    Msgs,
}

impl Benchmark {
    /// Every benchmark, in the order in which they are measured.
    pub const ALL: [Self; 9] = [
        Self::Loss,
        Self::BlimpFiltered,
        Self::BlimpSupplement,
        Self::Blimp,
        Self::Ewok,
        Self::EwokOfficial,
        Self::Aoa,
        Self::Glue,
        Self::Msgs,
    ];

    /// The name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Benchmark::Loss => "loss",
            Benchmark::BlimpFiltered => "blimp_filtered",
            Benchmark::BlimpSupplement => "blimp_supplement",
            Benchmark::Blimp => "blimp",
            Benchmark::Ewok => "ewok",
            Benchmark::EwokOfficial => "ewok_official",
            Benchmark::Aoa => "aoa",
            Benchmark::Glue => "glue",
            Benchmark::Msgs => "msgs",
        }
    }

    /// The suite that its scores belong to, where it has items to answer.
    pub fn suite(self) -> Option<Suite> {
        match self {
            Benchmark::Loss | Benchmark::Aoa => None,
            Benchmark::BlimpFiltered => Some(Suite::BlimpFiltered),
            Benchmark::BlimpSupplement => Some(Suite::BlimpSupplement),
            Benchmark::Blimp => Some(Suite::Blimp),
            Benchmark::Ewok => Some(Suite::Ewok),
            Benchmark::EwokOfficial => Some(Suite::EwokOfficial),
            Benchmark::Glue => Some(Suite::Glue),
            Benchmark::Msgs => Some(Suite::Msgs),
        }
    }

    /// The folders of the data in which it is looked for: those of both pipelines and of the
    /// benchmarks themselves.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Benchmark::Loss => &[],
            Benchmark::BlimpFiltered => &["blimp_filtered"],
            Benchmark::BlimpSupplement => {
                &["supplement_filtered", "blimp_supplement", "supplement"]
            }
            Benchmark::Blimp => &["blimp"],
            Benchmark::Ewok => &["ewok_filtered", "ewok"],
            Benchmark::EwokOfficial => &["ewok", "ewok_filtered"],
            Benchmark::Aoa => &["aoa", "aoa_data"],
            Benchmark::Glue => &["glue_filtered", "glue"],
            Benchmark::Msgs => &["msgs_filtered", "msgs"],
        }
    }
}

/// The list of words with their ages.
pub const WORD_LIST: &str = "word_list.csv";

/// A benchmark and where its files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtHand {
    pub benchmark: Benchmark,
    pub place: PathBuf,
}

/// What was found, and for each benchmark that cannot run, why.
#[derive(Debug, Default)]
pub struct Found {
    pub at_hand: Vec<AtHand>,
    pub missing: Vec<(Benchmark, String)>,
}

impl Found {
    /// Whether anything is to be fine-tuned.
    pub fn finetunes(&self) -> bool {
        self.at_hand
            .iter()
            .any(|found| matches!(found.benchmark, Benchmark::Glue | Benchmark::Msgs))
    }
}

/// Looks for every wanted benchmark in `data`, and for held-out text at `text`.
pub fn find(data: &Path, text: Option<&Path>, wanted: impl Fn(Benchmark) -> bool) -> Result<Found> {
    std::fs::read_dir(data).at("read", data).advise(
        "name the folder that holds blimp_filtered, glue_filtered and the like with --data",
    )?;
    let mut found = Found::default();
    for &benchmark in Benchmark::ALL.iter().filter(|benchmark| wanted(**benchmark)) {
        let mut places = benchmark.folders().iter().map(|name| data.join(name));
        let places = places.find(|place| {
            place.is_dir() && (benchmark != Benchmark::Aoa || place.join(WORD_LIST).is_file())
        });
        let place = if benchmark == Benchmark::Loss { text.map(Path::to_owned) } else { places };
        match place {
            Some(place) => found.at_hand.push(AtHand { benchmark, place }),
            None => found.missing.push((benchmark, why_missing(benchmark, data))),
        }
    }
    if found.at_hand.is_empty() {
        let wanted: Vec<String> = found
            .missing
            .iter()
            .map(|(benchmark, why)| format!("{}: {why}", benchmark.name()))
            .collect();
        if wanted.is_empty() {
            return wrong_usage("--only and --skip leave no benchmark");
        }
        let is_known =
            |name: &str| Benchmark::ALL.iter().any(|known| known.folders().contains(&name));
        let advice =
            match data.file_name().and_then(|name| name.to_str()).filter(|name| is_known(name)) {
                Some(name) => format!("give the folder in which {name} lies with --data"),
                None => {
                    "put the benchmarks' folders into --data, under the names of BabyLM's pipelines"
                        .to_owned()
                }
            };
        return refuse(format_args!("nothing to score ({})", wanted.join("; "))).advise(advice);
    }
    Ok(found)
}

fn why_missing(benchmark: Benchmark, data: &Path) -> String {
    match benchmark {
        Benchmark::Loss => "no held-out text is named with --text".to_owned(),
        Benchmark::Aoa => {
            format!("no {WORD_LIST} in the folder aoa or aoa_data of {}", data.display())
        }
        _ => format!("no folder {} in {}", benchmark.folders().join(" or "), data.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_found_by_their_folders() {
        let data = tempfile::tempdir().unwrap();
        for folder in ["blimp_filtered", "msgs", "supplement"] {
            std::fs::create_dir(data.path().join(folder)).unwrap();
        }
        let found = find(data.path(), None, |benchmark| benchmark != Benchmark::Glue).unwrap();
        let names: Vec<&str> = found.at_hand.iter().map(|found| found.benchmark.name()).collect();
        assert_eq!(names, ["blimp_filtered", "blimp_supplement", "msgs"]);
        let missing: Vec<&str> =
            found.missing.iter().map(|(benchmark, _)| benchmark.name()).collect();
        assert_eq!(missing, ["loss", "blimp", "ewok", "ewok_official", "aoa"]);
        let none = find(data.path(), None, |benchmark| benchmark == Benchmark::Ewok)
            .unwrap_err()
            .to_string();
        assert!(none.contains("no folder ewok_filtered or ewok in"), "{none}");
    }
}

//! BLiMP (Warstadt et al., 2020): minimal pairs of English grammar. `blimp` is all of it, 67 tasks
//! of 1000 pairs; `blimp_filtered` has the pairs all of whose words occur in BabyLM's training text
//! (github.com/babylm/evaluation-pipeline-2024).

pub mod groups;

use std::path::Path;
use std::sync::LazyLock;

use crate::benchmark::{Benchmark, Kind, Section, ZeroShot};
use crate::choices::Task;
use crate::coverage::Coverage;
use crate::error::EvalError;
use crate::minimal_pairs;
use crate::reference::{self, ReferenceTable};
use crate::results::TaskResult;
use crate::rules::Rules;
use groups::{blimp_tasks, filtered_size, is_blimp_task, is_group, names};

/// Pairs of each of BLiMP's tasks.
const PAIRS_PER_TASK: usize = 1000;

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// BLiMP's pairs all of whose words occur in the training text of BabyLM.
pub struct BlimpFiltered;

impl Benchmark for BlimpFiltered {
    fn name(&self) -> &'static str {
        "blimp_filtered"
    }

    fn title(&self) -> &'static str {
        "BLiMP filtered"
    }

    fn about(&self) -> &'static str {
        "BLiMP's minimal pairs of words that occur in BabyLM's training text"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["blimp_filtered"]
    }

    /// How many pairs the groups of 2023 have is not published; their files count by their names,
    /// and by the rules of 2023 alone.
    fn coverage(&self, tasks: &[TaskResult], rules: Rules) -> Option<Coverage> {
        let is_whole = |task: &TaskResult| match filtered_size(&task.name) {
            Some(pairs) => task.items == pairs,
            None => true,
        };
        Some(match rules == Rules::Year2023 {
            true => Coverage::count(names(tasks), tasks, is_whole),
            false => Coverage::count(blimp_tasks(), tasks, is_whole),
        })
    }

    fn group_of<'a>(&self, task: &'a str, rules: Rules) -> Option<&'a str> {
        groups::pooled(task, rules)
    }

    fn harness_task(&self, task: &str) -> String {
        format!("blimp_{task}_filtered")
    }

    fn section(&self) -> Option<Section> {
        Some(Section { name: "blimp", tasks: blimp_tasks().collect() })
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}

impl ZeroShot for BlimpFiltered {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        minimal_pairs::read_folder(path)
    }

    fn recognizes(&self, _folder: &Path, tasks: &[Task]) -> bool {
        are_blimp(tasks) && !are_whole(tasks)
    }
}

/// All of BLiMP.
pub struct Blimp;

impl Benchmark for Blimp {
    fn name(&self) -> &'static str {
        "blimp"
    }

    fn title(&self) -> &'static str {
        "BLiMP"
    }

    fn about(&self) -> &'static str {
        "all of BLiMP's minimal pairs"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["blimp"]
    }

    fn coverage(&self, tasks: &[TaskResult], _rules: Rules) -> Option<Coverage> {
        Some(Coverage::count(blimp_tasks(), tasks, |task| task.items == PAIRS_PER_TASK))
    }

    fn group_of<'a>(&self, task: &'a str, rules: Rules) -> Option<&'a str> {
        groups::pooled(task, rules)
    }
}

impl ZeroShot for Blimp {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        minimal_pairs::read_folder(path)
    }

    fn recognizes(&self, _folder: &Path, tasks: &[Task]) -> bool {
        are_blimp(tasks) && are_whole(tasks)
    }
}

/// Whether all tasks have the names of BLiMP's. The files of the 2023 pipeline hold a whole group
/// each.
fn are_blimp(tasks: &[Task]) -> bool {
    let known = |task: &Task| is_blimp_task(&task.name) || is_group(&task.name);
    !tasks.is_empty() && tasks.iter().all(known)
}

/// Whether no pair was filtered out.
fn are_whole(tasks: &[Task]) -> bool {
    tasks.iter().all(|task| task.items.len() == PAIRS_PER_TASK)
}

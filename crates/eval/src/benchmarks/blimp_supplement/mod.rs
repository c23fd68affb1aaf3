//! BabyLM's own minimal pairs of 2023 (github.com/babylm/evaluation-pipeline-2023): questions and
//! answers, turns of a talk, and more.

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

/// The tasks, with the pairs of each in the filtered files, of which unfiltered ones have no fewer.
const TASKS: [(&str, usize); 5] = [
    ("hypernym", 842),
    ("qa_congruence_easy", 64),
    ("qa_congruence_tricky", 165),
    ("subject_aux_inversion", 3867),
    ("turn_taking", 280),
];

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// BabyLM's supplement to BLiMP.
pub struct BlimpSupplement;

impl Benchmark for BlimpSupplement {
    fn name(&self) -> &'static str {
        "blimp_supplement"
    }

    fn title(&self) -> &'static str {
        "BLiMP supplement"
    }

    fn about(&self) -> &'static str {
        "BabyLM's own minimal pairs"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["supplement_filtered", "blimp_supplement", "supplement"]
    }

    fn coverage(&self, tasks: &[TaskResult], rules: Rules) -> Option<Coverage> {
        Some(Coverage::of_sizes(&TASKS, tasks, rules))
    }

    fn harness_task(&self, task: &str) -> String {
        format!("blimp_supplement_{task}")
    }

    fn section(&self) -> Option<Section> {
        Some(Section { name: "blimp_supplement", tasks: TASKS.map(|(task, _)| task).to_vec() })
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}

impl ZeroShot for BlimpSupplement {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        minimal_pairs::read_folder(path)
    }

    fn recognizes(&self, _folder: &Path, tasks: &[Task]) -> bool {
        let is_known = |task: &Task| TASKS.iter().any(|(known, _)| *known == task.name);
        !tasks.is_empty() && tasks.iter().all(is_known)
    }
}

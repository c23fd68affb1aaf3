//! The minimal pairs of the built-in grammar. They have BLiMP's format and names of its tasks, but
//! are much easier: they must not be taken for BLiMP.

use std::path::Path;

use super::blimp::groups;
use crate::benchmark::{Benchmark, Kind, ZeroShot};
use crate::choices::Task;
use crate::error::EvalError;
use crate::minimal_pairs;
use crate::rules::Rules;

/// An empty file in a folder of built-in pairs, by which they are recognized.
pub const BUILTIN_MARKER: &str = "builtin_pairs";

/// The minimal pairs of the built-in grammar.
pub struct BuiltinPairs;

impl Benchmark for BuiltinPairs {
    fn name(&self) -> &'static str {
        "builtin_pairs"
    }

    fn title(&self) -> &'static str {
        "built-in pairs"
    }

    fn about(&self) -> &'static str {
        "minimal pairs of the built-in grammar"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn group_of<'a>(&self, task: &'a str, rules: Rules) -> Option<&'a str> {
        groups::pooled(task, rules)
    }
}

impl ZeroShot for BuiltinPairs {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        minimal_pairs::read_folder(path)
    }

    fn recognizes(&self, folder: &Path, _tasks: &[Task]) -> bool {
        folder.join(BUILTIN_MARKER).is_file()
    }
}

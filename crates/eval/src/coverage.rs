//! How much of a benchmark was scored. The mean of some of its tasks does not compare with what
//! papers print of all.

use std::fmt;

use crate::results::TaskResult;
use crate::rules::Rules;

/// How much of a benchmark some tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Number of the benchmark's tasks that are there.
    pub present: usize,
    /// Number of the present tasks whose items are not as many as in the published files.
    pub resized: usize,
    /// Number of tasks that the benchmark has.
    pub all: usize,
    /// Number of tasks that are none of the benchmark's.
    pub others: usize,
}

impl Coverage {
    /// Counts the tasks that have one of the benchmark's names, and those of them that are not
    /// whole.
    pub(crate) fn count<'a>(
        known: impl IntoIterator<Item = &'a str>,
        tasks: &[TaskResult],
        is_whole: impl Fn(&TaskResult) -> bool,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let (own, others): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|task| known.contains(&task.name.as_str()));
        let resized = own.iter().filter(|task| !is_whole(task)).count();
        Self { present: own.len(), resized, all: known.len(), others: others.len() }
    }

    /// Counts the tasks of a list, each with the number of its items in the files of 2024. By the
    /// rules of 2024 and later a task is whole with exactly these. The files of 2023 have more, of
    /// which the numbers are not published.
    pub(crate) fn of_sizes(
        known: &[(&'static str, usize)],
        tasks: &[TaskResult],
        rules: Rules,
    ) -> Self {
        let has_all = |found: usize, published: usize| {
            found == published || (rules == Rules::Year2023 && found > published)
        };
        let is_whole = |task: &TaskResult| {
            known.iter().all(|&(name, items)| name != task.name || has_all(task.items, items))
        };
        Self::count(known.iter().map(|&(name, _)| name), tasks, is_whole)
    }

    /// Whether the tasks are all of the benchmark and nothing else.
    pub fn is_whole(self) -> bool {
        self.present == self.all && self.resized == 0 && self.others == 0
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.present == self.all && self.others == 0 && self.resized > 0 {
            return write!(f, "{} of {} tasks of another size", self.resized, self.all);
        }
        write!(f, "{} of {} tasks", self.present, self.all)?;
        match self.others {
            0 => Ok(()),
            others => write!(f, " and {others} of other names"),
        }
    }
}

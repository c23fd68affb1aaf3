//! How much of a benchmark was scored. The mean of some of its tasks does not compare with what
//! papers print of all.

use std::fmt;

use crate::results::TaskResult;

/// How much of a benchmark some tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Tasks of the benchmark that are there whole.
    pub present: usize,
    /// Tasks that the benchmark has.
    pub all: usize,
    /// Tasks that are none of the benchmark's.
    pub others: usize,
}

impl Coverage {
    /// Counts the tasks that have one of the benchmark's names and are whole.
    pub(crate) fn count<'a>(
        known: impl IntoIterator<Item = &'a str>,
        tasks: &[TaskResult],
        is_whole: impl Fn(&TaskResult) -> bool,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let (own, others): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|task| known.contains(&task.name.as_str()));
        let present = own.into_iter().filter(|task| is_whole(task)).count();
        Self { present, all: known.len(), others: others.len() }
    }

    /// Whether the tasks are all of the benchmark and nothing else.
    pub fn is_whole(self) -> bool {
        self.present == self.all && self.others == 0
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} tasks", self.present, self.all)?;
        match self.others {
            0 => Ok(()),
            others => write!(f, " and {others} of other names"),
        }
    }
}

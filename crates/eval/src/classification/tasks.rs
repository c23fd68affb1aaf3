//! The tasks of fine-tuned benchmarks: which fields they read, which labels they have, and how they
//! are scored.

use crate::benchmark::{Benchmark, Kind};
use crate::benchmarks::{BENCHMARKS, Glue};
use crate::error::EvalError;
use crate::results::Metric;
use crate::rules::Rules;

/// A task that a classifier is fine-tuned for.
#[derive(Debug, PartialEq, Eq)]
pub struct ClassificationTask {
    /// Name in files; unique among all tasks.
    pub name: &'static str,
    /// The benchmark that it belongs to.
    pub benchmark: &'static dyn Benchmark,
    /// How an item becomes the text that a classifier reads.
    pub template: Template,
    /// Labels are the whole numbers below this.
    pub classes: u32,
    /// What the papers report.
    pub metric: Metric,
    /// Whether the final score counts only items that are marked as those of the test: MSGS's
    /// validation files also have items like those of the training.
    pub has_test_items: bool,
}

/// How an item becomes one text or two. Fields stand in braces by their names in the file; what is
/// around them stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    first: &'static str,
    second: Option<&'static str>,
}

/// The tasks of GLUE in the pipelines of 2025 and 2026, in the order of their files.
pub const CHALLENGE_GLUE: [&str; 7] = ["boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc"];

impl ClassificationTask {
    /// Whether a pipeline's scripts fine-tune for it. MSGS, which only that of 2023 has, is taken
    /// by the settings of all.
    pub fn is_of(&self, rules: Rules) -> bool {
        let has_all = rules.score_texts() || self.benchmark.name() != Glue.name();
        has_all || CHALLENGE_GLUE.contains(&self.name)
    }
}

impl Template {
    /// One text.
    pub const fn single(text: &'static str) -> Self {
        Self { first: text, second: None }
    }

    /// Two texts.
    pub const fn pair(first: &'static str, second: &'static str) -> Self {
        Self { first, second: Some(second) }
    }

    /// The texts of an item whose fields `field` returns. Fields are read by name: others do no
    /// harm.
    pub(super) fn fill<'a>(
        &self,
        field: impl Fn(&'static str) -> Result<&'a str, EvalError>,
    ) -> Result<Texts, EvalError> {
        let first = fill(self.first, &field)?;
        Ok(Texts { first, second: self.second.map(|text| fill(text, &field)).transpose()? })
    }
}

/// One text of a template.
fn fill<'a>(
    template: &'static str,
    field: &impl Fn(&'static str) -> Result<&'a str, EvalError>,
) -> Result<String, EvalError> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, inside)| Some((before, inside.split_once('}')?)))
    {
        text.push_str(before);
        text.push_str(field(name)?);
        rest = after;
    }
    Ok(text + rest)
}

/// What a classifier reads of an item: one text or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The only text, or the first of two.
    pub first: String,
    /// The second of two.
    pub second: Option<String>,
}

/// All tasks, benchmark by benchmark.
pub fn classification_tasks() -> impl Iterator<Item = &'static ClassificationTask> {
    BENCHMARKS.iter().copied().flat_map(|benchmark| tasks_of(benchmark))
}

/// The tasks of a fine-tuned benchmark, in the papers' order; none of another.
pub fn tasks_of(benchmark: &dyn Benchmark) -> &'static [ClassificationTask] {
    match benchmark.kind() {
        Kind::FineTuned(tasks) => tasks,
        _ => &[],
    }
}

/// The task of a name.
pub fn find_task(name: &str) -> Option<&'static ClassificationTask> {
    classification_tasks().find(|task| task.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::{Glue, Msgs};

    #[test]
    fn eleven_and_eleven_tasks_have_names_of_their_own() {
        assert_eq!((tasks_of(&Glue).len(), tasks_of(&Msgs).len()), (11, 11));
        assert_eq!(classification_tasks().count(), 22);
        for task in classification_tasks() {
            assert!(std::ptr::eq(find_task(task.name).unwrap(), task));
            assert!(tasks_of(task.benchmark).contains(task));
        }
        assert_eq!(find_task("rte ").map(|task| task.name), None);
    }

    #[test]
    fn metrics_are_those_of_the_papers() {
        let with = |metric| {
            let glue = tasks_of(&Glue).iter();
            glue.filter(|task| task.metric == metric).map(|task| task.name).collect::<Vec<_>>()
        };
        assert_eq!((with(Metric::Mcc), with(Metric::F1)), (vec!["cola"], vec!["mrpc", "qqp"]));
        assert!(tasks_of(&Msgs).iter().all(|task| task.metric == Metric::Mcc));
        let classes = |name: &str| if name.starts_with("mnli") { 3 } else { 2 };
        assert!(classification_tasks().all(|task| task.classes == classes(task.name)));
    }

    /// Every field of an item is read as its own name, in capitals.
    fn texts(task: &str) -> (String, Option<String>) {
        let upper = |name: &'static str| name.to_uppercase();
        let known: Vec<(&str, String)> = [
            "sentence",
            "sentence1",
            "sentence2",
            "question",
            "question1",
            "question2",
            "premise",
            "hypothesis",
            "passage",
            "paragraph",
            "answer",
            "text",
            "span1_text",
            "span2_text",
        ]
        .map(|name| (name, upper(name)))
        .to_vec();
        let field =
            |name: &'static str| Ok(known.iter().find(|(key, _)| *key == name).unwrap().1.as_str());
        let Texts { first, second } = find_task(task).unwrap().template.fill(field).unwrap();
        (first, second)
    }

    #[test]
    fn texts_are_made_of_the_right_fields() {
        let pair = |first: &str, second: &str| (first.to_owned(), Some(second.to_owned()));
        for task in ["cola", "sst2", "main_verb_control", "syntactic_category_relative_position"] {
            assert_eq!(texts(task), ("SENTENCE".to_owned(), None), "{task}");
        }
        assert_eq!(texts("mrpc"), pair("SENTENCE1", "SENTENCE2"));
        assert_eq!(texts("rte"), pair("SENTENCE1", "SENTENCE2"));
        assert_eq!(texts("qqp"), pair("QUESTION1", "QUESTION2"));
        assert_eq!(texts("mnli"), pair("PREMISE", "HYPOTHESIS"));
        assert_eq!(texts("mnli-mm"), pair("PREMISE", "HYPOTHESIS"));
        assert_eq!(texts("qnli"), pair("QUESTION", "SENTENCE"));
        assert_eq!(texts("boolq"), pair("QUESTION", "PASSAGE"));
        assert_eq!(texts("multirc"), pair("Question: QUESTION Answer: ANSWER", "PARAGRAPH"));
        assert_eq!(
            texts("wsc"),
            pair("Does \"SPAN2_TEXT\" refer to \"SPAN1_TEXT\" in this passage?", "TEXT")
        );
    }
}

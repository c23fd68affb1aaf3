//! The tasks: which fields they read, which labels they have, and how they are scored.

use crate::error::EvalError;
use crate::results::{Metric, Suite};

/// A task of (Super)GLUE or MSGS.
#[derive(Debug, PartialEq, Eq)]
pub struct ClassificationTask {
    pub name: &'static str,
    pub suite: Suite,
    form: Form,
    /// Labels are the whole numbers below this.
    pub classes: u32,
    /// What the papers report.
    pub metric: Metric,
}

/// How an item becomes one text or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One field.
    Single(&'static str),
    /// Two fields.
    Pair(&'static str, &'static str),
    /// `Question: {question} Answer: {answer}`, and the paragraph.
    MultiRc,
    /// `Does "{span2_text}" refer to "{span1_text}" in this passage?`, and the text.
    Wsc,
}

/// What a classifier reads of an item: one text or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    pub first: String,
    pub second: Option<String>,
}

/// All tasks: (Super)GLUE in the order of BabyLlama-2's table, then the controls of MSGS and its
/// ambiguous tasks.
pub static TASKS: [ClassificationTask; 22] = [
    glue("cola", Form::Single("sentence"), 2, Metric::Mcc),
    glue("sst2", Form::Single("sentence"), 2, Metric::Accuracy),
    glue("mrpc", Form::Pair("sentence1", "sentence2"), 2, Metric::F1),
    glue("qqp", Form::Pair("question1", "question2"), 2, Metric::F1),
    glue("mnli", Form::Pair("premise", "hypothesis"), 3, Metric::Accuracy),
    glue("mnli-mm", Form::Pair("premise", "hypothesis"), 3, Metric::Accuracy),
    glue("qnli", Form::Pair("question", "sentence"), 2, Metric::Accuracy),
    glue("rte", Form::Pair("sentence1", "sentence2"), 2, Metric::Accuracy),
    glue("boolq", Form::Pair("question", "passage"), 2, Metric::Accuracy),
    glue("multirc", Form::MultiRc, 2, Metric::Accuracy),
    glue("wsc", Form::Wsc, 2, Metric::Accuracy),
    msgs("control_raising_control"),
    msgs("lexical_content_the_control"),
    msgs("main_verb_control"),
    msgs("relative_position_control"),
    msgs("syntactic_category_control"),
    msgs("control_raising_lexical_content_the"),
    msgs("control_raising_relative_token_position"),
    msgs("main_verb_lexical_content_the"),
    msgs("main_verb_relative_token_position"),
    msgs("syntactic_category_lexical_content_the"),
    msgs("syntactic_category_relative_position"),
];

const fn glue(name: &'static str, form: Form, classes: u32, metric: Metric) -> ClassificationTask {
    ClassificationTask { name, suite: Suite::Glue, form, classes, metric }
}

const fn msgs(name: &'static str) -> ClassificationTask {
    ClassificationTask {
        name,
        suite: Suite::Msgs,
        form: Form::Single("sentence"),
        classes: 2,
        metric: Metric::Mcc,
    }
}

/// The task of a name.
pub fn find_task(name: &str) -> Option<&'static ClassificationTask> {
    TASKS.iter().find(|task| task.name == name)
}

impl ClassificationTask {
    /// Whether the final score may leave items out: MSGS's validation files also hold items like
    /// those of the training.
    pub(super) fn has_conditions(&self) -> bool {
        self.suite == Suite::Msgs
    }

    /// The texts of an item, whose fields `field` knows. Fields are read by name: others do no
    /// harm.
    pub(super) fn texts<'a>(
        &self,
        field: impl Fn(&'static str) -> Result<&'a str, EvalError>,
    ) -> Result<Texts, EvalError> {
        let (first, second) = match self.form {
            Form::Single(name) => {
                return Ok(Texts { first: field(name)?.to_owned(), second: None });
            }
            Form::Pair(first, second) => (field(first)?.to_owned(), second),
            Form::MultiRc => (
                format!("Question: {} Answer: {}", field("question")?, field("answer")?),
                "paragraph",
            ),
            Form::Wsc => {
                let (pronoun, noun) = (field("span2_text")?, field("span1_text")?);
                (format!("Does \"{pronoun}\" refer to \"{noun}\" in this passage?"), "text")
            }
        };
        Ok(Texts { first, second: Some(field(second)?.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eleven_and_eleven_tasks_have_names_of_their_own() {
        let count = |suite| TASKS.iter().filter(|task| task.suite == suite).count();
        assert_eq!((count(Suite::Glue), count(Suite::Msgs)), (11, 11));
        assert!(TASKS.iter().all(|task| std::ptr::eq(find_task(task.name).unwrap(), task)));
        assert_eq!(find_task("rte ").map(|task| task.name), None);
    }

    #[test]
    fn metrics_are_those_of_the_papers() {
        let with = |metric| {
            let glue = TASKS.iter().filter(|task| task.suite == Suite::Glue);
            glue.filter(|task| task.metric == metric).map(|task| task.name).collect::<Vec<_>>()
        };
        assert_eq!((with(Metric::Mcc), with(Metric::F1)), (vec!["cola"], vec!["mrpc", "qqp"]));
        assert!(TASKS.iter().all(|task| task.suite == Suite::Glue || task.metric == Metric::Mcc));
        assert!(
            TASKS
                .iter()
                .all(|task| task.classes == if task.name.starts_with("mnli") { 3 } else { 2 })
        );
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
        let Texts { first, second } = find_task(task).unwrap().texts(field).unwrap();
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

//! The file that BabyLM's 2024 track takes: every answer of every task (EVALS 4.3;
//! babylm/evaluation-pipeline-2024).

use serde_json::{Map, Value, json};

use crate::classification::TASKS;
use crate::results::{SUPPLEMENT, Suite};

/// EWoK's domains, as the track's verifier asks for them.
const EWOK: [&str; 11] = [
    "agent-properties",
    "material-dynamics",
    "material-properties",
    "physical-dynamics",
    "physical-interactions",
    "physical-relations",
    "quantitative-properties",
    "social-interactions",
    "social-properties",
    "social-relations",
    "spatial-relations",
];

/// A part of the submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Glue,
    Blimp,
    BlimpSupplement,
    Ewok,
}

impl Section {
    const ALL: [Section; 4] =
        [Section::Glue, Section::Blimp, Section::BlimpSupplement, Section::Ewok];

    pub fn name(self) -> &'static str {
        match self {
            Section::Glue => "glue",
            Section::Blimp => "blimp",
            Section::BlimpSupplement => "blimp_supplement",
            Section::Ewok => "ewok",
        }
    }

    fn tasks(self) -> Vec<&'static str> {
        match self {
            Section::Glue => TASKS
                .iter()
                .filter(|task| task.suite == Suite::Glue)
                .map(|task| task.name)
                .collect(),
            Section::Blimp => crate::rules::blimp_tasks().collect(),
            Section::BlimpSupplement => SUPPLEMENT.to_vec(),
            Section::Ewok => EWOK.to_vec(),
        }
    }
}

/// A model's answers, task by task.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    sections: Map<String, Value>,
}

impl Submission {
    /// Adds the texts that a model chose, as they were scored: with the space before them.
    pub fn add_choices(
        &mut self,
        section: Section,
        task: &str,
        chosen: impl IntoIterator<Item = String>,
    ) {
        self.add(section, task, chosen.into_iter().map(Value::from));
    }

    /// Adds the labels that a fine-tuned model gave.
    pub fn add_labels(
        &mut self,
        section: Section,
        task: &str,
        labels: impl IntoIterator<Item = i64>,
    ) {
        self.add(section, task, labels.into_iter().map(Value::from));
    }

    fn add(&mut self, section: Section, task: &str, answers: impl Iterator<Item = Value>) {
        let answer = |(index, answer)| json!({ "id": format!("{task}_{index}"), "pred": answer });
        let answers: Vec<Value> = answers.enumerate().map(answer).collect();
        let tasks = self.sections.entry(section.name()).or_insert_with(|| json!({}));
        tasks[task] = json!({ "predictions": answers });
    }

    /// What the verifier would miss, such as `ewok` or `glue/qnli`.
    pub fn missing(&self) -> Vec<String> {
        let missing_of = |section: Section| match self.sections.get(section.name()) {
            None => vec![section.name().to_owned()],
            Some(tasks) => {
                let absent = section.tasks().into_iter().filter(|task| tasks.get(task).is_none());
                absent.map(|task| format!("{}/{task}", section.name())).collect()
            }
        };
        Section::ALL.into_iter().flat_map(missing_of).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The file's contents, sections in the pipeline's order.
    pub fn to_json(&self) -> Value {
        let sections = Section::ALL.into_iter().filter_map(|section| {
            Some((section.name().to_owned(), self.sections.get(section.name())?.clone()))
        });
        Value::Object(sections.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_under_their_section_and_what_lacks_is_told() {
        let mut submission = Submission::default();
        submission.add_choices(
            Section::BlimpSupplement,
            "turn_taking",
            [" A: Hi.\nB: Hi.".to_owned()],
        );
        submission.add_labels(Section::Glue, "cola", [1, 0]);
        let file = submission.to_json();
        assert_eq!(file["glue"]["cola"]["predictions"][1], json!({ "id": "cola_1", "pred": 0 }));
        assert_eq!(
            file["blimp_supplement"]["turn_taking"]["predictions"][0],
            json!({ "id": "turn_taking_0", "pred": " A: Hi.\nB: Hi." })
        );
        assert_eq!(file.as_object().unwrap().keys().next().unwrap(), "glue");
        let missing = submission.missing();
        assert_eq!(missing.len(), 10 + 1 + 4 + 1);
        assert!(missing.contains(&"glue/qnli".to_owned()) && missing.contains(&"ewok".to_owned()));
    }
}

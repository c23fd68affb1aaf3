//! The file that BabyLM's 2024 track takes: every answer of every task
//! (`collate_preds.py` of github.com/babylm/evaluation-pipeline-2024). Its parts are the
//! benchmarks' ([`Benchmark::section`]).

use serde_json::{Map, Value, json};

use crate::benchmark::{Benchmark, Section};
use crate::benchmarks::BENCHMARKS;

/// A model's answers, task by task.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    sections: Map<String, Value>,
}

/// The parts of the file in the pipeline's order: fine-tuned benchmarks first.
fn sections() -> Vec<Section> {
    let (fine_tuned, others): (Vec<&dyn Benchmark>, Vec<_>) =
        BENCHMARKS.iter().copied().partition(|benchmark| benchmark.kind().is_fine_tuned());
    fine_tuned.into_iter().chain(others).filter_map(|benchmark| benchmark.section()).collect()
}

impl Submission {
    /// Adds the answers to a task, unless the track has no such task: texts as they were scored,
    /// with the space before them, or the labels of a fine-tuned model.
    pub fn add<A: Into<Value>>(
        &mut self,
        section: &Section,
        task: &str,
        answers: impl IntoIterator<Item = A>,
    ) {
        if !section.tasks.contains(&task) {
            return;
        }
        let answer = |(index, answer): (usize, A)| {
            let id = format!("{task}_{index}");
            json!({ "id": id, "pred": answer.into() })
        };
        let answers: Vec<Value> = answers.into_iter().enumerate().map(answer).collect();
        let tasks = self.sections.entry(section.name).or_insert_with(|| json!({}));
        tasks[task] = json!({ "predictions": answers });
    }

    /// What the verifier would miss, such as `ewok` or `glue/qnli`.
    pub fn missing(&self) -> Vec<String> {
        let missing_of = |section: Section| match self.sections.get(section.name) {
            None => vec![section.name.to_owned()],
            Some(tasks) => {
                let absent = section.tasks.into_iter().filter(|task| tasks.get(task).is_none());
                absent.map(|task| format!("{}/{task}", section.name)).collect()
            }
        };
        sections().into_iter().flat_map(missing_of).collect()
    }

    /// Whether it has no answer.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The file's contents, sections in the pipeline's order.
    pub fn to_json(&self) -> Value {
        let sections = sections().into_iter().filter_map(|section| {
            Some((section.name.to_owned(), self.sections.get(section.name)?.clone()))
        });
        Value::Object(sections.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::{BlimpSupplement, Glue};

    #[test]
    fn answers_stand_under_their_section_and_missing_ones_are_named() {
        let mut submission = Submission::default();
        let section = BlimpSupplement.section().unwrap();
        submission.add(&section, "turn_taking", [" A: Hi.\nB: Hi."]);
        submission.add(&section, "agreement", [" He runs."]);
        submission.add(&Glue.section().unwrap(), "cola", [1, 0]);
        let file = submission.to_json();
        assert_eq!(file["glue"]["cola"]["predictions"][1], json!({ "id": "cola_1", "pred": 0 }));
        assert_eq!(
            file["blimp_supplement"]["turn_taking"]["predictions"][0],
            json!({ "id": "turn_taking_0", "pred": " A: Hi.\nB: Hi." })
        );
        assert_eq!(file.as_object().unwrap().keys().next().unwrap(), "glue");
        assert_eq!(file["blimp_supplement"].as_object().unwrap().len(), 1, "no other task");
        let missing = submission.missing();
        assert_eq!(missing.len(), 10 + 1 + 4 + 1);
        assert!(missing.contains(&"glue/qnli".to_owned()) && missing.contains(&"ewok".to_owned()));
    }
}

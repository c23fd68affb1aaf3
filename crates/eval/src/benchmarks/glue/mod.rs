//! The tasks of GLUE (Wang et al., 2018) and SuperGLUE (Wang et al., 2019) that BabyLM's pipelines
//! fine-tune for.

use std::sync::LazyLock;

use crate::benchmark::{Benchmark, Kind, Section};
use crate::classification::{ClassificationTask, Template};
use crate::coverage::Coverage;
use crate::reference::{self, ReferenceTable};
use crate::results::{Metric, TaskResult};
use crate::rules::Rules;

/// The tasks, in the order of BabyLlama-2's table 5.
static TASKS: [ClassificationTask; 11] = [
    task("cola", Template::single("{sentence}"), Metric::Mcc),
    task("sst2", Template::single("{sentence}"), Metric::Accuracy),
    task("mrpc", Template::pair("{sentence1}", "{sentence2}"), Metric::F1),
    task("qqp", Template::pair("{question1}", "{question2}"), Metric::F1),
    of_three("mnli", Template::pair("{premise}", "{hypothesis}")),
    of_three("mnli-mm", Template::pair("{premise}", "{hypothesis}")),
    task("qnli", Template::pair("{question}", "{sentence}"), Metric::Accuracy),
    task("rte", Template::pair("{sentence1}", "{sentence2}"), Metric::Accuracy),
    task("boolq", Template::pair("{question}", "{passage}"), Metric::Accuracy),
    task(
        "multirc",
        Template::pair("Question: {question} Answer: {answer}", "{paragraph}"),
        Metric::Accuracy,
    ),
    task(
        "wsc",
        Template::pair(
            "Does \"{span2_text}\" refer to \"{span1_text}\" in this passage?",
            "{text}",
        ),
        Metric::Accuracy,
    ),
];

const fn task(name: &'static str, template: Template, metric: Metric) -> ClassificationTask {
    ClassificationTask {
        name,
        benchmark: &Glue,
        template,
        classes: 2,
        metric,
        has_test_items: false,
    }
}

const fn of_three(name: &'static str, template: Template) -> ClassificationTask {
    ClassificationTask { classes: 3, ..task(name, template, Metric::Accuracy) }
}

/// The validation items of each task in the files of the 2024 pipeline (its sample predictions);
/// those of 2023 have more.
const ITEMS: [(&str, usize); 11] = [
    ("cola", 522),
    ("sst2", 436),
    ("mrpc", 204),
    ("qqp", 20_215),
    ("mnli", 4908),
    ("mnli-mm", 4916),
    ("qnli", 2732),
    ("rte", 139),
    ("boolq", 1635),
    ("multirc", 2424),
    ("wsc", 52),
];

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// The eleven tasks of (Super)GLUE.
pub struct Glue;

impl Benchmark for Glue {
    fn name(&self) -> &'static str {
        "glue"
    }

    fn title(&self) -> &'static str {
        "(Super)GLUE"
    }

    fn about(&self) -> &'static str {
        "fine-tuning for the eleven tasks of (Super)GLUE"
    }

    fn kind(&self) -> Kind {
        Kind::FineTuned(&TASKS)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["glue_filtered", "glue"]
    }

    fn coverage(&self, tasks: &[TaskResult], rules: Rules) -> Option<Coverage> {
        let is_of = |name: &str| TASKS.iter().any(|task| task.name == name && task.is_of(rules));
        let known: Vec<_> = ITEMS.into_iter().filter(|(name, _)| is_of(name)).collect();
        Some(Coverage::of_sizes(&known, tasks, rules))
    }

    fn mean_title(&self) -> &'static str {
        "SuperGLUE"
    }

    fn section(&self) -> Option<Section> {
        Some(Section { name: "glue", tasks: TASKS.iter().map(|task| task.name).collect() })
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}

/// How many validation items a task has in the files of the 2024 pipeline, which those of 2025 and
/// 2026 have too.
pub fn glue_items(task: &str) -> Option<usize> {
    ITEMS.iter().find(|(name, _)| *name == task).map(|&(_, items)| items)
}

/// The (Super)GLUE column of 2024 and of BabyLlama-2: the unweighted mean of all eleven unrounded
/// scores, both halves of MNLI among them (`scoring.py` of
/// github.com/babylm/evaluation-pipeline-2024). None where a task has no score, for a mean of fewer
/// tasks is another number.
pub fn superglue_average(score_of: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let scores: Option<Vec<f64>> = TASKS.iter().map(|task| score_of(task.name)).collect();
    let scores = scores?;
    Some(scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BabyLlama-2 (arXiv 2409.17312), table 5.
    #[test]
    fn the_papers_tasks_have_the_papers_mean() {
        let runs = [
            [34.9, 85.8, 82.2, 84.1, 74.4, 75.3, 83.3, 54.7, 65.9, 64.4, 57.7],
            [31.4, 83.5, 83.8, 84.3, 74.3, 76.4, 83.2, 61.2, 63.4, 64.9, 65.4],
        ];
        for (scores, expected) in runs.iter().zip([69.336, 70.164]) {
            let score_of = |name: &str| {
                TASKS.iter().position(|task| task.name == name).map(|place| scores[place])
            };
            assert!((superglue_average(score_of).unwrap() - expected).abs() < 1e-3);
            assert_eq!(superglue_average(|task| score_of(task).filter(|_| task != "wsc")), None);
        }
    }
}

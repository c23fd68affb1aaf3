//! Scores in the shape of lm-evaluation-harness's `results.json` (version 0.4), under the task
//! names of BabyLM's 2024 pipeline, so that scripts which read one read the other.
//!
//! The harness also writes dates, times and properties of the machine; here everything follows from
//! model and data.

use serde_json::{Map, Value, json};

use crate::results::{BenchmarkResult, Metric, TaskResult};
use crate::statistics::pooled_standard_error;

/// The whole file for one model. `model` is its name and `arguments` what it was loaded from.
pub fn results(model: &str, arguments: &str, found: &[&BenchmarkResult]) -> Value {
    let (mut results, mut groups, mut subtasks) = (Map::new(), Map::new(), Map::new());
    let (mut versions, mut shots, mut samples, mut higher) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    for result in found {
        let group = result.benchmark.harness_group();
        // A group has the score of all its tasks or none.
        if result.is_whole() {
            let scores = group_scores(result);
            results.insert(group.to_owned(), scores.clone());
            groups.insert(group.to_owned(), scores);
            let names = result.tasks.iter().map(|task| result.benchmark.harness_task(&task.name));
            subtasks.insert(group.to_owned(), names.collect::<Vec<_>>().into());
        }
        for task in &result.tasks {
            let name = result.benchmark.harness_task(&task.name);
            results.insert(name.clone(), task_scores(&format!(" - {name}"), task));
            versions.insert(name.clone(), json!(1.0));
            shots.insert(name.clone(), json!(0));
            samples
                .insert(name.clone(), json!({ "original": task.items, "effective": task.items }));
            let metrics = scored_by(task).map(|(metric, _)| (key(metric).to_owned(), json!(true)));
            higher.insert(name, Value::Object(metrics.collect()));
        }
    }
    let rules = found
        .iter()
        .map(|result| (result.benchmark.harness_group().to_owned(), json!(result.rules.name())));
    let rules: Map<String, Value> = rules.collect();
    json!({
        "results": results,
        "groups": groups,
        "group_subtasks": subtasks,
        "configs": {},
        "versions": versions,
        "n-shot": shots,
        "higher_is_better": higher,
        "n-samples": samples,
        "config": { "model": "babyllama", "model_args": arguments, "rules": rules },
        "model_name": model,
    })
}

fn key(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "acc",
        Metric::F1 => "f1",
        Metric::Mcc => "mcc",
    }
}

/// The metric that counts, then the others that are known.
fn scored_by(task: &TaskResult) -> impl Iterator<Item = (Metric, f64)> {
    let others = [Metric::Accuracy, Metric::F1, Metric::Mcc]
        .into_iter()
        .filter(|metric| *metric != task.metric);
    let others = others.filter_map(|metric| Some((metric, *task.others.get(metric.name())?)));
    [(task.metric, task.score)].into_iter().chain(others)
}

fn task_scores(alias: &str, task: &TaskResult) -> Value {
    let mut scores = Map::from_iter([("alias".to_owned(), json!(alias))]);
    for (metric, score) in scored_by(task) {
        scores.insert(format!("{},none", key(metric)), json!(score));
        let error = task.standard_error.filter(|_| metric == Metric::Accuracy);
        // The harness's text for an unknown error.
        scores.insert(
            format!("{}_stderr,none", key(metric)),
            error.map_or(json!("N/A"), |error| json!(error)),
        );
    }
    Value::Object(scores)
}

/// The group's mean, under `acc` as the pipeline has it. Tasks scored by other metrics leave the
/// error unknown.
fn group_scores(result: &BenchmarkResult) -> Value {
    let parts: Option<Vec<_>> =
        result.tasks.iter().map(|task| Some((task.items, task.standard_error?))).collect();
    let error = parts.and_then(|parts| pooled_standard_error(&parts));
    json!({
        "acc,none": result.score,
        "acc_stderr,none": error.map_or(json!("N/A"), |error| json!(error)),
        "alias": result.benchmark.harness_group(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::{BlimpFiltered, BlimpSupplement, Glue};
    use crate::classification::tasks_of;
    use crate::results::Prediction;
    use crate::rules::Rules;

    fn accuracy(name: &str, right: usize, items: usize) -> TaskResult {
        let answers: Vec<_> = (0..items)
            .map(|index| Prediction::between(0.0, if index < right { -1.0 } else { 1.0 }))
            .collect();
        TaskResult::of_choices(name, &answers, 0)
    }

    #[test]
    fn scripts_find_the_numbers_where_the_pipeline_puts_them() {
        // By these rules more items than the files of 2024 have are a whole benchmark.
        let blimp = BenchmarkResult::of_tasks(
            &BlimpSupplement,
            Rules::Year2023,
            vec![
                accuracy("hypernym", 633, 844),
                accuracy("qa_congruence_easy", 32, 64),
                accuracy("qa_congruence_tricky", 83, 166),
                accuracy("subject_aux_inversion", 1934, 3868),
                accuracy("turn_taking", 140, 280),
            ],
        );
        let cola = TaskResult {
            metric: Metric::Mcc,
            score: 0.25,
            standard_error: None,
            others: [("accuracy".to_owned(), 0.75), ("loss".to_owned(), 1.0)].into(),
            ..accuracy("cola", 391, 522)
        };
        let others = tasks_of(&Glue).iter().filter(|task| task.name != "cola");
        let others = others.map(|task| accuracy(task.name, 1, 20_215));
        let all = [cola.clone()].into_iter().chain(others).collect();
        let glue = BenchmarkResult::of_tasks(&Glue, Rules::Year2023, all);
        let found = results("student", "models/student", &[&blimp, &glue]);
        let group = &found["groups"]["blimp_supplement"];
        assert_eq!(group["acc,none"], 0.55);
        assert_eq!(found["results"]["blimp_supplement_hypernym"]["acc,none"], 0.75);
        let hypernym = &found["results"]["blimp_supplement_hypernym"]["acc_stderr,none"];
        let error = hypernym.as_f64().unwrap();
        assert!((error - (0.75 * 0.25 / 843f64).sqrt()).abs() < 1e-12, "{error}");
        // The pipeline's formula, of which every term (n - 1) * error^2 * n is n * p * (1 - p).
        let error = group["acc_stderr,none"].as_f64().unwrap();
        let sum = 844.0 * 0.75 * 0.25 + (64.0 + 166.0 + 3868.0 + 280.0) * 0.25;
        assert!((error - (sum / (5222.0 - 5.0) / 5222.0f64).sqrt()).abs() < 1e-12, "{error}");
        let subtasks = &found["group_subtasks"]["blimp_supplement"];
        assert_eq!(subtasks[1], "blimp_supplement_qa_congruence_easy");
        let one = vec![accuracy("wh_island", 3, 4)];
        let part = BenchmarkResult::of_tasks(&BlimpFiltered, Rules::Year2024, one);
        let part = results("student", "models/student", &[&part]);
        assert_eq!(part["groups"], json!({}), "the mean of some tasks is not the group's");
        let cola = BenchmarkResult::of_tasks(&Glue, Rules::Year2024, vec![cola]);
        assert_eq!(results("student", "models/student", &[&cola])["groups"], json!({}));
        assert_eq!(part["results"]["blimp_wh_island_filtered"]["acc,none"], 0.75);
        let cola = &found["results"]["glue_cola"];
        assert_eq!((&cola["mcc,none"], &cola["acc,none"]), (&json!(0.25), &json!(0.75)));
        assert_eq!(
            (&cola["mcc_stderr,none"], &found["groups"]["glue"]["acc_stderr,none"]),
            (&json!("N/A"), &json!("N/A"))
        );
        assert!(cola.get("loss,none").is_none());
    }
}

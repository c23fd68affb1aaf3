//! EWoK (Ivanova et al., arXiv 2405.09605): which of two targets follows from a context. Two
//! contexts and two targets make an item, the first target fitting the first context and the second
//! the second.
//!
//! Two benchmarks compare in different ways. The pipeline of BabyLM 2024 compares both targets
//! after the first context; the authors of EWoK the first target after both contexts.

mod files;
mod vocabulary;
mod words;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::benchmark::{Benchmark, Kind, Section, ZeroShot};
use crate::choices::{Choice, Item, Task};
use crate::coverage::Coverage;
use crate::error::EvalError;
use crate::reference::{self, ReferenceTable};
use crate::results::{Metric, Prediction, TaskResult};
use crate::rules::Rules;
use crate::statistics::Items;
pub use files::{read, to_lines};
pub use vocabulary::Vocabulary;

/// The domains, as the verifier of the 2024 track requires them, with the questions of each in the
/// filtered files: of what `ewok-core-1.0` has they are the smaller part.
pub(crate) const DOMAINS: [(&str, usize); 11] = [
    ("agent-properties", 2210),
    ("material-dynamics", 770),
    ("material-properties", 170),
    ("physical-dynamics", 120),
    ("physical-interactions", 556),
    ("physical-relations", 818),
    ("quantitative-properties", 314),
    ("social-interactions", 294),
    ("social-properties", 328),
    ("social-relations", 1548),
    ("spatial-relations", 490),
];

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// EWoK as in the pipeline of BabyLM 2024: both targets after the first context; the first
/// wins ties; the mean of the domains.
pub struct Ewok;

impl Benchmark for Ewok {
    fn name(&self) -> &'static str {
        "ewok"
    }

    fn title(&self) -> &'static str {
        "EWoK"
    }

    fn about(&self) -> &'static str {
        "two targets after one context, as in the pipeline of 2024"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["ewok_filtered", "ewok"]
    }

    fn coverage(&self, domains: &[TaskResult], rules: Rules) -> Option<Coverage> {
        Some(Coverage::of_sizes(&DOMAINS, domains, rules))
    }

    fn rules(&self, _asked: Rules) -> Rules {
        Rules::Year2024
    }

    fn resampled(&self, units: &[(Metric, &[Prediction])]) -> Vec<Items> {
        units.iter().map(|(_, answers)| Items::of_questions(answers, None)).collect()
    }

    fn harness_group(&self) -> &'static str {
        "ewok_filtered"
    }

    fn harness_task(&self, task: &str) -> String {
        format!("ewok_{task}_filtered")
    }

    fn section(&self) -> Option<Section> {
        Some(Section { name: "ewok", tasks: DOMAINS.map(|(domain, _)| domain).to_vec() })
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}

impl ZeroShot for Ewok {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        Ok(tasks(&read(path)?, Comparison::OfTargets))
    }

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>, EvalError> {
        files::files(path)
    }
}

/// EWoK as its authors score it: the first target after both contexts; a tie counts half; the mean
/// over all questions.
pub struct EwokOfficial;

impl Benchmark for EwokOfficial {
    fn name(&self) -> &'static str {
        "ewok_official"
    }

    fn title(&self) -> &'static str {
        "EWoK (official)"
    }

    fn about(&self) -> &'static str {
        "one target after two contexts, as EWoK's authors ask"
    }

    fn kind(&self) -> Kind {
        Kind::ZeroShot(&Self)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["ewok", "ewok_filtered"]
    }

    fn coverage(&self, domains: &[TaskResult], rules: Rules) -> Option<Coverage> {
        Some(Coverage::of_sizes(&DOMAINS, domains, rules))
    }

    /// The texts are cut as in the only pipeline that has EWoK.
    fn rules(&self, _asked: Rules) -> Rules {
        Rules::Year2024
    }

    fn mean(&self, domains: &[TaskResult]) -> f64 {
        let points: f64 = domains.iter().map(|domain| domain.score * domain.items as f64).sum();
        let items: usize = domains.iter().map(|domain| domain.items).sum();
        points / items.max(1) as f64
    }

    fn resampled(&self, units: &[(Metric, &[Prediction])]) -> Vec<Items> {
        let all: Vec<Prediction> =
            units.iter().flat_map(|(_, answers)| *answers).cloned().collect();
        vec![Items::of_questions(&all, Some(0.5))]
    }
}

impl ZeroShot for EwokOfficial {
    fn read(&self, path: &Path) -> Result<Vec<Task>, EvalError> {
        Ok(tasks(&read(path)?, Comparison::OfContexts))
    }

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>, EvalError> {
        files::files(path)
    }

    /// `correct` is the number of questions that are right without a tie.
    fn task_result(&self, domain: &str, answers: &[Prediction], truncated: usize) -> TaskResult {
        let task = TaskResult::of_choices(domain, answers, truncated);
        let points = answers.iter().map(|answer| match (answer.is_tie(), answer.is_right()) {
            (true, _) => 0.5,
            (false, right) => right as u8 as f64,
        });
        let count = answers.len() as f64;
        let score = points.clone().sum::<f64>() / count.max(1.0);
        let squares: f64 = points.map(|point| (point - score).powi(2)).sum();
        let standard_error = task.standard_error.map(|_| (squares / (count - 1.0) / count).sqrt());
        TaskResult { score, standard_error, correct: task.correct - task.ties, ..task }
    }
}

/// What a question compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Both targets after the first context.
    OfTargets,
    /// The first target after both contexts.
    OfContexts,
}

/// Two contexts and two targets. `target1` follows from `context1`, `target2` from `context2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EwokItem {
    /// The context of `target1`.
    pub context1: String,
    /// The context of `target2`.
    pub context2: String,
    /// What follows from `context1`.
    pub target1: String,
    /// What follows from `context2`.
    pub target2: String,
}

impl EwokItem {
    /// This item with contexts and targets exchanged.
    pub fn swapped(&self) -> Self {
        Self {
            context1: self.context2.clone(),
            context2: self.context1.clone(),
            target1: self.target2.clone(),
            target2: self.target1.clone(),
        }
    }

    /// The right choice and the wrong one.
    fn question(&self, comparison: Comparison) -> Item {
        let (context, text) = match comparison {
            Comparison::OfTargets => (&self.context1, &self.target2),
            Comparison::OfContexts => (&self.context2, &self.target1),
        };
        let choice = |context: &String, text: &String| Choice {
            context: context.clone(),
            text: text.clone(),
        };
        Item { choices: vec![choice(&self.context1, &self.target1), choice(context, text)] }
    }
}

/// The items of one domain, each followed by its swapped twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The domain's name, such as `social-relations`.
    pub name: String,
    /// The items, an even number.
    pub items: Vec<EwokItem>,
}

/// The questions of all domains, each a task.
fn tasks(domains: &[Domain], comparison: Comparison) -> Vec<Task> {
    let task = |domain: &Domain| Task {
        name: domain.name.clone(),
        items: domain.items.iter().map(|item| item.question(comparison)).collect(),
    };
    domains.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::choices::score_choices;
    use crate::results::Outcome;
    use crate::scoring::tests::small;
    use crate::scoring::{Request, Scorer};

    fn item(context1: &str, context2: &str, target1: &str, target2: &str) -> EwokItem {
        let [context1, context2, target1, target2] =
            [context1, context2, target1, target2].map(str::to_owned);
        EwokItem { context1, context2, target1, target2 }
    }

    fn domain(name: &str, items: &[EwokItem]) -> Domain {
        Domain {
            name: name.to_owned(),
            items: items.iter().flat_map(|item| [item.clone(), item.swapped()]).collect(),
        }
    }

    fn invented() -> Vec<Domain> {
        let tea = item("The tea is hot.", "The tea is cold.", "Ida waits.", "Ida drinks.");
        let door = item("The door is shut.", "The door is open.", "Olaf knocks.", "Olaf walks in.");
        let same = item("It rains.", "It rains.", "Ida is wet.", "Ida is dry.");
        vec![domain("things", &[tea, door.clone()]), domain("weather", &[same, door])]
    }

    fn encode(text: &str) -> Vec<u32> {
        text.bytes().map(|byte| byte as u32 % 29 + 1).collect()
    }

    /// Scores domains as one of the two benchmarks.
    fn score(domains: &[Domain], comparison: Comparison) -> Outcome {
        let model = small(Architecture::LLAMA, 64, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        score_with(&scorer, domains, comparison, encode).unwrap()
    }

    fn score_with(
        scorer: &Scorer<'_>,
        domains: &[Domain],
        comparison: Comparison,
        encode: impl Fn(&str) -> Vec<u32>,
    ) -> Result<Outcome, EvalError> {
        let benchmark: &dyn ZeroShot = match comparison {
            Comparison::OfTargets => &Ewok,
            Comparison::OfContexts => &EwokOfficial,
        };
        let tasks = tasks(domains, comparison);
        let encode = |text: &str| Ok(encode(text));
        score_choices(benchmark, scorer, &tasks, Rules::Year2024, 0, encode, |_, _| ())
    }

    /// Every item of the pipeline's files stands there twice, the second time swapped
    /// (`ewok/dl_and_filter.py` of github.com/babylm/evaluation-pipeline-2024): a model that gives
    /// the same answer to an item and to its swapped twin is right once.
    #[test]
    fn the_same_answer_to_both_questions_of_an_item_is_right_once() {
        let found = score(&invented(), Comparison::OfTargets);
        let (mut equal, mut different) = (0, 0);
        for (domain, answers) in invented().iter().zip(&found.predictions) {
            for (items, answers) in domain.items.chunks(2).zip(answers.chunks(2)) {
                let said = |index: usize| match answers[index].predicted {
                    0 => &items[index].target1,
                    _ => &items[index].target2,
                };
                let right = answers.iter().filter(|answer| answer.is_right()).count();
                assert_eq!(said(0) == said(1), right == 1);
                if right == 1 { equal += 1 } else { different += 1 }
            }
        }
        assert_eq!((found.result.items, equal + different), (8, 4));
        // Equal contexts give equal scores, so that the answer is the same.
        let [first, second] = &found.predictions[1][..2] else { panic!("two questions") };
        assert_eq!(first.scores, [second.scores[1], second.scores[0]]);
    }

    #[test]
    fn domains_count_alike_in_the_pipeline_and_by_their_questions_officially() {
        let mut domains = invented();
        domains[1].items.truncate(2);
        let pipeline = score(&domains, Comparison::OfTargets).result;
        assert_eq!(
            (pipeline.benchmark.name(), pipeline.tasks[0].items, pipeline.tasks[1].items),
            ("ewok", 4, 2)
        );
        assert_eq!(pipeline.score, (pipeline.tasks[0].score + pipeline.tasks[1].score) / 2.0);

        let official = score(&domains, Comparison::OfContexts);
        let result = &official.result;
        let strict = |answers: &[Prediction]| {
            answers.iter().filter(|answer| answer.scores[0] > answer.scores[1]).count()
        };
        assert_eq!(
            (result.benchmark.name(), result.tasks[1].ties, result.tasks[1].correct),
            ("ewok_official", 2, 0)
        );
        assert_eq!((result.tasks[1].score, result.tasks[1].standard_error), (0.5, Some(0.0)));
        let right = strict(&official.predictions[0]);
        assert_eq!((result.tasks[0].correct, result.tasks[0].score), (right, right as f64 / 4.0));
        assert_eq!(result.score, (right as f64 + 1.0) / 6.0);
    }

    #[test]
    fn the_benchmarks_compare_targets_and_contexts() {
        let one = [domain("things", &[item("Ja.", "Nein.", "Gut.", "Schlecht.")])];
        let scorer_of = small(Architecture::LLAMA, 64, 1);
        let scorer = Scorer::new(vec![&scorer_of]).unwrap();
        let log_probability = |context: &str, target: &str| {
            let ids = [encode(context), encode(&format!(" {target}"))];
            let [context, continuation] = ids;
            scorer.score(&[Request { context, continuation }], |_, _| ()).unwrap().log_probabilities
                [0]
        };
        let close = |answer: &Prediction, expected: [f64; 2]| {
            let near = answer
                .scores
                .iter()
                .zip(expected)
                .all(|(found, expected)| (found - expected).abs() < 1e-4);
            assert!(near, "{answer:?} instead of {expected:?}");
        };
        let pipeline = &score(&one, Comparison::OfTargets).predictions[0];
        close(&pipeline[0], [log_probability("Ja.", "Gut."), log_probability("Ja.", "Schlecht.")]);
        close(
            &pipeline[1],
            [log_probability("Nein.", "Schlecht."), log_probability("Nein.", "Gut.")],
        );
        let official = &score(&one, Comparison::OfContexts).predictions[0];
        close(&official[0], [log_probability("Ja.", "Gut."), log_probability("Nein.", "Gut.")]);
        close(
            &official[1],
            [log_probability("Nein.", "Schlecht."), log_probability("Ja.", "Schlecht.")],
        );
    }

    #[test]
    fn long_items_are_cut_and_counted() {
        let model = small(Architecture::GPT2, 16, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        let found =
            score_with(&scorer, &invented(), Comparison::OfContexts, encode).unwrap().result;
        assert_eq!((found.truncated, found.tasks[0].truncated), (16, 8));
        let empty = [domain("empty", &[item("Ja.", "Nein.", "", "Gut.")])];
        let none = |text: &str| encode(text.trim());
        assert!(score_with(&scorer, &empty, Comparison::OfContexts, none).is_err());
    }
}

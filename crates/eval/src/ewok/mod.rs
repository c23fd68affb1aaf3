//! EWoK (Ivanova et al., arXiv 2405.09605): which of two targets follows from a context. Two
//! contexts and two targets make an item, the first target fitting the first context and the second
//! the second.

mod files;
mod vocabulary;
mod words;

use crate::error::EvalError;
use crate::results::{Outcome, Prediction, Suite, SuiteResult, TaskResult};
use crate::rules::Rules;
use crate::scoring::{Request, Scorer, request};
pub use files::{read, to_lines};
pub use vocabulary::Vocabulary;

/// What a question compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// BabyLM 2024: both targets after the first context; the first wins ties; the mean of the
    /// domains.
    #[default]
    Pipeline2024,
    /// The authors of EWoK: the first target after both contexts; a tie counts half; the mean of
    /// all questions.
    Official,
}

/// Two contexts and two targets. `target1` follows from `context1`, `target2` from `context2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub context1: String,
    pub context2: String,
    pub target1: String,
    pub target2: String,
}

impl Item {
    /// The same item asked the other way round.
    pub fn swapped(&self) -> Self {
        Self {
            context1: self.context2.clone(),
            context2: self.context1.clone(),
            target1: self.target2.clone(),
            target2: self.target1.clone(),
        }
    }

    /// Contexts and targets of the right and of the wrong choice.
    fn choices(&self, variant: Variant) -> [(&str, &str); 2] {
        let other = match variant {
            Variant::Pipeline2024 => (&self.context1, &self.target2),
            Variant::Official => (&self.context2, &self.target1),
        };
        [(&self.context1, &self.target1), (other.0, other.1)]
    }
}

/// The questions of one domain: every item is followed by itself the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub name: String,
    pub items: Vec<Item>,
}

/// Scores every question. `encode` turns text into token ids as the model was trained on them;
/// `prefix` is the id of `rules.prefix_token()`, which only questions without a context need.
///
/// # Errors
/// When a target has no token, or the models cannot score.
pub fn score_ewok(
    scorer: &Scorer<'_>,
    domains: &[Domain],
    variant: Variant,
    rules: Rules,
    prefix: u32,
    encode: impl Fn(&str) -> Vec<u32>,
    on_progress: impl FnMut(usize, usize),
) -> Result<Outcome, EvalError> {
    let choices =
        domains.iter().flat_map(|domain| &domain.items).flat_map(|item| item.choices(variant));
    let ask = |(context, target): (&str, &str)| request(rules, &encode, prefix, context, target);
    let requests = choices.map(ask).collect::<Result<Vec<Request>, _>>()?;
    let scores = scorer.score(&requests, on_progress)?;
    let mut answers =
        requests.as_chunks::<2>().0.iter().zip(scores.log_probabilities.as_chunks::<2>().0);
    let (mut tasks, mut predictions) = (Vec::new(), Vec::new());
    for domain in domains {
        let mut truncated = 0;
        let answered =
            answers.by_ref().take(domain.items.len()).map(|(requests, &[right, wrong])| {
                truncated += requests.iter().filter(|request| scorer.is_cut(request)).count();
                Prediction::between(right, wrong)
            });
        let answered: Vec<_> = answered.collect();
        let task = TaskResult::of_choices(&domain.name, &answered, truncated);
        tasks.push(if variant == Variant::Official {
            with_half_ties(task, &answered)
        } else {
            task
        });
        predictions.push(answered);
    }
    let suite = match variant {
        Variant::Pipeline2024 => Suite::Ewok,
        Variant::Official => Suite::EwokOfficial,
    };
    let mut result = SuiteResult::of_tasks(suite, rules, tasks);
    if variant == Variant::Official {
        let points: f64 = result.tasks.iter().map(|task| task.score * task.items as f64).sum();
        result.score = points / result.items.max(1) as f64;
    }
    Ok(Outcome { result, predictions })
}

/// A task's score where a tie is half right. `correct` is then the number of questions that are
/// right without a tie.
fn with_half_ties(task: TaskResult, answers: &[Prediction]) -> TaskResult {
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

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::scoring::tests::small;

    fn item(context1: &str, context2: &str, target1: &str, target2: &str) -> Item {
        let [context1, context2, target1, target2] =
            [context1, context2, target1, target2].map(str::to_owned);
        Item { context1, context2, target1, target2 }
    }

    fn domain(name: &str, items: &[Item]) -> Domain {
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

    fn score(domains: &[Domain], variant: Variant) -> Outcome {
        let model = small(Architecture::LLAMA, 64, 1);
        let scorer = Scorer::new(vec![&model]).unwrap();
        score_ewok(&scorer, domains, variant, Rules::Year2024, 0, encode, |_, _| ()).unwrap()
    }

    /// The structure of EVALS 1.7: who gives the same answer to an item and to its swapped twin is
    /// right once.
    #[test]
    fn the_same_answer_to_both_questions_of_an_item_is_right_once() {
        let found = score(&invented(), Variant::Pipeline2024);
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
        let pipeline = score(&domains, Variant::Pipeline2024).result;
        assert_eq!(
            (pipeline.suite, pipeline.tasks[0].items, pipeline.tasks[1].items),
            (Suite::Ewok, 4, 2)
        );
        assert_eq!(pipeline.score, (pipeline.tasks[0].score + pipeline.tasks[1].score) / 2.0);

        let official = score(&domains, Variant::Official);
        let result = &official.result;
        let strict = |answers: &[Prediction]| {
            answers.iter().filter(|answer| answer.scores[0] > answer.scores[1]).count()
        };
        assert_eq!(
            (result.suite, result.tasks[1].ties, result.tasks[1].correct),
            (Suite::EwokOfficial, 2, 0)
        );
        assert_eq!((result.tasks[1].score, result.tasks[1].standard_error), (0.5, Some(0.0)));
        let right = strict(&official.predictions[0]);
        assert_eq!((result.tasks[0].correct, result.tasks[0].score), (right, right as f64 / 4.0));
        assert_eq!(result.score, (right as f64 + 1.0) / 6.0);
    }

    #[test]
    fn the_variants_compare_targets_and_contexts() {
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
        let pipeline = &score(&one, Variant::Pipeline2024).predictions[0];
        close(&pipeline[0], [log_probability("Ja.", "Gut."), log_probability("Ja.", "Schlecht.")]);
        close(
            &pipeline[1],
            [log_probability("Nein.", "Schlecht."), log_probability("Nein.", "Gut.")],
        );
        let official = &score(&one, Variant::Official).predictions[0];
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
        let found = score_ewok(
            &scorer,
            &invented(),
            Variant::Official,
            Rules::Year2024,
            0,
            encode,
            |_, _| (),
        )
        .unwrap()
        .result;
        assert_eq!((found.truncated, found.tasks[0].truncated), (16, 8));
        let empty = [domain("empty", &[item("Ja.", "Nein.", "", "Gut.")])];
        let none = |text: &str| encode(text.trim());
        assert!(
            score_ewok(&scorer, &empty, Variant::Official, Rules::Year2024, 0, none, |_, _| ())
                .is_err()
        );
    }
}

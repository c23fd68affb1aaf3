//! The scores of a task: over all, and for each of the names that its questions count for.

use serde::{Deserialize, Serialize};

use super::question::{Answer, Question};
use super::tasks::{ChallengeTask, ENTITY_KINDS};
use crate::statistics::pearson;

/// What answers add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scoring {
    /// The unweighted mean of the accuracies of each `UID`.
    Accuracy,
    /// The same for each kind of entity tracking, and the mean of the kinds.
    MeanOfKinds,
    /// Spearman's correlation of the first text's probability, of the two, with people's choices.
    RankCorrelation,
}

/// The scores of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The score over all: the share of right answers, or a correlation for nonce words.
    pub score: f64,
    /// Names of groups such as `UID`, and the score of each of their members, in the order of the
    /// questions.
    pub groups: Vec<(String, Vec<(String, f64)>)>,
    /// Questions.
    pub items: usize,
    /// Questions of which several texts have the best score.
    pub ties: usize,
    /// Questions of which a text has no token that is scored.
    pub unscored: usize,
}

impl TaskScore {
    /// The scores of answers to questions, in their order.
    pub fn of(task: &ChallengeTask, questions: &[Question], answers: &[Answer]) -> Self {
        let count = |has: &dyn Fn(&Answer) -> bool| answers.iter().filter(|one| has(one)).count();
        let (items, ties) = (answers.len(), count(&|answer| answer.is_tie()));
        let unscored = count(&|answer| answer.tokens.contains(&0));
        let (score, groups) = match task.scoring {
            Scoring::RankCorrelation => {
                let rho = correlation(questions, answers);
                (rho, vec![("UID".to_owned(), vec![("avg".to_owned(), rho)])])
            }
            scoring => {
                let mut groups = accuracies(questions, answers);
                let uids = groups.iter_mut().find(|(name, _)| name == "UID");
                let score = uids.map_or(0.0, |(_, uids)| match scoring {
                    Scoring::MeanOfKinds => mean_of_kinds(uids),
                    _ => mean(uids.iter().map(|(_, accuracy)| *accuracy)),
                });
                (score, groups)
            }
        };
        Self { score, groups, items, ties, unscored }
    }

    /// A score as reports show it: in percent, but for correlations.
    pub fn shown(task: &ChallengeTask, score: f64) -> f64 {
        match task.scoring {
            Scoring::RankCorrelation => score,
            _ => 100.0 * score,
        }
    }

    /// What the report of a pipeline calls the score.
    pub(super) fn unit(task: &ChallengeTask) -> &'static str {
        match task.scoring {
            Scoring::RankCorrelation => "SPEARMAN'S RHO",
            _ => "ACCURACY",
        }
    }
}

/// The right answers and all of them, by name.
type Counts<'k> = Vec<(&'k str, [usize; 2])>;

/// The share of right answers for each name of each group.
fn accuracies(questions: &[Question], answers: &[Answer]) -> Vec<(String, Vec<(String, f64)>)> {
    let mut counts: Vec<(&str, Counts<'_>)> = Vec::new();
    for (question, answer) in questions.iter().zip(answers) {
        let is_right = usize::from(answer.chosen == question.right);
        for (group, name) in &question.groups {
            let members = entry(&mut counts, group);
            let [right, all] = entry(members, name);
            *right += is_right;
            *all += 1;
        }
    }
    let share =
        |(name, [right, all]): (&str, [usize; 2])| (name.to_owned(), right as f64 / all as f64);
    let group = |(name, members): (&str, Vec<_>)| {
        (name.to_owned(), members.into_iter().map(share).collect())
    };
    counts.into_iter().map(group).collect()
}

/// The value under a key, which comes last where it is new. Few keys are looked for, and most often
/// the last one.
fn entry<'v, 'k, V: Default>(values: &'v mut Vec<(&'k str, V)>, key: &'k str) -> &'v mut V {
    let place = values.iter().rposition(|(known, _)| *known == key).unwrap_or_else(|| {
        values.push((key, V::default()));
        values.len() - 1
    });
    &mut values[place].1
}

/// Adds the mean of each kind of entity tracking to the accuracies, and returns the mean of these.
fn mean_of_kinds(accuracies: &mut Vec<(String, f64)>) -> f64 {
    let of_kind = |kind: &&str| {
        let of_kind = accuracies.iter().filter(|(uid, _)| uid.starts_with(*kind));
        let values: Vec<f64> = of_kind.map(|(_, accuracy)| *accuracy).collect();
        (!values.is_empty()).then(|| ((*kind).to_owned(), mean(values.iter().copied())))
    };
    let kinds: Vec<_> = ENTITY_KINDS.iter().filter_map(of_kind).collect();
    let score = mean(kinds.iter().map(|(_, accuracy)| *accuracy));
    accuracies.extend(kinds);
    score
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    sum / count.max(1) as f64
}

/// The probability of the first of two texts, by their scores.
pub(super) fn first_probability(answer: &Answer) -> f64 {
    let [first, second] = [0, 1].map(|index| answer.scores.get(index).copied().unwrap_or(0.0));
    1.0 / (1.0 + (second - first).exp())
}

/// Spearman's correlation, 0 where one of the sides has one value alone.
fn correlation(questions: &[Question], answers: &[Answer]) -> f64 {
    // As the pipelines compute it: in single precision, which makes ties of what is nearly 0 or 1.
    let of_model = answers.iter().map(|answer| f64::from(first_probability(answer) as f32));
    let of_people = questions.iter().map(|question| question.ratio.unwrap_or(0.0));
    let (x, y) = (ranks(&of_model.collect::<Vec<_>>()), ranks(&of_people.collect::<Vec<_>>()));
    pearson(&x, &y).unwrap_or(0.0)
}

/// The rank of each value from 1, equal ones the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::question::Candidate;
    use crate::challenge::tasks::find_task;

    fn question(uid: &str, field: &str) -> Question {
        let candidates = vec![Candidate::whole("a".to_owned()), Candidate::whole("b".to_owned())];
        let groups = vec![("FIELD", field.to_owned()), ("UID", uid.to_owned())];
        Question { groups, ..Question::of(uid, candidates) }
    }

    fn answer(chosen: usize) -> Answer {
        Answer { chosen, scores: vec![-1.0, -2.0 + chosen as f64 * 2.0], tokens: vec![3, 3] }
    }

    #[test]
    fn the_score_is_the_mean_over_uids_whatever_their_sizes() {
        let questions = ["one", "two", "two", "two"].map(|uid| question(uid, "all"));
        let answers = [0, 1, 1, 0].map(answer);
        let found = TaskScore::of(find_task("blimp_filtered").unwrap(), &questions, &answers);
        assert!((found.score - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(found.groups[0], ("FIELD".to_owned(), vec![("all".to_owned(), 0.5)]));
        assert_eq!((found.items, found.ties, found.unscored), (4, 0, 0));
        let tie = Answer { chosen: 0, scores: vec![-1.0, -1.0], tokens: vec![0, 3] };
        let task = find_task("blimp_filtered").unwrap();
        let found = TaskScore::of(task, &questions[..1], &[tie]);
        assert_eq!((found.score, found.ties, found.unscored), (1.0, 1, 1));
    }

    #[test]
    fn entity_tracking_is_the_mean_of_its_kinds() {
        let uids = ["ambiref_0_ops", "regular_0_ops", "regular_1_ops"];
        let questions = uids.map(|uid| question(uid, "all"));
        let found = TaskScore::of(
            find_task("entity_tracking").unwrap(),
            &questions,
            &[0, 0, 1].map(answer),
        );
        assert_eq!(found.score, 0.75);
        let uids = &found.groups[1].1;
        assert_eq!(uids[3..], [("regular".to_owned(), 0.5), ("ambiref".to_owned(), 1.0)]);
    }

    /// The ranks are 4, 1.5, 1.5, 3 and 1, 4, 2.5, 2.5.
    #[test]
    fn nonce_words_are_scored_by_the_correlation_of_ranks() {
        let people = [1.0, 3.0, 2.0, 2.0];
        let questions =
            people.map(|ratio| Question { ratio: Some(ratio), ..question("wug_adj", "all") });
        let model = [0.9, 0.2, 0.2, 0.5].map(|p: f64| Answer {
            chosen: 0,
            scores: vec![p.ln(), (1.0 - p).ln()],
            tokens: vec![1, 1],
        });
        let task = find_task("wug_adj_nominalization").unwrap();
        let found = TaskScore::of(task, &questions, &model);
        let expected = -3.75 / (4.5_f64 * 4.5).sqrt();
        assert!((found.score - expected).abs() < 1e-12, "{}", found.score);
        assert_eq!(ranks(&[2.0, 1.0, 2.0]), [2.5, 1.0, 2.5]);
    }
}

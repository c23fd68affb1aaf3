//! Questions of the pipelines, and answers to them.

/// A question: texts to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What its answer counts for (`UID` in the pipelines' files).
    pub uid: String,
    /// The texts, at least two.
    pub candidates: Vec<Candidate>,
    /// Which of them is right.
    pub right: usize,
    /// Other names that it counts for in reports, such as (`FIELD`, `syntax`).
    pub groups: Vec<(&'static str, String)>,
    /// How often people choose the first text, of nonce words.
    pub ratio: Option<f64>,
}

/// A text to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// All that the model reads.
    pub text: String,
    /// Characters at the beginning of the text that are not scored.
    pub given: usize,
    /// What stands in the file of answers where it is chosen.
    pub answer: String,
}

impl Question {
    /// A question of which the first text is right.
    pub fn of(uid: &str, candidates: Vec<Candidate>) -> Self {
        Self { uid: uid.to_owned(), candidates, right: 0, groups: Vec::new(), ratio: None }
    }
}

impl Candidate {
    /// A text that is scored as a whole.
    pub fn whole(text: String) -> Self {
        Self { given: 0, answer: text.clone(), text }
    }

    /// A text of which `completion`, its end, is scored after `context`.
    pub fn completing(context: &str, completion: &str) -> Self {
        let text = format!("{context}{completion}");
        Self { given: context.chars().count(), answer: completion.to_owned(), text }
    }

    /// This text, which stands as a whole in the file of answers.
    pub fn answered_by_text(self) -> Self {
        Self { answer: self.text.clone(), ..self }
    }
}

/// A model's answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The candidate that was chosen.
    pub chosen: usize,
    /// The score of each candidate.
    pub scores: Vec<f64>,
    /// How many tokens of each candidate were scored.
    pub tokens: Vec<usize>,
}

impl Answer {
    /// Whether several candidates have the best score.
    pub fn is_tie(&self) -> bool {
        best_of(&self.scores).len() > 1
    }
}

/// The candidates with the best score.
pub(super) fn best_of(scores: &[f64]) -> Vec<usize> {
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (0..scores.len()).filter(|&index| scores[index] == best).collect()
}

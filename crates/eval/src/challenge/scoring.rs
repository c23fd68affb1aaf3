//! The scoring of questions.

use base::rng::Rng;

use super::question::{Answer, Question, best_of};
use super::span::ScoredText;
use super::{ChallengeBackend, ChallengeTokenizer, ChallengeYear};
use crate::error::EvalError;
use crate::scoring::Scorer;

/// Questions that are scored in one go: what these ask of a model is in memory together.
const QUESTIONS_AT_A_TIME: usize = 1000;

/// How questions are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Whose rules count.
    pub year: ChallengeYear,
    /// How models are asked.
    pub backend: ChallengeBackend,
    /// Whether scores are divided by the number of tokens that are scored.
    pub by_token: bool,
}

/// The answers to all questions, in their order. The score of a candidate is the sum of the
/// log-probabilities (natural) of its scored tokens, or their mean; 0 where no token is scored.
/// `on_progress` receives how many questions are answered, of how many.
///
/// # Errors
/// When a text cannot be encoded or is longer than the model's positions, the tokenizer lacks a
/// mask token that the back end needs, or the models cannot score.
pub fn score_questions(
    scorer: &Scorer<'_>,
    asking: Asking,
    questions: &[Question],
    tokenizer: &dyn ChallengeTokenizer,
    mut on_progress: impl FnMut(usize, usize),
) -> Result<Vec<Answer>, EvalError> {
    let mut answers = Vec::with_capacity(questions.len());
    for some in questions.chunks(QUESTIONS_AT_A_TIME) {
        let candidates = some.iter().flat_map(|question| &question.candidates);
        let texts = candidates.map(|text| ScoredText::of(text, asking.backend, tokenizer));
        let texts = texts.collect::<Result<Vec<_>, EvalError>>()?;
        let sums = sums(scorer, asking.backend, &texts, tokenizer)?;
        let mut scored = texts.iter().zip(sums);
        for question in some {
            let of_question = scored.by_ref().take(question.candidates.len());
            let (tokens, scores): (Vec<usize>, Vec<f64>) = of_question
                .map(|(text, sum)| match asking.by_token {
                    true => (text.count(), sum / text.count().max(1) as f64),
                    false => (text.count(), sum),
                })
                .unzip();
            let chosen = choose(&scores, asking.year, answers.len());
            answers.push(Answer { chosen, scores, tokens });
        }
        on_progress(answers.len(), questions.len());
    }
    Ok(answers)
}

/// The sum of the log-probabilities (natural) of each text's scored tokens; 0 where none is scored.
///
/// # Errors
/// As [`score_questions`].
pub(super) fn sums(
    scorer: &Scorer<'_>,
    backend: ChallengeBackend,
    texts: &[ScoredText],
    tokenizer: &dyn ChallengeTokenizer,
) -> Result<Vec<f64>, EvalError> {
    if backend == ChallengeBackend::Causal {
        let requests: Vec<_> = texts.iter().map(ScoredText::request).collect();
        let asked: Vec<_> = requests.iter().flatten().cloned().collect();
        if let Some(request) = asked.iter().find(|request| scorer.is_cut(request)) {
            let tokens = request.context.len() + request.continuation.len();
            return Err(EvalError::TextTooLong { tokens, positions: scorer.max_positions() });
        }
        let mut found = scorer.score(&asked, |_, _| ())?.log_probabilities.into_iter();
        let mut sum = |is_asked: bool| if is_asked { found.next() } else { None };
        return Ok(requests.iter().map(|one| sum(one.is_some()).unwrap_or(0.0)).collect());
    }
    let (mut readings, mut counts) = (Vec::new(), Vec::new());
    for text in texts {
        let of_text = text.readings(backend, tokenizer.special_tokens())?;
        counts.push(of_text.len());
        readings.extend(of_text);
    }
    let mut found = scorer.read_texts(&readings, |_, _| ())?.0.into_iter();
    Ok(counts.into_iter().map(|count| found.by_ref().take(count).sum()).collect())
}

/// The candidate that is chosen: the one with the best score. Of several the first by the rules of
/// 2025, and by those of 2026 one that is drawn, by the number of the question, so that the same
/// model gives the same answers every time.
fn choose(scores: &[f64], year: ChallengeYear, number: usize) -> usize {
    let best = best_of(scores);
    let drawn = match year {
        ChallengeYear::Year2025 => 0,
        ChallengeYear::Year2026 => {
            Rng::new(0, "ties").below(number as u64, best.len().max(1) as u64) as usize
        }
    };
    best.get(drawn).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_first_counts_in_2025_and_a_drawn_one_in_2026() {
        let scores = [-2.0, -1.0, -1.0, -1.0];
        let first = |number| choose(&scores, ChallengeYear::Year2025, number);
        assert!((0..100).all(|number| first(number) == 1));
        let drawn: Vec<usize> =
            (0..3000).map(|number| choose(&scores, ChallengeYear::Year2026, number)).collect();
        for candidate in 1..4 {
            let share = drawn.iter().filter(|&&chosen| chosen == candidate).count();
            assert!((900..1100).contains(&share), "{candidate}: {share}");
        }
        assert_eq!(choose(&[-3.0, -1.0, -2.0], ChallengeYear::Year2026, 5), 1);
    }
}

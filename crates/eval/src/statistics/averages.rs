//! The averages that the papers print (EVALS 2.4: each is unweighted, and of unrounded scores).

use crate::classification::TASKS;
use crate::results::Suite;

/// The eleven tasks behind the (Super)GLUE column of 2024; both halves of MNLI count.
fn superglue() -> impl Iterator<Item = &'static str> {
    TASKS.iter().filter(|task| task.suite == Suite::Glue).map(|task| task.name)
}

/// The (Super)GLUE column of 2024 and of BabyLlama-2; none where a task has no score, for a mean of
/// fewer tasks is another number.
pub fn superglue_average(score_of: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let scores: Option<Vec<f64>> = superglue().map(score_of).collect();
    let scores = scores?;
    Some(scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The macro-average of the 2024 text track: of BLiMP filtered, its supplement, EWoK and
/// (Super)GLUE.
pub fn text_average(blimp: f64, supplement: f64, ewok: f64, superglue: f64) -> f64 {
    (blimp + supplement + ewok + superglue) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BabyLlama-2's tables 5 and 3 (EVALS 7, T6 and T7).
    #[test]
    fn the_papers_columns_have_the_papers_means() {
        let runs = [
            [34.9, 85.8, 82.2, 84.1, 74.4, 75.3, 83.3, 54.7, 65.9, 64.4, 57.7],
            [31.4, 83.5, 83.8, 84.3, 74.3, 76.4, 83.2, 61.2, 63.4, 64.9, 65.4],
        ];
        for (scores, expected) in runs.iter().zip([69.336, 70.164]) {
            let score_of =
                |task: &str| superglue().position(|known| known == task).map(|place| scores[place]);
            assert!((superglue_average(score_of).unwrap() - expected).abs() < 1e-3);
            assert_eq!(superglue_average(|task| score_of(task).filter(|_| task != "wsc")), None);
        }
        assert!((text_average(73.2, 63.1, 50.6, 69.3) - 64.05).abs() < 1e-9);
        assert!((text_average(71.8, 63.4, 51.5, 70.2) - 64.225).abs() < 1e-9);
    }
}

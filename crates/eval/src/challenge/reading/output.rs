//! The files of the reading task, as the pipelines write them.

use super::regression::ReadingScore;
use super::surprisal::RowSurprisal;
use crate::challenge::python_json::repr;

/// The text of `predictions.json`: surprisals by the number of the row from 0, in the form of
/// Python's `json.dump`, where what is missing is a bare `NaN`.
pub fn predictions(surprisals: &[RowSurprisal]) -> String {
    let prediction = |(id, found): (usize, &RowSurprisal)| {
        let word = repr(found.word);
        let previous = found.previous.map_or_else(|| "NaN".to_owned(), repr);
        format!("{{\"id\": {id}, \"pred\": {word}, \"prev_pred\": {previous}}}")
    };
    let all: Vec<String> = surprisals.iter().enumerate().map(prediction).collect();
    format!("{{\"reading\": {{\"predictions\": [{}]}}}}", all.join(", "))
}

/// The text of `report.txt`.
pub fn report(score: &ReadingScore) -> String {
    let ReadingScore { eye_tracking, self_paced, .. } = score;
    format!("EYE TRACKING SCORE: {eye_tracking:.2}\nSELF-PACED READING SCORE: {self_paced:.2}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_numbered_and_missing_ones_are_bare() {
        let rows = [
            RowSurprisal { word: 2.5, previous: None },
            RowSurprisal { word: 1e-5, previous: Some(7.0) },
        ];
        assert_eq!(
            predictions(&rows),
            "{\"reading\": {\"predictions\": [{\"id\": 0, \"pred\": 2.5, \"prev_pred\": NaN}, \
             {\"id\": 1, \"pred\": 1e-05, \"prev_pred\": 7.0}]}}"
        );
        assert_eq!(predictions(&[]), "{\"reading\": {\"predictions\": []}}");
    }

    #[test]
    fn the_report_has_two_lines() {
        let score =
            ReadingScore { eye_tracking: 0.996, self_paced: 0.0, mean: 0.498, regressions: vec![] };
        assert_eq!(report(&score), "EYE TRACKING SCORE: 1.00\nSELF-PACED READING SCORE: 0.00\n");
    }
}

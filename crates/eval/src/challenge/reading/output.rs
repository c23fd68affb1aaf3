//! The files of the reading task, as the pipelines write them.

use super::regression::ReadingScore;
use super::surprisal::RowSurprisal;

/// The text of `predictions.json`: surprisals by the number of the row from 0, in the form of
/// Python's `json.dump`, where what is missing is a bare `NaN`.
pub fn predictions(surprisals: &[RowSurprisal]) -> String {
    let prediction = |(id, found): (usize, &RowSurprisal)| {
        let word = python_float(found.word);
        let previous = found.previous.map_or_else(|| "NaN".to_owned(), python_float);
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

/// A finite number as Python's `repr` writes it: with the fewest digits that give the number back,
/// and an exponent of at least two digits below 1e-4 and from 1e16.
fn python_float(value: f64) -> String {
    let shortest = format!("{value:e}");
    let exponent = |(digits, power): (&str, &str)| Some((digits.to_owned(), power.parse().ok()?));
    match shortest.split_once('e').and_then(exponent) {
        Some((digits, power @ (..-4 | 16..))) => {
            let power: i32 = power;
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        // Always with a point, unlike `{}`.
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expectations: `repr` of Python 3.11.
    #[test]
    fn numbers_are_written_as_python_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (3.0, "3.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (19.375880241394043, "19.375880241394043"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(python_float(value), expected);
        }
    }

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

//! The averages that the papers print (EVALS 2.4: each is unweighted, and of unrounded scores).

/// The eleven numbers behind the (Super)GLUE column of 2024, by task: Matthews' coefficient for CoLA, F1 for MRPC and
/// QQP, accuracy for the others; both halves of MNLI count.
pub const SUPERGLUE: [&str; 11] =
    ["cola", "sst2", "mrpc", "qqp", "mnli", "mnli-mm", "qnli", "rte", "boolq", "multirc", "wsc"];

/// The unweighted mean; none without scores.
pub fn macro_average(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The (Super)GLUE column of 2024 and of BabyLlama-2; none where a task has no score, for a mean of fewer tasks is
/// another number.
pub fn superglue_average(score_of: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let scores: Option<Vec<f64>> = SUPERGLUE.iter().map(|task| score_of(task)).collect();
    macro_average(&scores?)
}

/// The macro-average of the 2024 text track: of BLiMP filtered, its supplement, EWoK and (Super)GLUE.
pub fn text_average(blimp: f64, supplement: f64, ewok: f64, superglue: f64) -> f64 {
    (blimp + supplement + ewok + superglue) / 4.0
}

//! Standard errors as the pipelines print them (lm-eval's `mean_stderr` and
//! `pooled_sample_stderr`).

/// The standard error of a mean: the root of the sample variance over the number of values. None
/// for fewer than two.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (values.len() > 1).then(|| (variance / count).sqrt())
}

/// The standard error of a group, from the number of items and the standard error of each task: the
/// tasks' variances pooled over all items. The 2024 pipeline prints it beside the unweighted mean
/// of the tasks, although it weighs tasks by their items; [`bootstrap`](super::bootstrap) has an
/// interval that fits the mean. None where no task has two items.
pub fn pooled_standard_error(tasks: &[(usize, f64)]) -> Option<f64> {
    let items: usize = tasks.iter().map(|(count, _)| count).sum();
    let freedom = items.checked_sub(tasks.len()).filter(|&freedom| freedom > 0)?;
    // A task's sample variance is its squared standard error times its items.
    let squares: f64 = tasks
        .iter()
        .map(|&(count, error)| (count as f64 - 1.0) * error.powi(2) * count as f64)
        .sum();
    Some((squares / freedom as f64 / items as f64).sqrt())
}

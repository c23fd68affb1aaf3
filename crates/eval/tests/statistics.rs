//! Statistics against scipy, scikit-learn and numpy (`tools/golden/significance.py`).

use eval::statistics::{
    Items, McNemar, Measure, Paired, Resampling, Spread, bootstrap, pooled_standard_error,
    standard_error, student_t_quantile,
};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn labels(gold: &Value, predicted: &Value) -> Vec<(u32, u32)> {
    let ids = |value| numbers(value).into_iter().map(|id| id as u32);
    ids(gold).zip(ids(predicted)).collect()
}

fn measure(name: &str) -> Measure {
    match name {
        "mean" => Measure::Mean,
        "f1" => Measure::F1,
        "mcc" => Measure::Mcc,
        other => panic!("no measure {other}"),
    }
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

#[test]
fn standard_errors_are_the_pipelines() {
    let golden = &golden()["standard_errors"];
    let tasks: Vec<Vec<f64>> = list(&golden["tasks"]).iter().map(numbers).collect();
    let found: Vec<(usize, f64)> =
        tasks.iter().map(|task| (task.len(), standard_error(task).unwrap())).collect();
    for ((_, found), expected) in found.iter().zip(numbers(&golden["errors"])) {
        assert_close(*found, expected, 1e-12);
    }
    assert_close(pooled_standard_error(&found).unwrap(), number(&golden["pooled"]), 1e-12);
    assert_eq!(standard_error(&[1.0]), None);
    assert_eq!(standard_error(&[]), None);
    assert_eq!(pooled_standard_error(&[(1, 0.0), (1, 0.0)]), None);
}

#[test]
fn mcnemar_is_the_binomial_test() {
    for case in list(&golden()["mcnemar"]) {
        let [first, second] = ["first_only", "second_only"].map(|key| case[key].as_u64().unwrap());
        let found = McNemar::of_counts(first, second);
        assert_close(found.p_value, number(&case["p_value"]), 1e-9 * number(&case["p_value"]));
        assert_close(found.mid_p, number(&case["mid_p"]), 1e-9 * number(&case["mid_p"]));
        assert_eq!(McNemar::of_counts(second, first).p_value, found.p_value);
    }
    let outcomes = [(true, false), (true, true), (false, false), (false, true), (false, true)];
    assert_eq!(McNemar::of_outcomes(outcomes), McNemar::of_counts(1, 2));
}

#[test]
fn seeds_spread_by_students_t() {
    let golden = golden();
    for case in list(&golden["student_t"]) {
        let found =
            student_t_quantile(number(&case["share"]), case["freedom"].as_u64().unwrap() as u32);
        assert_close(found, number(&case["quantile"]), 1e-9 * number(&case["quantile"]));
    }
    for case in list(&golden["spreads"]) {
        let scores = numbers(&case["scores"]);
        let found = Spread::of(&scores, number(&case["confidence"])).unwrap();
        assert_close(found.mean, number(&case["mean"]), 1e-12);
        assert_close(found.standard_deviation.unwrap(), number(&case["standard_deviation"]), 1e-12);
        let interval = found.interval.unwrap();
        assert_close(interval.low, number(&case["interval"][0]), 1e-9);
        assert_close(interval.high, number(&case["interval"][1]), 1e-9);
        assert!(
            scores.contains(&found.lowest) && scores.iter().all(|&score| score >= found.lowest)
        );
        assert!(
            scores.contains(&found.highest) && scores.iter().all(|&score| score <= found.highest)
        );
    }
    let single = Spread::of(&[3.0], 0.95).unwrap();
    assert_eq!((single.mean, single.standard_deviation, single.interval), (3.0, None, None));
    assert_eq!(Spread::of(&[], 0.95), None);
    assert_eq!(Spread::of(&[1.0, 2.0], 1.0), None);
}

#[test]
fn scores_are_scikit_learns() {
    for case in list(&golden()["metrics"]) {
        for name in ["mean", "f1", "mcc"] {
            let items = Items::labels(measure(name), labels(&case["gold"], &case["predicted"]));
            assert_close(items.score(), number(&case[name]), 1e-12);
        }
    }
    // Three classes: accuracy counts them all.
    assert_close(Items::labels(Measure::Mean, [(0, 0), (2, 2), (2, 1)]).score(), 2.0 / 3.0, 1e-12);
}

#[test]
fn exchanging_answers_is_the_exact_permutation_test() {
    let golden = golden();
    for case in list(&golden["exact_permutations"]) {
        let side = |key: &str| -> Vec<Items> {
            let tasks = list(&case["tasks"]).iter().zip(list(&case["measures"]));
            tasks
                .map(|(t, m)| {
                    Items::labels(measure(m.as_str().unwrap()), labels(&t["gold"], &t[key]))
                })
                .collect()
        };
        let (first, second) = (side("first"), side("second"));
        let paired = Paired::new(&first, &second).unwrap();
        let found = paired.permutation(&Resampling::default()).unwrap();
        assert!(found.exact);
        assert_close(found.difference, number(&case["difference"]), 1e-12);
        assert_close(found.p_value, number(&case["p_value"]), 1e-12);
    }
    let flips = &golden["sign_flips"];
    let (first, second) =
        (Items::means(numbers(&flips["first"])), Items::means(numbers(&flips["second"])));
    let (first, second) = ([first], [second]);
    let found = Paired::new(&first, &second).unwrap().permutation(&Resampling::default()).unwrap();
    assert!(found.exact);
    assert_close(found.p_value, number(&flips["p_value"]), 1e-12);
}

#[test]
fn resampling_agrees_with_numpys_within_its_noise_on_any_threads() {
    let golden = &golden()["sampled"];
    let side = |key: &str| -> Vec<Items> {
        list(&golden[key]).iter().map(|task| Items::means(numbers(task))).collect()
    };
    let (first, second) = (side("first"), side("second"));
    let resampling = Resampling { resamples: 20_000, ..Default::default() };
    let run = || {
        let paired = Paired::new(&first, &second).unwrap();
        let single = bootstrap(&first, &resampling).unwrap();
        (single, paired.bootstrap(&resampling).unwrap(), paired.permutation(&resampling).unwrap())
    };
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    };
    let (single, paired, permutation) = on(1);
    assert_eq!((single, paired, permutation), on(3));
    let near = |interval: eval::statistics::Interval, expected: &Value| {
        assert_close(interval.low, number(&expected[0]), 0.01);
        assert_close(interval.high, number(&expected[1]), 0.01);
    };
    near(single.interval, &golden["interval"]);
    near(paired.interval, &golden["difference_interval"]);
    assert_close(single.standard_error, number(&golden["standard_error"]), 0.002);
    assert_close(paired.p_value, number(&golden["bootstrap_p"]), 0.01);
    assert_close(permutation.p_value, number(&golden["permutation_p"]), 0.01);
    assert!(!permutation.exact);
    let other = Resampling { seed: 1, ..resampling };
    assert_ne!(bootstrap(&first, &other).unwrap(), single);
}

#[test]
fn equal_models_do_not_differ() {
    let items = [Items::outcomes([true, false, true]), Items::outcomes([false, true])];
    let paired = Paired::new(&items, &items).unwrap();
    let permutation = paired.permutation(&Resampling::default()).unwrap();
    assert_eq!((permutation.difference, permutation.p_value, permutation.exact), (0.0, 1.0, true));
    let bootstrap = paired.bootstrap(&Resampling { resamples: 50, ..Default::default() }).unwrap();
    assert_eq!(
        (bootstrap.p_value, bootstrap.interval.low, bootstrap.interval.high),
        (1.0, 0.0, 0.0)
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let right = |count: usize| Items::outcomes(std::iter::repeat_n(true, count));
    let message =
        |first: &[Items], second: &[Items]| Paired::new(first, second).unwrap_err().to_string();
    assert!(message(&[right(1)], &[]).contains("1 and 0"));
    assert!(message(&[], &[]).contains("no task"));
    assert!(message(&[right(2), right(2)], &[right(2), right(3)]).contains("task 1"));
    assert!(message(&[right(1)], &[Items::labels(Measure::F1, [(1, 1)])]).contains("two ways"));
}

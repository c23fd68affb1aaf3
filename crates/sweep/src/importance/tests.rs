use super::*;

/// Fractional parts of multiples of irrational numbers: they fill the square evenly.
const STEPS: [f64; 4] = [
    0.414_213_562_373_095_15,
    0.732_050_807_568_877_2,
    0.236_067_977_499_789_7,
    0.645_751_311_064_590_6,
];

fn coordinate(index: usize, parameter: usize) -> f64 {
    let place = (index + 1) as f64 * STEPS[parameter];
    place - place.floor()
}

fn space(text: &str) -> Space {
    Space::parse(&text.parse().unwrap()).unwrap()
}

fn share(found: &[Importance], name: &str) -> f64 {
    found.iter().find(|of| of.parameter == name).unwrap().share
}

/// The sum of a straight line, a category's number and nothing of the third: the variances of the
/// parts are 9/12 and 1/6.
#[test]
fn an_additive_function_has_the_shares_of_its_parts() {
    let space = space("a = { uniform = [0, 1] }\nb = [1, 2, 3]\nc = { uniform = [0, 1] }");
    let trial = |index| {
        let [a, b, c] = [0, 1, 2].map(|parameter| coordinate(index, parameter));
        let category = (b * 3.0).floor();
        let point = vec![Some(a), Some(category), Some(c)];
        (point, 3.0 * a + [0.0, 1.0, 0.5][category as usize])
    };
    let trials: Vec<(Point, f64)> = (0..400).map(trial).collect();
    let found = importance(&space, &trials, 1).unwrap();
    let names: Vec<&str> = found.iter().map(|of| of.parameter.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let all = 0.75 + 1.0 / 6.0;
    assert!((share(&found, "a") - 0.75 / all).abs() < 0.02, "{found:?}");
    assert!((share(&found, "b") - 1.0 / 6.0 / all).abs() < 0.02, "{found:?}");
    assert!(share(&found, "c") < 0.005, "{found:?}");
    // Neither the unit nor the sign of the results matters.
    let other: Vec<(Point, f64)> =
        trials.iter().map(|(point, result)| (point.clone(), 5e200 - 1e200 * result)).collect();
    let other = importance(&space, &other, 1).unwrap();
    assert!((share(&other, "a") - share(&found, "a")).abs() < 0.01, "{other:?}");
    assert_eq!(importance(&space, &trials, 1), Some(found));
}

/// The means of five seeds of `FanovaImportanceEvaluator(n_trees=64)` of Optuna 5.0.0 on the same
/// trials, which vary by up to 0.01 between seeds.
#[test]
fn shares_are_those_of_optuna() {
    let space =
        space("a = { uniform = [0, 1] }\nb = { uniform = [0, 1] }\nd = { uniform = [0, 1] }");
    let trial = |index, result: fn(f64, f64, f64) -> f64| {
        let [a, b, d] = [0, 1, 3].map(|parameter| coordinate(index, parameter));
        (vec![Some(a), Some(b), Some(d)], result(a, b, d))
    };
    type Case = (fn(f64, f64, f64) -> f64, [f64; 3]);
    let cases: [Case; 2] = [
        (|a, b, _| 3.0 * a + 4.0 * (b - 0.5) * (b - 0.5), OPTUNA[0]),
        (|a, b, d| 4.0 * (a - 0.5) * (b - 0.5) + 0.5 * d, OPTUNA[1]),
    ];
    for (result, expected) in cases {
        let trials: Vec<(Point, f64)> = (0..300).map(|index| trial(index, result)).collect();
        let found = importance(&space, &trials, 3).unwrap();
        for (name, expected) in ["a", "b", "d"].iter().zip(expected) {
            assert!((share(&found, name) - expected).abs() < 0.03, "{name} {expected}: {found:?}");
        }
    }
}

const OPTUNA: [[f64; 3]; 2] = [[0.8965, 0.0791, 0.0001], [0.0486, 0.0382, 0.1839]];

/// A parameter that takes part in half of the trials, and matters there.
#[test]
fn parameters_with_a_condition_have_their_share() {
    let space = space(
        "kind = [\"x\", \"y\"]\n\
         rate = { uniform = [0, 1], when = { kind = \"y\" } }\n\
         way = { values = [1, 2], when = { kind = \"y\" } }\n\
         other = { uniform = [0, 1] }",
    );
    let trial = |index| {
        let [kind, rate, way, other] = [0, 1, 2, 3].map(|parameter| coordinate(index, parameter));
        let is_y = kind >= 0.5;
        let point = vec![
            Some(f64::from(is_y)),
            Some(rate).filter(|_| is_y),
            Some((way * 2.0).floor()).filter(|_| is_y),
            Some(other),
        ];
        (point, if is_y { 2.0 * rate } else { 1.0 })
    };
    let trials: Vec<(Point, f64)> = (0..400).map(trial).collect();
    let found = importance(&space, &trials, 1).unwrap();
    assert_eq!(found[0].parameter, "rate", "{found:?}");
    assert!(share(&found, "rate") > 0.8, "{found:?}");
    assert!(share(&found, "way") < 0.02 && share(&found, "other") < 0.02, "{found:?}");
    assert!(found.iter().all(|of| (0.0..=1.0).contains(&of.share) && of.deviation.is_finite()));
}

#[test]
fn too_few_equal_or_odd_results_show_nothing() {
    let space = space("a = { uniform = [0, 1] }");
    let trials = |count: usize, result: fn(f64) -> f64| -> Vec<(Point, f64)> {
        let trial = |index| (vec![Some(coordinate(index, 0))], result(coordinate(index, 0)));
        (0..count).map(trial).collect()
    };
    assert_eq!(importance(&space, &[], 1), None);
    assert_eq!(importance(&space, &trials(FEWEST_TRIALS - 1, |a| a), 1), None);
    assert_eq!(importance(&space, &trials(50, |_| 3.0), 1), None);
    assert_eq!(importance(&space, &trials(50, |_| f64::NAN), 1), None);
    let found = importance(&space, &trials(FEWEST_TRIALS, |a| a), 1).unwrap();
    assert!((found[0].share - 1.0).abs() < 1e-9, "{found:?}");
    // A point of another space has no coordinates.
    let odd: Vec<(Point, f64)> = (0..9).map(|index| (vec![], index as f64)).collect();
    assert_eq!(importance(&space, &odd, 1), None);
}

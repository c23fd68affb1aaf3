//! Cases that `tools/golden/sweep_algorithms.py` wrote with the packages whose rules we follow.

use serde_json::Value;

/// The cases of one kind.
pub(crate) fn cases(kind: &str) -> Value {
    let text = include_str!("../tests/fixtures/algorithms.json");
    let mut all: Value = serde_json::from_str(text).unwrap();
    all[kind].take()
}

/// The entries of a list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A list of numbers; `null` is NaN.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

/// A list of lists of numbers.
pub(crate) fn rows(value: &Value) -> Vec<Vec<f64>> {
    list(value).iter().map(numbers).collect()
}

/// A list of whole numbers.
pub(crate) fn wholes(value: &Value) -> Vec<u64> {
    list(value).iter().map(|number| number.as_u64().unwrap()).collect()
}

//! Conditions: parameters that take part only where a list has a certain value.

use experiment::recipe::suggestion;
use indexmap::IndexMap;

use super::{Parameter, Point, Prior, SpaceError, stored::is_same};

/// The condition that one of the lists has one of certain values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The list's index among the parameters.
    pub parameter: usize,
    /// The indices of the values.
    pub categories: Vec<usize>,
}

impl Condition {
    /// Whether a point meets it. A point without the list's value does not.
    pub fn is_met(&self, point: &Point) -> bool {
        let Some(&Some(coordinate)) = point.get(self.parameter) else { return false };
        self.categories.iter().any(|&category| category as f64 == coordinate)
    }
}

/// Reads the `when` table of the parameter `key`.
pub(super) fn parse(
    key: &str,
    when: &toml::Value,
    parameters: &IndexMap<String, Parameter>,
) -> Result<Vec<Condition>, SpaceError> {
    let Some(table) = when.as_table() else {
        return Err(SpaceError::invalid(key, "`when` is a table, as in when = { key = value }"));
    };
    let mut conditions = Vec::new();
    for (other, wanted) in table {
        let Some((parameter, _, target)) = parameters.get_full(other) else {
            let hint = suggestion(other, parameters.keys().map(String::as_str));
            let cause = format!("`when` names `{other}`, which is not in the space; {hint}");
            return Err(SpaceError::invalid(key, cause));
        };
        let Prior::Categories { values, .. } = &target.prior else {
            let cause = format!("`when` names `{other}`, which is not a list of values");
            return Err(SpaceError::invalid(key, cause));
        };
        let wanted = match wanted {
            toml::Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut categories = Vec::new();
        for value in wanted {
            let Some(index) = values.iter().position(|known| is_same(known, value)) else {
                let list = toml::Value::Array(values.clone());
                let cause = format!("`when` names {other} = {value}, which is none of {list}");
                return Err(SpaceError::invalid(key, cause));
            };
            categories.push(index);
        }
        conditions.push(Condition { parameter, categories });
    }
    Ok(conditions)
}

/// The parameters' indices, each after those that its conditions depend on.
pub(super) fn order(parameters: &IndexMap<String, Parameter>) -> Result<Vec<usize>, SpaceError> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < parameters.len() {
        let before = order.len();
        for (index, parameter) in parameters.values().enumerate() {
            let ready = parameter.when.iter().all(|when| order.contains(&when.parameter));
            if ready && !order.contains(&index) {
                order.push(index);
            }
        }
        if order.len() == before {
            let waiting = parameters.keys().enumerate().filter(|(index, _)| !order.contains(index));
            let keys: Vec<&str> = waiting.map(|(_, key)| key.as_str()).collect();
            return Err(SpaceError::Cycle(keys.join(", ")));
        }
    }
    Ok(order)
}

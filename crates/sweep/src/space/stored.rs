//! What the store keeps of a point, and the way back to settings and coordinates.

use std::cmp::Ordering;

use indexmap::IndexMap;

use super::{Grid, Parameter, Point, Prior, Space, SpaceError};
use crate::distribution::Distribution;

/// One parameter of a trial as Optuna's database keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The recipe's key, or `one_minus_` and the key's last part for one minus a setting.
    pub name: String,
    /// What the value was drawn from.
    pub distribution: Distribution,
    /// A number as itself, a category's index.
    pub value: f64,
}

impl Parameter {
    pub(super) fn store(&self, value: f64) -> Stored {
        Stored { name: self.stored_name.clone(), distribution: self.distribution(), value }
    }

    /// The recipe's value of a stored one.
    fn setting(&self, value: f64) -> toml::Value {
        match &self.prior {
            Prior::Categories { values, .. } => {
                values[(value as usize).min(values.len() - 1)].clone()
            }
            Prior::Numeric(prior) => match prior.grid() {
                _ if self.one_minus => toml::Value::Float(1.0 - value),
                Grid::Integer | Grid::Step { integer: true, .. } => {
                    toml::Value::Integer(value as i64)
                }
                Grid::Real | Grid::Step { integer: false, .. } => toml::Value::Float(value),
            },
        }
    }

    /// The stored value of a recipe's, if the parameter takes it.
    fn stored_value(&self, key: &str, setting: &toml::Value) -> Result<f64, SpaceError> {
        match &self.prior {
            Prior::Categories { values, .. } => {
                let index = values.iter().position(|known| is_same(known, setting));
                index.map(|index| index as f64).ok_or_else(|| {
                    let list = toml::Value::Array(values.clone());
                    SpaceError::value(key, setting, format!("it is one of {list}"))
                })
            }
            Prior::Numeric(_) => {
                let number = as_number(setting)
                    .ok_or_else(|| SpaceError::value(key, setting, "a number is expected"))?;
                let value = if self.one_minus { 1.0 - number } else { number };
                self.check(key, value, setting)?;
                Ok(value)
            }
        }
    }

    /// Checks that a number is one of the parameter's values; `shown` is how it was given.
    fn check(&self, key: &str, value: f64, shown: impl ToString) -> Result<(), SpaceError> {
        let Prior::Numeric(prior) = &self.prior else { return Ok(()) };
        if prior.contains(value) {
            return Ok(());
        }
        let (low, high) = prior.bounds();
        let what = match prior.grid() {
            Grid::Real => "a number".to_string(),
            Grid::Integer => "a whole number".to_string(),
            Grid::Step { q, .. } => format!("a multiple of {q}"),
        };
        let of = if self.one_minus { "one minus it is " } else { "it is " };
        Err(SpaceError::value(key, shown, format!("{of}{what} from {low} to {high}")))
    }

    /// The coordinate of a stored value.
    pub(super) fn coordinate(&self, value: f64) -> f64 {
        match &self.prior {
            Prior::Numeric(prior) => prior.coordinate(value),
            Prior::Categories { .. } => value,
        }
    }
}

impl Space {
    /// The recipe's settings of stored parameters, and the constants. The same stored values give
    /// the same settings to the bit. Names that the space does not have are left out.
    pub fn settings(&self, stored: &[Stored]) -> IndexMap<String, toml::Value> {
        let mut settings = self.constants.clone();
        for (key, parameter) in &self.parameters {
            let found = stored.iter().find(|stored| stored.name == parameter.stored_name);
            if let Some(stored) = found {
                let value = self.own_value(parameter, stored).unwrap_or(stored.value);
                settings.insert(key.clone(), parameter.setting(value));
            }
        }
        settings
    }

    /// The point of stored parameters, such as those of a trial that Python added. Parameters
    /// whose conditions are not met are left out.
    pub fn point_of_stored(&self, stored: &[Stored]) -> Result<Point, SpaceError> {
        let mut point = vec![None; self.parameters.len()];
        for stored in stored {
            let Some((index, key, parameter)) = self.by_stored_name(&stored.name) else {
                return Err(SpaceError::unknown(&stored.name, self.stored_names()));
            };
            let Some(value) = self.own_value(parameter, stored) else {
                let cause = "its distribution is not the space's".to_string();
                return Err(SpaceError::value(key, stored.value, cause));
            };
            parameter.check(key, value, value)?;
            point[index] = Some(parameter.coordinate(value));
        }
        Ok(self.complete(point))
    }

    /// The stored parameters of a recipe's settings, such as an `[[enqueue]]` table's: exactly
    /// these values. Those that the settings leave out are missing.
    pub fn stored_of_values(&self, values: &toml::Table) -> Result<Vec<Stored>, SpaceError> {
        let flat = flatten(values, &|key| self.parameters.contains_key(key));
        let mut given = vec![None; self.parameters.len()];
        for (key, setting) in flat {
            if let Some(constant) = self.constants.get(&key) {
                if is_same(constant, &setting) {
                    continue;
                }
                let cause = format!("the space holds it at {constant}");
                return Err(SpaceError::value(&key, setting, cause));
            }
            let Some((index, _, parameter)) = self.parameters.get_full(&key) else {
                return Err(SpaceError::unknown(&key, self.parameters.keys().map(String::as_str)));
            };
            given[index] = Some(parameter.stored_value(&key, &setting)?);
        }
        self.active_only(given)
    }

    /// The stored parameters of Optuna's `fixed_params`: a value for each of some stored names.
    pub fn stored_of_fixed(
        &self,
        fixed: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<Stored>, SpaceError> {
        let mut given = vec![None; self.parameters.len()];
        for (name, value) in fixed {
            let Some((index, key, parameter)) = self.by_stored_name(name) else {
                return Err(SpaceError::unknown(name, self.stored_names()));
            };
            let stored = match &parameter.prior {
                Prior::Categories { values, .. } => {
                    let same = |known: &toml::Value| is_same_json(&to_json(known), value);
                    values.iter().position(same).map(|index| index as f64)
                }
                Prior::Numeric(_) => value.as_f64(),
            };
            let Some(stored) = stored else {
                return Err(SpaceError::value(key, value, "the space has no such value"));
            };
            parameter.check(key, stored, value)?;
            given[index] = Some(stored);
        }
        self.active_only(given)
    }

    /// The given parameters exactly, the others that take part from a proposal.
    pub fn fill(&self, given: &[Stored], proposal: &Point) -> Result<Vec<Stored>, SpaceError> {
        let fixed = self.point_of_stored(given)?;
        let mut point = proposal.clone();
        point.resize(self.parameters.len(), None);
        for (coordinate, fixed) in point.iter_mut().zip(&fixed) {
            *coordinate = fixed.or(*coordinate);
        }
        let mut stored = self.stored(&point);
        for parameter in &mut stored {
            if let Some(given) = given.iter().find(|given| given.name == parameter.name) {
                *parameter = given.clone();
            }
        }
        Ok(stored)
    }

    /// Stores given values, unless a value is given for a parameter that takes no part.
    fn active_only(&self, given: Vec<Option<f64>>) -> Result<Vec<Stored>, SpaceError> {
        let parameters = self.parameters.values().zip(&given);
        let known = parameters.map(|(parameter, value)| value.map(|v| parameter.coordinate(v)));
        let known: Point = known.collect();
        let complete = self.complete(known.clone());
        let mut stored = Vec::new();
        for (index, (key, parameter)) in self.parameters.iter().enumerate() {
            let Some(value) = given[index] else { continue };
            // A value whose condition depends on a setting that is not given is refused as well:
            // the setting may turn out another way.
            if complete[index].is_none() {
                let cause = "its condition is not met; give the setting that it depends on too";
                return Err(SpaceError::value(key, parameter.setting(value), cause));
            }
            stored.push(parameter.store(value));
        }
        Ok(stored)
    }

    /// A stored value in the space's own terms: the index of a category in its own list. None
    /// where the distribution is of another kind or the category unknown.
    fn own_value(&self, parameter: &Parameter, stored: &Stored) -> Option<f64> {
        match (&parameter.prior, &stored.distribution) {
            (Prior::Categories { values, .. }, Distribution::Categorical { choices }) => {
                let index = stored.value;
                if index < 0.0 || index.fract() != 0.0 {
                    return None;
                }
                let choice = choices.get(index as usize)?;
                let same = |known: &toml::Value| is_same_json(&to_json(known), choice);
                values.iter().position(same).map(|index| index as f64)
            }
            (Prior::Numeric(_), Distribution::Float { .. } | Distribution::Int { .. }) => {
                Some(stored.value)
            }
            _ => None,
        }
    }

    fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.values().map(|parameter| parameter.stored_name.as_str())
    }
}

/// A category as JSON.
pub(super) fn to_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        other => other.to_string().into(),
    }
}

/// A number, whole or not.
pub(super) fn as_number(value: &toml::Value) -> Option<f64> {
    match value {
        toml::Value::Integer(number) => Some(*number as f64),
        toml::Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Whether two settings are equal; 1 and 1.0 are.
pub(super) fn is_same(a: &toml::Value, b: &toml::Value) -> bool {
    match (as_number(a), as_number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b) == Ordering::Equal,
        _ => a == b,
    }
}

fn is_same_json(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b) == Ordering::Equal,
        _ => a == b,
    }
}

/// The settings of a table by their dotted keys: `[train] epochs = 3` is `train.epochs`.
fn flatten(table: &toml::Table, is_key: &dyn Fn(&str) -> bool) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) if !is_key(key) => {
                let settings = flatten(inner, &|inner| is_key(&format!("{key}.{inner}")));
                flat.extend(settings.into_iter().map(|(name, v)| (format!("{key}.{name}"), v)));
            }
            _ => flat.push((key.clone(), value.clone())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::space;
    use super::*;

    const SPACE: &str = r#"
        "train.learning_rate" = { log_normal = [-7.3, 0.7] }
        "train.batch_size" = { log_normal = [5, 1.5], integer = true, low = 1 }
        "train.warmup_steps" = { log_normal = [5.7, 1], integer = true, low = 0 }
        "train.adam_beta1" = { log_uniform = [0.01, 1], one_minus = true }
        "train.schedule" = ["linear", "cosine"]
        attention_dropout = { uniform = [0, 1] }
        momentum = { normal = [0, 1], when = { "train.schedule" = "cosine" } }
        share = { uniform = [0, 1], q = 0.1 }
        "train.precision" = "bf16"
    "#;

    fn table(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn stored_values_give_the_same_settings_to_the_bit() {
        let space = space(SPACE);
        for step in 0..200 {
            let u = |k: usize| (step as f64 * 0.6180339887 + k as f64 * 0.414).fract();
            let mut point: Point = (0..8).map(|k| Some(u(k))).collect();
            point[4] = Some((u(4) * 2.0).floor());
            let stored = space.stored(&point);
            assert_eq!(space.values(&point), space.settings(&stored));
            let back = space.point_of_stored(&stored).unwrap();
            for (a, b) in space.complete(point).iter().zip(&back) {
                assert_eq!(a.is_some(), b.is_some());
            }
            // Integers and categories come back from their coordinates, real numbers nearly.
            for (a, b) in stored.iter().zip(space.stored(&back)) {
                assert!(
                    (a.value - b.value).abs() <= 1e-12 * a.value.abs().max(1e-3),
                    "{a:?} {b:?}"
                );
                if !matches!(a.distribution, Distribution::Float { step: None, .. }) {
                    assert_eq!(a.value, b.value);
                }
            }
        }
    }

    #[test]
    fn given_settings_are_stored_exactly() {
        let space = space(SPACE);
        let given = table(
            r#"
            attention_dropout = 0
            "train.learning_rate" = 7e-4
            "train.batch_size" = 128
            "train.precision" = "bf16"
            [train]
            adam_beta1 = 0.9
            schedule = "cosine"
            "#,
        );
        let stored = space.stored_of_values(&given).unwrap();
        let names: Vec<&str> = stored.iter().map(|stored| stored.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "train.learning_rate",
                "train.batch_size",
                "one_minus_adam_beta1",
                "train.schedule",
                "attention_dropout"
            ]
        );
        let settings = space.settings(&stored);
        assert_eq!(settings["train.learning_rate"].as_float(), Some(7e-4));
        assert_eq!(settings["train.batch_size"].as_integer(), Some(128));
        assert_eq!(settings["train.adam_beta1"].as_float(), Some(0.9));
        assert_eq!(settings["train.schedule"].as_str(), Some("cosine"));

        let point = space.point_of_stored(&stored).unwrap();
        assert_eq!(point[2], None, "warmup is still to be proposed");
        let proposal = vec![Some(0.5); 8];
        let filled = space.settings(&space.fill(&stored, &proposal).unwrap());
        assert_eq!(filled["train.learning_rate"].as_float(), Some(7e-4));
        assert_eq!(filled["train.warmup_steps"].as_integer(), Some(299));
        assert!(filled.contains_key("momentum"), "the schedule is cosine");
    }

    #[test]
    fn values_outside_of_the_space_are_refused() {
        let space = space(SPACE);
        for (text, message) in [
            (
                "'train.learnin_rate' = 1e-3",
                "`train.learnin_rate` is not a parameter of the space; did you mean \
                 `train.learning_rate`?",
            ),
            (
                "'train.batch_size' = 0",
                "`train.batch_size` = 0: it is a whole number from 1 to 59874",
            ),
            (
                "'train.batch_size' = 1.5",
                "`train.batch_size` = 1.5: it is a whole number from 1 to 59874",
            ),
            ("attention_dropout = nan", "`attention_dropout` = nan: it is a number from 0 to 1"),
            ("attention_dropout = 'a'", "`attention_dropout` = \"a\": a number is expected"),
            (
                "'train.adam_beta1' = 0.999",
                "`train.adam_beta1` = 0.999: one minus it is a number from 0.01 to 1",
            ),
            (
                "'train.schedule' = 'linea'",
                "`train.schedule` = \"linea\": it is one of [\"linear\", \"cosine\"]",
            ),
            (
                "momentum = 0",
                "`momentum` = 0.0: its condition is not met; give the setting that it depends on \
                 too",
            ),
            ("share = 0.25", "`share` = 0.25: it is a multiple of 0.1 from 0 to 1"),
            (
                "'train.precision' = 'f32'",
                "`train.precision` = \"f32\": the space holds it at \"bf16\"",
            ),
        ] {
            assert_eq!(space.stored_of_values(&table(text)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn trials_that_python_added_are_read() {
        let space = space(SPACE);
        let category = |choices: &[&str], value| Stored {
            name: "train.schedule".to_string(),
            distribution: Distribution::Categorical {
                choices: choices.iter().map(|&choice| json!(choice)).collect(),
            },
            value,
        };
        let batch = |value| Stored {
            name: "train.batch_size".to_string(),
            distribution: Distribution::Int { low: 1, high: 64, log: true, step: 1 },
            value,
        };
        // The order of the list is another one, the range a narrower one.
        let stored = [category(&["cosine", "linear"], 0.0), batch(32.0)];
        let point = space.point_of_stored(&stored).unwrap();
        assert_eq!(point[4], Some(1.0));
        assert_eq!(space.settings(&stored)["train.schedule"].as_str(), Some("cosine"));
        assert_eq!(space.settings(&stored)["train.batch_size"].as_integer(), Some(32));

        let message = |stored: Stored| space.point_of_stored(&[stored]).unwrap_err().to_string();
        assert_eq!(
            message(category(&["constant"], 0.0)),
            "`train.schedule` = 0: its distribution is not the space's"
        );
        assert_eq!(
            message(batch(1e9)),
            "`train.batch_size` = 1000000000: it is a whole number from 1 to 59874"
        );
        let other = Stored { name: "one_minus_adam_beta".to_string(), ..batch(1.0) };
        assert!(message(other).ends_with("did you mean `one_minus_adam_beta1`?"));

        let fixed = json!({ "train.schedule": "cosine", "momentum": 0.5, "train.batch_size": 8 });
        let stored = space.stored_of_fixed(fixed.as_object().unwrap()).unwrap();
        assert_eq!(space.settings(&stored)["momentum"].as_float(), Some(0.5));
        let fixed = json!({ "train.schedule": "cosines" });
        assert_eq!(
            space.stored_of_fixed(fixed.as_object().unwrap()).unwrap_err().to_string(),
            "`train.schedule` = \"cosines\": the space has no such value"
        );
    }
}

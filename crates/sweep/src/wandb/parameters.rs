//! W&B's parameters as the entries of a `[space]` table.

use experiment::recipe::suggestion;
use serde_json::{Map, Value};

use super::{ImportError, names};

const KEYS: [&str; 12] = [
    "distribution",
    "value",
    "values",
    "probabilities",
    "min",
    "max",
    "mu",
    "sigma",
    "q",
    "a",
    "b",
    "parameters",
];

/// The space of W&B's `parameters`, with notes on what was renamed or changed.
pub(super) fn read(
    parameters: &Value,
    notes: &mut Vec<String>,
) -> Result<toml::Table, ImportError> {
    let Some(map) = parameters.as_object() else {
        return Err(ImportError::key("parameters", "has a key for each parameter"));
    };
    let mut table = toml::Table::new();
    read_nested("", map, &mut table, notes)?;
    if table.is_empty() {
        return Err(ImportError::key("parameters", "is empty"));
    }
    Ok(table)
}

/// Reads the parameters below `prefix`; inner ones have dotted names.
fn read_nested(
    prefix: &str,
    parameters: &Map<String, Value>,
    table: &mut toml::Table,
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    for (name, value) in parameters {
        let name = format!("{prefix}{name}");
        let Some(map) = value.as_object() else {
            let cause = "has a value, values or a distribution";
            return Err(ImportError::key(&name, cause));
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let cause = format!("`{key}` is not known; {}", suggestion(key, KEYS));
            return Err(ImportError::key(&name, cause));
        }
        if let Some(inner) = map.get("parameters") {
            let (Some(inner), 1) = (inner.as_object(), map.len()) else {
                let cause = "`parameters` has a key for each parameter, and nothing beside it";
                return Err(ImportError::key(&name, cause));
            };
            read_nested(&format!("{name}."), inner, table, notes)?;
            continue;
        }
        let parameter = Parameter { name: &name, map, setting: names::setting(&name) };
        let entry = parameter.entry(notes)?;
        let key = parameter.key(notes);
        if table.insert(key.clone(), entry).is_some() {
            return Err(ImportError::key(&name, format!("`{key}` is in the file twice")));
        }
    }
    Ok(())
}

/// A parameter while it is read.
struct Parameter<'a> {
    name: &'a str,
    map: &'a Map<String, Value>,
    setting: Option<names::Setting>,
}

impl Parameter<'_> {
    fn fail(&self, cause: impl Into<String>) -> ImportError {
        ImportError::key(self.name, cause)
    }

    /// The recipe's key.
    fn key(&self, notes: &mut Vec<String>) -> String {
        let name = self.name;
        match &self.setting {
            Some(setting) => {
                if setting.one_minus {
                    notes.push(format!("`{name}` is one minus `{}`.", setting.key));
                } else if setting.key != name {
                    notes.push(format!("`{name}` is `{}`.", setting.key));
                }
                setting.key.clone()
            }
            None => {
                notes.push(format!("`{name}` is kept as it is; write the recipe's key."));
                name.to_string()
            }
        }
    }

    fn entry(&self, notes: &mut Vec<String>) -> Result<toml::Value, ImportError> {
        match self.distribution()? {
            "constant" => {
                self.takes(&["value"])?;
                self.scalar(self.map.get("value").ok_or_else(|| self.fail("has no `value`"))?)
            }
            "categorical" => {
                self.takes(&["values"])?;
                let mut values = self.values()?;
                Ok(if values.len() == 1 { values.remove(0) } else { toml::Value::Array(values) })
            }
            "categorical_w_probabilities" => {
                self.takes(&["values", "probabilities"])?;
                let list = self.map.get("probabilities").and_then(Value::as_array);
                let numbers: Option<Vec<f64>> =
                    list.and_then(|list| list.iter().map(number).collect());
                let numbers = numbers.ok_or_else(|| self.fail("`probabilities` are numbers"))?;
                let mut entry = toml::Table::new();
                entry.insert("values".to_string(), toml::Value::Array(self.values()?));
                entry.insert("probabilities".to_string(), numbers.into());
                Ok(entry.into())
            }
            distribution => self.numeric(distribution, notes),
        }
    }

    /// The distribution's name, or what W&B takes where it is left out.
    fn distribution(&self) -> Result<&str, ImportError> {
        match self.map.get("distribution") {
            Some(Value::String(name)) => return Ok(name),
            Some(_) => return Err(self.fail("`distribution` is a name")),
            None => {}
        }
        if self.map.contains_key("value") {
            return Ok("constant");
        }
        if self.map.contains_key("values") {
            let weighted = self.map.contains_key("probabilities");
            return Ok(if weighted { "categorical_w_probabilities" } else { "categorical" });
        }
        match (self.map.get("min"), self.map.get("max")) {
            (Some(min), Some(max)) if min.is_i64() && max.is_i64() => Ok("int_uniform"),
            (Some(_), Some(_)) => Ok("uniform"),
            _ => Err(self.fail("has no value, values, min and max, or distribution")),
        }
    }

    /// Checks that nothing is given which the distribution does not have.
    fn takes(&self, keys: &[&str]) -> Result<(), ImportError> {
        let extra = |key: &&String| *key != "distribution" && !keys.contains(&key.as_str());
        match self.map.keys().find(extra) {
            Some(key) => Err(self.fail(format!("this distribution has no `{key}`"))),
            None => Ok(()),
        }
    }

    fn values(&self) -> Result<Vec<toml::Value>, ImportError> {
        let list = self.map.get("values").and_then(Value::as_array);
        let list = list.ok_or_else(|| self.fail("`values` is a list"))?;
        list.iter().map(|value| self.scalar(value)).collect()
    }

    fn scalar(&self, value: &Value) -> Result<toml::Value, ImportError> {
        match value {
            Value::Bool(flag) => Ok((*flag).into()),
            Value::String(text) => Ok(text.as_str().into()),
            Value::Number(number) => {
                let whole = number.as_i64().map(toml::Value::Integer);
                let real = || number.as_f64().map(toml::Value::Float);
                whole.or_else(real).ok_or_else(|| self.fail(format!("{number} is too large")))
            }
            other => Err(self.fail(format!("{other} is neither text, number, true nor false"))),
        }
    }

    fn numeric(
        &self,
        distribution: &str,
        notes: &mut Vec<String>,
    ) -> Result<toml::Value, ImportError> {
        let stepped = distribution.strip_prefix("q_");
        let (shape, keys, exponents): (&str, [&str; 2], bool) = match stepped
            .unwrap_or(distribution)
        {
            "uniform" => ("uniform", ["min", "max"], false),
            "int_uniform" if stepped.is_none() => ("uniform", ["min", "max"], false),
            "log_uniform_values" => ("log_uniform", ["min", "max"], false),
            "inv_log_uniform_values" if stepped.is_none() => ("log_uniform", ["min", "max"], false),
            "log_uniform" => ("log_uniform", ["min", "max"], true),
            "inv_log_uniform" if stepped.is_none() => ("log_uniform", ["min", "max"], true),
            "normal" => ("normal", ["mu", "sigma"], false),
            "log_normal" => ("log_normal", ["mu", "sigma"], false),
            "beta" => ("beta", ["a", "b"], false),
            _ => return Err(self.fail(format!("`{distribution}` is none of W&B's"))),
        };
        self.takes(&[keys[0], keys[1], if stepped.is_some() { "q" } else { keys[0] }])?;
        let defaults = match shape {
            "normal" | "log_normal" => [Some(0.0), Some(1.0)],
            "beta" => [Some(1.0), Some(1.0)],
            _ => [None, None],
        };
        let mut first = self.number(keys[0], defaults[0])?;
        let mut second = self.number(keys[1], defaults[1])?;
        if exponents {
            if distribution == "inv_log_uniform" {
                (first, second) = (-second, -first);
            }
            (first, second) = (libm::exp(first), libm::exp(second));
            notes.push(format!(
                "`{}`: `min` and `max` of {distribution} are exponents of e; the range is {first} \
                 to {second}.",
                self.name
            ));
        }
        let mut entry = toml::Table::new();
        entry.insert(shape.to_string(), vec![first, second].into());
        if distribution == "int_uniform" {
            entry.insert("integer".to_string(), true.into());
        } else if stepped.is_some() {
            self.step(shape, &mut entry, notes)?;
        }
        if self.setting.as_ref().is_some_and(|setting| setting.one_minus) {
            entry.insert("one_minus".to_string(), true.into());
        }
        let note = "Normal priors end at four standard deviations here; W&B's have no end.";
        if matches!(shape, "normal" | "log_normal") && notes.iter().all(|other| other != note) {
            notes.push(note.to_string());
        }
        Ok(entry.into())
    }

    /// The step of a `q_` distribution. Whole numbers of a setting that has no others are those
    /// that it takes, from the least one up.
    fn step(
        &self,
        shape: &str,
        entry: &mut toml::Table,
        notes: &mut Vec<String>,
    ) -> Result<(), ImportError> {
        let q = self.number("q", Some(1.0))?;
        let least = self.setting.as_ref().and_then(|setting| setting.whole_from);
        if let (Some(least), true, "normal" | "log_normal") = (least, q == 1.0, shape) {
            entry.insert("integer".to_string(), true.into());
            entry.insert("low".to_string(), least.into());
            if least > 0 {
                let name = self.name;
                notes.push(format!("`{name}`: W&B also draws 0; here it begins at {least}."));
            }
            return Ok(());
        }
        let is_whole = q.fract() == 0.0 && q.abs() < 9e15;
        let as_integer = self.map.get("q").is_some_and(Value::is_i64) || least.is_some();
        let q = if is_whole && as_integer {
            toml::Value::Integer(q as i64)
        } else {
            toml::Value::Float(q)
        };
        entry.insert("q".to_string(), q);
        Ok(())
    }

    fn number(&self, key: &str, default: Option<f64>) -> Result<f64, ImportError> {
        match self.map.get(key) {
            None => default.ok_or_else(|| self.fail(format!("has no `{key}`"))),
            Some(value) => number(value).ok_or_else(|| self.fail(format!("`{key}` is a number"))),
        }
    }
}

/// A number, also where YAML 1.1 takes it as text, such as `1e-2`.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, text: &str) -> Result<(String, Vec<String>), String> {
        let mut map = Map::new();
        map.insert(name.to_string(), serde_saphyr::from_str(text).unwrap());
        let mut notes = Vec::new();
        let table = read(&Value::Object(map), &mut notes).map_err(|error| error.to_string())?;
        let entries: Vec<String> =
            table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        Ok((entries.join("; "), notes))
    }

    #[test]
    fn every_distribution_has_its_entry() {
        for (text, want) in [
            ("{value: 3}", "x = 3"),
            ("{values: [3]}", "x = 3"),
            ("{values: [a, 1, 2.5, true]}", "x = [\"a\", 1, 2.5, true]"),
            (
                "{values: [1, 2], probabilities: [0.3, 0.7]}",
                "x = { values = [1, 2], probabilities = [0.3, 0.7] }",
            ),
            ("{min: 1, max: 9}", "x = { uniform = [1.0, 9.0], integer = true }"),
            ("{min: 1, max: 9.0}", "x = { uniform = [1.0, 9.0] }"),
            ("{distribution: uniform, min: 1, max: 9}", "x = { uniform = [1.0, 9.0] }"),
            (
                "{distribution: log_uniform_values, min: '1e-4', max: 1}",
                "x = { log_uniform = [0.0001, 1.0] }",
            ),
            (
                "{distribution: inv_log_uniform_values, min: 1, max: 9}",
                "x = { log_uniform = [1.0, 9.0] }",
            ),
            (
                "{distribution: log_uniform, min: 0, max: 1}",
                "x = { log_uniform = [1.0, 2.7182818284590455] }",
            ),
            (
                "{distribution: inv_log_uniform, min: -1, max: 0}",
                "x = { log_uniform = [1.0, 2.7182818284590455] }",
            ),
            ("{distribution: normal}", "x = { normal = [0.0, 1.0] }"),
            ("{distribution: q_normal, mu: 5, q: 2}", "x = { normal = [5.0, 1.0], q = 2 }"),
            ("{distribution: q_log_normal, mu: 5}", "x = { log_normal = [5.0, 1.0], q = 1.0 }"),
            (
                "{distribution: q_uniform, min: 0, max: 1, q: 0.25}",
                "x = { uniform = [0.0, 1.0], q = 0.25 }",
            ),
            (
                "{distribution: q_log_uniform_values, min: 1, max: 1000, q: 8}",
                "x = { log_uniform = [1.0, 1000.0], q = 8 }",
            ),
            ("{distribution: beta}", "x = { beta = [1.0, 1.0] }"),
            ("{distribution: q_beta, a: 2, b: 5, q: 0.1}", "x = { beta = [2.0, 5.0], q = 0.1 }"),
        ] {
            assert_eq!(entry("x", text).map(|entry| entry.0).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn settings_have_their_recipes_keys() {
        let (text, notes) = entry("model", "{parameters: {y: {value: 1}}}").unwrap();
        assert_eq!(text, "model.y = 1");
        assert_eq!(notes, ["`model.y` is kept as it is; write the recipe's key."]);
        let batch = "{distribution: q_uniform, min: 8, max: 64, q: 8.0}";
        assert_eq!(
            entry("batch_size", batch).unwrap().0,
            "train.batch_size = { uniform = [8.0, 64.0], q = 8 }"
        );
        let (text, notes) = entry("train.epochs", "{min: 1, max: 4}").unwrap();
        assert_eq!(text, "train.epochs = { uniform = [1.0, 4.0], integer = true }");
        assert_eq!(notes, Vec::<String>::new());
        let mut map = Map::new();
        for name in ["lr", "learning_rate"] {
            map.insert(name.to_string(), serde_json::json!({ "value": 1 }));
        }
        assert_eq!(
            read(&Value::Object(map), &mut Vec::new()).unwrap_err().to_string(),
            "`learning_rate`: `train.learning_rate` is in the file twice"
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, cause) in [
            ("3", "has a value, values or a distribution"),
            ("{}", "has no value, values, min and max, or distribution"),
            ("{min: 1}", "has no value, values, min and max, or distribution"),
            ("{distribution: uniform, min: 1}", "has no `max`"),
            ("{distribution: uniform, min: 1, max: x}", "`max` is a number"),
            ("{distribution: uniform, min: 1, max: 2, mu: 0}", "this distribution has no `mu`"),
            ("{distribution: normal, q: 2}", "this distribution has no `q`"),
            ("{distribution: weibull}", "`weibull` is none of W&B's"),
            ("{distribution: 3}", "`distribution` is a name"),
            ("{vales: [1, 2]}", "`vales` is not known; did you mean `values`?"),
            ("{values: 3}", "`values` is a list"),
            ("{values: [1, [2]]}", "[2] is neither text, number, true nor false"),
            ("{value: null}", "null is neither text, number, true nor false"),
            ("{values: [1, 2], probabilities: [a, b]}", "`probabilities` are numbers"),
            ("{parameters: 3}", "`parameters` has a key for each parameter, and nothing beside it"),
        ] {
            assert_eq!(entry("x", text), Err(format!("`x`: {cause}")), "{text}");
        }
        let empty = read(&Value::Object(Map::new()), &mut Vec::new()).unwrap_err();
        assert_eq!(empty.to_string(), "`parameters`: is empty");
    }
}

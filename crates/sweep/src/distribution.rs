//! Optuna's distributions, as its database keeps them in `trial_params.distribution_json`.

use serde_json::{Value, json};

/// What a stored parameter may be: the range or choices that its value was drawn from.
///
/// A value is stored as a float: a number as itself (not its logarithm), a choice as its index.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// A real number from `low` to `high`.
    Float {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
        /// Drawn on a logarithmic scale.
        log: bool,
        /// Only `low`, `low + step`, ... occur.
        step: Option<f64>,
    },
    /// A whole number from `low` to `high`.
    Int {
        /// The smallest value.
        low: i64,
        /// The largest value.
        high: i64,
        /// Drawn on a logarithmic scale.
        log: bool,
        /// Only `low`, `low + step`, ... occur.
        step: i64,
    },
    /// One of a list.
    Categorical {
        /// The choices, in the order that their indices count.
        choices: Vec<Value>,
    },
}

/// Why a text is no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    /// The text is not JSON of the form `{"name": ..., "attributes": {...}}`.
    #[error("no distribution: {0}")]
    Malformed(String),
    /// A kind that is none of Optuna's.
    #[error("`{0}` is none of Optuna's distributions")]
    UnknownName(String),
    /// Its attributes contradict each other.
    #[error("{name}: {cause}")]
    Invalid {
        /// The distribution's name.
        name: String,
        /// What is wrong.
        cause: String,
    },
}

impl Distribution {
    /// Reads Optuna's JSON, with the five names that were in use before Optuna 3.
    pub fn from_json(text: &str) -> Result<Self, DistributionError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| DistributionError::Malformed(error.to_string()))?;
        let name = value.get("name").and_then(Value::as_str);
        let attributes = value.get("attributes").filter(|attributes| attributes.is_object());
        let (Some(name), Some(attributes)) = (name, attributes) else {
            let cause = "`name` and `attributes` are expected".to_string();
            return Err(DistributionError::Malformed(cause));
        };
        let read = Attributes { name, attributes };
        match name {
            "FloatDistribution" => read.float(read.flag("log")?, read.optional("step")?),
            "UniformDistribution" => read.float(false, None),
            "LogUniformDistribution" => read.float(true, None),
            "DiscreteUniformDistribution" => read.float(false, Some(read.number("q")?)),
            "IntDistribution" => read.int(read.flag("log")?),
            "IntUniformDistribution" => read.int(false),
            "IntLogUniformDistribution" => read.int(true),
            "CategoricalDistribution" => read.categorical(),
            _ => Err(DistributionError::UnknownName(name.to_string())),
        }
    }

    /// Optuna's JSON, under the names in use since Optuna 3.
    pub fn to_json(&self) -> String {
        let value = match self {
            Self::Float { low, high, log, step } => json!({
                "name": "FloatDistribution",
                "attributes": { "step": step, "low": low, "high": high, "log": log },
            }),
            Self::Int { low, high, log, step } => json!({
                "name": "IntDistribution",
                "attributes": { "log": log, "step": step, "low": low, "high": high },
            }),
            Self::Categorical { choices } => json!({
                "name": "CategoricalDistribution",
                "attributes": { "choices": choices },
            }),
        };
        value.to_string()
    }

    /// Whether a stored value is one that the distribution allows.
    pub fn contains(&self, value: f64) -> bool {
        match self {
            Self::Float { low, high, .. } => *low <= value && value <= *high,
            Self::Int { low, high, step, .. } => {
                value.fract() == 0.0
                    && *low as f64 <= value
                    && value <= *high as f64
                    && (value as i64 - low) % step == 0
            }
            Self::Categorical { choices } => {
                value.fract() == 0.0 && 0.0 <= value && value < choices.len() as f64
            }
        }
    }
}

/// The attributes of one distribution while they are read.
struct Attributes<'a> {
    name: &'a str,
    attributes: &'a Value,
}

impl Attributes<'_> {
    fn invalid(&self, cause: impl Into<String>) -> DistributionError {
        DistributionError::Invalid { name: self.name.to_string(), cause: cause.into() }
    }

    fn optional(&self, key: &str) -> Result<Option<f64>, DistributionError> {
        match self.attributes.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.invalid(format!("`{key}` is {value}, not a finite number"))),
            },
        }
    }

    fn number(&self, key: &str) -> Result<f64, DistributionError> {
        self.optional(key)?.ok_or_else(|| self.invalid(format!("`{key}` is missing")))
    }

    fn flag(&self, key: &str) -> Result<bool, DistributionError> {
        match self.attributes.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.invalid(format!("`{key}` is {value}, not true or false"))),
        }
    }

    fn whole(&self, key: &str) -> Result<i64, DistributionError> {
        let number = self.number(key)?;
        if number.fract() != 0.0 || number.abs() > (1u64 << 53) as f64 {
            return Err(self.invalid(format!("`{key}` is {number}, not a whole number")));
        }
        Ok(number as i64)
    }

    fn float(&self, log: bool, step: Option<f64>) -> Result<Distribution, DistributionError> {
        let (low, mut high) = (self.number("low")?, self.number("high")?);
        if low > high {
            return Err(self.invalid(format!("low {low} is above high {high}")));
        }
        if log && low <= 0.0 {
            return Err(self.invalid(format!("a logarithmic range cannot begin at {low}")));
        }
        if let Some(step) = step {
            if log {
                return Err(self.invalid("a logarithmic range has no step"));
            }
            if step <= 0.0 {
                return Err(self.invalid(format!("step {step} is not above zero")));
            }
            // The tolerance is for a grid whose last point is `high` but for rounding. Optuna
            // computes in decimal digits, so 15 of them are kept of another one.
            let steps = (high - low) / step;
            let tolerance = (1e-14 * steps).max(1e-9);
            let whole = (steps + tolerance).floor();
            if (steps - whole).abs() > tolerance {
                let last = low + whole * step;
                high = format!("{last:.14e}").parse().unwrap_or(last).clamp(low, high);
            }
        }
        Ok(Distribution::Float { low, high, log, step })
    }

    fn int(&self, log: bool) -> Result<Distribution, DistributionError> {
        let (low, high) = (self.whole("low")?, self.whole("high")?);
        let step = if self.optional("step")?.is_some() { self.whole("step")? } else { 1 };
        if low > high {
            return Err(self.invalid(format!("low {low} is above high {high}")));
        }
        if step < 1 {
            return Err(self.invalid(format!("step {step} is not above zero")));
        }
        if log && low < 1 {
            return Err(self.invalid(format!("a logarithmic range cannot begin at {low}")));
        }
        if log && step != 1 {
            return Err(self.invalid("a logarithmic range has a step of 1"));
        }
        Ok(Distribution::Int { low, high: low + (high - low) / step * step, log, step })
    }

    fn categorical(&self) -> Result<Distribution, DistributionError> {
        match self.attributes.get("choices") {
            Some(Value::Array(choices)) if !choices.is_empty() => {
                Ok(Distribution::Categorical { choices: choices.clone() })
            }
            _ => Err(self.invalid("`choices` is no list, or an empty one")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Distribution {
        Distribution::from_json(text).unwrap()
    }

    /// Optuna 5.0.0's texts, but for line breaks.
    #[test]
    fn optunas_distributions_are_read_and_written_back() {
        let float = read(
            r#"{"name": "FloatDistribution",
                "attributes": {"step": null, "low": 1e-05, "high": 0.01, "log": true}}"#,
        );
        assert_eq!(float, Distribution::Float { low: 1e-5, high: 0.01, log: true, step: None });
        let int = read(
            r#"{"name": "IntDistribution",
                "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}"#,
        );
        assert_eq!(int, Distribution::Int { low: 1, high: 9, log: false, step: 2 });
        let categorical = read(
            r#"{"name": "CategoricalDistribution",
                "attributes": {"choices": ["linear", 1, null, 2.5, true]}}"#,
        );
        let choices = vec![json!("linear"), json!(1), json!(null), json!(2.5), json!(true)];
        assert_eq!(categorical, Distribution::Categorical { choices });
        for distribution in [float, int, categorical] {
            assert_eq!(read(&distribution.to_json()), distribution);
        }
    }

    #[test]
    fn names_before_optuna_3_are_read() {
        for (name, attributes, want) in [
            (
                "UniformDistribution",
                r#"{"low": 0.0, "high": 1.0}"#,
                Distribution::Float { low: 0.0, high: 1.0, log: false, step: None },
            ),
            (
                "LogUniformDistribution",
                r#"{"low": 0.1, "high": 1.0}"#,
                Distribution::Float { low: 0.1, high: 1.0, log: true, step: None },
            ),
            (
                "DiscreteUniformDistribution",
                r#"{"low": 0.0, "high": 1.0, "q": 0.3}"#,
                Distribution::Float { low: 0.0, high: 0.9, log: false, step: Some(0.3) },
            ),
            (
                "IntUniformDistribution",
                r#"{"low": 1, "high": 8, "step": 3}"#,
                Distribution::Int { low: 1, high: 7, log: false, step: 3 },
            ),
            (
                "IntLogUniformDistribution",
                r#"{"low": 1, "high": 8, "step": 1}"#,
                Distribution::Int { low: 1, high: 8, log: true, step: 1 },
            ),
        ] {
            let text = format!(r#"{{"name": "{name}", "attributes": {attributes}}}"#);
            assert_eq!(read(&text), want);
        }
    }

    #[test]
    fn contradictions_are_refused_with_their_cause() {
        for (text, cause) in [
            ("{", "no distribution: EOF while parsing an object at line 1 column 1"),
            ("[]", "no distribution: `name` and `attributes` are expected"),
            (r#"{"name": "Odd", "attributes": {}}"#, "`Odd` is none of Optuna's distributions"),
            (
                r#"{"name": "FloatDistribution", "attributes": {"low": 1, "high": 0}}"#,
                "FloatDistribution: low 1 is above high 0",
            ),
            (
                r#"{"name": "FloatDistribution",
                    "attributes": {"low": 0, "high": 1, "log": true}}"#,
                "FloatDistribution: a logarithmic range cannot begin at 0",
            ),
            (
                r#"{"name": "IntDistribution", "attributes": {"low": 1.5, "high": 4}}"#,
                "IntDistribution: `low` is 1.5, not a whole number",
            ),
            (
                r#"{"name": "IntDistribution", "attributes": {"low": 1, "high": 4, "step": 0}}"#,
                "IntDistribution: step 0 is not above zero",
            ),
            (
                r#"{"name": "CategoricalDistribution", "attributes": {"choices": []}}"#,
                "CategoricalDistribution: `choices` is no list, or an empty one",
            ),
        ] {
            assert_eq!(Distribution::from_json(text).unwrap_err().to_string(), cause);
        }
    }

    #[test]
    fn a_distribution_contains_its_own_values() {
        let int = Distribution::Int { low: 1, high: 9, log: false, step: 2 };
        assert!(int.contains(3.0) && !int.contains(4.0) && !int.contains(11.0));
        let choices = Distribution::Categorical { choices: vec![json!(1), json!(2)] };
        assert!(choices.contains(1.0) && !choices.contains(2.0));
    }
}

//! Reading a recipe's `[space]` table.

use experiment::recipe::suggestion;
use indexmap::IndexMap;

use super::prior::LARGEST_INTEGER;
use super::stored::{as_number, is_same};
use super::{Grid, NumericPrior, Parameter, Prior, Shape, Space, SpaceError, condition};

const SHAPES: [&str; 6] = ["uniform", "log_uniform", "normal", "log_normal", "beta", "values"];
const MODIFIERS: [&str; 7] = ["integer", "q", "low", "high", "one_minus", "when", "probabilities"];

pub(super) fn space(table: &toml::Table) -> Result<Space, SpaceError> {
    let mut parameters = IndexMap::new();
    let mut constants = IndexMap::new();
    for (key, value) in table {
        let prior = match value {
            toml::Value::Array(list) => categories(key, list, None)?,
            toml::Value::Table(table) => prior(key, table)?,
            constant => {
                check_scalar(key, constant)?;
                constants.insert(key.clone(), constant.clone());
                continue;
            }
        };
        let one_minus = flag(key, value.as_table(), "one_minus")?;
        if one_minus && !matches!(&prior, Prior::Numeric(prior) if prior.grid() == Grid::Real) {
            let cause = "`one_minus` is for real numbers, without integer, q and lists";
            return Err(SpaceError::invalid(key, cause));
        }
        let stored_name = if one_minus {
            format!("one_minus_{}", key.rsplit('.').next().unwrap_or(key))
        } else {
            key.clone()
        };
        let parameter = Parameter { prior, one_minus, when: Vec::new(), stored_name };
        parameters.insert(key.clone(), parameter);
    }
    check_names(&parameters)?;
    for (key, value) in table {
        if let Some(when) = value.as_table().and_then(|table| table.get("when")) {
            let conditions = condition::parse(key, when, &parameters)?;
            if let Some(parameter) = parameters.get_mut(key) {
                parameter.when = conditions;
            }
        }
    }
    let order = condition::order(&parameters)?;
    Ok(Space { parameters, constants, order })
}

/// Checks that no two parameters share a name in the store.
fn check_names(parameters: &IndexMap<String, Parameter>) -> Result<(), SpaceError> {
    for (index, (key, parameter)) in parameters.iter().enumerate() {
        let name = &parameter.stored_name;
        let mut earlier = parameters.iter().take(index);
        if let Some((other, _)) = earlier.find(|(_, other)| &other.stored_name == name) {
            let cause = format!("`{other}` is stored as {name} too; leave `one_minus` out of one");
            return Err(SpaceError::invalid(key, cause));
        }
        if name.is_empty() || name.len() > 512 {
            return Err(SpaceError::invalid(key, "a name has 1 to 512 bytes"));
        }
    }
    Ok(())
}

/// The prior that a parameter's table describes.
fn prior(key: &str, table: &toml::Table) -> Result<Prior, SpaceError> {
    let known = || SHAPES.into_iter().chain(MODIFIERS);
    let unknown = table.keys().find(|name| !known().any(|known| known == name.as_str()));
    if let Some(name) = unknown {
        if !table.is_empty() && table.values().all(|value| value.is_table()) {
            let cause = format!("write the whole key in quotes, as in \"{key}.{name}\" = ...");
            return Err(SpaceError::invalid(key, cause));
        }
        let hint = suggestion(name, known());
        return Err(SpaceError::invalid(key, format!("`{name}` is not known; {hint}")));
    }
    let mut shapes = SHAPES.into_iter().filter(|shape| table.contains_key(*shape));
    let (Some(shape), None) = (shapes.next(), shapes.next()) else {
        let cause = format!("exactly one of {} is expected", SHAPES.join(", "));
        return Err(SpaceError::invalid(key, cause));
    };
    let takes: &[&str] = match shape {
        "values" => &["probabilities", "when"],
        "uniform" | "log_uniform" | "beta" => &["integer", "q", "one_minus", "when"],
        _ => &["integer", "q", "one_minus", "when", "low", "high"],
    };
    let extra = table.keys().find(|&name| name != shape && !takes.contains(&name.as_str()));
    if let Some(extra) = extra {
        let cause = format!("`{shape}` takes no `{extra}`");
        return Err(SpaceError::invalid(key, cause));
    }
    let arguments = &table[shape];
    if shape == "values" {
        let Some(list) = arguments.as_array() else {
            return Err(SpaceError::invalid(key, "`values` is a list"));
        };
        return categories(key, list, table.get("probabilities"));
    }
    let numeric = NumericPrior::new(
        parse_shape(key, shape, arguments)?,
        grid(key, table)?,
        number(key, table, "low")?,
        number(key, table, "high")?,
    );
    numeric.map(Prior::Numeric).map_err(|cause| SpaceError::invalid(key, cause))
}

fn parse_shape(key: &str, shape: &str, arguments: &toml::Value) -> Result<Shape, SpaceError> {
    let list = arguments.as_array().map(Vec::as_slice).unwrap_or_default();
    let numbers: Vec<f64> = list.iter().filter_map(as_number).collect();
    let &[first, second] = numbers.as_slice() else {
        return Err(SpaceError::invalid(key, format!("`{shape}` takes two numbers")));
    };
    if list.len() != 2 || !first.is_finite() || !second.is_finite() {
        return Err(SpaceError::invalid(key, format!("`{shape}` takes two finite numbers")));
    }
    let check = |right: bool, cause: String| {
        if right { Ok(()) } else { Err(SpaceError::invalid(key, cause)) }
    };
    match shape {
        "uniform" | "log_uniform" => {
            check(first < second, format!("low {first} is not below high {second}"))?;
            if shape == "uniform" {
                return Ok(Shape::Uniform { low: first, high: second });
            }
            check(first > 0.0, format!("`log_uniform` begins above zero, not at {first}"))?;
            Ok(Shape::LogUniform { low: first, high: second })
        }
        "beta" => {
            let cause =
                format!("`beta` takes two numbers from 0.001 to 1e6, not {first} and {second}");
            let fits = |number: f64| (0.001..=1e6).contains(&number);
            check(fits(first) && fits(second), cause)?;
            Ok(Shape::Beta { a: first, b: second })
        }
        _ => {
            let cause = format!("the standard deviation is above zero, not {second}");
            check(second > 0.0, cause)?;
            if shape == "normal" {
                return Ok(Shape::Normal { mean: first, sd: second });
            }
            let most = libm::exp(first.abs() + 4.0 * second);
            check(most < 1e300, "the logarithm's mean or deviation is too large".to_string())?;
            Ok(Shape::LogNormal { mean: first, sd: second })
        }
    }
}

fn grid(key: &str, table: &toml::Table) -> Result<Grid, SpaceError> {
    let integer = flag(key, Some(table), "integer")?;
    let Some(q) = number(key, table, "q")? else {
        return Ok(if integer { Grid::Integer } else { Grid::Real });
    };
    if integer {
        let cause = "`q` written as an integer gives integers; leave `integer` out";
        return Err(SpaceError::invalid(key, cause));
    }
    if q <= 0.0 || q > LARGEST_INTEGER {
        return Err(SpaceError::invalid(key, format!("`q` is above zero, not {q}")));
    }
    Ok(Grid::Step { q, integer: table["q"].is_integer() })
}

fn number(key: &str, table: &toml::Table, name: &str) -> Result<Option<f64>, SpaceError> {
    let Some(value) = table.get(name) else { return Ok(None) };
    let number = as_number(value).filter(|number| number.is_finite());
    let cause = || SpaceError::invalid(key, format!("`{name}` is a finite number, not {value}"));
    number.ok_or_else(cause).map(Some)
}

fn flag(key: &str, table: Option<&toml::Table>, name: &str) -> Result<bool, SpaceError> {
    match table.and_then(|table| table.get(name)) {
        None => Ok(false),
        Some(toml::Value::Boolean(flag)) => Ok(*flag),
        Some(value) => {
            let cause = format!("`{name}` is true or false, not {value}");
            Err(SpaceError::invalid(key, cause))
        }
    }
}

fn categories(
    key: &str,
    values: &[toml::Value],
    probabilities: Option<&toml::Value>,
) -> Result<Prior, SpaceError> {
    if values.is_empty() {
        return Err(SpaceError::invalid(key, "the list is empty"));
    }
    if let [only] = values {
        let cause = format!("a list has two values at least; for a constant write {only}");
        return Err(SpaceError::invalid(key, cause));
    }
    for (index, value) in values.iter().enumerate() {
        check_scalar(key, value)?;
        if values[..index].iter().any(|earlier| is_same(earlier, value)) {
            return Err(SpaceError::invalid(key, format!("{value} is in the list twice")));
        }
    }
    let probabilities = match probabilities {
        None => vec![1.0 / values.len() as f64; values.len()],
        Some(list) => parse_probabilities(key, list, values.len())?,
    };
    Ok(Prior::Categories { values: values.to_vec(), probabilities })
}

fn parse_probabilities(
    key: &str,
    list: &toml::Value,
    count: usize,
) -> Result<Vec<f64>, SpaceError> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let numbers: Vec<f64> = list.iter().filter_map(as_number).collect();
    if numbers.len() != count || list.len() != count {
        let cause = format!("`probabilities` has a number for each of the {count} values");
        return Err(SpaceError::invalid(key, cause));
    }
    if let Some(bad) = numbers.iter().find(|number| !(0.0..=1.0).contains(*number)) {
        return Err(SpaceError::invalid(key, format!("{bad} is not a probability")));
    }
    let sum: f64 = numbers.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(SpaceError::invalid(key, format!("the probabilities sum to {sum}, not 1")));
    }
    Ok(numbers)
}

fn check_scalar(key: &str, value: &toml::Value) -> Result<(), SpaceError> {
    match value {
        toml::Value::Float(number) if !number.is_finite() => {
            Err(SpaceError::invalid(key, format!("{number} is not a finite number")))
        }
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => {
            let cause = format!("{value} is neither text, number, true nor false");
            Err(SpaceError::invalid(key, cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let table: toml::Table = text.parse().unwrap();
        Space::parse(&table).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_refused_with_key_and_cause() {
        for (text, cause) in [
            ("a = { uniform = [2, 1] }", "low 2 is not below high 1"),
            ("a = { uniform = [1, 1] }", "low 1 is not below high 1"),
            ("a = { uniform = [1] }", "`uniform` takes two numbers"),
            ("a = { uniform = [1, 2, 'x'] }", "`uniform` takes two finite numbers"),
            ("a = { uniform = [nan, 1] }", "`uniform` takes two finite numbers"),
            ("a = { uniform = 'wide' }", "`uniform` takes two numbers"),
            ("a = { log_uniform = [0, 1] }", "`log_uniform` begins above zero, not at 0"),
            ("a = { log_uniform = [-1, 1] }", "`log_uniform` begins above zero, not at -1"),
            ("a = { normal = [0, 0] }", "the standard deviation is above zero, not 0"),
            ("a = { log_normal = [0, -1] }", "the standard deviation is above zero, not -1"),
            ("a = { log_normal = [900, 1] }", "the logarithm's mean or deviation is too large"),
            (
                "a = { log_normal = [0, 1], low = 0 }",
                "a logarithmic prior has values above zero only, low is 0",
            ),
            ("a = { normal = [0, 1], low = 2, high = 1 }", "low 2 is not below high 1"),
            ("a = { normal = [0, 1], low = inf }", "`low` is a finite number, not inf"),
            ("a = { beta = [0, 1] }", "`beta` takes two numbers from 0.001 to 1e6, not 0 and 1"),
            ("a = { uniform = [0, 1], low = 0 }", "`uniform` takes no `low`"),
            (
                "a = { uniform = [0, 1], normal = [0, 1] }",
                "exactly one of uniform, log_uniform, normal, log_normal, beta, values is expected",
            ),
            (
                "a = { integer = true }",
                "exactly one of uniform, log_uniform, normal, log_normal, beta, values is expected",
            ),
            (
                "a = { log_nromal = [0, 1] }",
                "`log_nromal` is not known; did you mean `log_normal`?",
            ),
            (
                "a = { uniform = [0, 1], integr = true }",
                "`integr` is not known; did you mean `integer`?",
            ),
            ("a = { uniform = [0, 1], integer = 1 }", "`integer` is true or false, not 1"),
            (
                "a = { uniform = [0.2, 0.8], integer = true }",
                "there is one value at most between 0.2 and 0.8",
            ),
            ("a = { uniform = [0, 1], q = 0 }", "`q` is above zero, not 0"),
            (
                "a = { uniform = [0, 9], q = 2, integer = true }",
                "`q` written as an integer gives integers; leave `integer` out",
            ),
            (
                "a = { uniform = [0, 9], integer = true, one_minus = true }",
                "`one_minus` is for real numbers, without integer, q and lists",
            ),
            ("a = []", "the list is empty"),
            ("a = [3]", "a list has two values at least; for a constant write 3"),
            ("a = [1, 1.0]", "1.0 is in the list twice"),
            ("a = [1, nan]", "NaN is not a finite number"),
            ("a = [1, [2]]", "[2] is neither text, number, true nor false"),
            ("a = nan", "NaN is not a finite number"),
            ("a = { values = 3 }", "`values` is a list"),
            (
                "a = { values = [1, 2], probabilities = [1] }",
                "`probabilities` has a number for each of the 2 values",
            ),
            (
                "a = { values = [1, 2], probabilities = [0.5, 0.6] }",
                "the probabilities sum to 1.1, not 1",
            ),
            ("a = { values = [1, 2], probabilities = [1.5, -0.5] }", "1.5 is not a probability"),
            (
                "a = { b = { uniform = [0, 1] } }",
                "write the whole key in quotes, as in \"a.b\" = ...",
            ),
            (
                "a = { uniform = [0, 1], when = 3 }",
                "`when` is a table, as in when = { key = value }",
            ),
            (
                "bb = [1, 2]\na = { uniform = [0, 1], when = { bbb = 1 } }",
                "`when` names `bbb`, which is not in the space; did you mean `bb`?",
            ),
            (
                "b = [1, 2]\na = { uniform = [0, 1], when = { b = 3 } }",
                "`when` names b = 3, which is none of [1, 2]",
            ),
            (
                "b = { uniform = [0, 1] }\na = { uniform = [0, 1], when = { b = 0 } }",
                "`when` names `b`, which is not a list of values",
            ),
        ] {
            assert_eq!(message(text), format!("space: `a`: {cause}"));
        }
    }

    #[test]
    fn conditions_in_a_circle_are_refused() {
        assert_eq!(
            message(
                "c = [1, 2]\n\
                 a = { values = [1, 2], when = { b = 1 } }\n\
                 b = { values = [1, 2], when = { a = 1 } }"
            ),
            "space: the conditions of these parameters depend on each other: a, b"
        );
        assert_eq!(
            message("a = { values = [1, 2], when = { a = 1 } }"),
            "space: the conditions of these parameters depend on each other: a"
        );
    }

    #[test]
    fn two_parameters_cannot_share_a_name_in_the_store() {
        assert_eq!(
            message(
                "'x.beta' = { uniform = [0, 1], one_minus = true }\n\
                 'y.beta' = { uniform = [0, 1], one_minus = true }"
            ),
            "space: `y.beta`: `x.beta` is stored as one_minus_beta too; leave `one_minus` out of \
             one"
        );
    }
}

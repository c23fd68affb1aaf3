//! Recipes as tables: what runs, or the models of a run, have in common stays out.

use std::collections::BTreeMap;

use report::{Align, Table};
use toml::Value;

/// Settings by their dotted keys.
type Settings = BTreeMap<String, String>;

/// The settings in which columns differ, a row each; none where they do not. A setting that a
/// column lacks is a dash.
fn differences(columns: &[(String, Settings)]) -> Option<Table> {
    let keys: std::collections::BTreeSet<&String> =
        columns.iter().flat_map(|(_, settings)| settings.keys()).collect();
    let heads = columns.iter().map(|(name, _)| (name.as_str(), Align::Left));
    let mut table = Table::new([("setting", Align::Left)].into_iter().chain(heads));
    let mut any = false;
    for key in keys {
        let values: Vec<Option<&String>> =
            columns.iter().map(|(_, settings)| settings.get(key)).collect();
        if values.iter().all(|value| *value == values[0]) {
            continue;
        }
        any = true;
        let cells = values.into_iter().map(|value| value.map_or("-".to_owned(), Clone::clone));
        table.push([key.clone()].into_iter().chain(cells).collect());
    }
    any.then_some(table)
}

/// The settings in which the recipes of several runs differ.
pub(super) fn of_runs(runs: &[(String, &toml::Table)]) -> Option<Table> {
    let flat = |(name, recipe): &(String, &toml::Table)| {
        let mut settings = Settings::new();
        flatten("", &Value::Table((*recipe).clone()), &mut settings);
        (name.clone(), settings)
    };
    differences(&runs.iter().map(flat).collect::<Vec<_>>()).filter(|_| runs.len() > 1)
}

/// The settings in which the models of a run differ.
pub(super) fn of_models(recipe: &toml::Table) -> Option<Table> {
    let models = recipe.get("models")?.as_table()?;
    let flat = |(name, section): (&String, &Value)| {
        let mut settings = Settings::new();
        flatten("", section, &mut settings);
        (name.clone(), settings)
    };
    differences(&models.iter().map(flat).collect::<Vec<_>>()).filter(|_| models.len() > 1)
}

/// Adds every value below a key. A list is one value.
fn flatten(key: &str, value: &Value, settings: &mut Settings) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&inner, value, settings);
            }
        }
        Value::String(text) => drop(settings.insert(key.to_owned(), text.clone())),
        value => drop(settings.insert(key.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> toml::Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn only_what_differs_is_shown() {
        let [a, b] =
            ["seed = 1\n[corpus]\nwords = 5\nname = \"x\"", "seed = 2\n[corpus]\nwords = 5"]
                .map(parse);
        let runs = [("a".to_owned(), &a), ("b".to_owned(), &b)];
        let text = of_runs(&runs).unwrap().to_text();
        let lines: Vec<Vec<&str>> =
            text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["corpus.name", "x", "-"], vec!["seed", "1", "2"]]);
        assert!(of_runs(&[("a".to_owned(), &a), ("c".to_owned(), &a)]).is_none());
        assert!(of_runs(&runs[..1]).is_none());
    }

    #[test]
    fn models_are_compared_by_their_sections() {
        let recipe = parse("[models.a.train]\nepochs = 1\n[models.b.train]\nepochs = 2\nseed = 3");
        let text = of_models(&recipe).unwrap().to_text();
        assert!(text.contains("train.epochs  1  2") && text.contains("train.seed"), "{text}");
        assert!(of_models(&parse("seed = 1")).is_none());
    }
}

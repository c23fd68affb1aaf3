//! A sweep of W&B's as a recipe's text.

use std::fmt::Write as _;

use super::Import;

/// So many trials where W&B would go on without end.
const TRIALS: u64 = 100;

impl Import {
    /// The recipe of a sweep, named, over a model of another recipe. The notes stand at its head.
    pub fn to_recipe(&self, name: &str, recipe: &str, model: &str) -> String {
        let mut text = String::from("# From a W&B sweep file.\n");
        for note in &self.notes {
            text.push_str(&format!("# - {note}\n"));
        }
        if self.trials.is_none() {
            text.push_str("# - W&B's sweep has no end; `trials` is a number to change.\n");
        }
        let entries = [
            ("name", name.into()),
            ("recipe", recipe.into()),
            ("model", model.into()),
            ("seed", toml::Value::Integer(1)),
            ("trials", toml::Value::Integer(self.trials.unwrap_or(TRIALS) as i64)),
            ("objective", self.objective()),
            ("sampler", serialized(&self.sampler)),
            ("stop", serialized(&self.stop)),
        ];
        // Writing to a string never fails.
        for (key, value) in entries {
            let _ = writeln!(text, "{key} = {value}");
        }
        text.push_str("\n[space]\n");
        for (key, value) in &self.table {
            let _ = writeln!(text, "{} = {value}", toml::Value::from(key.as_str()));
        }
        text
    }

    fn objective(&self) -> toml::Value {
        let mut objective = toml::Table::new();
        let metric = self.metric.as_ref();
        let name = metric.map_or("validation_loss", |metric| metric.name.as_str());
        objective.insert("metric".to_string(), name.into());
        // W&B's `bayes` takes the best of everything that a run reported.
        objective.insert("at".to_string(), "best".into());
        if metric.is_some_and(|metric| metric.maximize) {
            objective.insert("goal".to_string(), "maximize".into());
        }
        if let Some(target) = metric.and_then(|metric| metric.target) {
            objective.insert("target".to_string(), target.into());
        }
        objective.into()
    }
}

/// A setting as TOML.
fn serialized(value: &impl serde::Serialize) -> toml::Value {
    toml::Value::try_from(value).unwrap_or_else(|_| toml::Table::new().into())
}

#[cfg(test)]
mod tests {
    use crate::space::Space;
    use crate::stopping::StopRule;

    #[test]
    fn the_recipe_reads_back_as_the_same_sweep() {
        let import = super::super::read(
            "method: bayes\nrun_cap: 265\nproject: p\n\
             metric: {name: accuracy, goal: maximize, target: 0.9}\n\
             early_terminate: {type: hyperband, max_iter: 27, s: 2, strict: false}\n\
             parameters: {lr: {distribution: log_normal, mu: -7.3, sigma: 0.7}, \
             'o\"dd': {values: [a, b]}}",
        )
        .unwrap();
        let text = import.to_recipe("teachers", "recipes/x.toml", "teacher");
        let recipe: toml::Table = text.parse().unwrap();
        assert_eq!(recipe["name"].as_str(), Some("teachers"));
        assert_eq!(recipe["trials"].as_integer(), Some(265));
        assert_eq!(recipe["sampler"].as_str(), Some("gp"));
        let stop: StopRule = recipe["stop"].clone().try_into().unwrap();
        assert_eq!(stop, import.stop);
        let objective = r#"{ metric = "accuracy", at = "best", goal = "maximize", target = 0.9 }"#;
        assert_eq!(recipe["objective"].to_string(), objective);
        assert_eq!(Space::parse(recipe["space"].as_table().unwrap()).unwrap(), import.space);
        assert!(text.contains("# - `project` has no effect here.\n"), "{text}");
    }

    #[test]
    fn a_sweep_without_end_gets_a_number_of_trials() {
        let import = super::super::read("method: random\nparameters: {a: {value: 1}}").unwrap();
        let recipe: toml::Table = import.to_recipe("n", "r", "m").parse().unwrap();
        assert_eq!(recipe["trials"].as_integer(), Some(100));
        assert_eq!(recipe["stop"].to_string(), r#"{ rule = "none" }"#);
    }
}

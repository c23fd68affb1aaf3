//! The search space: which settings of a recipe vary, over what range, with what prior.

mod condition;
mod error;
mod parse;
mod prior;
pub mod special;
mod stored;

use indexmap::IndexMap;

pub use condition::Condition;
pub use error::SpaceError;
pub use prior::{Grid, NumericPrior, Shape, round_to_step};
pub use stored::Stored;

use crate::distribution::Distribution;

/// One coordinate for each parameter of a space, in its order: `u` in `[0, 1]` of a number (the
/// cumulative probability of its cut prior), the index of a category; none where a condition
/// leaves the parameter out or its value is not known.
pub type Point = Vec<Option<f64>>;

/// What varies in a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    parameters: IndexMap<String, Parameter>,
    constants: IndexMap<String, toml::Value>,
    /// The parameters' indices, each after those that its conditions depend on.
    order: Vec<usize>,
}

/// One setting that varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The values that it takes.
    pub prior: Prior,
    /// The recipe's value is one minus the prior's, as for AdamW's betas near one.
    pub one_minus: bool,
    /// When the parameter is part of a point; always where it is empty.
    pub when: Vec<Condition>,
    /// What the store calls it.
    pub stored_name: String,
}

/// The values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Prior {
    /// Numbers.
    Numeric(NumericPrior),
    /// A list.
    Categories {
        /// The values: strings, numbers, or true and false.
        values: Vec<toml::Value>,
        /// A probability for each value, which sum to one.
        probabilities: Vec<f64>,
    },
}

impl Parameter {
    /// The distribution that its values are stored under.
    pub fn distribution(&self) -> Distribution {
        match &self.prior {
            Prior::Numeric(prior) => prior.distribution(),
            Prior::Categories { values, .. } => {
                Distribution::Categorical { choices: values.iter().map(stored::to_json).collect() }
            }
        }
    }

    /// How many categories there are; none of numbers.
    pub fn categories(&self) -> Option<usize> {
        match &self.prior {
            Prior::Numeric(_) => None,
            Prior::Categories { values, .. } => Some(values.len()),
        }
    }

    /// The coordinate at a share `u` of the prior, as a random draw needs it.
    pub fn at_quantile(&self, u: f64) -> f64 {
        let Prior::Categories { probabilities, .. } = &self.prior else { return u };
        let mut cumulative = 0.0;
        let within = |&probability: &f64| {
            cumulative += probability;
            cumulative > u
        };
        let index = probabilities.iter().position(within);
        // Rounding may leave the sum below `u`: the last category that occurs at all.
        let last = || probabilities.iter().rposition(|&probability| probability > 0.0);
        index.or_else(last).unwrap_or(0) as f64
    }

    /// The coordinate of the value at a place among all values in order.
    fn at_place(&self, place: u64) -> f64 {
        match &self.prior {
            Prior::Numeric(prior) => prior.coordinate(prior.at_place(place)),
            Prior::Categories { .. } => place as f64,
        }
    }

    /// How many values there are; none of real numbers.
    pub fn count(&self) -> Option<u64> {
        match &self.prior {
            Prior::Numeric(prior) => prior.count(),
            Prior::Categories { values, .. } => Some(values.len() as u64),
        }
    }
}

impl Space {
    /// Reads a recipe's `[space]` table: each key is a setting relative to the model, such as
    /// `"train.learning_rate"`.
    ///
    /// | value | meaning |
    /// |---|---|
    /// | `["linear", "cosine"]` | one of a list |
    /// | `{ values = [1, 2], probabilities = [0.3, 0.7] }` | the same with probabilities |
    /// | `{ uniform = [0, 1] }`, `{ log_uniform = [1e-5, 1e-2] }` | between two bounds |
    /// | `{ normal = [0, 1] }`, `{ log_normal = [-7.3, 0.7] }` | mean and standard deviation |
    /// | `{ beta = [2, 5] }` | the beta distribution |
    /// | `3`, `"linear"` | a constant |
    ///
    /// Further keys of a table: `integer = true` (whole numbers), `q` (multiples of it, as W&B's
    /// `q_` distributions), `low` and `high` (bounds of the normal priors, which end at four
    /// standard deviations otherwise), `one_minus = true` (the recipe's value is one minus it) and
    /// `when = { key = value }` (only where that list has this value, or one of these).
    pub fn parse(table: &toml::Table) -> Result<Self, SpaceError> {
        parse::space(table)
    }

    /// The parameters by their recipe keys, in order.
    pub fn parameters(&self) -> &IndexMap<String, Parameter> {
        &self.parameters
    }

    /// Settings that are the same in every trial.
    pub fn constants(&self) -> &IndexMap<String, toml::Value> {
        &self.constants
    }

    /// The parameters' indices, each after those that its conditions depend on.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Half of every prior's probability and the first of every list, whatever the conditions.
    pub fn middle(&self) -> Point {
        let middle = |of: &Parameter| if of.categories().is_some() { 0.0 } else { 0.5 };
        self.parameters.values().map(|of| Some(middle(of))).collect()
    }

    /// The point with `None` where a condition is not met. A coordinate that is missing although
    /// the parameter takes part stays missing.
    pub fn complete(&self, mut point: Point) -> Point {
        point.resize(self.parameters.len(), None);
        for &index in &self.order {
            let met = |condition: &Condition| condition.is_met(&point);
            if !self.parameters[index].when.iter().all(met) {
                point[index] = None;
            }
        }
        point
    }

    /// Which parameters take part in a point.
    pub fn active(&self, point: &Point) -> Vec<bool> {
        let known = self.complete(point.clone());
        let met = |parameter: &Parameter| parameter.when.iter().all(|when| when.is_met(&known));
        self.parameters.values().map(met).collect()
    }

    /// Whether no parameter is a real number, so that points can be equal.
    pub fn is_discrete(&self) -> bool {
        self.parameters.values().all(|parameter| parameter.count().is_some())
    }

    /// How many points a discrete space has; none where a parameter is a real number or has a
    /// condition, or the count is too large.
    pub fn grid_size(&self) -> Option<u64> {
        let count = |parameter: &Parameter| parameter.count().filter(|_| parameter.when.is_empty());
        self.parameters.values().try_fold(1u64, |product, p| product.checked_mul(count(p)?))
    }

    /// The point of a grid at a place: the product in order of the parameters' names, the last
    /// changing fastest.
    pub fn grid_point(&self, index: u64) -> Point {
        let mut by_name: Vec<usize> = (0..self.parameters.len()).collect();
        by_name.sort_by_key(|&parameter| self.parameters.get_index(parameter).map(|(key, _)| key));
        let mut point = vec![None; self.parameters.len()];
        let mut left = index;
        for &place in by_name.iter().rev() {
            let parameter = &self.parameters[place];
            let count = parameter.count().unwrap_or(1);
            point[place] = Some(parameter.at_place(left % count));
            left /= count;
        }
        point
    }

    /// The point with the coordinates of the values that it stands for: equal settings on a grid
    /// have equal coordinates.
    pub fn snap(&self, point: Point) -> Point {
        let mut point = self.complete(point);
        for (parameter, coordinate) in self.parameters.values().zip(&mut point) {
            if let (Prior::Numeric(prior), Some(u)) = (&parameter.prior, coordinate.as_mut())
                && prior.grid() != Grid::Real
            {
                *u = prior.coordinate(prior.value(*u));
            }
        }
        point
    }

    /// The recipe's settings at a point: the constants and the parameters that take part.
    pub fn values(&self, point: &Point) -> IndexMap<String, toml::Value> {
        self.settings(&self.stored(point))
    }

    /// What the store keeps of a point. From then on these values are the truth: settings and
    /// coordinates are computed from them.
    pub fn stored(&self, point: &Point) -> Vec<Stored> {
        let point = self.complete(point.clone());
        let parameters = self.parameters.values().zip(point);
        parameters
            .filter_map(|(parameter, coordinate)| {
                let coordinate = coordinate?;
                let value = match &parameter.prior {
                    Prior::Numeric(prior) => prior.value(coordinate),
                    Prior::Categories { values, .. } => {
                        coordinate.clamp(0.0, (values.len() - 1) as f64)
                    }
                };
                Some(parameter.store(value))
            })
            .collect()
    }

    fn by_stored_name(&self, name: &str) -> Option<(usize, &String, &Parameter)> {
        let mut parameters = self.parameters.iter().enumerate();
        parameters
            .find(|(_, (_, parameter))| parameter.stored_name == name)
            .map(|(index, (key, parameter))| (index, key, parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn space(text: &str) -> Space {
        Space::parse(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_point_gives_the_recipes_settings() {
        let space = space(
            r#"
            "train.learning_rate" = { log_uniform = [1e-4, 1e-2] }
            "train.epochs" = { uniform = [1, 9], integer = true }
            "train.adam_beta1" = { log_uniform = [0.01, 1], one_minus = true }
            "train.schedule" = ["linear", "cosine"]
            "train.seed" = 7
            "#,
        );
        let point = vec![Some(0.5), Some(0.5), Some(0.5), Some(1.0)];
        let values = space.values(&point);
        let keys: Vec<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "train.seed",
                "train.learning_rate",
                "train.epochs",
                "train.adam_beta1",
                "train.schedule"
            ]
        );
        assert_eq!(values["train.seed"], toml::Value::Integer(7));
        assert!((values["train.learning_rate"].as_float().unwrap() - 1e-3).abs() < 1e-12);
        assert_eq!(values["train.epochs"], toml::Value::Integer(5));
        assert!((values["train.adam_beta1"].as_float().unwrap() - 0.9).abs() < 1e-12);
        assert_eq!(values["train.schedule"].as_str(), Some("cosine"));
        assert!(!space.is_discrete());
    }

    #[test]
    fn conditions_leave_parameters_out_and_chain() {
        let space = space(
            r#"
            nesterov = { values = [true, false], when = { optimizer = "sgd" } }
            damping = { uniform = [0, 1], when = { nesterov = false } }
            optimizer = ["adamw", "sgd", "muon"]
            rate = { uniform = [0, 1], when = { optimizer = ["adamw", "muon"] } }
            "#,
        );
        let complete = |optimizer: f64, nesterov: f64| {
            let point = vec![Some(nesterov), Some(0.5), Some(optimizer), Some(0.5)];
            space.complete(point).iter().map(Option::is_some).collect::<Vec<bool>>()
        };
        assert_eq!(complete(0.0, 1.0), [false, false, true, true]);
        assert_eq!(complete(1.0, 0.0), [true, false, true, false]);
        assert_eq!(complete(1.0, 1.0), [true, true, true, false]);
        assert_eq!(complete(2.0, 1.0), [false, false, true, true]);
        assert_eq!(
            space.active(&vec![None, None, Some(1.0), None]),
            [true, false, true, false],
            "nesterov takes part though it is not known yet"
        );
    }

    #[test]
    fn probabilities_of_categories_divide_the_unit_interval() {
        let space = space("a = { values = [1, 2, 3], probabilities = [0.3, 0, 0.7] }\nb = [1, 2]");
        let at = |key: &str, u: f64| space.parameters()[key].at_quantile(u);
        assert_eq!([0.0, 0.29, 0.31, 0.999].map(|u| at("a", u)), [0.0, 0.0, 2.0, 2.0]);
        assert_eq!([0.0, 0.49, 0.5, 0.99].map(|u| at("b", u)), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(at("a", 1.0), 2.0);
        assert!(space.is_discrete());
    }
}

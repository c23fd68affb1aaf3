//! Settings that every optimizer has, and those of its own.

use std::collections::{BTreeMap, BTreeSet};

use engine::params::NamedSegment;
use engine::{Layout, Role, Segment};

use super::groups::assign;
use super::{OptimizerKind, ParameterGroup};
use crate::settings::named::Named;
use crate::settings::{DecaySchedule, SettingError, require, rules};

/// How a model's parameters are updated: the part of the settings of pretraining and of
/// fine-tuning that concerns the optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSettings {
    /// The optimizer of segments without a group.
    pub optimizer: OptimizerKind,
    /// Numbers of that optimizer.
    pub optimizer_options: BTreeMap<String, f64>,
    /// Weight decay of matrices and embeddings.
    pub weight_decay: f64,
    /// How the decay changes with the learning rate.
    pub decay_schedule: DecaySchedule,
    /// The highest learning rate of the schedule, relative to which the decay changes.
    pub highest_learning_rate: f64,
    /// Whether only those values decay that the update moves towards zero.
    pub cautious_decay: bool,
    /// Whether normalisation gains are decayed too.
    pub decay_norms: bool,
    /// Whether biases are decayed too.
    pub decay_biases: bool,
    /// Decay of the average of gradients.
    pub beta1: f64,
    /// Decay of the average of squared gradients.
    pub beta2: f64,
    /// Keeps the denominator above zero.
    pub epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Segments that are updated in another way.
    pub groups: Vec<ParameterGroup>,
}

impl OptimizerSettings {
    /// Refuses settings outside their range.
    ///
    /// # Errors
    /// Names the first such setting, its value and the rule.
    pub fn check(&self) -> Result<(), SettingError> {
        rules::number("weight_decay", self.weight_decay)?;
        rules::decay("adam_beta1", self.beta1)?;
        rules::decay("adam_beta2", self.beta2)?;
        rules::positive("adam_epsilon", self.epsilon)?;
        rules::number("max_grad_norm", self.max_grad_norm)?;
        check_options("optimizer_options", self.optimizer, &self.optimizer_options)?;
        let mut groups = self.groups.iter().enumerate();
        groups.try_for_each(|(index, group)| self.check_group(index, group))
    }

    fn check_group(&self, index: usize, group: &ParameterGroup) -> Result<(), SettingError> {
        let key = |key: &str| format!("groups[{index}].{key}");
        let names_segments = !group.pattern.is_empty();
        require(names_segments, &key("pattern"), &"\"\"", "a pattern must name segments")?;
        rules::number(&key("learning_rate_factor"), group.learning_rate_factor)?;
        rules::number(&key("weight_decay"), group.weight_decay.unwrap_or(0.0))?;
        let optimizer = group.optimizer.unwrap_or(self.optimizer);
        check_options(&key("optimizer_options"), optimizer, &group.optimizer_options)
    }

    /// Refuses groups without a segment in the model.
    ///
    /// # Errors
    /// Names the group with its pattern and role.
    pub fn check_layout(&self, layout: &Layout) -> Result<(), SettingError> {
        let mut groups = self.groups.iter().enumerate();
        groups.try_for_each(|(index, group)| {
            let found = layout.segments().iter().any(|named| group.matches(named));
            let role = |role: Role| format!(" of role {}", role.name());
            let role = group.role.map_or(String::new(), role);
            let shown = format!("{:?}{role}", group.pattern);
            let rule = "no parameter of the model is in this group";
            require(found, &format!("groups[{index}]"), &shown, rule)
        })
    }

    /// Bytes of optimizer state for each parameter of a model.
    pub fn bytes_per_weight(&self) -> usize {
        let mut used: Vec<OptimizerKind> =
            self.groups.iter().filter_map(|group| group.optimizer).collect();
        used.push(self.optimizer);
        // Every model has vectors; an optimizer that takes only matrices leaves them to another.
        let segment = Segment { offset: 0, rows: 1, columns: 1 };
        let role = Role::NormGain;
        let vector = NamedSegment { name: String::new(), segment, role, parts: 1 };
        if used.iter().any(|optimizer| !optimizer.takes(&vector)) {
            used.push(OptimizerKind::default());
        }
        let names: BTreeSet<&str> =
            used.iter().flat_map(|optimizer| optimizer.state()).copied().collect();
        names.len() * size_of::<f32>()
    }

    /// Floating-point operations of the products in an update of a model.
    pub fn flops_per_update(&self, layout: &Layout) -> f64 {
        let groups = assign(layout, self);
        let segments = groups.iter().flat_map(|group| {
            group.segments.iter().map(|segment| group.rule.optimizer.flops(segment))
        });
        segments.sum()
    }

    /// The options of an optimizer in a group, or of the model's where there is no group.
    pub(super) fn options(&self, group: Option<&ParameterGroup>) -> BTreeMap<String, f64> {
        let own = group.and_then(|group| group.optimizer);
        let optimizer = own.unwrap_or(self.optimizer);
        let defaults =
            optimizer.options().iter().map(|option| (option.name.to_owned(), option.default));
        let mut options: BTreeMap<String, f64> = defaults.collect();
        if own.is_none() {
            options.extend(self.optimizer_options.clone());
        }
        options.extend(group.iter().flat_map(|group| group.optimizer_options.clone()));
        options
    }
}

fn check_options(
    key: &str,
    optimizer: OptimizerKind,
    options: &BTreeMap<String, f64>,
) -> Result<(), SettingError> {
    for (name, &value) in options {
        let shown = format!("{name} = {value}");
        let known = optimizer.options().iter().find(|option| option.name == name);
        let names: Vec<&str> = optimizer.options().iter().map(|option| option.name).collect();
        let rule = match names.is_empty() {
            true => format!("{} has no options", optimizer.name()),
            false => format!("the options of {} are {}", optimizer.name(), names.join(", ")),
        };
        require(known.is_some(), key, &shown, rule)?;
        let fits = known.is_none_or(|option| option.allows(value));
        let range = known.map(|option| {
            let kind = if option.is_whole { "a whole number " } else { "" };
            format!("it must be {kind}between {} and {}", option.lowest, option.highest)
        });
        require(fits, key, &shown, range.unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TrainSettings;

    fn message(train: TrainSettings) -> String {
        OptimizerSettings::from(&train).check().unwrap_err().to_string()
    }

    #[test]
    fn options_and_groups_outside_their_range_are_named() {
        let group = |text: &str| serde_json::from_str::<ParameterGroup>(text).unwrap();
        let with = |text: &str| TrainSettings { groups: vec![group(text)], ..Default::default() };
        let found = message(with(r#"{"pattern": "a*", "learning_rate_factor": -1}"#));
        assert!(found.contains("`groups[0].learning_rate_factor` is -1; it must be"), "{found}");
        let found = message(with(r#"{"pattern": ""}"#));
        assert!(found.contains("`groups[0].pattern` is \"\"; a pattern must"), "{found}");
        let found = message(with(r#"{"optimizer_options": {"x": 1}}"#));
        assert!(found.contains("`groups[0].optimizer_options` is x = 1; adamw"), "{found}");
        let options = BTreeMap::from([("momentum".to_owned(), 0.5)]);
        let settings = TrainSettings { optimizer_options: options, ..Default::default() };
        assert!(message(settings).contains("momentum = 0.5; adamw has no options"));
        let settings = OptimizerSettings::from(&with(r#"{"pattern": "lm_head*"}"#));
        assert!(settings.check().is_ok());
        let mut layout = Layout::default();
        layout.add("weight", 2, 2, Role::Matrix);
        let found = settings.check_layout(&layout).unwrap_err().to_string();
        assert!(found.contains("\"lm_head*\"; no parameter of the model is"), "{found}");
    }

    #[test]
    fn adamw_keeps_eight_bytes_for_each_weight() {
        let settings = OptimizerSettings::from(&TrainSettings::default());
        assert_eq!(settings.bytes_per_weight(), 8);
    }
}

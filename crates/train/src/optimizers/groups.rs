//! Parameter groups: which optimizer, learning rate and weight decay which segments have.

use std::collections::BTreeMap;
use std::ops::Range;

use documented::DocumentedFields;
use engine::params::NamedSegment;
use engine::{Layout, Role};
use serde::{Deserialize, Serialize};

use super::{Hyperparameters, OptimizerKind, OptimizerSettings};
use crate::settings::named;

/// Segments that are updated in another way than the rest: `[[models.NAME.train.groups]]` of a
/// recipe. A segment belongs to the first group whose pattern and role match it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// The Hugging Face names of the segments, such as `model.layers.*.weight`; `*` stands for any
    /// characters. Left out, all of them.
    #[serde(default = "ParameterGroup::default_pattern")]
    pub pattern: String,
    /// The segments' role: `embedding`, `positions`, `token_types`, `matrix` (with an output layer
    /// that is no embedding), `output` (that layer alone), `bias`, `norm_gain` or `mixture`. Left
    /// out, any.
    #[serde(default, with = "named::optional", skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The optimizer; left out, that of the model. Segments that it does not take are updated by
    /// AdamW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerKind>,
    /// Numbers of that optimizer, as the model's `optimizer_options`, which hold where the group
    /// names no optimizer of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub optimizer_options: BTreeMap<String, f64>,
    /// Multiplies the learning rate of the schedule.
    #[serde(default = "ParameterGroup::default_factor")]
    pub learning_rate_factor: f64,
    /// Weight decay of all the group's segments; left out, that of the model, which norms and
    /// biases may be spared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

impl Default for ParameterGroup {
    /// All segments, updated as the rest.
    fn default() -> Self {
        Self {
            pattern: Self::default_pattern(),
            role: None,
            optimizer: None,
            optimizer_options: BTreeMap::new(),
            learning_rate_factor: Self::default_factor(),
            weight_decay: None,
        }
    }
}

impl ParameterGroup {
    fn default_pattern() -> String {
        "*".to_owned()
    }

    fn default_factor() -> f64 {
        1.0
    }

    /// Whether a segment has the group's role and a name of its pattern.
    pub fn matches(&self, named: &NamedSegment) -> bool {
        let has_role = |role| match role {
            Role::Matrix => named.role.is_product(),
            role => role == named.role,
        };
        self.role.is_none_or(has_role) && matches(&self.pattern, &named.name)
    }
}

/// Whether a name matches a pattern in which `*` stands for any characters. Each part between stars
/// is searched once, from left to right, so that the time does not grow with the number of stars.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts: Vec<&str> = pattern.split('*').collect();
    let last = parts.pop().filter(|_| !parts.is_empty());
    let Some(last) = last else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(parts[0]) else { return false };
    for part in &parts[1..] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Segments that are updated together, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assigned {
    pub rule: Rule,
    /// Updates of the training before the first of this optimizer on these segments.
    pub begun_after: u64,
    pub segments: Vec<NamedSegment>,
    /// The segments as ranges of the flat vector, neighbours joined.
    pub ranges: Vec<Range<usize>>,
}

/// How segments are updated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub optimizer: OptimizerKind,
    pub hyperparameters: Hyperparameters,
    pub learning_rate_factor: f64,
    pub weight_decay: f64,
}

impl Rule {
    /// Whether it goes on with what another has kept of the gradients: whether it is the same
    /// optimizer with the same numbers. Learning rate and decay may differ.
    fn continues(&self, other: &Self) -> bool {
        self.optimizer == other.optimizer && self.hyperparameters == other.hyperparameters
    }
}

/// Every segment of a model with its rule. Without groups, biases and gains are only decayed
/// when asked.
pub(super) fn assign(layout: &Layout, settings: &OptimizerSettings) -> Vec<Assigned> {
    assign_after(layout, settings, &[], 0)
}

/// Every segment of a model with its rule, after `updates` updates by the rules of `before`: an
/// optimizer goes on with the segments that it has updated, and begins with the others.
pub(super) fn assign_after(
    layout: &Layout,
    settings: &OptimizerSettings,
    before: &[Assigned],
    updates: u64,
) -> Vec<Assigned> {
    let mut assigned: Vec<Assigned> = Vec::new();
    for named in layout.segments() {
        let rule = rule(named, settings);
        let known = before.iter().find(|group| group.segments.contains(named));
        let known = known.filter(|group| rule.continues(&group.rule));
        let begun_after = known.map_or(updates, |group| group.begun_after);
        let is_it = |group: &Assigned| group.rule == rule && group.begun_after == begun_after;
        let index = assigned.iter().position(is_it).unwrap_or_else(|| {
            let (segments, ranges) = (Vec::new(), Vec::new());
            assigned.push(Assigned { rule, begun_after, segments, ranges });
            assigned.len() - 1
        });
        let group = &mut assigned[index];
        let range = named.segment.offset..named.segment.offset + named.segment.length();
        match group.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => group.ranges.push(range),
        }
        group.segments.push(named.clone());
    }
    assigned
}

fn rule(named: &NamedSegment, settings: &OptimizerSettings) -> Rule {
    let group = settings.groups.iter().find(|group| group.matches(named));
    let optimizer = group.and_then(|group| group.optimizer).unwrap_or(settings.optimizer);
    let default_decay = match named.role {
        Role::Embedding
        | Role::Positions
        | Role::TokenTypes
        | Role::Matrix
        | Role::Output
        | Role::Mixture => settings.weight_decay,
        Role::NormGain if settings.decay_norms => settings.weight_decay,
        Role::Bias if settings.decay_biases => settings.weight_decay,
        Role::NormGain | Role::Bias => 0.0,
    };
    // What an optimizer does not take is not its group's either, but for learning rate and decay.
    let (optimizer, options) = match optimizer.takes(named) {
        true => (optimizer, settings.options(group)),
        false => (OptimizerKind::default(), BTreeMap::new()),
    };
    Rule {
        optimizer,
        hyperparameters: Hyperparameters {
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon,
            options,
        },
        learning_rate_factor: group.map_or(1.0, |group| group.learning_rate_factor),
        weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(default_decay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Named, TrainSettings};

    fn layout() -> Layout {
        let mut layout = Layout::default();
        layout.add("weight", 2, 2, Role::Matrix);
        layout.add("gain", 1, 2, Role::NormGain);
        layout.add("bias", 1, 2, Role::Bias);
        layout.add("other", 1, 3, Role::Matrix);
        layout
    }

    /// The ranges of every rule with its weight decay and learning rate factor.
    fn assigned(settings: &TrainSettings) -> Vec<(Vec<[usize; 2]>, f64, f64)> {
        let groups = assign(&layout(), &settings.into());
        let parts = |group: Assigned| {
            let ranges = group.ranges.iter().map(|range| [range.start, range.end]).collect();
            (ranges, group.rule.weight_decay, group.rule.learning_rate_factor)
        };
        groups.into_iter().map(parts).collect()
    }

    #[test]
    fn decay_reaches_weights_and_gains_only_when_asked() {
        let mut settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
        let ranges = |settings: &TrainSettings| {
            assigned(settings).into_iter().map(|(ranges, decay, _)| (ranges, decay)).collect()
        };
        let found: Vec<_> = ranges(&settings);
        assert_eq!(found, [(vec![[0, 4], [8, 11]], 0.1), (vec![[4, 8]], 0.0)]);
        settings.decay_norms = true;
        let found: Vec<_> = ranges(&settings);
        assert_eq!(found, [(vec![[0, 6], [8, 11]], 0.1), (vec![[6, 8]], 0.0)]);
    }

    #[test]
    fn a_segment_follows_the_first_group_that_it_matches() {
        let group = |text: &str| serde_json::from_str::<ParameterGroup>(text).unwrap();
        let settings = TrainSettings {
            weight_decay: 0.1,
            groups: vec![
                group(r#"{"role": "bias", "weight_decay": 0.3}"#),
                group(r#"{"pattern": "*i*", "learning_rate_factor": 0.5}"#),
            ],
            ..TrainSettings::default()
        };
        let expected = [
            (vec![[0, 4]], 0.1, 0.5),
            (vec![[4, 6]], 0.0, 0.5),
            (vec![[6, 8]], 0.3, 1.0),
            (vec![[8, 11]], 0.1, 1.0),
        ];
        assert_eq!(assigned(&settings), expected);
    }

    #[test]
    fn a_matrix_optimizer_leaves_the_output_layer_and_vectors_to_the_first() {
        let mut layout = layout();
        let output = layout.add("lm_head", 4, 2, Role::Matrix);
        layout.mark_output(output);
        let muon = OptimizerKind::named("muon").unwrap();
        let found = |settings: &TrainSettings| {
            let mut found = Vec::new();
            for Assigned { rule, segments, .. } in assign(&layout, &settings.into()) {
                let name = |named: NamedSegment| (named.name, rule.optimizer.name());
                found.extend(segments.into_iter().map(name).filter(|(_, name)| *name == "muon"));
            }
            found.into_iter().map(|(segment, _)| segment).collect::<Vec<_>>()
        };
        let settings = TrainSettings { optimizer: muon, ..TrainSettings::default() };
        assert_eq!(found(&settings), ["weight", "other"]);
        // A group of matrices has the output layer too, which is still not Muon's.
        let group = ParameterGroup {
            role: Some(Role::Matrix),
            optimizer: Some(muon),
            ..ParameterGroup::default()
        };
        let named = layout.segments().last().unwrap();
        assert!(group.matches(named));
        let settings = TrainSettings { groups: vec![group], ..TrainSettings::default() };
        assert_eq!(found(&settings), ["weight", "other"]);
        let output = ParameterGroup { role: Some(Role::Output), ..ParameterGroup::default() };
        let matched = layout.segments().iter().filter(|named| output.matches(named)).count();
        assert_eq!(matched, 1);
    }

    #[test]
    fn every_role_is_read_and_written() {
        for &(name, role) in Role::NAMED {
            let text = format!(r#"{{"pattern":"*","role":"{name}","learning_rate_factor":1.0}}"#);
            let group: ParameterGroup = serde_json::from_str(&text).unwrap();
            assert_eq!((group.role, serde_json::to_string(&group).unwrap()), (Some(role), text));
        }
        let message = serde_json::from_str::<ParameterGroup>(r#"{"role": "weight"}"#);
        assert!(message.unwrap_err().to_string().contains("expected one of `embedding`"));
    }

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("*", "", true),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*.mlp.*.weight", "h.0.mlp.c_fc.weight", true),
            ("*.mlp.*.weight", "h.0.mlp.c_fc.bias", false),
            ("é*", "éa", true),
            ("ab*ba", "aba", false),
            ("a**b*", "axb", true),
            ("*ab", "abab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let (stars, name) = ("*a".repeat(1000), "a".repeat(999));
        assert!(!matches(&stars, &name) && matches(&stars, &format!("{name}a")));
    }
}

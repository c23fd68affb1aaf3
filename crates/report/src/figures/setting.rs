//! Settings of trials on axes: numbers and names.

use super::number;
use super::scale::{Ruler, Scale};
use super::style::{SMALL, fitted};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// One of a list.
    Name(String),
}

/// What kind of axis a setting has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios.
    Log,
    /// Every value has its own place.
    Names,
}

/// A setting of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingAxis {
    /// What it is called.
    pub name: String,
    /// Which axis it has.
    pub kind: Kind,
}

impl Setting {
    /// The value as a cell of a row.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Number(value) => number(*value),
            Self::Name(name) => name.clone(),
        }
    }
}

impl SettingAxis {
    /// An axis of a kind.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// The value of a trial on an axis; `None` of a setting that takes no part in the trial.
pub(crate) fn value_of(settings: &[Option<Setting>], axis: usize) -> Option<&Setting> {
    settings.get(axis)?.as_ref()
}

/// The names of the columns of a figure's rows: the trial, its settings, and `last`.
pub(crate) fn columns<'a>(axes: &'a [SettingAxis], last: &[&'a str]) -> Vec<&'a str> {
    let names = axes.iter().map(|axis| axis.name.as_str());
    ["trial"].into_iter().chain(names).chain(last.iter().copied()).collect()
}

/// A row of `columns`, with a cell for each of the axes.
pub(crate) fn row<const N: usize>(
    trial: String,
    settings: &[Option<Setting>],
    axes: usize,
    last: [String; N],
) -> Vec<String> {
    let cell = |axis| value_of(settings, axis).map(Setting::text).unwrap_or_default();
    [trial].into_iter().chain((0..axes).map(cell)).chain(last).collect()
}

/// An axis with the places of its values.
pub(crate) struct SettingRuler {
    kind: Kind,
    names: Vec<String>,
    /// Ends and labels.
    pub(crate) ruler: Ruler,
}

/// More names have no label.
const LABELLED: usize = 40;

impl SettingRuler {
    /// An axis for some values, with about `labels` labels of at most `longest` pixels.
    pub(crate) fn of<'a>(
        kind: Kind,
        values: impl Iterator<Item = &'a Setting>,
        labels: usize,
        longest: f64,
    ) -> Self {
        let scale = match kind {
            Kind::Linear => Scale::Linear,
            Kind::Log => Scale::Log,
            Kind::Names => return Self::of_names(values, longest),
        };
        let numbers = values.filter_map(|value| match value {
            Setting::Number(number) => Some(*number),
            Setting::Name(_) => None,
        });
        Self { kind, names: Vec::new(), ruler: Ruler::of(scale, numbers, labels) }
    }

    /// Numbers among the names are in their order, other names in that of the alphabet.
    fn of_names<'a>(values: impl Iterator<Item = &'a Setting>, longest: f64) -> Self {
        let mut names: Vec<String> = values.map(Setting::text).collect();
        let value = |name: &String| name.parse::<f64>().unwrap_or(f64::INFINITY);
        names.sort_by(|a, b| value(a).total_cmp(&value(b)).then_with(|| a.cmp(b)));
        names.dedup();
        let short: Vec<String> = names.iter().map(|name| fitted(name, longest, SMALL)).collect();
        let mut ruler = Ruler::of_names(&short);
        let every = names.len().div_ceil(LABELLED).max(1);
        ruler.ticks = ruler.ticks.into_iter().step_by(every).collect();
        Self { kind: Kind::Names, names, ruler }
    }

    /// The number by which the axis places a value; `None` where it has no place.
    pub(crate) fn value(&self, setting: &Setting) -> Option<f64> {
        match (self.kind, setting) {
            (Kind::Names, setting) => {
                let text = setting.text();
                self.names.iter().position(|name| *name == text).map(|index| index as f64)
            }
            (_, Setting::Name(_)) => None,
            (Kind::Log, Setting::Number(value)) => Some(*value).filter(|&it| Scale::Log.has(it)),
            (_, Setting::Number(value)) => Some(*value).filter(|&it| Scale::Linear.has(it)),
        }
    }
}

//! Why a stage has to run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::Stage;

/// Whether a stage has to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The stage's result is there and up to date.
    Done,
    /// The stage has to run.
    Run(Reason),
}

/// Why a stage runs, in words that follow its name and a colon.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each message documents its variant")]
pub enum Reason {
    NeverFinished,
    Unknown,
    SettingsChanged { key: String, before: String, now: String },
    InputChanged { file: String },
    StageChanged { stage: String },
    OutputMissing { path: PathBuf },
    OutputDamaged { path: PathBuf },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NeverFinished => f.write_str("not done yet"),
            Reason::Unknown => f.write_str("what it followed from is not known"),
            // Those of an earlier version of the program need not have keys.
            Reason::SettingsChanged { key, before, now } if key.is_empty() => {
                write!(f, "settings changed: they were {before}, and are {now}")
            }
            Reason::SettingsChanged { key, before, now } => {
                write!(f, "settings changed: {key} was {before}, is {now}")
            }
            Reason::InputChanged { file } => write!(f, "input {file} changed"),
            Reason::StageChanged { stage } => write!(f, "stage {stage} changed"),
            Reason::OutputMissing { path } => write!(f, "output {} is missing", path.display()),
            Reason::OutputDamaged { path } => {
                write!(f, "output {} is not as it was written", path.display())
            }
        }
    }
}

/// The first difference between what a stage followed from and what it follows from now.
pub(super) fn first_difference(before: &Stage, now: &Stage) -> Option<Reason> {
    if let Some((key, before, now)) = changed_setting("", &before.settings, &now.settings) {
        return Some(Reason::SettingsChanged { key, before, now });
    }
    let file = changed_key(&before.files, &now.files).map(|file| Reason::InputChanged { file });
    file.or_else(|| {
        changed_key(&before.stages, &now.stages).map(|stage| Reason::StageChanged { stage })
    })
}

/// The first key whose value differs or that only one of the two has.
fn changed_key(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Option<String> {
    let mut keys = now.keys().chain(before.keys());
    keys.find(|&key| before.get(key) != now.get(key)).cloned()
}

/// The first setting that differs: its dotted key, its old value and its new one.
fn changed_setting(key: &str, before: &Value, now: &Value) -> Option<(String, String, String)> {
    match (before, now) {
        _ if before == now => None,
        (Value::Object(old), Value::Object(new)) => {
            let mut keys = new.keys().chain(old.keys());
            keys.find_map(|inner| {
                let dot = if key.is_empty() { "" } else { "." };
                let values = (
                    old.get(inner).unwrap_or(&Value::Null),
                    new.get(inner).unwrap_or(&Value::Null),
                );
                changed_setting(&format!("{key}{dot}{inner}"), values.0, values.1)
            })
        }
        _ => Some((key.to_string(), shown(before), shown(now))),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "not set".to_string() } else { value.to_string() }
}

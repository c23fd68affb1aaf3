//! The manifest: everything that a cache's contents follow from.

use std::fs;
use std::io;
use std::path::Path;

use base::{atomic_file, hash};
use engine::Arithmetic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CacheError;
use crate::settings::{Codec, Ensemble, SignalKind, named};

/// Raised whenever the meaning of a cache's files changes.
const FORMAT: u32 = 1;

/// Teachers, sequences and format of a cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`](Self::FORMAT) of the program that wrote it.
    pub format: u32,
    /// What is cached.
    pub signal: SignalKind,
    /// The number format of `hidden`.
    pub codec: Option<Codec>,
    /// What the teachers were multiplied in, where it was not f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arithmetic: Option<Rounding>,
    /// The teachers, in the order of the settings.
    pub teachers: Vec<TeacherEntry>,
    /// How `sampled` draws.
    pub sampling: Option<Sampling>,
    /// Hash of the tokenizer, where it is known.
    pub tokenizer: Option<String>,
    /// Hash of the text's token ids.
    pub tokens: String,
    /// Tokens of a sequence.
    pub sequence_length: usize,
    /// Offsets at which the text is cut.
    pub offsets: Vec<usize>,
    /// Hash of the sequences' numbers, where not all are cached.
    pub subset: Option<String>,
    /// The number of sequences.
    pub blocks: usize,
    /// Bytes of a block.
    pub block_bytes: usize,
}

/// What products round their operands to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// bfloat16.
    Bf16,
    /// The sum of two bfloat16.
    Bf16x3,
}

impl Rounding {
    /// The name of a rounding; `f32` where nothing is rounded.
    pub fn name(rounding: Option<Self>) -> &'static str {
        match rounding {
            None => "f32",
            Some(Self::Bf16) => "bf16",
            Some(Self::Bf16x3) => "bf16x3",
        }
    }

    /// The rounding of a device's products; none where it multiplies f32.
    pub fn of(arithmetic: Arithmetic) -> Option<Self> {
        match arithmetic {
            Arithmetic::F32 => None,
            Arithmetic::Bf16 => Some(Self::Bf16),
            Arithmetic::Bf16x3 => Some(Self::Bf16x3),
        }
    }
}

/// A teacher in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherEntry {
    /// The teacher's name, for messages; not part of the identity.
    pub name: String,
    /// Hash of configuration and weights.
    pub weights: String,
    /// Channels of its hidden states.
    pub hidden_size: usize,
}

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// How the teachers become one distribution.
    #[serde(with = "named")]
    pub ensemble: Ensemble,
    /// Divides the logits.
    pub temperature: f64,
    /// The teachers' weights, which sum to one.
    pub shares: Vec<f32>,
    /// Tokens of each position.
    pub samples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Manifest {
    /// The format that this program writes.
    pub const FORMAT: u32 = FORMAT;

    /// Bytes of all blocks.
    pub fn total_bytes(&self) -> u64 {
        self.blocks as u64 * self.block_bytes as u64
    }

    /// BLAKE3, in hexadecimal, of all but the teachers' names: equal for caches of equal contents.
    pub fn identity(&self) -> String {
        hash::of_bytes(self.contents().to_string().as_bytes())
    }

    /// Everything that decides the contents, as a plain value in a fixed order.
    fn contents(&self) -> Value {
        // A struct of numbers, strings and lists always is JSON.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        for teacher in value["teachers"].as_array_mut().into_iter().flatten() {
            teacher.as_object_mut().map(|teacher| teacher.shift_remove("name"));
        }
        value
    }

    /// The first field in which a manifest found on disk differs: its name, the value found, and
    /// this one's.
    pub fn first_difference(&self, found: &Self) -> Option<(String, String, String)> {
        difference("", &found.comparable(), &self.comparable())
    }

    /// The contents with every field, also those that are left out at their defaults.
    fn comparable(&self) -> Value {
        let mut value = self.contents();
        if let Some(fields) = value.as_object_mut() {
            fields.entry("arithmetic").or_insert(Value::Null);
        }
        value
    }

    /// Reads a manifest; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is of another format.
    pub fn read(path: &Path) -> Result<Option<Self>, CacheError> {
        let text = match fs::read(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|cause| CacheError::Io { path: path.to_owned(), cause })?,
        };
        let bad = |problem: String| CacheError::Manifest { path: path.to_owned(), problem };
        // The format comes first, so that a later version's new fields do not hide why it cannot be
        // read.
        let value: Value = serde_json::from_slice(&text).map_err(|cause| bad(cause.to_string()))?;
        match value["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(bad(format!(
                    "it has format {format}, and this program reads {FORMAT}"
                )));
            }
            None => return Err(bad("it has no format".into())),
        }
        serde_json::from_value(value).map(Some).map_err(|cause| bad(cause.to_string()))
    }

    /// Writes the manifest atomically.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CacheError> {
        let text = format!("{:#}\n", serde_json::to_value(self).unwrap_or_default());
        atomic_file::write(path, text.as_bytes())
            .map_err(|cause| CacheError::Io { path: path.to_owned(), cause })
    }
}

/// The first value that differs, with its dotted key.
fn difference(key: &str, found: &Value, wanted: &Value) -> Option<(String, String, String)> {
    match (found, wanted) {
        _ if found == wanted => None,
        (Value::Object(a), Value::Object(b))
            if a.len() == b.len() && a.keys().all(|key| b.contains_key(key)) =>
        {
            let dot = if key.is_empty() { "" } else { "." };
            a.iter()
                .find_map(|(name, value)| difference(&format!("{key}{dot}{name}"), value, &b[name]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(index, (a, b))| difference(&format!("{key}[{index}]"), a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            Some((key.to_owned(), format!("a list of {}", a.len()), format!("one of {}", b.len())))
        }
        _ => Some((key.to_owned(), shown(found), shown(wanted))),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "unset".to_owned() } else { value.to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn manifest() -> Manifest {
        let teacher = |name: &str, weights: &str| TeacherEntry {
            name: name.into(),
            weights: weights.into(),
            hidden_size: 8,
        };
        Manifest {
            format: FORMAT,
            signal: SignalKind::Hidden,
            codec: Some(Codec::F32),
            arithmetic: None,
            teachers: vec![teacher("first", "aa"), teacher("second", "bb")],
            sampling: Some(Sampling {
                ensemble: Ensemble::MeanLogits,
                temperature: 2.0,
                shares: vec![0.5, 0.5],
                samples: 64,
                seed: 1,
            }),
            tokenizer: Some("cc".into()),
            tokens: "dd".into(),
            sequence_length: 4,
            offsets: vec![0, 2],
            subset: None,
            blocks: 10,
            block_bytes: 24,
        }
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        type Change = fn(&mut Manifest);
        let changes: [(&str, Change); 19] = [
            ("format", |m| m.format += 1),
            ("signal", |m| m.signal = SignalKind::Sampled),
            ("codec", |m| m.codec = Some(Codec::Bf16)),
            ("arithmetic", |m| m.arithmetic = Rounding::of(Arithmetic::Bf16)),
            ("arithmetic", |m| m.arithmetic = Rounding::of(Arithmetic::Bf16x3)),
            ("teachers", |m| m.teachers.truncate(1)),
            ("teachers[1].weights", |m| m.teachers[1].weights = "ee".into()),
            ("teachers[0].hidden_size", |m| m.teachers[0].hidden_size = 9),
            ("sampling", |m| m.sampling = None),
            ("sampling.ensemble", |m| m.sampling.as_mut().unwrap().ensemble = Ensemble::MeanProbs),
            ("sampling.temperature", |m| m.sampling.as_mut().unwrap().temperature = 1.0),
            ("sampling.shares[0]", |m| m.sampling.as_mut().unwrap().shares[0] = 0.6),
            ("sampling.samples", |m| m.sampling.as_mut().unwrap().samples = 32),
            ("sampling.seed", |m| m.sampling.as_mut().unwrap().seed = 2),
            ("tokenizer", |m| m.tokenizer = None),
            ("tokens", |m| m.tokens = "ff".into()),
            ("sequence_length", |m| m.sequence_length = 5),
            ("offsets[1]", |m| m.offsets[1] = 3),
            ("subset", |m| m.subset = Some("gg".into())),
        ];
        let wanted = manifest();
        for (field, change) in changes {
            let mut found = manifest();
            change(&mut found);
            let (key, there, here) = wanted.first_difference(&found).unwrap();
            assert!(key == field && there != here, "{key} {there} {here}");
            assert_ne!(found.identity(), wanted.identity());
        }
        let mut renamed = manifest();
        renamed.teachers[0].name = "another".into();
        assert_eq!(
            (wanted.first_difference(&renamed), renamed.identity()),
            (None, wanted.identity())
        );
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_and_a_foreign_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        assert_eq!(Manifest::read(&path).unwrap(), None);
        manifest().write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), Some(manifest()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for (text, word) in [
            ("{", "manifest.json is not the manifest"),
            ("{}", "no format"),
            (r#"{"format": 2}"#, "format 2, and this program reads 1"),
            (r#"{"format": 1}"#, "missing field"),
        ] {
            fs::write(&path, text).unwrap();
            let message = Manifest::read(&path).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}

//! The kinds of output files, by which a file of a user is distinguished from an earlier output.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::error::{Context, Result, refuse};

/// The kind of an output file. An earlier file of the same kind is replaced, and no other.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A file with this beginning.
    Beginning(&'a str),
    /// JSON: an object with these keys, or a list of such objects.
    Json(&'a [&'a str]),
    /// A safetensors file with these tensors and no others.
    Tensors(&'a [&'a str]),
}

/// The largest file that is read to find its kind, in bytes: scores and logits are far smaller.
const MOST_READ: u64 = 1 << 28;

impl Kind<'_> {
    /// Whether a file is an earlier output of this kind, and not just an empty file.
    pub(super) fn is_earlier_output(self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| metadata.len() > 0) && self.is_of(path)
    }

    /// Whether a file is of this kind. An empty one is of every kind.
    fn is_of(self, path: &Path) -> bool {
        let read = |limit| {
            let mut found = Vec::new();
            let opened = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut found));
            opened.map(|_| found)
        };
        // What cannot be read is not replaced.
        let Ok(start) = read(1) else { return false };
        if start.is_empty() {
            return true;
        }
        match self {
            Self::Beginning(text) => {
                read(text.len() as u64).is_ok_and(|found| found == text.as_bytes())
            }
            Self::Json(keys) => read(MOST_READ).is_ok_and(|found| has_keys(&found, keys)),
            Self::Tensors(names) => read(MOST_READ).is_ok_and(|found| has_tensors(&found, names)),
        }
    }

    /// Refuses to replace a file of another kind.
    ///
    /// # Errors
    /// When there is such a file.
    pub fn check(self, path: &Path) -> Result<()> {
        match path.exists() && !self.is_of(path) {
            true => {
                refuse(format_args!("{} is another file than the one written here", path.display()))
                    .advise("move it away, or name another place for the output")
            }
            false => Ok(()),
        }
    }
}

fn has_keys(json: &[u8], keys: &[&str]) -> bool {
    let all = |value: &Value| keys.iter().all(|key| value.get(key).is_some());
    match serde_json::from_slice(json) {
        Ok(Value::Array(values)) => values.iter().all(all),
        Ok(value) => all(&value),
        Err(_) => false,
    }
}

fn has_tensors(file: &[u8], names: &[&str]) -> bool {
    let Ok((_, metadata)) = SafeTensors::read_metadata(file) else { return false };
    let tensors = metadata.tensors();
    tensors.len() == names.len() && names.iter().all(|name| tensors.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::tensor::{Dtype, TensorView};

    use super::super::prepare_file;
    use super::*;

    #[test]
    fn only_earlier_files_of_the_same_kind_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let tensors = |names: &[&str]| {
            let empty = || TensorView::new(Dtype::F32, vec![0], &[]).unwrap();
            let tensors = names.iter().map(|name| (name.to_string(), empty()));
            safetensors::serialize(tensors, None).unwrap()
        };
        let [logits, weights] = [&["ids", "logits"][..], &["ids", "logits", "weight"]].map(tensors);
        let kinds = [
            Kind::Beginning("# Scores"),
            Kind::Json(&["model", "loss"]),
            Kind::Tensors(&["ids", "logits"]),
        ];
        let cases: [(&[u8], [bool; 3]); 12] = [
            (b"", [true; 3]),
            (b"# Scores of 2024", [true, false, false]),
            (b"# My notes", [false; 3]),
            (b"# Sc", [false; 3]),
            (br#"{"loss": null, "model": "m", "more": 1}"#, [false, true, false]),
            (br#"[{"loss": 1, "model": "m"}]"#, [false, true, false]),
            (b"[]", [false, true, false]),
            (br#"[{"loss": 1, "model": "m"}, 2]"#, [false; 3]),
            (br#"{"model": "m"}"#, [false; 3]),
            (br#"{"loss": 1, "model": "m"} and more"#, [false; 3]),
            (&logits, [false, false, true]),
            (&weights, [false; 3]),
        ];
        for kind in kinds {
            let _made = prepare_file(&path, &[], kind).unwrap();
        }
        for (text, is_replaced) in cases {
            fs::write(&path, text).unwrap();
            for (kind, is_replaced) in kinds.into_iter().zip(is_replaced) {
                let made = prepare_file(&path, &[], kind);
                assert_eq!(made.is_ok(), is_replaced, "{kind:?}: {}", text.escape_ascii());
                if let Err(refusal) = made {
                    let cause = refusal.cause();
                    assert!(cause.ends_with("output is another file than the one written here"));
                }
            }
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }
}

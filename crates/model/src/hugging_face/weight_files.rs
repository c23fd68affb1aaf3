//! The files of a folder's weights and the tensors in them, by name. Only headers are read before
//! a tensor's values are needed.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use engine::Layout;
use engine::params::NamedSegment;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use crate::ModelConfig;
use crate::error::ModelError;
use crate::keys::{GIT_LFS, read_small};

/// The paths of a folder's weights: one file, or the shards that an index lists.
pub(super) fn paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join("model.safetensors");
    if single.symlink_metadata().is_ok() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if index.symlink_metadata().is_ok() {
        let names = shard_names(&index, &read_small(&index)?)?;
        if names.is_empty() {
            return Err(ModelError::NotAModel {
                path: folder.to_owned(),
                missing: "weights in its index",
            });
        }
        return Ok(names.iter().map(|name| folder.join(name)).collect());
    }
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth"] {
        if folder.join(name).exists() {
            return Err(ModelError::Pickle { path: folder.join(name) });
        }
    }
    Err(ModelError::NotAModel { path: folder.to_owned(), missing: "model.safetensors" })
}

/// The files that an index lists, which must be beside it.
pub(super) fn shard_names(index: &Path, text: &[u8]) -> Result<BTreeSet<String>, ModelError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let parsed: Index = serde_json::from_slice(text)
        .map_err(|cause| ModelError::Json { path: index.to_owned(), cause })?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    let is_plain = |name: &String| {
        let mut parts = Path::new(name).components();
        parts.next() == Some(Component::Normal(name.as_ref())) && parts.next().is_none()
    };
    match names.iter().find(|name| !is_plain(name)) {
        None => Ok(names),
        Some(name) => Err(ModelError::NotAPlainName { path: index.to_owned(), name: name.clone() }),
    }
}

/// How tensors of a model are named in files, and the model.
pub(super) struct Names {
    pub(super) config: ModelConfig,
    /// Of a model whose output layer is its embedding: the names of the embedding and of the output
    /// matrix, under which a file may have the one matrix.
    tied: Option<(String, &'static str)>,
}

impl Names {
    pub(super) fn of_language_model(config: &ModelConfig) -> Self {
        let architecture = config.architecture;
        let mut layout = Layout::default();
        let output = architecture.decoder(config, &mut layout).output().weight;
        let embedding = layout.segments().iter().find(|named| named.segment == output);
        let tied = embedding.filter(|_| config.tie_word_embeddings);
        let tied = tied.map(|named| (named.name.clone(), architecture.output_name(config)));
        Self { config: config.clone(), tied }
    }

    pub(super) fn of_classifier(config: &ModelConfig) -> Self {
        Self { config: config.clone(), tied: None }
    }

    /// The names under which a file may have a tensor, those that count first in front.
    pub(super) fn of(&self, name: &str) -> Vec<String> {
        let mut names = self.config.architecture.names_in_files(name);
        // Base models leave out the leading `transformer.` or `model.`.
        let short = name.split_once('.').map(|(_, rest)| rest.to_owned());
        names.extend(short.filter(|short| short.contains('.')));
        let head = self.tied.as_ref().filter(|(embedding, _)| embedding == name);
        names.extend(head.map(|(_, head)| (*head).to_owned()));
        names
    }
}

/// A tensor in a file.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) path: &'a Path,
    pub(super) dtype: Dtype,
    pub(super) shape: &'a [usize],
    pub(super) data: &'a [u8],
}

/// A file with its header.
struct WeightFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Where the header ends.
    data: usize,
}

/// All files of a model's weights, mapped, so that only the bytes that are read are touched.
pub(super) struct WeightFiles {
    files: Vec<WeightFile>,
}

impl WeightFiles {
    /// Opens the weight files of a folder.
    pub(super) fn open(folder: &Path) -> Result<Self, ModelError> {
        let files = paths(folder)?.into_iter().map(WeightFile::open).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Opens a file alone.
    pub(super) fn open_one(path: &Path) -> Result<Self, ModelError> {
        Ok(Self { files: vec![WeightFile::open(path.to_owned())?] })
    }

    /// The tensor of a segment.
    pub(super) fn find(&self, names: &Names, named: &NamedSegment) -> Option<Stored<'_>> {
        names.of(&named.name).iter().find_map(|name| self.get(name))
    }

    /// A tensor by its exact name.
    pub(super) fn get(&self, name: &str) -> Option<Stored<'_>> {
        self.files.iter().find_map(|file| file.get(name))
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|file| file.metadata.offset_keys())
    }

    /// What errors about tensors that are nowhere name.
    pub(super) fn path(&self) -> PathBuf {
        self.files.first().map(|file| file.path.clone()).unwrap_or_default()
    }

    /// The output matrix of a model whose configuration shares it with the embedding, where a file
    /// has both and they differ.
    pub(super) fn other_head(&self, config: &ModelConfig) -> Option<Stored<'_>> {
        let names = Names::of_language_model(config);
        let (embedding, head) = names.tied?;
        let head = self.get(head)?;
        let short = embedding.split_once('.').map_or("", |(_, rest)| rest);
        let embedding = self.get(&embedding).or_else(|| self.get(short))?;
        let is_same = (head.dtype, head.shape, head.data)
            == (embedding.dtype, embedding.shape, embedding.data);
        (!is_same).then_some(head)
    }
}

impl WeightFile {
    fn open(path: PathBuf) -> Result<Self, ModelError> {
        let io = |cause| ModelError::Io { path: path.clone(), cause };
        // Asked before it is opened: opening a pipe waits for a writer.
        if !std::fs::metadata(&path).map_err(io)?.is_file() {
            return Err(ModelError::NotAFile { path });
        }
        let file = File::open(&path).map_err(io)?;
        // Safety: the bytes must not change under the map. Weights are replaced by renaming, never
        // written in place; that no other program rewrites the file is the user's to see to, as
        // always with memory maps.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let (data, metadata) = header(&path, &map)?;
        Ok(Self { path, map, metadata, data })
    }

    fn get(&self, name: &str) -> Option<Stored<'_>> {
        let info = self.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        let data = self.map.get(self.data..)?.get(start..end)?;
        Some(Stored { path: &self.path, dtype: info.dtype, shape: &info.shape, data })
    }
}

/// The header of a file's bytes and where it ends. The places of all tensors are checked.
pub(super) fn header(path: &Path, bytes: &[u8]) -> Result<(usize, Metadata), ModelError> {
    if bytes.starts_with(GIT_LFS) {
        return Err(ModelError::GitLfs { path: path.to_owned() });
    }
    // A zip archive or a pickle stream: what torch.save writes, whatever the file is called. A
    // header's length may begin with the same bytes.
    let is_pickle = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 0x02]);
    match SafeTensors::read_metadata(bytes) {
        Ok((length, metadata)) => Ok((size_of::<u64>() + length, metadata)),
        Err(_) if is_pickle => Err(ModelError::Pickle { path: path.to_owned() }),
        Err(cause) => Err(ModelError::Safetensors { path: path.to_owned(), cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 640 bytes begins with the two bytes that a pickle stream begins with.
    #[test]
    fn a_header_of_any_length_is_read() {
        let path = Path::new("model.safetensors");
        for length in [640_usize, 648] {
            let mut json = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_vec();
            json.resize(length, b' ');
            let bytes = [&(length as u64).to_le_bytes()[..], &json, &[0; 4]].concat();
            let (start, metadata) = header(path, &bytes).unwrap();
            assert_eq!((start, metadata.offset_keys()), (8 + length, vec!["a".to_owned()]));
        }
        let pickle = header(path, &[0x80, 0x02, b'}', b'q', 0, b'.', 0, 0, 0, 0]);
        assert!(matches!(pickle, Err(ModelError::Pickle { .. })));
    }
}

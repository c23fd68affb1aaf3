//! Checkpoints: everything that a run needs to continue to the same bits.
//!
//! `checkpoints/step-NNNNNNNN/` holds `state.safetensors` (parameters, the state of the optimizers
//! and an average of the weights, flat vectors by name) and `state.json` (progress of the run, with
//! the other file's checksum). The folder appears whole or not at all; the newest two are kept, so
//! that a damaged one leaves another.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::{atomic_file, hash};
use engine::Tensor;
use model::write_safetensors;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Progress of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished steps.
    pub step: u64,
    /// The lowest held-out number so far, and the step it was found at.
    pub best: Option<(f64, u64)>,
    /// The hash of everything that decides the run's result.
    pub fingerprint: String,
    /// What computed the products, as [`Device::products`] names it, one after the other where that
    /// changed; empty in checkpoints of earlier versions.
    #[serde(default)]
    pub products: String,
}

#[derive(Serialize, Deserialize)]
struct State {
    progress: Progress,
    /// blake3 of `state.safetensors`.
    checksum: String,
}

/// What goes on from a checkpoint.
pub trait Resumable {
    /// Makes the tensors of a checkpoint after `step` steps, to be filled.
    fn prepare(&mut self, step: u64);

    /// The tensors of a checkpoint, flat vectors with their names.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)>;

    /// The tensors of a checkpoint, flat vectors with their names, to be filled.
    fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Tensor)>;
}

const KEPT: usize = 2;

fn io_error(path: &Path) -> impl Fn(io::Error) -> TrainError {
    move |cause| TrainError::Io { path: path.to_owned(), cause }
}

/// A flat vector in the form that safetensors' writer takes.
struct Flat<'a> {
    tensor: &'a Tensor,
    shape: [usize; 1],
}

impl View for Flat<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.tensor.to_vec().iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.shape[0] * size_of::<f32>()
    }
}

/// Writes a checkpoint into the run's folder and removes the ones that are no longer needed.
pub fn save(
    folder: &Path,
    training: &impl Resumable,
    progress: &Progress,
) -> Result<PathBuf, TrainError> {
    let place = folder.join(format!("step-{:08}", progress.step));
    let write = |partial: &Path| -> io::Result<()> {
        let data = partial.join("state.safetensors");
        write_tensors(&data, training)?;
        let state = State { progress: progress.clone(), checksum: hash::of_file(&data)? };
        fs::write(partial.join("state.json"), serde_json::to_vec_pretty(&state)?)
    };
    atomic_file::write_folder(&place, write).map_err(io_error(&place))?;
    // Checkpoints beyond this step are damaged ones that the run passed over.
    let passed_over = list(folder)?.into_iter().filter(|(step, _)| *step > progress.step);
    for (_, old) in passed_over {
        fs::remove_dir_all(&old).map_err(io_error(&old))?;
    }
    remove_old(folder)?;
    Ok(place)
}

/// Removes what is no longer needed: all checkpoints but the newest two, and unfinished ones. A
/// process that was killed after it saved one has not come to that.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_old(folder: &Path) -> Result<(), TrainError> {
    let mut old = list(folder)?;
    old.truncate(old.len().saturating_sub(KEPT));
    for old in old.into_iter().map(|(_, old)| old).chain(unfinished(folder)?) {
        fs::remove_dir_all(&old).map_err(io_error(&old))?;
    }
    Ok(())
}

fn write_tensors(path: &Path, training: &impl Resumable) -> io::Result<()> {
    let tensors = training.tensors().into_iter();
    let flat = tensors.map(|(name, tensor)| (name, Flat { tensor, shape: [tensor.columns()] }));
    write_safetensors(path, flat, None)
}

/// The checkpoints of a folder, oldest first.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let step = |name: &str| name.strip_prefix("step-")?.parse().ok();
    let mut found: Vec<(u64, PathBuf)> = entries(folder)?
        .into_iter()
        .filter_map(|(name, path)| Some((step(&name)?, path)))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// The steps that the newest checkpoint in a folder of them has; none where there is none.
pub fn newest_step(folder: &Path) -> Option<u64> {
    list(folder).ok()?.last().map(|(step, _)| *step)
}

/// Unfinished checkpoints of processes that were killed.
fn unfinished(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let is_partial = |name: &str| name.starts_with("step-") && name.ends_with(".partial");
    let partial = entries(folder)?.into_iter().filter(|(name, _)| is_partial(name));
    Ok(partial.map(|(_, path)| path).collect())
}

/// The names in a folder with their paths; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, TrainError> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error(folder))?,
    };
    let named = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(io_error(folder))?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    entries.map(named).collect()
}

/// Restores the newest undamaged checkpoint. `on_damaged` is called with the path and the problem
/// of each damaged one.
///
/// # Errors
/// When an undamaged checkpoint was written by a run with another fingerprint, or all are damaged.
pub fn restore(
    folder: &Path,
    training: &mut impl Resumable,
    fingerprint: &str,
    mut on_damaged: impl FnMut(&Path, &str),
) -> Result<Option<Progress>, TrainError> {
    let mut damaged = None;
    for (_, path) in list(folder)?.into_iter().rev() {
        match read(&path, training, fingerprint) {
            Ok(progress) => return Ok(Some(progress)),
            Err(TrainError::DamagedCheckpoint { path, problem }) => {
                on_damaged(&path, &problem);
                damaged.get_or_insert(TrainError::DamagedCheckpoint { path, problem });
            }
            Err(other) => return Err(other),
        }
    }
    damaged.map_or(Ok(None), Err)
}

fn read(
    folder: &Path,
    training: &mut impl Resumable,
    fingerprint: &str,
) -> Result<Progress, TrainError> {
    let damaged = |path: PathBuf, problem: String| TrainError::DamagedCheckpoint { path, problem };
    let description = folder.join("state.json");
    let text =
        fs::read(&description).map_err(|cause| damaged(description.clone(), cause.to_string()))?;
    let state: State =
        serde_json::from_slice(&text).map_err(|cause| damaged(description, cause.to_string()))?;
    if state.progress.fingerprint != fingerprint {
        let difference =
            "its settings, data, start weights or teachers are not those of this run".to_owned();
        return Err(TrainError::OtherRun { path: folder.to_owned(), difference });
    }
    let path = folder.join("state.safetensors");
    let bytes = fs::read(&path).map_err(|cause| damaged(path.clone(), cause.to_string()))?;
    if hash::of_bytes(&bytes) != state.checksum {
        return Err(damaged(path, "its checksum does not match: it was cut off or changed".into()));
    }
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|cause| damaged(path.clone(), cause.to_string()))?;
    training.prepare(state.progress.step);
    for (name, target) in training.tensors_mut() {
        let tensor = file.tensor(name).map_err(|cause| damaged(path.clone(), cause.to_string()))?;
        fill(tensor.data(), target).map_err(|problem| damaged(path.clone(), problem))?;
    }
    Ok(state.progress)
}

fn fill(bytes: &[u8], target: &mut Tensor) -> Result<(), String> {
    let values: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if values.len() != target.columns() {
        return Err(format!(
            "it holds {} values where the model has {}",
            values.len(),
            target.columns()
        ));
    }
    let device = target.device().clone();
    device.write(target.view_mut(), &values);
    Ok(())
}

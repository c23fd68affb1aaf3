//! What a person should know about a model folder that loads: what in it is not used.

use std::collections::BTreeSet;
use std::path::Path;

use super::weight_files::{Names, WeightFiles};
use super::{config_path, load_any_config};
use crate::ModelConfig;
use crate::config_keys::passed_over;
use crate::error::ModelError;
use crate::keys::Keys;

/// Lines about what a language model's folder has and its forward pass does not use: keys that
/// transformers does not read either, an output matrix against what the configuration states,
/// tensors of other parts.
///
/// # Errors
/// When the folder holds no language model, or is damaged.
pub fn remarks(folder: &Path) -> Result<Vec<String>, ModelError> {
    let config = load_any_config(folder)?;
    let path = config_path(folder)?;
    let mut lines = Vec::new();
    let keys = quoted(&passed_over(&Keys::read(&path)?, config.architecture));
    if !keys.is_empty() {
        let title = config.architecture.title();
        lines.push(format!("{}: {title} has no use for {keys}", path.display()));
    }
    let files = WeightFiles::open(folder)?;
    let says_tied = ModelConfig { tie_word_embeddings: true, ..config.clone() };
    let is_stated = Keys::read(&path)?
        .or("tie_word_embeddings", config.architecture.defaults().tie_word_embeddings)?;
    if let Some(head) = files.other_head(&says_tied).filter(|_| is_stated) {
        lines.push(format!(
            "{}: `{}` differs from the embeddings and is used, although `tie_word_embeddings` is \
             true",
            head.path.display(),
            config.architecture.output_name(&config)
        ));
    }
    lines.extend(other_copies(&files, &config).into_iter().map(|(used, copy)| {
        format!("{}: `{copy}` differs from `{used}` and is not used", files.path().display())
    }));
    let unused = quoted(&unused(&files, &config));
    if !unused.is_empty() {
        lines.push(format!("{}: not used: {unused}", files.path().display()));
    }
    Ok(lines)
}

/// Parts of the names of tensors that hold no weights, or belong to another head.
const EXPECTED: [&str; 8] = [
    ".attn.bias",
    ".attn.masked_bias",
    ".rotary_emb.inv_freq",
    ".position_ids",
    ".token_type_ids",
    ".pooler.",
    ".mlp.shared_expert",
    ".attention.position_indices",
];

/// Copies of a tensor under other names that are not what is read: the name that is used, and that
/// of the copy.
fn other_copies(files: &WeightFiles, config: &ModelConfig) -> Vec<(String, String)> {
    let mut copies = Vec::new();
    for named in config.layout().segments() {
        let names = config.architecture.names_in_files(&named.name);
        let mut stored = names.into_iter().filter_map(|name| Some((files.get(&name)?, name)));
        let Some((used, name)) = stored.next() else { continue };
        let others = stored.filter(|(copy, _)| (copy.dtype, copy.data) != (used.dtype, used.data));
        copies.extend(others.map(|(_, copy)| (name.clone(), copy)));
    }
    copies
}

/// The tensors that no segment of a language model is read from.
fn unused(files: &WeightFiles, config: &ModelConfig) -> Vec<String> {
    let names = Names::of_language_model(config);
    let layout = config.layout();
    let used: BTreeSet<String> =
        layout.segments().iter().flat_map(|named| names.of(&named.name)).collect();
    let is_unused = |name: &String| {
        !used.contains(name) && !EXPECTED.iter().any(|part| format!(".{name}").contains(part))
    };
    let mut unused: Vec<String> = files.names().filter(is_unused).collect();
    unused.sort();
    unused
}

/// The first names of a list.
fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

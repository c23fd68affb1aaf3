//! Outputs are tried before the work that fills them, and never replace what is read.

mod folder_kind;
mod kind;
mod run_parts;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Component, Path, PathBuf};

use crate::error::{Context, FileContext, Result, refuse};
use crate::files;

pub use folder_kind::kind_of;
pub(crate) use folder_kind::{FolderKind, check_kind, seen_names};
pub use kind::Kind;
pub(crate) use run_parts::check_not_replaced;
pub use run_parts::{check as check_no_run_part, run_around};

/// Makes the folder of an output file and tries to write there.
///
/// # Errors
/// When the path is a folder, a link, a device or a pipe, is one of `inputs` or stands in one of
/// them in place of a file that is there already, is a file of another kind or among those of a
/// run's stages, or cannot be written.
pub fn prepare_file(path: &Path, inputs: &[PathBuf], kind: Kind<'_>) -> Result<MadeFolders> {
    if path.is_dir() {
        return refuse(format_args!("{} is a folder", path.display())).advise("name a file in it");
    }
    if inputs.iter().any(|input| same(path, input) || replaces_within(path, input, kind)) {
        return refuse(format_args!("{} is read: writing would replace it", path.display()))
            .advise("name another file");
    }
    if is_read_by_loaders(path) {
        return refuse(format_args!("{} would be read as a file of the model", path.display()))
            .advise("name another file");
    }
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return refuse(format_args!("{} is a link, a device or a pipe", path.display()))
            .advise("name a file, which need not be there yet");
    }
    kind.check(path)?;
    run_parts::check(path)?;
    let made = match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => MadeFolders::make(folder)?,
        None => MadeFolders::default(),
    };
    probe(path)?;
    Ok(made)
}

/// Makes an output folder, tries to write in it, and keeps other processes from doing so.
///
/// # Errors
/// When it is a run's own, cannot be made or written, or another process writes there.
pub fn prepare_folder(folder: &Path) -> Result<OutputFolder> {
    run_parts::check(folder)?;
    let made = MadeFolders::make(folder)?;
    let lock = lock(folder)?;
    probe(&folder.join("probe"))?;
    Ok(OutputFolder { _made: made, _lock: lock })
}

/// An output folder that other processes leave alone while this value lives. One that was made for
/// it and gets nothing is removed again.
#[derive(Debug)]
#[must_use]
pub struct OutputFolder {
    // The first to be dropped: an empty folder is removed while it is locked.
    _made: MadeFolders,
    _lock: Option<File>,
}

/// Folders that were made for outputs, the innermost first. Those that are empty when this value is
/// dropped are removed again.
#[derive(Debug, Default)]
#[must_use]
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes a folder with those above it.
    fn make(folder: &Path) -> Result<Self> {
        let missing = folder.ancestors().take_while(|above| {
            // The last one of a relative path is empty.
            !above.as_os_str().is_empty() && fs::symlink_metadata(above).is_err()
        });
        let made = Self(missing.map(Path::to_owned).collect());
        files::make_folder(folder)?;
        Ok(made)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // One that has files stays, and those above it.
        let _ = self.0.iter().try_for_each(fs::remove_dir);
    }
}

/// Locks a folder itself, which leaves no file in it; none where the system has no such locks.
fn lock(folder: &Path) -> Result<Option<File>> {
    let Ok(open) = File::open(folder) else { return Ok(None) };
    match open.try_lock() {
        Err(TryLockError::WouldBlock) => {
            refuse(format_args!("another process writes into {}", folder.display()))
                .advise("wait until it has ended, or name another folder")
        }
        _ => Ok(Some(open)),
    }
}

/// Waits until no other process writes a few files into a folder, and keeps others from it.
pub(crate) fn lock_waiting(folder: &Path) -> Option<File> {
    let open = File::open(folder).ok()?;
    open.lock().ok().map(|()| open)
}

/// Writes beside a file's place, as the output will be written, so that what is there stays.
fn probe(path: &Path) -> Result<()> {
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}.partial", std::process::id()));
    let probe = PathBuf::from(probe);
    OpenOptions::new().write(true).create_new(true).open(&probe).at("write", path)?;
    files::remove(&probe)
}

/// Refuses a folder for output that is one of the folders read.
///
/// # Errors
/// When it is.
pub fn check_folder(output: &Path, inputs: &[PathBuf]) -> Result<()> {
    match inputs.iter().find(|input| same(output, input)) {
        Some(input) => {
            refuse(format_args!("{} is read: writing would replace what is in it", input.display()))
                .advise("name another folder")
        }
        None => Ok(()),
    }
}

/// Refuses a folder for results that holds a model, whose files could be taken for results or
/// replaced, or is among those that a run's stages fill.
///
/// # Errors
/// When it does.
pub fn check_no_model(output: &Path) -> Result<()> {
    run_parts::check(output)?;
    match output.join("config.json").exists() {
        true => refuse(format_args!("{} holds a model", output.display()))
            .advise("name a folder for the results, which need not be there yet"),
        false => Ok(()),
    }
}

/// Refuses a link in the place of a folder that is replaced whole: what it leads to would be.
///
/// # Errors
/// When it is one.
pub(crate) fn check_no_link(folder: &Path) -> Result<()> {
    match folder.is_symlink() {
        true => refuse(format_args!("{} is a link, whose target would change", folder.display()))
            .advise("name another folder with --output, or remove the link"),
        false => Ok(()),
    }
}

/// Refuses a file in a folder of results that would be in place of one of theirs: of the `own`
/// names, or in one of the folders in it.
///
/// # Errors
/// When it would.
pub fn check_apart(file: &Path, results: &Path, own: &[&str]) -> Result<()> {
    let (place, results) = (place(file), place(results));
    let Ok(inside) = place.strip_prefix(results) else { return Ok(()) };
    let is_own = own.iter().any(|name| inside == Path::new(name));
    match is_own || inside.components().count() > 1 {
        true => refuse(format_args!("{} is a place of the results in --output", file.display()))
            .advise("name another file"),
        false => Ok(()),
    }
}

/// Refuses a file in a folder whose files another output of the same command writes.
///
/// # Errors
/// When it is there.
pub fn check_outside(file: &Path, folder: &Path, flag: &str) -> Result<()> {
    match place(file).starts_with(place(folder)) {
        true => refuse(format_args!("{} is in the folder of {flag}", file.display()))
            .advise("name a file elsewhere"),
        false => Ok(()),
    }
}

/// Refuses files of an output folder that are among the files read.
///
/// # Errors
/// When one is.
pub fn check_files(folder: &Path, names: &[&str], inputs: &[PathBuf]) -> Result<()> {
    for path in names.iter().map(|name| folder.join(name)) {
        if let Some(input) = inputs.iter().find(|input| same(&path, input)) {
            return refuse(format_args!("{} is read: writing would replace it", input.display()))
                .advise("name another folder");
        }
    }
    Ok(())
}

/// Whether writing `path` would replace a file in the folder `input`; an earlier output is none
/// that is read.
fn replaces_within(path: &Path, input: &Path, kind: Kind<'_>) -> bool {
    // A new file replaces nothing.
    let place = place(path);
    let is_inside = || fs::canonicalize(input).is_ok_and(|input| place.starts_with(input));
    place.exists() && is_inside() && !kind.is_earlier_output(&place)
}

/// Whether a file would have a name by which readers of models look for settings, in a model's
/// folder.
fn is_read_by_loaders(path: &Path) -> bool {
    const NAMES: [&str; 15] = [
        "adapter_config.json",
        "added_tokens.json",
        "chat_template.json",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "model.safetensors",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "pytorch_model.bin.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
    ];
    let place = place(path);
    let is_name = NAMES.iter().any(|name| place.file_name().is_some_and(|found| found == *name));
    is_name && place.parent().is_some_and(|folder| folder.join("config.json").is_file())
}

/// Whether two paths lead to the same file or folder, or will once their folders are made.
pub fn same(one: &Path, other: &Path) -> bool {
    let place = place(one);
    place.exists() && place == self::place(other)
}

/// The path of an output as it is, or where it leads if folders in it are still to be made before
/// `..` leads out of them: what is there already could not be seen through them.
pub fn once_made(path: PathBuf) -> PathBuf {
    let mut before = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir && !before.as_os_str().is_empty() && !before.exists() {
            return place(&path);
        }
        before.push(component);
    }
    path
}

/// Where a path leads once the folders in it are made: links are followed, and a folder that is
/// not there yet with `..` behind it leads nowhere else.
pub fn place(path: &Path) -> PathBuf {
    let mut place = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if component == Component::ParentDir {
            place.pop();
            continue;
        }
        place.push(component);
        if let Ok(real) = fs::canonicalize(&place) {
            place = real;
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    const ANY: Kind<'static> = Kind::Beginning("");

    fn cause<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().cause()
    }

    #[test]
    fn folders_of_outputs_are_made_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/loss.json");
        let made = prepare_file(&path, &[], ANY).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        drop(made);
        assert!(!folder.path().join("not").exists(), "they got nothing");
        let made = prepare_file(&path, &[], ANY).unwrap();
        fs::write(&path, "kept").unwrap();
        drop(made);
        drop(prepare_file(&path, &[], ANY).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(cause(prepare_file(folder.path(), &[], ANY)).ends_with("is a folder"));
        let new = folder.path().join("new/folder");
        let made = prepare_folder(&new).unwrap();
        assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
        assert!(cause(prepare_folder(&new)).starts_with("another process writes into"));
        drop(made);
        assert!(!folder.path().join("new").exists());
        assert!(cause(prepare_folder(&path.join("more"))).starts_with("cannot make "));
        let below_a_file = path.join("more/loss.json");
        assert!(cause(prepare_file(&below_a_file, &[], ANY)).starts_with("cannot make "));
    }

    #[test]
    #[cfg(unix)]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink("target.json", &link).unwrap();
        for path in [&*link, Path::new("/dev/null")] {
            assert!(cause(prepare_file(path, &[], ANY)).ends_with("is a link, a device or a pipe"));
        }
    }

    #[test]
    fn what_is_read_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let scores = Kind::Json(&["model"]);
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let file = data.join("a.jsonl");
        fs::write(&file, "{}").unwrap();
        for inputs in [[data.clone()], [file.clone()]] {
            assert!(cause(prepare_file(&file, &inputs, scores)).contains("is read"));
        }
        let inputs = [data.clone(), file.clone()];
        let own = data.join("scores.json");
        drop(prepare_file(&own, &inputs, scores).unwrap());
        // An earlier output in a folder that is read is no input of its own.
        fs::write(&own, r#"{"model": "m"}"#).unwrap();
        drop(prepare_file(&own, &inputs, scores).unwrap());
        assert!(cause(prepare_file(&own, from_ref(&own), scores)).contains("is read"));

        // A folder that is not there yet would be made, and then be on the way.
        for dotted in ["data/../data", "new/../data", "data/new/..", "new/more/../../data/."] {
            let dotted = folder.path().join(dotted);
            assert!(cause(check_folder(&dotted, from_ref(&data))).contains("is read"));
            for inputs in [[data.clone()], [file.clone()]] {
                let made = prepare_file(&dotted.join("a.jsonl"), &inputs, scores);
                assert!(cause(made).contains("is read"), "{}", dotted.display());
            }
        }
        let through = |inside: &str| once_made(folder.path().join(inside));
        let whole = fs::canonicalize(&data).unwrap();
        assert_eq!(through("data/../data/b"), folder.path().join("data/../data/b"));
        assert_eq!(through("new/../data/b"), whole.join("b"));
        assert_eq!(through("new/more/../../data"), whole);
        for plain in ["a", "../a", "..", "./a/b"] {
            assert_eq!(once_made(plain.into()), Path::new(plain));
        }
        let dotted = folder.path().join("data/../data");
        check_folder(&folder.path().join("new"), from_ref(&data)).unwrap();
        assert!(
            cause(check_files(&dotted, &["b", "a.jsonl"], from_ref(&file))).contains("is read")
        );
        check_files(&dotted, &["b"], &[file]).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_link_leads_to_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
        assert!(check_folder(&folder.path().join("link"), &[data]).is_err());
    }
}

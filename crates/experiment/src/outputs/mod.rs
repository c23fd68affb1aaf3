//! Outputs are tried before the work that fills them, and never replace what is read.

mod kind;
mod run_parts;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Component, Path, PathBuf};

use crate::error::{Context, FileContext, Result, refuse};
use crate::files;

pub use kind::Kind;

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
    if inputs.iter().any(|input| replaces(path, input)) {
        return refuse(format_args!("{} is read: writing would replace it", path.display()))
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

/// What a folder holds whose own files a command reads by their names or endings: files of others
/// among them would be taken for such, or be lost with them. `None` of any other folder.
pub fn kind_of(folder: &Path) -> Option<&'static str> {
    const BY_NAME: [(&str, &[&str]); 5] = [
        ("scores of a model", &["model.json", "result.json"]),
        ("a run", &["recipe.toml", "stages"]),
        ("a training", &["metrics.jsonl", "checkpoints"]),
        ("a model", &["config.json", "model.safetensors"]),
        ("a tokenizer", &["tokenizer.json"]),
    ];
    const BY_ENDING: [(&str, &[&str]); 3] = [
        ("a corpus", &["train", "dev", "test"]),
        ("token files", &["bin"]),
        ("data of a benchmark", &["jsonl"]),
    ];
    // Parts of a run that have no files of their own kind.
    const PARTS: [&str; 4] = ["stages", "models", "evaluation", "teachers"];
    let is_part = folder.file_name().is_some_and(|name| PARTS.iter().any(|part| name == *part))
        && folder.parent().is_some_and(|run| run.join("recipe.toml").exists());
    if is_part {
        return Some("a part of a run");
    }
    let by_name = BY_NAME.iter().find(|(_, names)| names.iter().any(|it| folder.join(it).exists()));
    if let Some((kind, _)) = by_name {
        return Some(kind);
    }
    let paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if paths.iter().any(|path| path.join("model.json").exists()) {
        return Some("the scores of models");
    }
    let has =
        |ending: &&str| paths.iter().any(|path| path.extension().is_some_and(|it| it == *ending));
    BY_ENDING.iter().find(|(_, endings)| endings.iter().any(has)).map(|(kind, _)| *kind)
}

/// Refuses a folder that holds something else than is written into it: of a run or a training some
/// of the `known` files are there, however early it was ended.
///
/// # Errors
/// When it has files, and none of these.
pub fn check_kind(folder: &Path, known: &[&str], kind: &str) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.is_empty() || names.iter().any(|name| known.iter().any(|known| name == known)) {
        return Ok(());
    }
    refuse(format_args!("{} holds other files and no {kind}", folder.display()))
        .advise("name a new folder with --output")
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

/// Whether writing `path` would replace `input`, or a file in that folder.
fn replaces(path: &Path, input: &Path) -> bool {
    // A new file replaces nothing.
    let place = place(path);
    place.exists() && fs::canonicalize(input).is_ok_and(|input| place.starts_with(input))
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
pub(crate) fn place(path: &Path) -> PathBuf {
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
    fn folders_with_files_of_their_own_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |place: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            kind_of(path.parent().unwrap())
        };
        for (place, expected) in [
            ("run/recipe.toml", "a run"),
            ("run/models/a/metrics.jsonl", "a training"),
            ("run/models/x.txt", "a part of a run"),
            ("model/config.json", "a model"),
            ("text/qed.train", "a corpus"),
            ("tokens/train.bin", "token files"),
            ("blimp/island.jsonl", "data of a benchmark"),
        ] {
            assert_eq!(kind(place), Some(expected), "{place}");
        }
        kind("scores/student/model.json");
        assert_eq!(kind_of(&folder.path().join("scores")), Some("the scores of models"));
        assert_eq!(kind("paper/loss.svg"), None);
        assert_eq!(kind("paper/paper.tex"), None);
        assert_eq!(kind_of(&folder.path().join("none")), None);
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
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let file = data.join("a.jsonl");
        fs::write(&file, "{}").unwrap();
        for inputs in [[data.clone()], [file.clone()]] {
            assert!(cause(prepare_file(&file, &inputs, ANY)).contains("is read"));
        }
        let inputs = [data.clone(), file.clone()];
        let _made = prepare_file(&data.join("scores.json"), &inputs, ANY).unwrap();

        // A folder that is not there yet would be made, and then be on the way.
        for dotted in ["data/../data", "new/../data", "data/new/..", "new/more/../../data/."] {
            let dotted = folder.path().join(dotted);
            assert!(cause(check_folder(&dotted, from_ref(&data))).contains("is read"));
            for inputs in [[data.clone()], [file.clone()]] {
                let made = prepare_file(&dotted.join("a.jsonl"), &inputs, ANY);
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

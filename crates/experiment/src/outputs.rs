//! Outputs are tried before the work that fills them, and never replace what is read.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::error::{Context, FileContext, Result, refuse};
use crate::files;

/// Makes the folder of an output file and tries to write there.
///
/// # Errors
/// When the path is a folder, a link, a device or a pipe, is one of `inputs` or stands in one of
/// them in place of a file that is there already, or cannot be written.
pub fn prepare_file(path: &Path, inputs: &[PathBuf]) -> Result<()> {
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
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        files::make_folder(folder)?;
    }
    probe(path)
}

/// Makes an output folder and tries to write in it.
///
/// # Errors
/// When it cannot be made or written.
pub fn prepare_folder(folder: &Path) -> Result<()> {
    files::make_folder(folder)?;
    probe(&folder.join("probe"))
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
/// replaced.
///
/// # Errors
/// When it does.
pub fn check_no_model(output: &Path) -> Result<()> {
    match output.join("config.json").exists() {
        true => refuse(format_args!("{} holds a model", output.display()))
            .advise("name a folder for the results, which need not be there yet"),
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

/// Whether writing `path` would replace `input`, or a file in that folder.
fn replaces(path: &Path, input: &Path) -> bool {
    let within = || match (fs::canonicalize(path), fs::canonicalize(input)) {
        (Ok(path), Ok(input)) => path.starts_with(input),
        // A new file replaces nothing.
        _ => false,
    };
    same(path, input) || within()
}

/// Whether two paths lead to the same file or folder.
pub fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn cause(result: Result<()>) -> String {
        result.unwrap_err().cause()
    }

    #[test]
    fn folders_of_outputs_are_made_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/loss.json");
        prepare_file(&path, &[]).unwrap();
        assert!(path.parent().unwrap().is_dir());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        fs::write(&path, "kept").unwrap();
        prepare_file(&path, &[]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(cause(prepare_file(folder.path(), &[])).ends_with("is a folder"));
        let made = folder.path().join("new/folder");
        prepare_folder(&made).unwrap();
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0);
        assert!(cause(prepare_folder(&path.join("more"))).starts_with("cannot make "));
        let below_a_file = path.join("more/loss.json");
        assert!(cause(prepare_file(&below_a_file, &[])).starts_with("cannot make "));
    }

    #[test]
    #[cfg(unix)]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink("target.json", &link).unwrap();
        for path in [&*link, Path::new("/dev/null")] {
            assert!(cause(prepare_file(path, &[])).ends_with("is a link, a device or a pipe"));
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
            assert!(cause(prepare_file(&file, &inputs)).contains("is read"));
        }
        prepare_file(&data.join("scores.json"), &[data.clone(), file.clone()]).unwrap();

        let dotted = folder.path().join("data/../data");
        assert!(cause(check_folder(&dotted, from_ref(&data))).contains("is read"));
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

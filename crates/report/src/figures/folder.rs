//! Figures and tables as files of a folder.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use base::{atomic_file, hash};

use super::{Figure, file_stem};
use crate::{ReportError, Table};

/// What a folder of figures gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// Also each figure as PNG.
    pub png: bool,
}

/// Writes each figure as `NAME.svg` with its rows as `NAME.csv` (and as `NAME.png`), and each table
/// as `NAME.md`, `NAME.tex` and `NAME.csv`, into a folder that is made where it is missing. A name
/// that is taken gets a number: no two have one. `files.txt` lists them with hashes of their bytes,
/// so that another time they are replaced or, where they do not come again, removed; files of
/// others, and those that others changed, stay. Returns what was written, in order.
///
/// # Errors
/// When something cannot be written or drawn, or a file of such a name is there that is not as
/// that list has it.
pub fn write_folder<'a>(
    folder: &Path,
    figures: impl IntoIterator<Item = &'a Figure>,
    tables: impl IntoIterator<Item = (&'a str, &'a Table)>,
    formats: Formats,
) -> Result<Vec<PathBuf>, ReportError> {
    std::fs::create_dir_all(folder).map_err(|source| ReportError::File {
        action: "make",
        path: folder.to_path_buf(),
        source,
    })?;
    let files = contents(figures, tables, formats)?;
    let entries: Vec<Entry> =
        files.iter().map(|(name, bytes)| (name.clone(), Some(hash::of_bytes(bytes)))).collect();
    let outdated = claim(folder, &entries)?;
    let mut written = Vec::new();
    for (name, bytes) in &files {
        let path = folder.join(name);
        write(&path, bytes)?;
        written.push(path);
    }
    // Figures of other runs would stand beside those of these.
    for name in &outdated {
        let _ = std::fs::remove_file(folder.join(name));
    }
    list(folder, entries)?;
    Ok(written)
}

/// The names and bytes of all files.
fn contents<'a>(
    figures: impl IntoIterator<Item = &'a Figure>,
    tables: impl IntoIterator<Item = (&'a str, &'a Table)>,
    formats: Formats,
) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let (mut names, mut files) = (HashSet::new(), Vec::new());
    for figure in figures {
        let name = unique(&mut names, &figure.name);
        files.push((format!("{name}.svg"), figure.svg.clone().into_bytes()));
        files.push((format!("{name}.csv"), figure.to_csv().into_bytes()));
        if formats.png {
            files.push((format!("{name}.png"), figure.to_png()?));
        }
    }
    for (title, table) in tables {
        let name = unique(&mut names, title);
        files.push((format!("{name}.md"), table.to_markdown().into_bytes()));
        files.push((format!("{name}.tex"), table.to_latex().into_bytes()));
        files.push((format!("{name}.csv"), table.to_csv().into_bytes()));
    }
    Ok(files)
}

/// The list of what was written into a folder.
const LIST: &str = "files.txt";

/// A line of the list: a file's name, and the hash of its bytes, which that of the list itself
/// lacks.
type Entry = (String, Option<String>);

/// Refuses to replace files that are not as an earlier call has listed them, and adds those that
/// come to the list. Returns what does not come again.
fn claim(folder: &Path, entries: &[Entry]) -> Result<Vec<String>, ReportError> {
    let listed = std::fs::read_to_string(folder.join(LIST)).unwrap_or_default();
    let entry = |line: &str| match line.split_once('\t') {
        Some((name, hash)) => (name.to_owned(), Some(hash.to_owned())),
        None => (line.to_owned(), None),
    };
    let listed: Vec<Entry> = listed.lines().map(entry).collect();
    // A call that was ended midway leaves a file as it was or as it was to be: both are listed.
    let mut known: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for (name, hash) in &listed {
        known.entry(name).or_default().push(hash.as_deref());
    }
    let is_own = |name: &str| {
        let hash = hash::of_file(&folder.join(name)).ok();
        let hashes = known.get(name).into_iter().flatten();
        hashes.into_iter().any(|known| known.is_some() && *known == hash.as_deref())
    };
    // A list that does not name itself, or names others without hashes, is another file.
    let is_list = known.iter().all(|(name, hashes)| (*name == LIST) == hashes.contains(&None))
        && known.contains_key(LIST);
    let is_own = |name: &str| if name == LIST { is_list } else { is_own(name) };
    let names = || entries.iter().map(|(name, _)| name.as_str());
    let is_taken = |name: &&str| folder.join(name).symlink_metadata().is_ok() && !is_own(name);
    if let Some(name) = names().chain([LIST]).find(is_taken) {
        return Err(ReportError::Taken { path: folder.join(name) });
    }
    let coming: HashSet<&str> = names().chain([LIST]).collect();
    // A name that is no plain one was not written here.
    let is_plain = |name: &str| Path::new(name).components().eq([Component::Normal(name.as_ref())]);
    let outdated = known.keys().filter(|name| !coming.contains(*name) && is_plain(name));
    let outdated: Vec<String> =
        outdated.filter(|name| is_own(name)).map(|name| (*name).to_owned()).collect();
    list(folder, listed.iter().chain(entries).cloned())?;
    Ok(outdated)
}

/// Lists files in a folder, and the list itself.
fn list(folder: &Path, entries: impl IntoIterator<Item = Entry>) -> Result<(), ReportError> {
    let line = |(name, hash): Entry| match hash {
        Some(hash) => format!("{name}\t{hash}\n"),
        None => format!("{name}\n"),
    };
    let lines: BTreeSet<String> =
        entries.into_iter().chain([(LIST.to_owned(), None)]).map(line).collect();
    write(&folder.join(LIST), String::from_iter(lines).as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    atomic_file::write(path, bytes).map_err(|source| ReportError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// A stem that no other has.
fn unique(names: &mut HashSet<String>, title: &str) -> String {
    let stem = file_stem(title);
    let numbered = (2_u64..).map(|count| format!("{stem}-{count}"));
    let mut candidates = std::iter::once(stem.clone()).chain(numbered);
    let free = candidates.find(|name| !names.contains(name)).unwrap_or(stem.clone());
    names.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Align;

    fn figure(name: &str) -> Figure {
        let row = vec!["1".to_owned()];
        Figure {
            name: name.into(),
            title: String::new(),
            caption: String::new(),
            svg: "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>".into(),
            columns: vec!["x".into()],
            rows: vec![row],
        }
    }

    #[test]
    fn a_folder_gets_each_figure_and_table_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/figures");
        let table = Table::new([("a", Align::Left)]);
        let figures = ["Loss", "loss", "loss-2", "../../up"].map(figure);
        let tables = [("LOSS", &table)];
        let written = write_folder(&place, &figures, tables, Formats { png: true }).unwrap();
        let mut names: Vec<String> = std::fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected: Vec<String> = ["loss", "loss-2", "loss-2-2", "up"]
            .iter()
            .flat_map(|name| ["csv", "png", "svg"].map(|kind| format!("{name}.{kind}")))
            .chain(["csv", "md", "tex"].map(|kind| format!("loss-3.{kind}")))
            .chain([LIST.to_owned()])
            .collect();
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(written.len() + 1, expected.len());
        assert!(written.iter().all(|path| path.is_file()));
        assert_eq!(std::fs::read_to_string(place.join("up.csv")).unwrap(), "x\n1\n");
    }

    #[test]
    fn files_of_others_stay_and_its_own_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            write_folder(folder.path(), &[figure(name)], [], Formats::default()).map(drop)
        };
        std::fs::write(folder.path().join("other.csv"), "mine").unwrap();
        for name in ["loss", "loss", "more", "loss"] {
            write(name).unwrap();
        }
        let problem = write("other").unwrap_err().to_string();
        assert!(problem.contains("other.csv"), "{problem}");
        assert_eq!(std::fs::read_to_string(folder.path().join("other.csv")).unwrap(), "mine");
        assert!(!folder.path().join("other.svg").exists());
        std::fs::write(folder.path().join(LIST), "notes\n").unwrap();
        assert!(write("loss").is_err());
    }

    #[test]
    fn a_figure_that_a_person_has_changed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            write_folder(folder.path(), &[figure(name)], [], Formats::default()).map(drop)
        };
        let path = folder.path().join("loss.svg");
        write("loss").unwrap();
        std::fs::write(&path, "<svg/>").unwrap();
        let problem = write("loss").unwrap_err().to_string();
        assert!(problem.contains("loss.svg"), "{problem}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "<svg/>");
        // Neither is it removed where it does not come again; what was not changed is.
        write("more").unwrap();
        assert!(path.exists() && !folder.path().join("loss.csv").exists());
        std::fs::remove_file(&path).unwrap();
        write("loss").unwrap();
        assert!(!folder.path().join("more.svg").exists());
        // What `ls` lists is no list of figures.
        let names = "files.txt\nloss.csv\nloss.svg\nthesis.tex\n";
        std::fs::write(folder.path().join(LIST), names).unwrap();
        std::fs::write(folder.path().join("thesis.tex"), "precious").unwrap();
        let problem = write("more").unwrap_err().to_string();
        assert!(problem.contains("files.txt"), "{problem}");
        assert!(path.exists() && folder.path().join("thesis.tex").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = write_folder(&file, &[], [], Formats::default()).unwrap_err().to_string();
        assert!(error.starts_with("cannot make ") && error.contains("file"), "{error}");
    }
}

//! Figures and tables as files of a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use base::atomic_file;

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
/// that is taken gets a number: no two have one. Returns what was written, in order.
///
/// # Errors
/// When something cannot be written or drawn.
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
    let mut names = HashSet::new();
    let mut written = Vec::new();
    let mut write = |name: &str, extension: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}.{extension}"));
        atomic_file::write(&path, bytes).map_err(|source| ReportError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        written.push(path);
        Ok(())
    };
    for figure in figures {
        let name = unique(&mut names, &figure.name);
        write(&name, "svg", figure.svg.as_bytes())?;
        write(&name, "csv", figure.to_csv().as_bytes())?;
        if formats.png {
            write(&name, "png", &figure.to_png()?)?;
        }
    }
    for (title, table) in tables {
        let name = unique(&mut names, title);
        write(&name, "md", table.to_markdown().as_bytes())?;
        write(&name, "tex", table.to_latex().as_bytes())?;
        write(&name, "csv", table.to_csv().as_bytes())?;
    }
    Ok(written)
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
            .collect();
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(written.len(), expected.len());
        assert!(written.iter().all(|path| path.is_file()));
        assert_eq!(std::fs::read_to_string(place.join("up.csv")).unwrap(), "x\n1\n");
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

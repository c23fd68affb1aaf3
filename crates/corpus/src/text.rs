//! Reading and writing text, with Python's ideas of lines and white space where the authors'
//! scripts rely on them.

use std::path::{Path, PathBuf};

use base::{atomic_file, input_file};

use crate::error::{CorpusError, Result};
use crate::text_reader::TextReader;
use crate::texts::{Text, open_corpus};

/// A file's name (such as `aochildes.train`) and its text.
pub type NamedText = (String, String);

/// What the names of corpus files end in.
pub const EXTENSIONS: [&str; 4] = ["train", "dev", "test", "txt"];

/// Reads a whole file as Python's `Path.read_text()` does: strict UTF-8, with `\r\n` and `\r`
/// turned into `\n`.
pub fn read_text(path: &Path) -> Result<String> {
    TextReader::open(path)?.collect()
}

/// The corpus files of a folder, sorted by name (by code point); of a file, the file itself.
///
/// # Errors
/// When the folder cannot be read or has none, or one of them is a link to nothing or no regular
/// file.
pub fn corpus_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() && path.exists() {
        return Ok(vec![path.into()]);
    }
    let files = find(path)?.files;
    if files.is_empty() {
        return Err(CorpusError::EmptyCorpus { path: path.into() });
    }
    Ok(files)
}

/// What a folder holds besides its corpus files and hidden files, by name; nothing beside a file.
///
/// # Errors
/// As [`corpus_files`].
pub fn left_out(path: &Path) -> Result<Vec<String>> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let name = |path: &PathBuf| match path.is_dir() {
        true => format!("{}/", file_name(path)),
        false => file_name(path),
    };
    Ok(find(path)?.left_out.iter().map(name).collect())
}

/// A line that names what [`left_out`] found, if there is anything.
///
/// # Errors
/// As [`corpus_files`].
pub fn left_out_line(path: &Path) -> Result<Option<String>> {
    let names = left_out(path)?;
    let line = || {
        let endings = EXTENSIONS.map(|ending| format!(".{ending}")).join(", ");
        let folder = path.display();
        format!("left out in {folder}, not named {endings}: {}", names.join(", "))
    };
    Ok((!names.is_empty()).then(line))
}

fn find(folder: &Path) -> Result<input_file::Found> {
    input_file::find(folder, &EXTENSIONS).map_err(|cause| match std::fs::read_dir(folder) {
        // The folder is there: the cause names the file in it.
        Ok(_) => CorpusError::CorpusFile { cause },
        Err(_) => CorpusError::read(folder, cause),
    })
}

/// The last part of a path, as text.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads the corpus files of a folder (or the one file that `path` names) whole, in their fixed
/// order; [`open_corpus`] does without the memory.
///
/// # Errors
/// As [`open_corpus`], or when a file is no text.
pub fn read_corpus(path: &Path) -> Result<Vec<NamedText>> {
    let read = |text: &Text<'_>| Ok((text.name().to_owned(), text.read()?));
    open_corpus(path)?.iter().map(read).collect()
}

/// Writes a file beside its place and renames it there, so that a cut leaves the old file or the
/// new one whole.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    let failed = |cause| CorpusError::write(path, cause);
    make_folder_of(path)?;
    atomic_file::write(path, text.as_bytes()).map_err(failed)
}

/// Makes the folder that a file is to stand in.
pub(crate) fn make_folder_of(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |folder| {
        std::fs::create_dir_all(folder).map_err(|cause| CorpusError::write(folder, cause))
    })
}

/// The lines of a text as Python's `str.splitlines()` cuts them: at ten characters besides `\r\n`,
/// without the ends.
pub fn python_splitlines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, end, after) = first_line(rest);
        rest = match end {
            Some('\r') => after.strip_prefix('\n').unwrap_or(after),
            _ => after,
        };
        Some(line)
    })
}

/// The lines of a text that comes in parts, as [`python_splitlines`] cuts a whole text.
#[derive(Debug, Default)]
pub(crate) struct PythonLines {
    begun: usize,
    /// Whether the last line may go on.
    is_open: bool,
    /// Whether the last line ended in `\r`, to which a line feed may belong.
    after_return: bool,
}

impl PythonLines {
    /// Lines that have begun.
    pub(crate) fn count(&self) -> usize {
        self.begun
    }

    /// Calls `visit` with each stretch of a line in the next part, and the line's number from 0;
    /// with each line at least once.
    pub(crate) fn push(&mut self, part: &str, mut visit: impl FnMut(usize, &str)) {
        let mut rest = part;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(after) = rest.strip_prefix('\n')
            {
                rest = after;
                continue;
            }
            self.begun += usize::from(!self.is_open);
            let (stretch, end, after) = first_line(rest);
            visit(self.begun - 1, stretch);
            self.is_open = end.is_none();
            self.after_return = end == Some('\r');
            rest = after;
        }
    }
}

/// The first line of a text, what ends it, and what follows.
fn first_line(text: &str) -> (&str, Option<char>, &str) {
    match text.char_indices().find(|&(_, character)| ends_line(character)) {
        Some((at, end)) => (&text[..at], Some(end), &text[at + end.len_utf8()..]),
        None => (text, None, ""),
    }
}

fn ends_line(character: char) -> bool {
    matches!(character, '\n'..='\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// White space as Python's `str.isspace` has it: Unicode's, and the four separators U+001C to
/// U+001F.
pub fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1C}'..='\u{1F}')
}

/// Python's `str.strip()`.
pub fn python_strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// Number of words: what stands between white space, as `wc -w` counts.
pub fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::{between_characters, cut};

    #[test]
    fn reads_universal_newlines_and_names_the_bad_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "a\r\nb\rc\n\r\n\r\rd").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a\nb\nc\n\n\n\nd");

        std::fs::write(&path, b"caf\xC3\xA9 \xFF").unwrap();
        let message = read_text(&path).unwrap_err().to_string();
        assert!(message.ends_with("a.txt is not UTF-8 text: bad byte at offset 6"), "{message}");

        let message = read_text(&folder.path().join("absent.txt")).unwrap_err().to_string();
        assert!(message.ends_with("absent.txt does not exist"), "{message}");
    }

    #[test]
    fn lists_only_corpus_files_in_a_fixed_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["qed.train", "bnc_spoken.train", "B.dev", "notes.md", ".hidden.txt", "c.test", "d.txt"]
        {
            std::fs::write(folder.path().join(name), "text\n").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.txt")).unwrap();
        let names: Vec<String> =
            read_corpus(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["B.dev", "bnc_spoken.train", "c.test", "d.txt", "qed.train"]);
        assert_eq!(
            corpus_files(&folder.path().join("notes.md")).unwrap().len(),
            1,
            "a file stands for itself"
        );
    }

    #[test]
    fn endings_may_be_in_capitals_and_other_files_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.train", "C.TXT", "notes.md", "._a.train"] {
            std::fs::write(folder.path().join(name), "text\n").unwrap();
        }
        std::fs::create_dir(folder.path().join("more")).unwrap();
        let names: Vec<String> =
            read_corpus(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["C.TXT", "a.train"]);
        assert_eq!(left_out(folder.path()).unwrap(), ["more/", "notes.md"]);
        assert!(left_out(&folder.path().join("a.train")).unwrap().is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn a_broken_link_is_not_left_out_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.train"), "text\n").unwrap();
        std::os::unix::fs::symlink("../blobs/absent", folder.path().join("b.train")).unwrap();
        let message = read_corpus(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with("b.train is a link to a file that does not exist"), "{message}");
    }

    #[test]
    fn a_git_lfs_pointer_is_not_text() {
        let folder = tempfile::tempdir().unwrap();
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        std::fs::write(folder.path().join("a.train"), pointer).unwrap();
        let message = read_corpus(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with("a.train: it is a Git LFS pointer, not the file itself"));
    }

    #[test]
    fn a_corpus_without_words_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_corpus(folder.path()), Err(CorpusError::EmptyCorpus { .. })));
        std::fs::write(folder.path().join("a.txt"), " \n\n").unwrap();
        assert!(matches!(read_corpus(folder.path()), Err(CorpusError::EmptyCorpus { .. })));
        assert!(matches!(
            read_corpus(&folder.path().join("absent")),
            Err(CorpusError::Missing { .. })
        ));
    }

    /// Expectations: CPython 3.11.
    #[test]
    fn splits_lines_and_strips_as_python_does() {
        let lines = |text| python_splitlines(text).collect::<Vec<&str>>();
        assert_eq!(lines("a\nb\r\nc\rd\x0Be\x0Cf"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(lines("a\x1Cb\x1Dc\x1Ed\x1Fe"), ["a", "b", "c", "d\x1Fe"]);
        assert_eq!(lines("a\u{85}b\u{2028}c\u{2029}"), ["a", "b", "c"]);
        assert_eq!(lines("\n\na\n\n"), ["", "", "a", ""]);
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(python_strip("\x1C\x1F \u{A0}\u{3000}a b\u{85}\t\x1E"), "a b");
        assert_eq!(python_strip("\u{200B}a\u{FEFF}"), "\u{200B}a\u{FEFF}");
    }

    #[test]
    fn lines_of_parts_are_those_of_the_whole() {
        for text in ["", "\r", "a\r\nb\r\rc\n\r\n\x0Cé\u{85}\u{2028}𝄞", "\r\n\r\n\r", "endless"]
        {
            for bytes in [1, 2, 3, 7, 64] {
                let (mut lines, mut found) = (PythonLines::default(), Vec::<String>::new());
                for part in cut(text, bytes, between_characters) {
                    lines.push(part, |line, stretch| {
                        found.resize(line + 1, String::new());
                        found[line].push_str(stretch);
                    });
                }
                let expected: Vec<&str> = python_splitlines(text).collect();
                assert_eq!((found.len(), lines.count()), (expected.len(), expected.len()));
                assert_eq!(found, expected, "{text:?} in parts of {bytes}");
            }
        }
    }

    #[test]
    fn counts_words_between_white_space() {
        assert_eq!(count_words("  one two\n\nthree-four ' \t"), 4);
        assert_eq!(count_words(""), 0);
    }
}

//! Texts that need not fit into memory: read in parts, as often as wanted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::atomic_file::WrittenFile;
use base::stop::{self, ShouldStop};
use base::{AtomicFile, input_file};

use crate::error::{CorpusError, Result};
use crate::pieces::{PIECE_BYTES, Pieces, after_a_line};
use crate::stats::{Counts, TextStats};
use crate::text::{NamedText, corpus_files, file_name, make_folder_of};
use crate::text_reader::{PART_BYTES, TextReader};

/// Stretches of a text in order, which end between characters.
pub type Parts<'a> = Box<dyn Iterator<Item = Result<String>> + 'a>;

/// A named text that is read in parts, as often as wanted: a file, or what becomes of one.
#[derive(Clone)]
pub struct Text<'a> {
    name: Arc<str>,
    parts: Arc<dyn Fn() -> Parts<'a> + Send + Sync + 'a>,
}

impl<'a> Text<'a> {
    /// A text whose parts `parts` makes, the same ones at every call.
    pub fn new(name: &str, parts: impl Fn() -> Parts<'a> + Send + Sync + 'a) -> Self {
        Self { name: name.into(), parts: Arc::new(parts) }
    }

    /// The text of a file, under the file's name. What can be read but once, such as a pipe, is
    /// read whole here.
    ///
    /// # Errors
    /// When it cannot be opened, is a Git LFS pointer, or is neither a regular file nor a pipe.
    pub fn of_file(path: PathBuf) -> Result<Self> {
        Self::of_file_unless(&stop::never, path)
    }

    /// The text of a file, as [`of_file`](Self::of_file); a pipe is not waited for any more once
    /// `should_stop` answers `true`.
    ///
    /// # Errors
    /// As [`of_file`](Self::of_file), and when it was asked to stop.
    pub fn of_file_unless(should_stop: ShouldStop<'_>, path: PathBuf) -> Result<Self> {
        let name = file_name(&path);
        if input_file::require_regular(&path).is_err() {
            let text: String =
                TextReader::open_unless(should_stop, &path)?.collect::<Result<_>>()?;
            let text: Arc<str> = text.into();
            return Ok(Self::new(&name, move || Box::new(parts_of(text.clone()))));
        }
        TextReader::open(&path)?;
        Ok(Self::new(&name, move || match TextReader::open(&path) {
            Ok(parts) => Box::new(parts),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }))
    }

    /// A text in memory.
    pub fn of(name: &str, text: &'a str) -> Self {
        Self::new(name, move || Box::new(parts_of(text)))
    }

    /// The text's name, such as `aochildes.train`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text from its beginning. A part that cannot be read is an error, and the last one.
    pub fn parts(&self) -> Parts<'a> {
        (self.parts)()
    }

    /// The text in pieces of whole lines; only the last may lack its line feed.
    pub fn whole_lines(&self) -> impl Iterator<Item = Result<String>> + use<'a> {
        Pieces::new(self.parts(), PIECE_BYTES, after_a_line)
    }

    /// The text that `change` makes of this one, under the same name.
    pub fn changed<'b>(self, change: impl Fn(Parts<'a>) -> Parts<'b> + Send + Sync + 'b) -> Text<'b>
    where
        'a: 'b,
    {
        let name = self.name.clone();
        Text { name, parts: Arc::new(move || change(self.parts())) }
    }

    /// This text, whose reading ends when it is asked to stop.
    pub fn stopping_when<'b>(self, should_stop: ShouldStop<'b>) -> Text<'b>
    where
        'a: 'b,
    {
        let check = move |part: Result<String>| {
            stop::check(should_stop)?;
            part
        };
        self.changed(move |parts| Box::new(parts.map(check)))
    }

    /// The whole text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<String> {
        self.parts().collect()
    }

    fn has_word(&self) -> Result<bool> {
        for part in self.parts() {
            if !part?.trim().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the text beside `path`, ready to be moved there, and counts it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn write_beside(&self, path: &Path) -> Result<(TextStats, WrittenFile)> {
        let failed = |cause| CorpusError::write(path, cause);
        make_folder_of(path)?;
        let mut file = AtomicFile::create(path).map_err(failed)?;
        let mut counts = Counts::default();
        for part in self.parts() {
            let part = part?;
            file.write_all(part.as_bytes()).map_err(failed)?;
            counts.add(&Counts::of(&part));
        }
        Ok((counts.named(self.name()), file.finish().map_err(failed)?))
    }
}

fn parts_of(text: impl AsRef<str>) -> impl Iterator<Item = Result<String>> {
    let mut given = 0;
    std::iter::from_fn(move || {
        let rest = &text.as_ref()[given..];
        let part = &rest[..rest.floor_char_boundary(PART_BYTES)];
        given += part.len();
        (!part.is_empty()).then(|| Ok(part.to_owned()))
    })
}

/// The corpus files of a folder (or the one file that `path` names) in their fixed order.
///
/// # Errors
/// When there are none, or one cannot be opened.
pub fn open_files(path: &Path) -> Result<Vec<Text<'static>>> {
    open_files_unless(&stop::never, path)
}

fn open_files_unless(should_stop: ShouldStop<'_>, path: &Path) -> Result<Vec<Text<'static>>> {
    let open = |path| Text::of_file_unless(should_stop, path);
    corpus_files(path)?.into_iter().map(open).collect()
}

/// The corpus files of a folder, as [`open_files`], of which at least one has a word.
///
/// # Errors
/// As [`open_files`], when there is no word, or no text before the first one.
pub fn open_corpus(path: &Path) -> Result<Vec<Text<'static>>> {
    open_corpus_unless(&stop::never, path)
}

/// The corpus files of a folder, as [`open_corpus`]; pipes are not waited for any more once
/// `should_stop` answers `true`.
///
/// # Errors
/// As [`open_corpus`], and when it was asked to stop.
pub fn open_corpus_unless(should_stop: ShouldStop<'_>, path: &Path) -> Result<Vec<Text<'static>>> {
    let texts = open_files_unless(should_stop, path)?;
    for text in &texts {
        if text.has_word()? {
            return Ok(texts);
        }
    }
    Err(CorpusError::EmptyCorpus { path: path.into() })
}

/// Texts in memory as such that are read in parts.
pub fn in_memory(texts: &[NamedText]) -> Vec<Text<'_>> {
    texts.iter().map(|(name, text)| Text::of(name, text)).collect()
}

/// Texts that are written beside their places in a folder, and appear together. Dropped without a
/// commit, they leave nothing behind.
#[derive(Debug)]
pub struct WrittenTexts(Vec<(TextStats, WrittenFile)>);

impl WrittenTexts {
    /// Refuses to replace files of other contents.
    ///
    /// # Errors
    /// When there is one, or one cannot be read.
    pub fn check_nothing_is_lost(&self) -> Result<()> {
        for (_, file) in &self.0 {
            let path = file.path();
            if file.replaces_other_bytes().map_err(|cause| CorpusError::read(path, cause))? {
                return Err(CorpusError::OtherText { path: path.into() });
            }
        }
        Ok(())
    }

    /// Brings the texts into their places.
    ///
    /// # Errors
    /// When that fails for one.
    pub fn commit(self) -> Result<Vec<TextStats>> {
        let mut stats = Vec::new();
        for (text, file) in self.0 {
            let path = file.path().to_owned();
            file.commit().map_err(|cause| CorpusError::write(path, cause))?;
            stats.push(text);
        }
        Ok(stats)
    }
}

/// Writes each text under its name into a folder, which is made if need be, and counts it.
///
/// # Errors
/// When two have one name, or one cannot be read or written.
pub fn write_texts(folder: &Path, texts: &[Text<'_>]) -> Result<WrittenTexts> {
    let mut names: Vec<&str> = texts.iter().map(Text::name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(CorpusError::SameName { name: pair[0].into() });
    }
    let write = |text: &Text<'_>| text.write_beside(&folder.join(text.name()));
    texts.iter().map(write).collect::<Result<_>>().map(WrittenTexts)
}

#[cfg(test)]
pub(crate) mod test_texts {
    use super::*;
    use crate::pieces::{between_characters, cut};

    pub(crate) fn named(name: &str, text: impl Into<String>) -> NamedText {
        (name.into(), text.into())
    }

    pub(crate) fn read(texts: &[Text<'_>]) -> Vec<NamedText> {
        texts.iter().map(|text| named(text.name(), text.read().unwrap())).collect()
    }

    /// Texts that come in parts of `bytes` bytes.
    pub(crate) fn in_parts(texts: &[NamedText], bytes: usize) -> Vec<Text<'_>> {
        fn parts(text: &str, bytes: usize) -> Parts<'_> {
            let parts = cut(text, bytes, between_characters).into_iter();
            Box::new(parts.map(|part| Ok(part.to_owned())))
        }
        texts.iter().map(|(name, text)| Text::new(name, move || parts(text, bytes))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::read_corpus;

    #[test]
    fn a_text_is_read_as_often_as_wanted() {
        let long = "🎵 né\n".repeat(PART_BYTES / 3);
        let text = Text::of("a", &long);
        assert!(text.parts().count() > 2);
        let text = text.changed(|parts| Box::new(parts.map(|part| Ok(part?.replace('n', "l")))));
        for _ in 0..2 {
            assert!(text.read().unwrap() == long.replace('n', "l"));
        }
        let stopped = text.stopping_when(&|| true).read();
        assert!(matches!(stopped, Err(CorpusError::Stopped(_))));
    }

    #[test]
    fn texts_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("new/clean");
        let texts = [("a.txt", "one two\n"), ("b.txt", "thrée")];
        let named = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let stats = write_texts(&output, &in_memory(&named)).unwrap().commit().unwrap();
        assert_eq!(read_corpus(&output).unwrap(), named);
        let sizes: Vec<_> = stats.iter().map(|text| (text.words, text.characters)).collect();
        assert_eq!(sizes, [(2, 8), (1, 5)]);

        let twice = [Text::of("a.txt", "x"), Text::of("b.txt", "y"), Text::of("a.txt", "z")];
        let message = write_texts(&output, &twice).unwrap_err().to_string();
        assert!(message.starts_with("two corpus files are named a.txt"), "{message}");

        std::fs::write(folder.path().join("bad.txt"), b"one two \xFF").unwrap();
        let bad = Text::of_file(folder.path().join("bad.txt")).unwrap();
        let texts = [Text::of("a.txt", "changed"), bad];
        let message = write_texts(&output, &texts).unwrap_err().to_string();
        assert!(message.ends_with("bad.txt is not UTF-8 text: bad byte at offset 8"), "{message}");
        assert_eq!(read_corpus(&output).unwrap(), named);
        assert_eq!(std::fs::read_dir(&output).unwrap().count(), 2);
    }

    #[test]
    fn texts_of_other_contents_are_told_from_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let write = || {
            let texts = [Text::of("a.txt", "one two\n"), Text::of("b.txt", "three\n")];
            write_texts(folder.path(), &texts).unwrap()
        };
        write().check_nothing_is_lost().unwrap();
        write().commit().unwrap();
        write().check_nothing_is_lost().unwrap();
        for other in ["three!", "three", "", "three\n\n"] {
            std::fs::write(folder.path().join("b.txt"), other).unwrap();
            let lost = write().check_nothing_is_lost().unwrap_err().to_string();
            assert!(lost.ends_with("b.txt is there already, with other contents"), "{lost}");
        }
        std::fs::remove_file(folder.path().join("b.txt")).unwrap();
        std::fs::create_dir(folder.path().join("b.txt")).unwrap();
        assert!(write().check_nothing_is_lost().is_err());
    }

    #[test]
    #[cfg(unix)]
    fn what_can_be_read_but_once_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "one\r\ntwo").unwrap()
        });
        let texts = open_corpus(&path).unwrap();
        writer.join().unwrap();
        for _ in 0..2 {
            assert_eq!(texts[0].read().unwrap(), "one\ntwo");
        }
    }
}

//! The authors' cleaners for the sources of BabyLM 2023 and 2024, one file each.
//!
//! They follow BabyLlama's `mrclean.py`, byte for byte: what looks odd (paragraphs glued together,
//! `l` turned into `I`) is what the authors' models were trained on. A source is known by its
//! file's name up to the first dot.

mod aochildes;
mod blanks;
mod bnc_spoken;
mod capitalize;
mod cbt;
mod children_stories;
mod cleaner;
mod gutenberg;
mod open_subtitles;
mod plain;
mod qed;
mod simple_wikipedia;
mod switchboard;
mod wikipedia;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::ShouldStop;
use rayon::prelude::*;

use crate::error::Result;
use crate::pieces::{after_a_line, between_characters};
use crate::stats::TextStats;
use crate::text::NamedText;
use crate::texts::{Text, write_texts};

pub use cleaner::Cleaner;

/// Every source by name: the ten of 2023, then the names that 2024 changed.
pub const SOURCES: [(&str, Cleaner); 12] = [
    ("aochildes", AOCHILDES),
    ("bnc_spoken", Cleaner::new(bnc_spoken::clean, bnc_spoken::is_cut)),
    ("cbt", Cleaner::new(cbt::clean, cbt::is_cut)),
    ("children_stories", Cleaner::new(children_stories::clean, between_characters)),
    ("gutenberg", Cleaner::new(gutenberg::clean, between_characters)),
    ("open_subtitles", Cleaner::new(open_subtitles::clean, after_a_line)),
    ("qed", Cleaner::new(qed::clean, after_a_line).without_last_line_end()),
    ("simple_wikipedia", SIMPLE_WIKIPEDIA),
    ("switchboard", Cleaner::new(switchboard::clean, between_characters)),
    ("wikipedia", WIKIPEDIA),
    ("childes", AOCHILDES),
    ("simple_wiki", SIMPLE_WIKIPEDIA),
];

const AOCHILDES: Cleaner = Cleaner::new(aochildes::clean, aochildes::is_cut);
const SIMPLE_WIKIPEDIA: Cleaner = Cleaner::new(simple_wikipedia::clean, simple_wikipedia::is_cut);
const WIKIPEDIA: Cleaner =
    Cleaner::new(wikipedia::clean, wikipedia::is_cut).without_last_line_end().finished();

/// The source that a corpus file's name stands for: `bnc_spoken` of `bnc_spoken.train`.
pub fn source_of(file_name: &str) -> &str {
    file_name.split('.').next().unwrap_or_default()
}

/// The cleaner of a source; that of other text, `plain`, leaves it as it is.
pub fn cleaner(source: &str) -> Cleaner {
    SOURCES
        .iter()
        .find(|(name, _)| *name == source)
        .map_or(Cleaner::new(plain::clean, between_characters), |&(_, cleaner)| cleaner)
}

/// Each text as it is left by the cleaner that its name selects; order and names stay. They are
/// cleaned whenever they are read, unless it is asked to stop.
pub fn clean<'a>(
    should_stop: ShouldStop<'a>,
    texts: impl IntoIterator<Item = Text<'a>>,
) -> Vec<Text<'a>> {
    let clean = |text: Text<'a>| {
        let cleaner = cleaner(source_of(text.name()));
        cleaner.clean_text(should_stop, text)
    };
    texts.into_iter().map(clean).collect()
}

/// A text that was cleaned into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanedFile {
    /// The name of the text and of the file.
    pub name: String,
    /// Unicode code points of the raw text.
    pub characters_before: usize,
    /// Unicode code points of the clean text.
    pub characters_after: usize,
}

/// Cleans each text into a file of its name. The files appear when all are written, and files of
/// other contents give way only to `replace`.
///
/// # Errors
/// As [`write_texts`], when it is asked to stop, or a file is there with another text.
pub fn clean_into(
    should_stop: ShouldStop<'_>,
    texts: Vec<Text<'_>>,
    folder: &Path,
    replace: bool,
) -> Result<Vec<CleanedFile>> {
    let before: Vec<AtomicUsize> = texts.iter().map(|_| AtomicUsize::new(0)).collect();
    let counted = texts.into_iter().zip(&before).map(|(text, count)| counting(text, count));
    let written = write_texts(folder, &clean(should_stop, counted))?;
    if !replace {
        written.check_nothing_is_lost()?;
    }
    let file = |(after, before): (TextStats, &AtomicUsize)| CleanedFile {
        name: after.name,
        characters_before: before.load(Ordering::Relaxed),
        characters_after: after.characters,
    };
    Ok(written.commit()?.into_iter().zip(&before).map(file).collect())
}

/// A text whose characters are added up in `count` as it is read.
fn counting<'a: 'b, 'b>(text: Text<'a>, count: &'b AtomicUsize) -> Text<'b> {
    let add = |part: &Result<String>| {
        let characters = part.as_ref().map_or(0, |part| part.chars().count());
        count.fetch_add(characters, Ordering::Relaxed);
    };
    text.changed(move |parts| Box::new(parts.inspect(add)))
}

/// Cleans texts in memory, each as a whole; order and names stay.
pub fn clean_whole(texts: &[NamedText]) -> Vec<NamedText> {
    let clean = |(name, text): &NamedText| (name.clone(), cleaner(source_of(name)).clean(text));
    texts.par_iter().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use base::rng::Rng;
    use base::stop;

    use super::*;
    use crate::error::CorpusError;
    use crate::pieces::cut;
    use crate::text::{corpus_files, file_name, read_corpus, read_text};
    use crate::texts::{in_memory, open_corpus};

    #[test]
    fn a_file_finds_its_cleaner_by_name() {
        assert_eq!(source_of("bnc_spoken.train"), "bnc_spoken");
        assert_eq!(source_of("bnc_spoken.train.txt"), "bnc_spoken");
        for (old, new) in [("aochildes", "childes"), ("simple_wikipedia", "simple_wiki")] {
            assert_eq!(cleaner(old).clean("a  ,\n\nb"), cleaner(new).clean("a  ,\n\nb"), "{old}");
        }
        assert_eq!(cleaner("my_stories").clean("a  ,\n\nb l"), "a  ,\n\nb l");
    }

    /// Bits of text that some cleaner looks at.
    const BITS: [&str; 24] = [
        "word",
        "TWO WORDS",
        "l",
        "subtitle",
        "SubTitles",
        "= = = ",
        "= = =",
        " = = =\n",
        " = = =\n",
        "\n",
        "\n",
        "\nx",
        "a\n",
        "\n\n",
        " ",
        "  ",
        " .",
        "!?",
        "'s",
        " '",
        "\u{A0}",
        "\x0C",
        "\u{2028}",
        "é",
    ];

    /// Texts with few places to cut, and random successions of [`BITS`].
    fn texts() -> Vec<String> {
        let rng = Rng::new(3, "text for cleaners");
        let random = (0..1000).map(|index| {
            let rng = rng.at(index);
            (0..30).map(|bit| BITS[rng.below(bit, BITS.len() as u64) as usize]).collect()
        });
        let repeated = |text: &str| text.repeat(40);
        let by_hand = [
            String::new(),
            repeated("\n"),
            repeated("𝄞🎵"),
            repeated("= = = a = = =\n"),
            repeated("one line 's  without an end , SUBTITLE "),
            repeated("中文。\n𝄞 l\n"),
            repeated("a.\n\nB !\n \n"),
        ];
        random.chain(by_hand).collect()
    }

    #[test]
    fn pieces_are_cleaned_as_the_whole() {
        let mut cuts = 0;
        for text in texts() {
            for (name, cleaner) in SOURCES {
                let whole = cleaner.clean(&text);
                for bytes in [1, 2, 3, 7, 64] {
                    let parts = cut(&text, bytes, between_characters).into_iter();
                    let parts = parts.map(|part| Ok(part.to_owned()));
                    let parts = cleaner.clean_parts(&stop::never, Box::new(parts), bytes);
                    let parts = parts.collect::<Result<Vec<String>>>().unwrap();
                    assert_eq!(parts.concat(), whole, "{name} in pieces of {bytes}: {text:?}");
                    cuts += parts.len() - 1;
                }
            }
        }
        assert!(cuts > 100_000, "{cuts} cuts");
    }

    /// Paragraphs between empty lines, and text without a letter of ASCII, are cut too.
    #[test]
    fn ordinary_text_of_any_kind_has_places_to_cut() {
        for line in ["A paragraph .\n\n", "Ещё одна строка.\n", "又一行。\n", "a line \n"]
        {
            for (name, cleaner) in SOURCES {
                let parts = Box::new(std::iter::once(Ok(line.repeat(100))));
                let parts = cleaner.clean_parts(&stop::never, parts, 1).count();
                assert!(parts >= 100, "{name}: {parts} pieces of {line:?}");
            }
        }
    }

    #[test]
    fn cleaning_stops_when_asked() {
        let texts = [("a.txt".to_string(), "text".to_string())];
        let clean = &clean(&|| true, in_memory(&texts))[0];
        assert!(matches!(clean.read(), Err(CorpusError::Stopped(_))));
    }

    #[test]
    fn a_folder_is_cleaned_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let (raw, output) = (folder.path().join("raw"), folder.path().join("clean"));
        std::fs::create_dir(&raw).unwrap();
        std::fs::write(raw.join("cbt.train"), "It 's\r\n").unwrap();
        std::fs::write(raw.join("aochildes.train"), "a  ball .\n").unwrap();
        std::fs::write(raw.join("notes.txt"), "as  it is .\n").unwrap();
        let files = clean_into(&stop::never, open_corpus(&raw).unwrap(), &output, false).unwrap();
        let expected = [
            ("aochildes.train", "a ball.\n"),
            ("cbt.train", "It's\n"),
            ("notes.txt", "as  it is .\n"),
        ];
        let expected = expected.map(|(name, text)| (name.to_string(), text.to_string()));
        assert_eq!(read_corpus(&output).unwrap(), expected);
        assert_eq!(clean_whole(&read_corpus(&raw).unwrap()), expected);
        let sizes: Vec<_> =
            files.iter().map(|file| (file.characters_before, file.characters_after)).collect();
        assert_eq!(sizes, [(10, 8), (6, 5), (12, 12)]);
    }

    /// Compares with the authors' own output: every file under `BABYLLAMA_CLEAN_ORACLE`, in any
    /// depth of folders, must be what its namesake under `BABYLLAMA_DATA` becomes.
    #[test]
    #[ignore = "needs the folders named by BABYLLAMA_DATA and BABYLLAMA_CLEAN_ORACLE"]
    fn equals_the_authors_cleaners() {
        let folder = |name| {
            PathBuf::from(std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set")))
        };
        let compared = compare(&folder("BABYLLAMA_DATA"), &folder("BABYLLAMA_CLEAN_ORACLE"));
        assert!(compared > 0, "no file to compare");
    }

    fn compare(raw: &Path, oracle: &Path) -> usize {
        let mut compared = 0;
        for file in corpus_files(oracle).unwrap_or_default() {
            let name = file_name(&file);
            let clean = cleaner(source_of(&name)).clean(&read_text(&raw.join(&name)).unwrap());
            assert!(
                clean.as_bytes() == std::fs::read(&file).unwrap(),
                "{} differs",
                file.display()
            );
            compared += 1;
        }
        for entry in std::fs::read_dir(oracle).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                compared += compare(&raw.join(file_name(&entry)), &entry);
            }
        }
        compared
    }
}

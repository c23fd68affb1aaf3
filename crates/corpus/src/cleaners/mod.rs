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

use rayon::prelude::*;

use crate::error::Result;
use crate::text::{NamedText, read_corpus, write_corpus};
use base::stop::{self, ShouldStop};

pub use cleaner::Cleaner;

/// Every source by name: the ten of 2023, then the names that 2024 changed.
pub const SOURCES: [(&str, Cleaner); 12] = [
    ("aochildes", Cleaner::new(aochildes::clean)),
    ("bnc_spoken", Cleaner::new(bnc_spoken::clean)),
    ("cbt", Cleaner::new(cbt::clean)),
    ("children_stories", Cleaner::new(children_stories::clean)),
    ("gutenberg", Cleaner::new(gutenberg::clean)),
    ("open_subtitles", Cleaner::new(open_subtitles::clean)),
    ("qed", Cleaner::without_last_line_end(qed::clean)),
    ("simple_wikipedia", Cleaner::new(simple_wikipedia::clean)),
    ("switchboard", Cleaner::new(switchboard::clean)),
    ("wikipedia", Cleaner::without_last_line_end(wikipedia::clean).then(wikipedia::finish)),
    ("childes", Cleaner::new(aochildes::clean)),
    ("simple_wiki", Cleaner::new(simple_wikipedia::clean)),
];

/// The source that a corpus file's name stands for: `bnc_spoken` of `bnc_spoken.train`.
pub fn source_of(file_name: &str) -> &str {
    file_name.split('.').next().unwrap_or_default()
}

/// The cleaner of a source; that of other text, `plain`, leaves it as it is.
pub fn cleaner(source: &str) -> Cleaner {
    SOURCES
        .iter()
        .find(|(name, _)| *name == source)
        .map_or(Cleaner::new(plain::clean), |&(_, cleaner)| cleaner)
}

/// Cleans each text with the cleaner that its name asks for, in parallel; order and names stay.
pub fn clean_texts(texts: &[NamedText]) -> Vec<NamedText> {
    texts.par_iter().map(clean_text).collect()
}

/// As [`clean_texts`], unless it is asked to stop.
pub fn clean_texts_unless(
    should_stop: ShouldStop<'_>,
    texts: &[NamedText],
) -> Result<Vec<NamedText>> {
    let clean = |text| {
        stop::check(should_stop)?;
        Ok(clean_text(text))
    };
    texts.par_iter().map(clean).collect()
}

fn clean_text((name, text): &NamedText) -> NamedText {
    (name.clone(), cleaner(source_of(name)).clean(text))
}

/// Cleans the corpus files of `input` into files of the same names in the folder `output`, and
/// returns their texts.
pub fn clean_folder(input: &Path, output: &Path) -> Result<Vec<NamedText>> {
    let clean = clean_texts(&read_corpus(input)?);
    write_corpus(output, &clean)?;
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use base::rng::Rng;

    use super::*;
    use crate::error::CorpusError;
    use crate::text::{corpus_files, file_name, read_text};

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

    #[test]
    fn pieces_are_cleaned_as_the_whole() {
        let rng = Rng::new(3, "text for cleaners");
        let mut cut = 0;
        for index in 0..2000 {
            let rng = rng.at(index);
            let text: String =
                (0..30).map(|bit| BITS[rng.below(bit, BITS.len() as u64) as usize]).collect();
            for (name, cleaner) in SOURCES {
                let whole = cleaner.clean_in_pieces(&text, usize::MAX);
                assert_eq!(cleaner.clean_in_pieces(&text, 0), whole, "{name}: {text:?}");
            }
            cut += cleaner::pieces(&text, 0).len() - 1;
        }
        assert!(cut > 2000, "{cut} cuts");
    }

    #[test]
    fn cleaning_stops_when_asked() {
        let texts = [("a.txt".to_string(), "text".to_string())];
        assert!(matches!(clean_texts_unless(&|| true, &texts), Err(CorpusError::Stopped(_))));
        assert_eq!(clean_texts_unless(&|| false, &texts).unwrap(), clean_texts(&texts));
    }

    #[test]
    fn a_folder_is_cleaned_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("raw");
        std::fs::create_dir(&raw).unwrap();
        std::fs::write(raw.join("cbt.train"), "It 's\r\n").unwrap();
        std::fs::write(raw.join("aochildes.train"), "a  ball .\n").unwrap();
        std::fs::write(raw.join("notes.txt"), "as  it is .\n").unwrap();
        let clean = clean_folder(&raw, &folder.path().join("clean")).unwrap();
        let expected = [
            ("aochildes.train", "a ball.\n"),
            ("cbt.train", "It's\n"),
            ("notes.txt", "as  it is .\n"),
        ];
        assert_eq!(clean, expected.map(|(name, text)| (name.to_string(), text.to_string())));
        assert_eq!(read_corpus(&folder.path().join("clean")).unwrap(), clean);
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

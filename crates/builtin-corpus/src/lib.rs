//! The built-in corpus: English from a grammar, in the raw form of BabyLM's ten sources, and
//! minimal pairs from the same grammar.
//!
//! A text is made in layers. The `lexicon` holds the words and what they select. The `grammar`
//! makes phrases and clauses whose agreement is right by construction. A scene (`discourse`) is a
//! few people, animals and things on one topic, and refers to them as speakers do. The `registers`
//! tell stories, hold conversations and write articles about an invented `world`, and the `sources`
//! give these the form of the files that the cleaners expect.
//!
//! ```
//! use builtin_corpus::{BuiltinSettings, Split, minimal_pairs, write_corpus};
//!
//! let settings =
//!     BuiltinSettings { words: 2000, validation_words: 200, pairs_per_paradigm: 2, seed: 1 };
//! let files = write_corpus(settings, Split::Train);
//! assert_eq!(files.len(), 10);
//! assert!(files.iter().any(|(name, _)| name == "aochildes.train"));
//! assert!(minimal_pairs(settings).iter().all(|(_, pairs)| pairs.len() == 2));
//! ```

#![warn(missing_docs)]

mod discourse;
mod draw;
mod grammar;
mod lexicon;
mod pairs;
mod registers;
mod sources;
mod world;

use std::sync::Arc;

use base::stop::{self, ShouldStop, Stopped};
pub use pairs::Pair;
use sources::{SOURCES, Source};
use world::World;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinSettings {
    /// Words of the training text, all sources together.
    pub words: usize,
    /// Words of the validation text.
    pub validation_words: usize,
    /// Minimal pairs of each paradigm.
    pub pairs_per_paradigm: usize,
    /// Everything is a function of it.
    pub seed: u64,
}

/// Which of the two texts; they share the invented world and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The training text.
    Train,
    /// The held-out text.
    Validation,
}

/// The raw text of a source, which is written whenever it is read.
#[derive(Clone)]
pub struct BuiltinText {
    source: &'static Source,
    world: Arc<World>,
    seed: u64,
    split: Split,
    words: usize,
}

impl BuiltinText {
    /// A file name, such as `aochildes.train` or `aochildes.dev`.
    pub fn name(&self) -> String {
        let suffix = match self.split {
            Split::Train => "train",
            Split::Validation => "dev",
        };
        format!("{}.{suffix}", self.source.name)
    }

    /// The text in parts. Once it is asked to stop, a part is an error.
    pub fn parts<'a>(
        &self,
        should_stop: ShouldStop<'a>,
    ) -> impl Iterator<Item = Result<String, Stopped>> + use<'a> {
        let Self { source, world, seed, split, words } = self.clone();
        source.documents(should_stop, world, seed, split, words)
    }
}

/// The raw text of every source.
pub fn texts(settings: BuiltinSettings, split: Split) -> Vec<BuiltinText> {
    let (seed, world) = (settings.seed, Arc::new(World::new(settings.seed)));
    let words = match split {
        Split::Train => settings.words,
        Split::Validation => settings.validation_words,
    };
    let total: usize = SOURCES.iter().map(|source| source.share).sum();
    let text = |source: &'static Source| {
        let words = words * source.share / total;
        BuiltinText { source, world: world.clone(), seed, split, words }
    };
    SOURCES.iter().map(text).collect()
}

/// The raw text of every source as a whole, with its name.
pub fn write_corpus(settings: BuiltinSettings, split: Split) -> Vec<(String, String)> {
    // Nothing stops it.
    let write = |text: BuiltinText| (text.name(), text.parts(&stop::never).flatten().collect());
    texts(settings, split).into_iter().map(write).collect()
}

/// The minimal pairs of every paradigm, by UID. No good sentence stands in the training text of the
/// same settings, as far as that can be avoided.
pub fn minimal_pairs(settings: BuiltinSettings) -> Vec<(String, Vec<Pair>)> {
    // Nothing stops it.
    minimal_pairs_unless(&stop::never, settings).unwrap_or_default()
}

/// The minimal pairs of every paradigm, by UID, as [`minimal_pairs`], unless `should_stop` answers
/// `true`.
///
/// # Errors
/// When it is stopped.
pub fn minimal_pairs_unless(
    should_stop: ShouldStop<'_>,
    settings: BuiltinSettings,
) -> Result<Vec<(String, Vec<Pair>)>, Stopped> {
    let (world, count) = (World::new(settings.seed), settings.pairs_per_paradigm);
    let known = pairs::sentences(should_stop, &texts(settings, Split::Train))?;
    pairs::write(should_stop, &world, settings.seed, &known, count)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use super::grammar::spelling::article;
    use super::lexicon::lexicon;
    use super::*;
    use corpus::cleaners::{cleaner, source_of};
    use corpus::text::count_words;

    const SETTINGS: BuiltinSettings =
        BuiltinSettings { words: 40_000, validation_words: 8_000, pairs_per_paradigm: 20, seed: 7 };

    fn raw() -> BTreeMap<String, String> {
        write_corpus(SETTINGS, Split::Train)
            .into_iter()
            .map(|(name, text)| (source_of(&name).to_string(), text))
            .collect()
    }

    fn clean() -> BTreeMap<String, String> {
        raw().into_iter().map(|(name, text)| (name.clone(), cleaner(&name).clean(&text))).collect()
    }

    #[test]
    fn a_seed_gives_one_corpus() {
        let train = write_corpus(SETTINGS, Split::Train);
        assert_eq!(train, write_corpus(SETTINGS, Split::Train));
        let other = write_corpus(BuiltinSettings { seed: 8, ..SETTINGS }, Split::Train);
        let validation = write_corpus(SETTINGS, Split::Validation);
        for ((train, other), validation) in train.iter().zip(&other).zip(&validation) {
            assert_ne!(train.1, other.1);
            assert_ne!(train.1.get(..300), validation.1.get(..300));
        }
        assert_eq!(
            (train[0].0.as_str(), validation[9].0.as_str()),
            ("aochildes.train", "wikipedia.dev")
        );
    }

    #[test]
    fn sources_have_their_share_of_the_words() {
        for (split, wanted) in
            [(Split::Train, SETTINGS.words), (Split::Validation, SETTINGS.validation_words)]
        {
            let files = write_corpus(SETTINGS, split);
            let total: usize = files.iter().map(|(_, text)| count_words(text)).sum();
            assert!(total.abs_diff(wanted) * 100 < 5 * wanted, "{total} words instead of {wanted}");
            let subtitles = count_words(&files[5].1);
            assert!(
                (28..34).contains(&(subtitles * 100 / total)),
                "{subtitles} words of subtitles"
            );
        }
        assert!(
            write_corpus(BuiltinSettings { words: 0, ..SETTINGS }, Split::Train)
                .iter()
                .all(|file| file.1.len() < 2)
        );
    }

    #[test]
    fn each_source_has_the_quirks_that_its_cleaner_mends() {
        let (raw, clean) = (raw(), clean());
        let has = |text: &str, quirk: &str| text.contains(quirk);
        for (source, quirk) in [
            ("aochildes", " ?\n"),
            ("bnc_spoken", "  "),
            ("bnc_spoken", " ."),
            ("bnc_spoken", "\n\n"),
            ("cbt", " 's"),
            ("cbt", " ."),
            ("open_subtitles", "ubtitles"),
            ("qed", " lT "),
            ("simple_wikipedia", "\n\n"),
            ("wikipedia", "= = ="),
        ] {
            assert!(has(&raw[source], quirk), "{source} lacks {quirk:?}");
            assert!(!has(&clean[source], quirk), "{source} keeps {quirk:?}");
        }
        for (source, sign) in [
            ("cbt", " n't "),
            ("children_stories", "“"),
            ("gutenberg", "CHAPTER"),
            ("open_subtitles", "\n- "),
            ("qed", "("),
            ("switchboard", "A:\t"),
        ] {
            assert!(
                has(&raw[source], sign) && has(&clean[source], sign),
                "{source} lacks {sign:?}"
            );
        }
        assert!(raw["aochildes"].chars().all(|letter| !letter.is_uppercase()));
        assert!(clean["bnc_spoken"].lines().all(|line| !line.is_empty()));
        assert!(clean["wikipedia"].lines().all(|line| !line.is_empty()));
    }

    #[test]
    fn determiners_agree_throughout() {
        let words = lexicon();
        let singular: HashSet<&str> = words
            .nouns
            .iter()
            .filter(|noun| noun.singular != noun.plural)
            .map(|noun| &*noun.singular)
            .collect();
        let plural: HashMap<&str, &str> = words
            .nouns
            .iter()
            .filter(|noun| noun.singular != noun.plural && words.noun(&noun.plural).is_none())
            .map(|noun| (&*noun.plural, &*noun.singular))
            .collect();
        let clean = clean();
        let mut checked = 0;
        for source in [
            "cbt",
            "children_stories",
            "gutenberg",
            "simple_wikipedia",
            "wikipedia",
            "open_subtitles",
        ] {
            let tokens: Vec<&str> = clean[source].split_whitespace().collect();
            for pair in tokens.windows(2) {
                let (determiner, word) =
                    (pair[0], pair[1].trim_end_matches(|mark: char| !mark.is_alphanumeric()));
                let wrong = match determiner {
                    "a" | "an" => plural.contains_key(word) || determiner != article(word),
                    "this" | "every" | "another" => plural.contains_key(word),
                    "these" | "those" | "many" | "several" => {
                        singular.contains(word) && word != "orange"
                    }
                    _ => continue,
                };
                assert!(!wrong, "{source}: {determiner} {word}");
                checked += 1;
            }
        }
        assert!(checked > 1000, "only {checked} determiners");
    }

    #[test]
    fn pairs_are_minimal_and_well_formed() {
        let paradigms = minimal_pairs(SETTINGS);
        let uids: HashSet<&String> = paradigms.iter().map(|(uid, _)| uid).collect();
        assert_eq!(uids.len(), paradigms.len());
        let terms: HashSet<&str> =
            paradigms.iter().map(|(_, pairs)| pairs[0].linguistics_term).collect();
        assert!(uids.len() >= 40 && terms.len() >= 12, "{} paradigms of {terms:?}", uids.len());
        for (uid, pairs) in &paradigms {
            assert_eq!(pairs.len(), SETTINGS.pairs_per_paradigm, "{uid}");
            let good: HashSet<&str> =
                pairs.iter().map(|pair| pair.sentence_good.as_str()).collect();
            assert_eq!(good.len(), pairs.len(), "{uid} repeats itself");
            for (position, pair) in pairs.iter().enumerate() {
                let (good, bad) = (&pair.sentence_good, &pair.sentence_bad);
                assert_ne!(good, bad, "{uid}");
                for sentence in [good, bad] {
                    assert!(!sentence.contains("  ") && !sentence.contains(" ."), "{sentence}");
                    assert!(
                        sentence.starts_with(char::is_uppercase) && sentence.ends_with(['.', '?']),
                        "{sentence}"
                    );
                    assert!(sentence.split(' ').count() >= 2, "{sentence}");
                }
                assert_eq!((pair.pair_id, pair.uid), (position, uid.as_str()));
            }
        }
    }

    #[test]
    fn pairs_are_held_out_and_a_function_of_the_seed() {
        let paradigms = minimal_pairs(SETTINGS);
        assert_eq!(paradigms, minimal_pairs(SETTINGS));
        assert_ne!(paradigms, minimal_pairs(BuiltinSettings { seed: 8, ..SETTINGS }));
        let text = clean().into_values().collect::<Vec<_>>().join("\n").replace('\n', " ");
        for pair in paradigms.iter().flat_map(|(_, pairs)| pairs) {
            assert!(!text.contains(&pair.sentence_good), "{} was in the text", pair.sentence_good);
        }
    }

    #[test]
    fn pairs_are_lines_of_json_with_the_fields_of_blimp() {
        let (_, pairs) = &minimal_pairs(SETTINGS)[0];
        let line = pairs[3].to_json_line();
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = [
            "sentence_good",
            "sentence_bad",
            "field",
            "linguistics_term",
            "UID",
            "simple_LM_method",
            "one_prefix_method",
            "two_prefix_method",
            "lexically_identical",
            "pair_id",
        ];
        assert_eq!(fields, wanted);
        assert_eq!(
            (&value["UID"], &value["pair_id"]),
            (&"anaphor_gender_agreement".into(), &3.into())
        );
    }
}

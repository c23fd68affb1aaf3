//! Five measures of how hard a text is to read, as textstat 0.7.3 computes them for English: what
//! BabyLlama's experiments with curricula order their text by.
//!
//! Texts are read in pieces. Letters and digits are those of Rust's `char`, which differ from
//! Python's in some combining marks.

mod hyphenation;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pieces::pieces_of;
use crate::texts::Text;
use base::ShouldStop;
use base::stop;

const EASY_WORDS: &str = include_str!("easy_words.txt");

static EASY: LazyLock<HashSet<&str>> =
    LazyLock::new(|| EASY_WORDS.lines().map(str::trim).collect());

/// Syllables from which on a word counts as long, and unless it is an easy one, as difficult.
const LONG: usize = 3;

/// The measures. Higher is harder, but for the reading ease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Readability {
    /// Flesch's reading ease: about 100 for speech to children, 40 for an encyclopaedia.
    pub flesch_reading_ease: f64,
    /// Flesch and Kincaid's grade.
    pub flesch_kincaid_grade: f64,
    /// Gunning's fog index.
    pub gunning_fog: f64,
    /// The automated readability index.
    pub automated_readability: f64,
    /// McLaughlin's SMOG index; 0 below three sentences.
    pub smog: f64,
}

/// One of the measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Flesch's reading ease, of which more is easier.
    #[default]
    FleschReadingEase,
    /// Flesch and Kincaid's grade.
    FleschKincaidGrade,
    /// Gunning's fog index.
    GunningFog,
    /// The automated readability index.
    AutomatedReadability,
    /// McLaughlin's SMOG index.
    Smog,
}

impl Readability {
    /// One of the measures.
    pub fn value(&self, measure: Measure) -> f64 {
        match measure {
            Measure::FleschReadingEase => self.flesch_reading_ease,
            Measure::FleschKincaidGrade => self.flesch_kincaid_grade,
            Measure::GunningFog => self.gunning_fog,
            Measure::AutomatedReadability => self.automated_readability,
            Measure::Smog => self.smog,
        }
    }

    /// One of the measures, negated where needed so that higher is harder.
    pub fn difficulty(&self, measure: Measure) -> f64 {
        match measure {
            Measure::FleschReadingEase => -self.flesch_reading_ease,
            other => self.value(other),
        }
    }
}

/// What the measures are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadingCounts {
    characters: u64,
    words: u64,
    syllables: u64,
    /// Sentences of more than two words.
    sentences: u64,
    /// Words of three and more syllables.
    long_words: u64,
    /// Different words of three and more syllables that are not among the easy ones.
    difficult: HashSet<String>,
    sentence: Sentence,
}

/// Where in a sentence the text is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Sentence {
    /// Before its first letter.
    #[default]
    Outside,
    /// Behind `words` words, and whether the word under way has a letter.
    Inside { words: u64, in_word: bool },
    /// At its full stops.
    Ending { words: u64 },
}

/// Words with fewer words are none for textstat.
const SHORTEST_SENTENCE: u64 = 3;

impl ReadingCounts {
    /// Counts a text.
    ///
    /// # Errors
    /// When it cannot be read, or the caller asked to stop.
    pub fn of(should_stop: ShouldStop<'_>, text: &Text<'_>) -> Result<Self> {
        let (mut counts, mut syllables) = (Self::default(), Syllables::default());
        for piece in pieces_of(std::slice::from_ref(text), before_white_space) {
            stop::check(should_stop)?;
            counts.add(&piece?.1, &mut syllables);
        }
        Ok(counts.finish())
    }

    /// Counts a text in memory.
    pub fn of_str(text: &str) -> Self {
        let mut counts = Self::default();
        counts.add(text, &mut Syllables::default());
        counts.finish()
    }

    /// Adds text that begins where the last one ended, between two words.
    fn add(&mut self, text: &str, syllables: &mut Syllables) {
        for character in text.chars() {
            self.add_to_sentence(character);
            self.characters += u64::from(!is_space(character));
        }
        for piece in text.split(is_space).filter(|piece| !piece.is_empty()) {
            let lower = piece.to_lowercase();
            let count = syllables.of(&lower);
            if piece.chars().any(is_letter) {
                self.words += 1;
                self.syllables += count as u64;
                self.long_words += u64::from(count >= LONG);
            }
            let belongs = |c: char| is_letter(c) || "='‘’".contains(c);
            for word in lower.split(|c| !belongs(c)).filter(|word| !word.is_empty()) {
                let is_difficult = syllables.of(word) >= LONG && !EASY.contains(word);
                if is_difficult && !self.difficult.contains(word) {
                    self.difficult.insert(word.to_owned());
                }
            }
        }
    }

    /// A sentence begins with a letter and ends behind full stops, exclamation and question marks.
    fn add_to_sentence(&mut self, character: char) {
        let ends = matches!(character, '.' | '!' | '?');
        self.sentence = match std::mem::take(&mut self.sentence) {
            Sentence::Inside { words, in_word } if ends => {
                Sentence::Ending { words: words + u64::from(in_word) }
            }
            Sentence::Inside { words, in_word } if is_space(character) => {
                Sentence::Inside { words: words + u64::from(in_word), in_word: false }
            }
            Sentence::Inside { words, in_word } => {
                Sentence::Inside { words, in_word: in_word || is_letter(character) }
            }
            Sentence::Ending { words } if ends => Sentence::Ending { words },
            before => {
                if let Sentence::Ending { words } = before {
                    self.sentences += u64::from(words >= SHORTEST_SENTENCE);
                }
                match is_letter(character) {
                    true => Sentence::Inside { words: 0, in_word: true },
                    false => Sentence::Outside,
                }
            }
        };
    }

    /// Counts the last sentence.
    fn finish(mut self) -> Self {
        let words = match std::mem::take(&mut self.sentence) {
            Sentence::Outside => 0,
            Sentence::Inside { words, in_word } => words + u64::from(in_word),
            Sentence::Ending { words } => words,
        };
        self.sentences += u64::from(words >= SHORTEST_SENTENCE);
        self
    }

    /// The measures. Of a text without a word textstat takes the averages for 0, and what divides
    /// by words.
    pub fn readability(&self) -> Readability {
        if self.words == 0 {
            return Readability {
                flesch_reading_ease: rounded(206.835, 2),
                flesch_kincaid_grade: rounded(-15.59, 1),
                ..Readability::default()
            };
        }
        let (words, sentences) = (self.words as f64, self.sentences.max(1) as f64);
        let per_sentence = rounded(words / sentences, 1);
        let per_word = rounded(self.syllables as f64 / words, 1);
        let difficult = self.difficult.len() as f64 / words * 100.0;
        let smog = 1.043 * (30.0 * (self.long_words as f64 / sentences)).sqrt() + 3.1291;
        let characters = rounded(self.characters as f64 / words, 2);
        let automated = 4.71 * characters + 0.5 * rounded(words / sentences, 2) - 21.43;
        Readability {
            flesch_reading_ease: rounded(206.835 - 1.015 * per_sentence - 84.6 * per_word, 2),
            flesch_kincaid_grade: rounded(0.39 * per_sentence + 11.8 * per_word - 15.59, 1),
            gunning_fog: rounded(0.4 * (per_sentence + difficult), 2),
            automated_readability: rounded(automated, 1),
            smog: if self.sentences >= 3 { rounded(smog, 1) } else { 0.0 },
        }
    }
}

/// Syllables of words that were counted before.
#[derive(Default)]
struct Syllables(HashMap<String, usize>);

/// Words that are kept; a text has most of its words early.
const MOST_KEPT: usize = 1 << 20;

impl Syllables {
    /// The syllables of a word in lower case without its punctuation; 0 where nothing is left.
    fn of(&mut self, word: &str) -> usize {
        if let Some(&count) = self.0.get(word) {
            return count;
        }
        let letters: String = word.chars().filter(|&c| is_letter(c)).collect();
        let count = match letters.is_empty() {
            true => 0,
            false => 1 + hyphenation::points(&letters).len(),
        };
        if self.0.len() < MOST_KEPT {
            self.0.insert(word.to_owned(), count);
        }
        count
    }
}

/// Python's `\w`.
fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A place for a cut: between two words.
fn before_white_space(text: &str, at: usize) -> bool {
    text[at..].starts_with(is_space)
}

/// Python's `\s`.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// textstat's rounding: up from one half, away from zero on the way there.
fn rounded(value: f64, digits: i32) -> f64 {
    let power = 10f64.powi(digits);
    (value * power + 0.5f64.copysign(value)).floor() / power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::cut;

    const TEXTS: [&str; 5] = [
        "Look at the red ball. Can you throw it to me? Good job! Now we go home.",
        "I don't know what you're talking about, she said. Let's sit down and have some tea. It'll \
         be all right in the morning.",
        "The photosynthetic efficiency of terrestrial vegetation depends on temperature, \
         precipitation and the availability of nitrogen. Several investigators independently \
         demonstrated this relationship. Nevertheless, considerable uncertainty remains.",
        "In 1969, twenty-two well-known “university” researchers re-examined the café's \
         manuscript... Dr. Smith (aged 41) wasn't convinced; he'd seen 3.5 better examples!",
        "yeah\nmhm okay so\nI was going to the shop yesterday and then um you know\nwhat happened",
    ];

    /// Values of textstat 0.7.3.
    #[test]
    fn counts_and_measures_are_those_of_textstat() {
        let counts = [
            (55, 17, 17, 3, 0, 0),
            (96, 23, 25, 3, 0, 0),
            (219, 25, 76, 3, 16, 15),
            (141, 21, 38, 3, 5, 4),
            (68, 18, 22, 1, 1, 0),
        ];
        let measures = [
            [116.45, -1.7, 2.28, -3.4, 3.1],
            [105.96, 0.4, 3.08, 2.0, 3.1],
            [-55.4, 23.0, 27.32, 24.0, 16.3],
            [47.45, 8.4, 10.42, 13.7, 10.5],
            [87.05, 5.6, 7.2, 5.4, 0.0],
        ];
        for ((text, counts), measures) in TEXTS.iter().zip(counts).zip(measures) {
            let found = ReadingCounts::of_str(text);
            let ReadingCounts { characters, words, syllables, sentences, long_words, .. } = found;
            let difficult = found.difficult.len();
            let of_text = (characters, words, syllables, sentences, long_words, difficult);
            assert_eq!(of_text, counts, "{text}");
            let found = found.readability();
            let found = [
                found.flesch_reading_ease,
                found.flesch_kincaid_grade,
                found.gunning_fog,
                found.automated_readability,
                found.smog,
            ];
            assert_eq!(found, measures, "{text}");
        }
        let mut difficult: Vec<String> =
            ReadingCounts::of_str(TEXTS[3]).difficult.into_iter().collect();
        difficult.sort();
        assert_eq!(difficult, ["examined", "examples", "manuscript", "university"]);
    }

    #[test]
    fn pieces_of_any_size_are_the_whole() {
        let whole = TEXTS.join("\n") + "\n";
        let text = Text::of("text", &whole);
        let found = ReadingCounts::of(&stop::never, &text).unwrap();
        assert_eq!(found, ReadingCounts::of_str(&whole));
        let (mut counts, mut syllables) = (ReadingCounts::default(), Syllables::default());
        let pieces = cut(&whole, 1, before_white_space);
        assert!(pieces.len() > 100);
        pieces.iter().for_each(|piece| counts.add(piece, &mut syllables));
        assert_eq!(counts.finish(), found);
    }

    /// Of the first two million characters of each file, by tools/golden/readability.py.
    #[test]
    #[ignore = "needs the folder named by BABYLLAMA_DATA; takes half a minute"]
    fn the_ten_sources_are_as_hard_as_textstat_finds_them() {
        let data = std::env::var("BABYLLAMA_DATA").expect("BABYLLAMA_DATA is set");
        for (source, expected) in [
            ("aochildes", [106.97, 0.0, 2.78, 1.1, 5.0]),
            ("bnc_spoken", [80.72, 6.0, 6.73, 6.2, 8.4]),
            ("cbt", [86.54, 5.8, 7.77, 8.0, 8.1]),
            ("children_stories", [83.59, 6.9, 8.86, 9.2, 8.1]),
            ("gutenberg", [79.4, 6.5, 7.43, 8.4, 8.8]),
            ("open_subtitles", [88.84, 2.8, 3.64, 3.2, 6.6]),
            ("qed", [45.16, 17.5, 17.74, 21.5, 14.8]),
            ("simple_wikipedia", [65.12, 7.8, 6.7, 9.6, 10.7]),
            ("switchboard", [88.16, 5.2, 7.25, 6.7, 8.4]),
            ("wikipedia", [41.09, 12.9, 9.89, 15.6, 14.5]),
        ] {
            let path = std::path::Path::new(&data).join("babylm_10M");
            let text = std::fs::read_to_string(path.join(format!("{source}.train"))).unwrap();
            let beginning: String = text.chars().take(2_000_000).collect();
            let found = ReadingCounts::of_str(&beginning).readability();
            let found = [
                found.flesch_reading_ease,
                found.flesch_kincaid_grade,
                found.gunning_fog,
                found.automated_readability,
                found.smog,
            ];
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn texts_without_words_have_averages_of_nothing() {
        for text in ["", " \n", "... !!"] {
            let found = ReadingCounts::of_str(text).readability();
            assert_eq!((found.flesch_reading_ease, found.flesch_kincaid_grade), (206.84, -15.7));
            assert_eq!(
                (found.gunning_fog, found.automated_readability, found.smog),
                (0.0, 0.0, 0.0)
            );
        }
    }
}

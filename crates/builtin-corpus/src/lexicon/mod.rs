//! The words: tables of nouns, verbs, modifiers and names, and the lexicon built from them once.

pub(crate) mod articles;
pub(crate) mod facts;
pub(crate) mod kinds;
pub(crate) mod modifiers;
pub(crate) mod names;
mod nouns;
pub(crate) mod themes;
mod verbs;

use std::sync::OnceLock;

use super::grammar::features::Gender;
use super::grammar::spelling;
use kinds::{Kinds, PERSON};
pub(crate) use verbs::Frame;
use verbs::VerbEntry;

/// A noun and its plural. A mass noun's plural is its singular and never used.
#[derive(Debug)]
pub(crate) struct Noun {
    pub singular: String,
    pub plural: String,
    pub kind: Kinds,
    pub mass: bool,
    /// The gender the word itself tells; none for a baker, who may be either.
    pub gender: Option<Gender>,
    pub irregular: bool,
}

/// A verb in one of its frames.
#[derive(Debug)]
pub(crate) struct Verb {
    pub base: String,
    pub third_person: String,
    pub past: String,
    pub participle: String,
    pub gerund: String,
    /// Preposition or particle right after the verb, empty for most.
    pub particle: &'static str,
    pub frame: Frame,
    pub subject: Kinds,
    pub object: Kinds,
    pub stative: bool,
    pub irregular: bool,
}

/// All words, in the order of the tables.
#[derive(Debug)]
pub(crate) struct Lexicon {
    pub nouns: Vec<Noun>,
    pub verbs: Vec<Verb>,
    /// The verbs `be`, `have` and `do`.
    pub be: Verb,
    pub have: Verb,
    pub do_: Verb,
}

/// The lexicon, built at the first call.
pub(crate) fn lexicon() -> &'static Lexicon {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    LEXICON.get_or_init(Lexicon::build)
}

impl Lexicon {
    fn build() -> Self {
        let count = nouns::COUNT_NOUNS.iter().map(|&(kind, words)| (kind, words, false));
        let mass = nouns::MASS_NOUNS.iter().map(|&(kind, words)| (kind, words, true));
        let nouns = count
            .chain(mass)
            .flat_map(|(kind, words, mass)| {
                words.split_whitespace().map(move |word| noun(word, kind, mass))
            })
            .collect();
        let [be, have, do_] = verbs::AUXILIARIES else { unreachable!("the table has three lines") };
        Self {
            nouns,
            verbs: verbs::VERBS.iter().map(verb).collect(),
            be: Verb { third_person: "is".into(), ..verb(be) },
            have: Verb { third_person: "has".into(), ..verb(have) },
            do_: verb(do_),
        }
    }

    /// The nouns of some kinds.
    pub(crate) fn nouns_of(&self, kinds: Kinds) -> Vec<&Noun> {
        self.nouns.iter().filter(|noun| noun.kind.meets(kinds)).collect()
    }

    /// The count nouns of some kinds.
    pub(crate) fn count_nouns_of(&self, kinds: Kinds) -> Vec<&Noun> {
        self.nouns.iter().filter(|noun| noun.kind.meets(kinds) && !noun.mass).collect()
    }

    /// The nouns of a list of words, in its order.
    pub(crate) fn nouns_named(&self, words: &str) -> Vec<&Noun> {
        words.split_whitespace().filter_map(|word| self.noun(word)).collect()
    }

    /// A noun by its singular, where `_` stands for a space.
    pub(crate) fn noun(&self, word: &str) -> Option<&Noun> {
        let word = word.replace('_', " ");
        self.nouns.iter().find(|noun| noun.singular == word)
    }

    /// The verbs of a frame that the subject can be the subject of.
    pub(crate) fn verbs_of(&self, frame: Frame, subject: Kinds) -> Vec<&Verb> {
        self.verbs
            .iter()
            .filter(|verb| verb.frame == frame && verb.subject.meets(subject))
            .collect()
    }

    /// The transitive verbs that join the two.
    pub(crate) fn verbs_between(&self, subject: Kinds, object: Kinds) -> Vec<&Verb> {
        let mut verbs = self.verbs_of(Frame::Transitive, subject);
        verbs.retain(|verb| verb.object.meets(object));
        verbs
    }

    /// The adjectives that describe a kind, the more frequent first.
    pub(crate) fn adjectives_of(&self, kind: Kinds) -> Vec<&'static str> {
        modifiers::ADJECTIVES
            .iter()
            .filter(|(kinds, _)| kinds.meets(kind))
            .flat_map(|(_, words)| words.split_whitespace())
            .collect()
    }
}

impl Noun {
    /// Whether people of this noun can be of this gender.
    pub(crate) fn allows(&self, gender: Gender) -> bool {
        self.gender.is_none_or(|own| own == gender)
    }
}

fn noun(word: &str, kind: Kinds, mass: bool) -> Noun {
    let listed = |words: &str| words.split_whitespace().any(|listed| listed == word);
    let irregular =
        nouns::IRREGULAR_PLURALS.iter().find(|(singular, _)| *singular == word).map(|pair| pair.1);
    let singular = word.replace('_', " ");
    let plural = match irregular {
        _ if mass => singular.clone(),
        Some(plural) => plural.to_string(),
        None => spelling::with_s(&singular),
    };
    let gender = if listed(nouns::MASCULINE) {
        Some(Gender::Masculine)
    } else if listed(nouns::FEMININE) {
        Some(Gender::Feminine)
    } else if kind.meets(PERSON.or(kinds::KIN)) {
        None
    } else {
        Some(Gender::Neuter)
    };
    Noun { singular, plural, kind, mass, gender, irregular: irregular.is_some() }
}

fn verb(entry: &VerbEntry) -> Verb {
    let mut forms = entry.forms.split_whitespace();
    let base = forms.next().unwrap_or_default();
    let past = forms.next().map_or_else(|| spelling::with_ed(base), str::to_string);
    let participle = forms.next().map_or_else(|| past.clone(), str::to_string);
    let irregular = past != spelling::with_ed(base);
    Verb {
        base: base.into(),
        third_person: spelling::with_s(base),
        past,
        participle,
        gerund: spelling::with_ing(base),
        particle: entry.particle,
        frame: entry.frame,
        subject: entry.subject,
        object: entry.object,
        stative: entry.stative,
        irregular,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::kinds::*;

    #[test]
    fn forms_are_english() {
        let words = lexicon();
        for (singular, plural) in [
            ("wolf", "wolves"),
            ("box", "boxes"),
            ("berry", ""),
            ("city", ""),
            ("cherry", "cherries"),
        ] {
            assert_eq!(words.noun(singular).map_or("", |noun| &noun.plural), plural);
        }
        let forms = |base: &str| {
            let verb = words.verbs.iter().find(|verb| verb.base == base).unwrap();
            format!("{} {} {} {}", verb.third_person, verb.past, verb.participle, verb.gerund)
        };
        assert_eq!(forms("drop"), "drops dropped dropped dropping");
        assert_eq!(forms("carry"), "carries carried carried carrying");
        assert_eq!(forms("catch"), "catches caught caught catching");
        assert_eq!(forms("write"), "writes wrote written writing");
        assert_eq!(forms("listen"), "listens listened listened listening");
        assert_eq!(forms("begin"), "begins began begun beginning");
        assert_eq!(forms("go"), "goes went gone going");
    }

    #[test]
    fn tables_hold_together() {
        let words = lexicon();
        for theme in themes::THEMES {
            for (list, kinds) in [
                (theme.people, HUMAN),
                (theme.animals, ANIMAL),
                (theme.places, PLACE),
                (theme.things, OBJECT.or(DRINK).or(PLANT).or(IDEA).or(MATERIAL)),
            ] {
                for word in list.split_whitespace() {
                    let noun = words.noun(word).unwrap_or_else(|| panic!("{word} is no noun"));
                    assert!(noun.kind.meets(kinds), "{word} stands in the wrong list");
                }
            }
        }
        for &(singular, _) in nouns::IRREGULAR_PLURALS {
            assert!(words.noun(singular).is_some(), "{singular} is no noun");
        }
        for word in nouns::MASCULINE.split_whitespace().chain(nouns::FEMININE.split_whitespace()) {
            assert!(
                words.noun(word).is_some_and(|noun| noun.kind.meets(HUMAN)),
                "{word} is no person"
            );
        }
        for (kinds, _) in nouns::COUNT_NOUNS {
            assert!(!words.adjectives_of(*kinds).is_empty() || kinds.meets(KIN));
        }
        assert!(words.nouns.len() > 400 && words.verbs.len() > 150);
    }
}

//! Noun phrases: words with the features that verbs and pronouns agree with.

use super::features::{Agreement, Case, Gender, Number, Person};
use super::spelling::{joined, with_article};
use crate::lexicon::Noun;

/// A phrase that can be a subject or an object.
#[derive(Clone, Debug)]
pub(crate) struct NounPhrase {
    /// The words; none for a pronoun, which takes its form from its role.
    words: Option<String>,
    pub agreement: Agreement,
}

/// How a noun phrase begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Determiner<'a> {
    /// `a`, or nothing before plurals and mass nouns.
    Indefinite,
    /// `the`, `every`, `these`, `her`: said as it is. The caller sees to its number.
    Word(&'a str),
    /// Nothing.
    Bare,
}

impl NounPhrase {
    /// A phrase of the third person.
    pub(crate) fn new(words: impl Into<String>, number: Number, gender: Gender) -> Self {
        Self { words: Some(words.into()), agreement: Agreement::third(number, gender) }
    }

    /// Somebody of whom nothing is known: `who`, `nobody`.
    pub(crate) fn unknown(words: &str) -> Self {
        Self::new(words, Number::Singular, Gender::Unknown)
    }

    /// A pronoun.
    pub(crate) fn pronoun(agreement: Agreement) -> Self {
        Self { words: None, agreement }
    }

    /// The pronoun `I` or `you`.
    pub(crate) fn speech(person: Person) -> Self {
        Self::pronoun(Agreement { person, number: Number::Singular, gender: Gender::Neuter })
    }

    /// Determiner, adjective (or none) and noun.
    pub(crate) fn of(determiner: Determiner, adjective: &str, noun: &Noun, number: Number) -> Self {
        let head =
            if number == Number::Plural && !noun.mass { &noun.plural } else { &noun.singular };
        let number = if noun.mass { Number::Singular } else { number };
        let rest = joined(&[adjective, head]);
        let words = match determiner {
            Determiner::Indefinite if number == Number::Singular && !noun.mass => {
                with_article(&rest)
            }
            Determiner::Indefinite | Determiner::Bare => rest,
            Determiner::Word(word) => joined(&[word, &rest]),
        };
        Self::new(words, number, noun.gender.unwrap_or(Gender::Neuter))
    }

    /// This phrase with a gender that its noun does not tell.
    pub(crate) fn with_gender(mut self, gender: Gender) -> Self {
        self.agreement.gender = gender;
        self
    }

    /// This phrase with words after it, such as a relative clause.
    pub(crate) fn followed_by(mut self, more: &str) -> Self {
        if let Some(words) = &mut self.words {
            *words = joined(&[words, more]);
        }
        self
    }

    /// This phrase with its words changed; a pronoun stays.
    pub(crate) fn with_words(&self, change: impl FnOnce(&str) -> String) -> Self {
        Self { words: self.words.as_deref().map(change), agreement: self.agreement }
    }

    pub(crate) fn is_pronoun(&self) -> bool {
        self.words.is_none()
    }

    fn in_case(&self, case: Case) -> String {
        self.words.clone().unwrap_or_else(|| self.agreement.pronoun(case).to_string())
    }

    pub(crate) fn subject(&self) -> String {
        self.in_case(Case::Subject)
    }

    pub(crate) fn object(&self) -> String {
        self.in_case(Case::Object)
    }

    /// The possessive pronoun that refers to this phrase: `her`, `their`.
    pub(crate) fn possessive(&self) -> &'static str {
        self.agreement.pronoun(Case::Possessive)
    }

    /// The reflexive pronoun that this phrase binds.
    pub(crate) fn reflexive(&self) -> &'static str {
        self.agreement.pronoun(Case::Reflexive)
    }

    /// The pronoun for this phrase as a subject.
    pub(crate) fn as_pronoun(&self) -> NounPhrase {
        Self::pronoun(self.agreement)
    }

    /// The determiner that this phrase makes: "the king's", "the boys'", "her".
    pub(crate) fn genitive(&self) -> String {
        match &self.words {
            None => self.possessive().to_string(),
            Some(words) if self.agreement.plural() && words.ends_with('s') => format!("{words}'"),
            Some(words) => format!("{words}'s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::lexicon;

    #[test]
    fn phrases_agree_inside() {
        let noun = |word: &str| lexicon().noun(word).unwrap();
        let text = |phrase: NounPhrase| phrase.subject();
        assert_eq!(
            text(NounPhrase::of(Determiner::Indefinite, "old", noun("cup"), Number::Singular)),
            "an old cup"
        );
        assert_eq!(
            text(NounPhrase::of(Determiner::Indefinite, "", noun("goose"), Number::Plural)),
            "geese"
        );
        assert_eq!(
            text(NounPhrase::of(Determiner::Indefinite, "fresh", noun("milk"), Number::Plural)),
            "fresh milk"
        );
        assert_eq!(
            text(NounPhrase::of(Determiner::Word("these"), "", noun("knife"), Number::Plural)),
            "these knives"
        );
    }

    #[test]
    fn pronouns_follow_case_and_gender() {
        let queen = NounPhrase::of(
            Determiner::Word("the"),
            "",
            lexicon().noun("queen").unwrap(),
            Number::Singular,
        );
        let pronoun = queen.as_pronoun();
        assert_eq!([pronoun.subject(), pronoun.object()], ["she", "her"]);
        assert_eq!(
            [queen.reflexive(), queen.possessive(), &queen.genitive()],
            ["herself", "her", "the queen's"]
        );
    }
}

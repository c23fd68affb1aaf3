//! Clauses: one subject, one verb with its auxiliaries, what follows; said as statement, question,
//! relative clause or infinitive.

use super::features::{Agreement, Number, Person};
use super::noun_phrase::NounPhrase;
use super::spelling::joined;
use crate::lexicon::{Verb, lexicon};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tense {
    Present,
    Past,
}

/// The verb group: `will not have been seen` and everything shorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub tense: Tense,
    /// `will`, `can`, `could`..., or empty.
    pub modal: &'static str,
    pub perfect: bool,
    pub progressive: bool,
    pub passive: bool,
    pub negative: bool,
    /// Speech: "didn't", "she's".
    pub contracted: bool,
}

impl Group {
    /// The bare tense.
    pub(crate) const fn simple(tense: Tense) -> Self {
        Self {
            tense,
            modal: "",
            perfect: false,
            progressive: false,
            passive: false,
            negative: false,
            contracted: false,
        }
    }
}

/// A clause. Its sayings share one verb group, so agreement and auxiliaries are right in all of
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    pub subject: NounPhrase,
    pub group: Group,
    pub verb: &'static Verb,
    /// An adverb before the main verb, such as `never`; or empty.
    pub adverb: &'static str,
    pub indirect: Option<NounPhrase>,
    pub object: Option<NounPhrase>,
    /// What comes after the object: complements, places, times.
    pub tail: String,
}

/// The finite auxiliary, empty when the verb itself is finite, and the verb forms after it.
struct Chain {
    auxiliary: String,
    rest: String,
}

impl Clause {
    /// A subject and its verb, nothing after it.
    pub(crate) fn new(subject: NounPhrase, verb: &'static Verb, tense: Tense) -> Self {
        let group = Group::simple(tense);
        Self { subject, group, verb, adverb: "", indirect: None, object: None, tail: String::new() }
    }

    /// A form of `be` and what it links the subject to.
    pub(crate) fn linking(subject: NounPhrase, tense: Tense, predicate: impl Into<String>) -> Self {
        Self { tail: predicate.into(), ..Self::new(subject, &lexicon().be, tense) }
    }

    pub(crate) fn with_object(mut self, object: NounPhrase) -> Self {
        self.object = Some(object);
        self
    }

    pub(crate) fn with_tail(mut self, more: &str) -> Self {
        self.tail = joined(&[&self.tail, more]);
        self
    }

    pub(crate) fn with_adverb(mut self, adverb: &'static str) -> Self {
        self.adverb = adverb;
        self
    }

    pub(crate) fn negated(mut self) -> Self {
        self.group.negative = true;
        self
    }

    /// The passive, the old subject behind `by`; the clause itself when it has no object.
    pub(crate) fn passive(mut self, with_agent: bool) -> Self {
        let Some(object) = self.object.take() else { return self };
        let agent =
            if with_agent { format!("by {}", self.subject.object()) } else { String::new() };
        self.tail = joined(&[&self.tail, &agent]);
        self.subject = object;
        self.group.passive = true;
        self
    }

    /// "The cat has not eaten the fish"
    pub(crate) fn statement(&self) -> String {
        let finite = self.predicate();
        let subject = self.subject.subject();
        if self.group.contracted && self.subject.is_pronoun() {
            contract_onto_pronoun(&subject, &finite, !self.chain(false).auxiliary.is_empty())
        } else {
            joined(&[&subject, &finite])
        }
    }

    /// "has not eaten the fish": the statement without its subject.
    pub(crate) fn predicate(&self) -> String {
        joined(&[&self.finite_words(), &self.complements(true)])
    }

    /// "the cat has not eaten": the statement with a gap where the object was.
    pub(crate) fn without_object(&self) -> String {
        let subject = self.subject.subject();
        joined(&[&subject, &self.finite_words(), &self.complements(false)])
    }

    /// "has the cat not eaten the fish"
    pub(crate) fn question(&self) -> String {
        self.inverted(true)
    }

    /// "has the cat not eaten": the question with a gap where the object was, to follow a question
    /// word.
    pub(crate) fn question_without_object(&self) -> String {
        self.inverted(false)
    }

    /// "eat the fish": the infinitive without `to`.
    pub(crate) fn bare(&self) -> String {
        joined(&[self.adverb, &self.verb.base, &self.complements(true)])
    }

    /// "eating the fish"
    pub(crate) fn gerund(&self) -> String {
        joined(&[self.adverb, &self.verb.gerund, &self.complements(true)])
    }

    /// The auxiliary of a short answer: "has", "didn't", "is".
    pub(crate) fn operator(&self, negative: bool) -> String {
        let auxiliary = self.chain(true).auxiliary;
        if negative { negated(&auxiliary, true) } else { auxiliary }
    }

    fn finite_words(&self) -> String {
        let Chain { auxiliary, rest } = self.chain(self.group.negative);
        let auxiliary = if self.group.negative {
            negated(&auxiliary, self.group.contracted)
        } else {
            auxiliary
        };
        joined(&[&auxiliary, self.adverb, &rest])
    }

    fn inverted(&self, with_object: bool) -> String {
        let Chain { auxiliary, rest } = self.chain(true);
        let (first, after) = match (self.group.negative, self.group.contracted) {
            (true, true) if auxiliary == "am" => ("aren't".to_string(), ""),
            (true, true) => (negated(&auxiliary, true), ""),
            (true, false) => (auxiliary, "not"),
            (false, _) => (auxiliary, ""),
        };
        let subject = self.subject.subject();
        joined(&[&first, &subject, after, self.adverb, &rest, &self.complements(with_object)])
    }

    fn complements(&self, with_object: bool) -> String {
        let object =
            self.object.as_ref().filter(|_| with_object).map_or(String::new(), NounPhrase::object);
        let indirect = self.indirect.as_ref().map_or(String::new(), NounPhrase::object);
        joined(&[self.verb.particle, &indirect, &object, &self.tail])
    }

    /// The verb forms, each auxiliary choosing the form of the next; `do` steps in when an
    /// auxiliary is `needed`.
    fn chain(&self, needed: bool) -> Chain {
        let words = lexicon();
        let group = &self.group;
        let mut forms: Vec<String> = Vec::new();
        let mut next: fn(&Verb, &Group, Agreement) -> String = finite;
        if !group.modal.is_empty() {
            forms.push(group.modal.to_string());
            next = |verb, _, _| verb.base.clone();
        }
        for (used, auxiliary, after) in [
            (
                group.perfect,
                &words.have,
                (|verb, _, _| verb.participle.clone()) as fn(&Verb, &Group, Agreement) -> String,
            ),
            (group.progressive, &words.be, |verb, _, _| verb.gerund.clone()),
            (group.passive, &words.be, |verb, _, _| verb.participle.clone()),
        ] {
            if used {
                forms.push(next(auxiliary, group, self.subject.agreement));
                next = after;
            }
        }
        let is_be = self.verb.base == "be";
        if needed && forms.is_empty() && !is_be {
            forms.push(finite(&words.do_, group, self.subject.agreement));
            next = |verb, _, _| verb.base.clone();
        }
        forms.push(next(self.verb, group, self.subject.agreement));
        let auxiliary = if forms.len() > 1 || is_be { forms.remove(0) } else { String::new() };
        Chain { auxiliary, rest: forms.join(" ") }
    }
}

/// The finite form that agrees with the subject.
fn finite(verb: &Verb, group: &Group, subject: Agreement) -> String {
    let singular = subject.number == Number::Singular;
    let third = subject.person == Person::Third && singular;
    let first = subject.person == Person::First && singular;
    match (verb.base.as_str(), group.tense) {
        ("be", Tense::Present) if first => "am",
        ("be", Tense::Present) if third => "is",
        ("be", Tense::Present) => "are",
        ("be", Tense::Past) if first || third => "was",
        ("be", Tense::Past) => "were",
        (_, Tense::Past) => &verb.past,
        _ if third => &verb.third_person,
        _ => &verb.base,
    }
    .to_string()
}

/// The auxiliary with `not`.
pub(crate) fn negated(auxiliary: &str, contracted: bool) -> String {
    match (auxiliary, contracted) {
        ("can", false) => "cannot".into(),
        ("am" | "may" | "might", _) | (_, false) => format!("{auxiliary} not"),
        ("can", true) => "can't".into(),
        ("will", true) => "won't".into(),
        ("shall", true) => "shan't".into(),
        _ => format!("{auxiliary}n't"),
    }
}

/// "she is late" as "she's late"; a main verb `have`, and a form that ends the clause, stay whole.
fn contract_onto_pronoun(subject: &str, finite: &str, has_auxiliary: bool) -> String {
    let (first, rest) = finite.split_once(' ').unwrap_or((finite, ""));
    let short = match first {
        "am" => "'m",
        "is" | "has" => "'s",
        "are" => "'re",
        "have" => "'ve",
        "had" => "'d",
        "will" => "'ll",
        _ => "",
    };
    if short.is_empty() || rest.is_empty() || !has_auxiliary {
        return joined(&[subject, finite]);
    }
    format!("{subject}{short} {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::features::Gender;
    use crate::lexicon::Frame;

    fn clause(base: &str, number: Number) -> Clause {
        let verb = lexicon()
            .verbs
            .iter()
            .find(|verb| verb.base == base && verb.frame == Frame::Transitive)
            .unwrap();
        let subject = NounPhrase::new(
            if number == Number::Plural { "the cats" } else { "the cat" },
            number,
            Gender::Neuter,
        );
        Clause::new(subject, verb, Tense::Past).with_object(NounPhrase::new(
            "the fish",
            Number::Singular,
            Gender::Neuter,
        ))
    }

    #[test]
    fn statements_and_questions_share_their_auxiliaries() {
        let eat = clause("eat", Number::Singular);
        assert_eq!(eat.statement(), "the cat ate the fish");
        assert_eq!(eat.question(), "did the cat eat the fish");
        assert_eq!(eat.question_without_object(), "did the cat eat");
        assert_eq!(eat.clone().negated().statement(), "the cat did not eat the fish");
        assert_eq!(eat.clone().passive(true).statement(), "the fish was eaten by the cat");
        assert_eq!(eat.clone().passive(false).negated().question(), "was the fish not eaten");
        assert_eq!([eat.bare(), eat.gerund()], ["eat the fish", "eating the fish"]);
    }

    #[test]
    fn groups_stack() {
        let mut eat = clause("eat", Number::Plural).with_adverb("never");
        eat.group = Group { tense: Tense::Present, perfect: true, ..Group::simple(Tense::Present) };
        assert_eq!(eat.statement(), "the cats have never eaten the fish");
        eat.group.progressive = true;
        assert_eq!(eat.statement(), "the cats have never been eating the fish");
        eat.group.modal = "might";
        assert_eq!(eat.without_object(), "the cats might never have been eating");
        assert_eq!(eat.operator(true), "might not");
    }

    #[test]
    fn speech_contracts() {
        let mut look = clause("look", Number::Singular);
        look.subject = look.subject.as_pronoun();
        look.group.contracted = true;
        assert_eq!(look.clone().negated().statement(), "it didn't look at the fish");
        look.group.progressive = true;
        look.group.tense = Tense::Present;
        assert_eq!(look.statement(), "it's looking at the fish");
        assert_eq!(look.negated().question(), "isn't it looking at the fish");
        let late =
            Clause::linking(NounPhrase::speech(Person::First), Tense::Present, "late").negated();
        let late = Clause { group: Group { contracted: true, ..late.group }, ..late };
        assert_eq!(late.statement(), "I'm not late");
    }
}

//! How many, and whether at all: negation and its polarity items, quantifiers, `there is`,
//! ellipsis.

use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Group, Tense};
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::*;
use crate::lexicon::{Frame, Noun, Verb, lexicon};

use super::there;

impl Scene<'_> {
    /// "She had never seen a whale", "Nobody had ever seen a whale"
    pub(crate) fn never_ever(&mut self) -> String {
        let who = self.somebody();
        let (negative, mut clause) = match self.draw.below(10) {
            0..5 => (false, self.bare_event(who)),
            5..8 => {
                let nobody = NounPhrase::unknown(self.draw.zipf(&["nobody", "no one"]));
                (true, self.event_of(nobody, PERSON))
            }
            _ => {
                let noun = self.noun_of(PERSON, "no");
                let number = self.number_for(noun);
                (
                    true,
                    self.event_of(
                        NounPhrase::of(Determiner::Word("no"), "", noun, number),
                        noun.kind,
                    ),
                )
            }
        };
        clause.group.perfect = true;
        if negative {
            clause.adverb = "ever";
        } else if self.draw.chance(60) {
            clause.adverb = "never";
        } else {
            clause = clause.negated();
            clause.adverb = if self.draw.chance(60) { "ever" } else { "" };
            clause.tail =
                joined(&[&clause.tail, if clause.adverb.is_empty() { "yet" } else { "" }]);
        }
        clause.statement()
    }

    /// "Tom did not find any apples", "there was not any milk"
    pub(crate) fn negated_any(&mut self) -> String {
        if self.draw.chance(25) {
            let things = self.any(OBJECT.or(DRINK), "there");
            let place = self.location();
            return there(things, self.tense, &place).negated().statement();
        }
        let who = self.somebody();
        let subject = self.refer(who);
        let verbs: Vec<&Verb> = lexicon().verbs_of(Frame::Transitive, self.kind(who));
        let verb = self.draw.zipf(&verbs);
        let object = match self.draw.below(10) {
            0..6 => self.any(verb.object, &verb.base),
            6..8 if !verb.object.meets(HUMAN) => {
                NounPhrase::new("anything", Number::Singular, Gender::Neuter)
            }
            6..8 => NounPhrase::new("anybody", Number::Singular, Gender::Neuter),
            _ => self.fresh(verb.object, &verb.base, Some(&subject)),
        };
        let mut clause = Clause::new(subject, verb, self.tense).with_object(object).negated();
        match self.draw.below(10) {
            0..3 => clause.group.modal = if self.tense == Tense::Past { "could" } else { "can" },
            3..5 if !verb.stative => clause.group.perfect = true,
            5 => clause.tail = "at all".into(),
            _ => {}
        }
        clause.statement()
    }

    /// "Only Tom had ever seen the whale"
    pub(crate) fn only_ever(&mut self) -> String {
        let who = self.human();
        let named = self.name(who);
        let first = if self.draw.chance(75) { "only" } else { "even" };
        let subject = NounPhrase::new(
            format!("{first} {}", named.object()),
            named.agreement.number,
            named.agreement.gender,
        );
        let mut clause = self.act(who, subject);
        clause.group.perfect = true;
        clause.adverb = if first == "only" {
            "ever"
        } else {
            self.draw.pick(&["often", "sometimes", "already"])
        };
        clause.statement()
    }

    /// "There were two cups on the table", "there seemed to be a mouse in the box"
    pub(crate) fn existential(&mut self) -> String {
        let noun = self.noun_of(OBJECT.or(ANIMAL).or(DRINK), "there");
        let number = self.number_for(noun);
        let phrase = self.weak_phrase(noun, number);
        let small = noun.kind.meets(SMALL.or(FOOD));
        let place = if small && self.draw.chance(60) { self.spot() } else { self.location() };
        if self.draw.chance(18) {
            let raising = lexicon().verbs_of(Frame::Raising, PERSON);
            let verb = self.draw.zipf(&raising);
            let subject = NounPhrase::new("there", phrase.agreement.number, Gender::Neuter);
            return Clause::new(subject, verb, self.tense)
                .with_tail(&format!("to be {} {place}", phrase.object()))
                .statement();
        }
        there(phrase, self.tense, &place).statement()
    }

    /// A phrase that can follow `there is`: never `the`, `every`, `most` or `all`.
    pub(crate) fn weak_phrase(&mut self, noun: &Noun, number: Number) -> NounPhrase {
        let adjective = if self.draw.chance(35) { self.adjective_for(noun) } else { "" };
        let determiner = match number {
            _ if noun.mass => Determiner::Word(self.draw.zipf(&["some", "no", "a lot of", "more"])),
            Number::Singular if self.draw.chance(85) => Determiner::Indefinite,
            Number::Singular => Determiner::Word(self.draw.zipf(&["no", "one", "another"])),
            Number::Plural => Determiner::Word(self.draw.zipf(&[
                "some", "two", "many", "no", "three", "several", "a few", "a lot of", "few", "four",
            ])),
        };
        NounPhrase::of(determiner, adjective, noun, number)
    }

    /// "Every girl had a kite", "most of the geese were asleep"
    pub(crate) fn quantified_subject(&mut self) -> String {
        let noun = self.noun_of(PERSON.or(ANIMAL), "every");
        let (determiner, number) = self.draw.weighted(&[
            (4, ("every", Number::Singular)),
            (2, ("each", Number::Singular)),
            (3, ("all the", Number::Plural)),
            (3, ("most of the", Number::Plural)),
            (2, ("many", Number::Plural)),
            (2, ("both", Number::Plural)),
            (2, ("few", Number::Plural)),
            (2, ("none of the", Number::Plural)),
            (2, ("no", Number::Singular)),
            (2, ("some", Number::Plural)),
            (1, ("each of the", Number::Plural)),
            (1, ("one of the", Number::Plural)),
        ]);
        let mut subject = NounPhrase::of(Determiner::Word(determiner), "", noun, number);
        if ["each of the", "one of the"].contains(&determiner) {
            subject.agreement.number = Number::Singular;
        }
        if self.draw.chance(40) {
            self.state_of(subject).statement()
        } else {
            self.event_of(subject, noun.kind).statement()
        }
    }

    /// "The baker sold more than ten pies", "no guest ate more than two cakes"
    pub(crate) fn counted_object(&mut self) -> String {
        let noun = self.noun_of(PORTABLE, "more");
        let noun = if noun.mass { self.noun_of(VESSEL, "more") } else { noun };
        let verbs: Vec<&Verb> = lexicon()
            .verbs_between(PERSON, noun.kind)
            .into_iter()
            .filter(|verb| !verb.stative)
            .collect();
        let verb = self.draw.zipf(&verbs);
        let number = self.draw.zipf(NUMBERS);
        let (subject, counts): (NounPhrase, &[&str]) = if self.draw.chance(35) {
            let noun = self.noun_of(PERSON, "no");
            (
                NounPhrase::of(Determiner::Word("no"), "", noun, Number::Singular),
                &["more than", "fewer than"],
            )
        } else {
            let who = self.human();
            (self.refer(who), &["more than", "at least", "fewer than", "at most", "exactly"])
        };
        let count = self.draw.zipf(counts);
        let object = NounPhrase::new(
            format!("{count} {number} {}", noun.plural),
            Number::Plural,
            Gender::Neuter,
        );
        let mut clause = Clause::new(subject, verb, self.tense).with_object(object);
        clause.group.perfect = self.draw.chance(20);
        clause.statement()
    }

    /// "Anna bought two red hats and Tom bought three"
    pub(crate) fn noun_ellipsis(&mut self) -> String {
        let (who, other) = self.two_humans();
        if who == other {
            return self.counted_object();
        }
        let noun = self.noun_of(PORTABLE, "two");
        let noun = if noun.mass { self.noun_of(TREASURE, "two") } else { noun };
        let verbs: Vec<&Verb> = lexicon()
            .verbs_between(PERSON, noun.kind)
            .into_iter()
            .filter(|verb| !verb.stative)
            .collect();
        let verb = self.draw.zipf(&verbs);
        let (first, second) = (self.name(who), self.name(other));
        let adjective = if self.draw.chance(70) { self.adjective_for(noun) } else { "" };
        let counts =
            ["two", "three", "some", "several", "four", "many", "a few", "five", "one", "six"];
        let count = self.draw.zipf(&counts);
        let number = if count == "one" { Number::Singular } else { Number::Plural };
        let object = NounPhrase::of(Determiner::Word(count), adjective, noun, number);
        let rest = self.draw.zipf(&[
            "three", "more", "two", "several", "four", "some", "a few", "five", "one", "fewer",
        ]);
        let rest = if rest == count { "more" } else { rest };
        let group = Group { perfect: self.draw.chance(20), ..Group::simple(self.tense) };
        let full = Clause { group, ..Clause::new(first, verb, self.tense).with_object(object) };
        let rest = NounPhrase::new(rest, Number::Plural, Gender::Neuter);
        let short = Clause { subject: second, object: Some(rest), ..full.clone() };
        format!("{} and {}", full.statement(), short.statement())
    }

    /// "The sister of the two boys was tired", "the keys to the box were lost"
    pub(crate) fn related_subject(&mut self) -> String {
        let words = lexicon();
        let noun = self.draw.zipf(&words.nouns_of(KIN));
        let number = self.number_for(noun);
        let owner_noun = self.noun_of(PERSON, "of");
        let owner_number = if number == Number::Plural { Number::Singular } else { Number::Plural };
        let owner_number = if self.draw.chance(65) { owner_number } else { number };
        let owner = self.phrase(owner_noun, owner_number, None);
        let subject = NounPhrase::of(Determiner::Word("the"), "", noun, number)
            .followed_by(&format!("of {}", owner.object()));
        if self.draw.chance(50) {
            self.state_of(subject).statement()
        } else {
            self.event_of(subject, noun.kind).statement()
        }
    }
}

//! Noun phrases and adjuncts that are new to the scene: "three old coins", "in the harbour", "with
//! great care".

use super::scene::Scene;
use crate::grammar::clause::Tense;
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::*;
use crate::lexicon::{Noun, lexicon};

/// Places one is on, at or by; one is in all others.
const ON: &str = "beach farm island road hill mountain path shore cliff bridge";
const AT: &str = "station school market hotel bank theatre office lighthouse harbour mill";
const BY: &str = "river lake pond stream canal";

const SINGULAR: &[(usize, &str)] =
    &[(16, "the"), (5, "this"), (5, "that"), (3, "another"), (2, "every"), (1, "each"), (1, "one")];
const PLURAL: &[(usize, &str)] = &[
    (9, "some"),
    (7, "the"),
    (4, "these"),
    (4, "those"),
    (4, "many"),
    (2, "several"),
    (2, "a few"),
    (1, "most"),
    (2, "all the"),
    (2, "a lot of"),
    (1, "few"),
    (1, "both"),
    (1, "other"),
];
const MASS: &[(usize, &str)] =
    &[(8, "some"), (7, "the"), (2, "this"), (2, "that"), (2, "a lot of"), (1, "more")];

/// The preposition that goes with a place.
pub(crate) fn preposition(place: &Noun) -> &'static str {
    let listed = |words: &str| words.split_whitespace().any(|word| word == place.singular);
    match () {
        _ if listed(ON) => "on",
        _ if listed(AT) => "at",
        _ if listed(BY) => "by",
        _ => "in",
    }
}

impl Scene<'_> {
    /// A noun of some kinds: from the topic if it has one, else any that goes with the head word.
    pub(crate) fn noun_of(&mut self, kinds: Kinds, head: &str) -> &'static Noun {
        let words = lexicon();
        let topical: Vec<&Noun> = [self.theme.things, self.theme.people, self.theme.animals]
            .iter()
            .flat_map(|list| words.nouns_named(list))
            .filter(|noun| noun.kind.meets(kinds))
            .collect();
        if !topical.is_empty() && self.draw.chance(60) {
            return self.draw.zipf(&topical);
        }
        self.draw.beside(head, &words.nouns_of(kinds))
    }

    /// A number for a noun: plural in about a third of the cases.
    pub(crate) fn number_for(&mut self, noun: &Noun) -> Number {
        if !noun.mass && self.draw.chance(34) { Number::Plural } else { Number::Singular }
    }

    /// A phrase with a determiner that agrees with its noun. An owner gives possessives: "her hat".
    pub(crate) fn phrase(
        &mut self,
        noun: &'static Noun,
        number: Number,
        owner: Option<&NounPhrase>,
    ) -> NounPhrase {
        let adjective = if self.draw.chance(38) { self.adjective_for(noun) } else { "" };
        let gender = noun.gender.unwrap_or(self.draw.pick(&[Gender::Feminine, Gender::Masculine]));
        let possessive = owner
            .filter(|_| noun.kind.meets(KIN) || self.draw.chance(14))
            .map(NounPhrase::possessive);
        let determiner = match (possessive, number) {
            (Some(possessive), _) => Determiner::Word(possessive),
            (None, _) if noun.mass => Determiner::Word(self.draw.weighted(MASS)),
            (None, Number::Singular) if self.draw.chance(50) => Determiner::Indefinite,
            (None, Number::Singular) => Determiner::Word(self.draw.weighted(SINGULAR)),
            (None, Number::Plural) if self.draw.chance(22) => {
                Determiner::Word(self.draw.zipf(NUMBERS))
            }
            (None, Number::Plural) if self.draw.chance(15) => Determiner::Bare,
            (None, Number::Plural) => Determiner::Word(self.draw.weighted(PLURAL)),
        };
        NounPhrase::of(determiner, adjective, noun, number).with_gender(gender)
    }

    /// A phrase of some kinds, chosen to go with the head word.
    pub(crate) fn fresh(
        &mut self,
        kinds: Kinds,
        head: &str,
        owner: Option<&NounPhrase>,
    ) -> NounPhrase {
        let may_own_kin = owner.is_some_and(|owner| {
            owner.agreement.gender != Gender::Neuter || owner.agreement.plural()
        });
        let noun = match self.noun_of(kinds, head) {
            noun if noun.kind == KIN && !may_own_kin => self.noun_of(PERSON, head),
            noun => noun,
        };
        let number = self.number_for(noun);
        self.phrase(noun, number, owner)
    }

    /// "any apples", "any milk": for negative clauses and questions.
    pub(crate) fn any(&mut self, kinds: Kinds, head: &str) -> NounPhrase {
        let noun = self.noun_of(kinds, head);
        let adjective = if self.draw.chance(20) { self.adjective_for(noun) } else { "" };
        NounPhrase::of(Determiner::Word("any"), adjective, noun, Number::Plural)
    }

    /// A place: mostly the scene's own, sometimes another of its topic or a town with a name.
    pub(crate) fn location(&mut self) -> String {
        if self.draw.chance(8) {
            return format!("in {}", self.world.town(&mut self.draw).name);
        }
        let place = if self.draw.chance(45) { self.place } else { self.other_place() };
        format!("{} the {}", preposition(place), place.singular)
    }

    fn other_place(&mut self) -> &'static Noun {
        let words = lexicon();
        if self.draw.chance(65) {
            self.draw.zipf(&words.nouns_named(self.theme.places))
        } else {
            self.draw.zipf(&words.nouns_of(PLACE))
        }
    }

    /// A way to go: "into the forest".
    pub(crate) fn way(&mut self, head: &str) -> String {
        if self.draw.chance(9) {
            return "home".into();
        }
        if self.draw.chance(9) {
            return format!("to {}", self.world.town(&mut self.draw).name);
        }
        let place = self.other_place();
        let ways: &[&str] = match place.kind {
            _ if head == "return" => &["to"],
            _ if ["go", "come", "travel", "drive", "ride"].contains(&head) => {
                &["to", "back to", "to"]
            }
            BUILDING => &["to", "into", "out of", "back to", "towards", "past"],
            _ if ["forest", "village", "town", "park", "garden", "market", "street"]
                .contains(&&*place.singular) =>
            {
                &["through", "to", "into", "towards", "around"]
            }
            _ => &["to", "towards", "back to", "past"],
        };
        let way = self.draw.beside(head, ways);
        let adjective = if self.draw.chance(15) { self.adjective_for(place) } else { "" };
        joined(&[way, "the", adjective, &place.singular])
    }

    /// Where a small thing is: "under the old table".
    pub(crate) fn spot(&mut self) -> String {
        let (preposition, places) = self.draw.zipf(SPOTS);
        let noun = self.draw.zipf(&lexicon().nouns_named(places));
        let adjective = if self.draw.chance(25) { self.adjective_for(noun) } else { "" };
        joined(&[preposition, "the", adjective, &noun.singular])
    }

    /// A time that suits the tense.
    pub(crate) fn time(&mut self) -> &'static str {
        match self.tense {
            Tense::Past => self.draw.zipf(PAST_TIMES),
            Tense::Present => self.draw.zipf(PRESENT_TIMES),
        }
    }
}

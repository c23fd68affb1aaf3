//! Words and phrases that the paradigms share.

use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Group, Tense};
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::STATES;
use crate::lexicon::{Frame, Noun, Verb, lexicon};

/// Verbs that always take an object.
pub(super) const WITH_OBJECT: &[&str] = &[
    "find", "take", "buy", "carry", "bring", "hold", "visit", "catch", "wear", "mend", "thank",
    "invite", "throw", "admire", "rescue", "repair", "examine", "borrow", "collect", "praise",
    "blame", "touch", "like", "need", "make",
];

/// Verbs that never take one.
pub(super) const WITHOUT_OBJECT: &[&str] = &[
    "sleep",
    "laugh",
    "wait",
    "fall",
    "smile",
    "arrive",
    "disappear",
    "yawn",
    "tremble",
    "hesitate",
    "sneeze",
    "shiver",
    "agree",
    "snore",
    "blush",
    "vanish",
    "listen",
    "frown",
    "complain",
    "kneel",
];

/// Singular or plural, with equal chances.
pub(super) fn any_number(scene: &mut Scene) -> Number {
    scene.draw.pick(&[Number::Singular, Number::Plural])
}

pub(super) fn other_number(number: Number) -> Number {
    if number == Number::Plural { Number::Singular } else { Number::Plural }
}

/// A name, or a noun that tells its gender; in the singular.
pub(super) fn gendered(scene: &mut Scene) -> NounPhrase {
    let gender = scene.draw.pick(&[Gender::Feminine, Gender::Masculine]);
    if scene.draw.chance(60) {
        let name = scene.world.first_name(&mut scene.draw, gender);
        return NounPhrase::new(name, Number::Singular, gender);
    }
    let nouns: Vec<&Noun> =
        lexicon().nouns_of(PERSON).into_iter().filter(|noun| noun.gender == Some(gender)).collect();
    let noun = scene.draw.zipf(&nouns);
    described(scene, noun, Number::Singular)
}

/// A person or persons, by name or noun.
pub(super) fn people(scene: &mut Scene, number: Number) -> NounPhrase {
    if number == Number::Singular && scene.draw.chance(40) {
        return gendered(scene);
    }
    let noun = varying_noun(scene, PERSON);
    described(scene, noun, number)
}

/// A count noun of some kinds whose plural looks different.
pub(super) fn varying_noun(scene: &mut Scene, kinds: Kinds) -> &'static Noun {
    loop {
        let noun = scene.noun_of(kinds, "pair");
        if !noun.mass && noun.singular != noun.plural {
            return noun;
        }
    }
}

/// A noun with a determiner that suits its number.
pub(super) fn described(scene: &mut Scene, noun: &Noun, number: Number) -> NounPhrase {
    let determiners: &[&str] = match number {
        Number::Singular => &["the", "a", "this", "that", "every"],
        Number::Plural => &["the", "some", "these", "many", "those", "most"],
    };
    let determiner = match scene.draw.zipf(determiners) {
        "a" => Determiner::Indefinite,
        word => Determiner::Word(word),
    };
    let adjective = if scene.draw.chance(15) { scene.adjective_for(noun) } else { "" };
    let gender = noun.gender.unwrap_or(scene.draw.pick(&[Gender::Feminine, Gender::Masculine]));
    NounPhrase::of(determiner, adjective, noun, number).with_gender(gender)
}

/// A transitive verb without particle for people, of those that `allowed` lets through.
pub(super) fn transitive(scene: &mut Scene, allowed: impl Fn(&Verb) -> bool) -> &'static Verb {
    let verbs: Vec<&Verb> = lexicon()
        .verbs_of(Frame::Transitive, PERSON)
        .into_iter()
        .filter(|verb| verb.particle.is_empty() && allowed(verb))
        .collect();
    scene.draw.zipf(&verbs)
}

/// A transitive verb that cannot do without its object.
pub(super) fn with_object(scene: &mut Scene) -> &'static Verb {
    transitive(scene, |verb| WITH_OBJECT.contains(&&*verb.base))
}

/// An intransitive verb that cannot have an object.
pub(super) fn without_object(scene: &mut Scene) -> &'static Verb {
    let verbs: Vec<&Verb> = lexicon()
        .verbs_of(Frame::Intransitive, PERSON)
        .into_iter()
        .filter(|verb| WITHOUT_OBJECT.contains(&&*verb.base))
        .collect();
    scene.draw.zipf(&verbs)
}

/// An object of the verb, of any number, with a plain determiner.
pub(super) fn object_of(scene: &mut Scene, verb: &Verb) -> NounPhrase {
    let noun = scene.noun_of(verb.object, &verb.base);
    let number = scene.number_for(noun);
    if noun.mass {
        NounPhrase::of(Determiner::Word("some"), "", noun, number)
    } else {
        described(scene, noun, number)
    }
}

/// A transitive clause of a person or persons.
pub(super) fn transitive_clause(scene: &mut Scene) -> Clause {
    let number = any_number(scene);
    let subject = people(scene, number);
    let verb = with_object(scene);
    let object = object_of(scene, verb);
    Clause::new(subject, verb, scene.tense).with_object(object)
}

/// The clause with a group of auxiliaries, or none, whose first word shows number in the present.
pub(super) fn with_auxiliaries(scene: &mut Scene, mut clause: Clause) -> Clause {
    clause.group = Group::simple(scene.tense);
    match scene.draw.below(4) {
        0 => clause.group.perfect = true,
        1 if !clause.verb.stative => clause.group.progressive = true,
        2 => clause.group.negative = true,
        _ => {}
    }
    clause
}

/// A clause in the perfect.
pub(super) fn perfect(mut clause: Clause) -> Clause {
    clause.group.perfect = true;
    clause
}

/// A clause about the subject whose verb shows its number.
pub(super) fn showing_number(scene: &mut Scene, subject: NounPhrase) -> Clause {
    match scene.draw.below(6) {
        0..2 => {
            let state = scene.draw.zipf(STATES);
            Clause::linking(subject, scene.tense, state)
        }
        2 => {
            let place = scene.location();
            Clause::linking(subject, scene.tense, place)
        }
        choice => {
            let verb = with_object(scene);
            let object = object_of(scene, verb);
            let mut clause = Clause::new(subject, verb, Tense::Present).with_object(object);
            match choice {
                3 => clause.group.perfect = true,
                4 => clause.group.negative = true,
                _ => {}
            }
            clause
        }
    }
}

//! Argument structure, raising and ellipsis.

use super::materials::*;
use super::{Contrast, Method, Paradigm};
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::{Frame, Verb, lexicon};

const ARGUMENTS: (&str, &str) = ("syntax", "argument_structure");
const SELECTION: (&str, &str) = ("syntax", "s-selection");
const RAISING: (&str, &str) = ("syntax_semantics", "control_raising");
const ELLIPSIS: (&str, &str) = ("syntax", "ellipsis");

use Method::{OnePrefix, Sentence, TwoPrefixes};

pub(super) const PARADIGMS: &[Paradigm] = &[
    Paradigm::new("transitive", ARGUMENTS, TwoPrefixes, false, transitive_verb),
    Paradigm::new("intransitive", ARGUMENTS, Sentence, false, intransitive_verb),
    Paradigm::new("passive_1", ARGUMENTS, Sentence, false, |scene| passive(scene, true)),
    Paradigm::new("passive_2", ARGUMENTS, Sentence, false, |scene| passive(scene, false)),
    Paradigm::new("animate_subject_trans", SELECTION, TwoPrefixes, false, animate_subject),
    Paradigm::new("animate_subject_passive", SELECTION, OnePrefix, false, animate_agent),
    Paradigm::new("existential_there_subject_raising", RAISING, Sentence, false, there_raising),
    Paradigm::new("ellipsis_n_bar_1", ELLIPSIS, Sentence, false, |scene| ellipsis(scene, false)),
    Paradigm::new("ellipsis_n_bar_2", ELLIPSIS, Sentence, false, |scene| ellipsis(scene, true)),
];

/// "Tom found the key" and not "Tom laughed the key".
fn transitive_verb(scene: &mut Scene) -> Contrast {
    let clause = transitive_clause(scene);
    let clause = with_auxiliaries(scene, clause);
    let bad = Clause { verb: without_object(scene), ..clause.clone() };
    (clause.statement(), bad.statement())
}

/// "Tom laughed" and not "Tom found".
fn intransitive_verb(scene: &mut Scene) -> Contrast {
    let clause = transitive_clause(scene);
    let clause = with_auxiliaries(scene, clause);
    let good = Clause { verb: without_object(scene), object: None, ..clause.clone() };
    (good.statement(), clause.without_object())
}

/// "The key was found by Tom" and not "the key was laughed by Tom".
fn passive(scene: &mut Scene, with_agent: bool) -> Contrast {
    let clause = transitive_clause(scene).passive(with_agent);
    let bad = Clause { verb: without_object(scene), ..clause.clone() };
    (clause.statement(), bad.statement())
}

fn inanimate(scene: &mut Scene, number: Number) -> NounPhrase {
    let noun = varying_noun(scene, FURNITURE.or(TOOL).or(VESSEL).or(CLOTHING));
    described(scene, noun, number)
}

/// A clause that only people, or people and animals, can be the subject of.
fn living_clause(scene: &mut Scene) -> (Clause, NounPhrase) {
    let number = any_number(scene);
    let subject = people(scene, number);
    let verb = transitive(scene, |verb| !verb.stative && verb.base != "break");
    let object = object_of(scene, verb);
    (Clause::new(subject, verb, scene.tense).with_object(object), inanimate(scene, number))
}

fn animate_subject(scene: &mut Scene) -> Contrast {
    let (clause, thing) = living_clause(scene);
    let clause = with_auxiliaries(scene, clause);
    (clause.statement(), Clause { subject: thing, ..clause }.statement())
}

fn animate_agent(scene: &mut Scene) -> Contrast {
    let (clause, thing) = living_clause(scene);
    let bad = Clause { subject: thing, ..clause.clone() };
    (clause.passive(true).statement(), bad.passive(true).statement())
}

/// "There seemed to be a mouse" and not "there tried to be a mouse".
fn there_raising(scene: &mut Scene) -> Contrast {
    let verb_of = |scene: &mut Scene, frame| {
        let verbs: Vec<&Verb> = lexicon()
            .verbs_of(frame, PERSON)
            .into_iter()
            .filter(|verb| verb.base != "begin")
            .collect();
        scene.draw.zipf(&verbs)
    };
    let noun = varying_noun(scene, OBJECT.or(ANIMAL));
    let number = any_number(scene);
    let phrase = scene.weak_phrase(noun, number);
    let place = scene.location();
    let tail = format!("to be {} {place}", phrase.object());
    let there = NounPhrase::new("there", phrase.agreement.number, Gender::Neuter);
    let (raising, control) = (verb_of(scene, Frame::Raising), verb_of(scene, Frame::Control));
    let clause = Clause::new(there, raising, scene.tense).with_tail(&tail);
    (clause.statement(), Clause { verb: control, ..clause }.statement())
}

/// "Anna bought two red hats and Tom bought three"; the adjective cannot stay behind without the
/// noun.
fn ellipsis(scene: &mut Scene, count_again: bool) -> Contrast {
    let noun = varying_noun(scene, PORTABLE);
    let verb = transitive(scene, |verb| verb.object.meets(noun.kind) && !verb.stative);
    let adjective = scene.adjective_for(noun);
    let (first, second) = (gendered(scene), gendered(scene));
    let count = scene.draw.pick(&["two", "three", "four", "some", "several"]);
    let rest = match count_again {
        true => scene.draw.pick(&["five", "six", "seven", "many"]),
        false => scene.draw.pick(&["more", "fewer"]),
    };
    let said = |before: &str, after: &str| {
        let object = NounPhrase::of(Determiner::Word(count), before, noun, Number::Plural);
        let full = Clause::new(first.clone(), verb, Tense::Past).with_object(object);
        let left = joined(&[rest, after]);
        let short = Clause {
            subject: second.clone(),
            object: Some(NounPhrase::unknown(&left)),
            ..full.clone()
        };
        format!("{} and {}", full.statement(), short.statement())
    };
    (said(adjective, ""), said("", adjective))
}

//! Questions and relative clauses: gaps that must be there, and gaps that cannot.

use super::materials::*;
use super::{Contrast, Method, Paradigm};
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Group, Tense};
use crate::grammar::features::Number;
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::{Frame, Noun, Verb, lexicon};

const FILLER_GAP: (&str, &str) = ("syntax", "filler_gap_dependency");
const ISLANDS: (&str, &str) = ("syntax", "island_effects");

use Method::Sentence;

pub(super) const PARADIGMS: &[Paradigm] = &[
    Paradigm::new("wh_vs_that_with_gap", FILLER_GAP, Sentence, false, |scene| {
        question_or_clause(scene, true)
    }),
    Paradigm::new("wh_vs_that_no_gap", FILLER_GAP, Sentence, false, |scene| {
        question_or_clause(scene, false)
    }),
    Paradigm::new("wh_questions_object_gap", FILLER_GAP, Sentence, false, object_gap),
    Paradigm::new("wh_questions_subject_gap", FILLER_GAP, Sentence, false, subject_gap),
    Paradigm::new("left_branch_island_simple_question", ISLANDS, Sentence, true, left_branch)
        .question(),
    Paradigm::new("adjunct_island", ISLANDS, Sentence, true, adjunct).question(),
    Paradigm::new(
        "coordinate_structure_constraint_object_extraction",
        ISLANDS,
        Sentence,
        false,
        coordination,
    )
    .question(),
];

/// A verb that takes questions as well as clauses.
fn knowing(scene: &mut Scene) -> &'static Verb {
    let both = ["know", "remember", "discover", "forget", "see", "guess"];
    let verbs: Vec<&Verb> = lexicon()
        .verbs_of(Frame::Asking, PERSON)
        .into_iter()
        .filter(|verb| both.contains(&&*verb.base))
        .collect();
    scene.draw.zipf(&verbs)
}

/// A verb that takes things of a kind and cannot do without.
fn handling(scene: &mut Scene, kind: Kinds, but: &str) -> &'static Verb {
    transitive(scene, |verb| {
        WITH_OBJECT.contains(&&*verb.base)
            && verb.object.meets(kind)
            && !verb.stative
            && verb.base != but
    })
}

/// A clause in the perfect whose object is "the" and the noun.
fn clause_about(scene: &mut Scene, noun: &Noun) -> Clause {
    let number = any_number(scene);
    let subject = people(scene, number);
    let verb = handling(scene, noun.kind, "");
    let number = any_number(scene);
    let object = NounPhrase::of(Determiner::Word("the"), "", noun, number);
    perfect(Clause::new(subject, verb, scene.tense).with_object(object))
}

/// A clause in the perfect whose object is any thing.
fn clause_with_thing(scene: &mut Scene) -> Clause {
    let noun = varying_noun(scene, PORTABLE);
    clause_about(scene, noun)
}

/// "Tom knows what Anna has found" against "that Anna has found"; with an object the other way
/// round.
fn question_or_clause(scene: &mut Scene, gap: bool) -> Contrast {
    let number = any_number(scene);
    let subject = people(scene, number);
    let verb = knowing(scene);
    let inner = clause_with_thing(scene);
    let outer = Clause::new(subject, verb, scene.tense);
    let words = if gap { inner.without_object() } else { inner.statement() };
    let said = |link: &str| outer.clone().with_tail(&format!("{link} {words}")).statement();
    if gap { (said("what"), said("that")) } else { (said("that"), said("what")) }
}

/// "Tom remembered the key that Anna had found" and not "what Anna had found the key".
fn object_gap(scene: &mut Scene) -> Contrast {
    let subject = gendered(scene);
    let inner = clause_with_thing(scene);
    let verb = knowing(scene);
    let outer = Clause::new(subject, verb, scene.tense);
    let thing = inner.object.as_ref().map_or(String::new(), NounPhrase::object);
    let good = format!("{thing} that {}", inner.without_object());
    let bad = format!("what {}", inner.statement());
    (outer.clone().with_tail(&good).statement(), outer.with_tail(&bad).statement())
}

/// "Tom remembered the boy that had found the key" and not "who the boy had found the key".
fn subject_gap(scene: &mut Scene) -> Contrast {
    let subject = gendered(scene);
    let noun = varying_noun(scene, PERSON);
    let number = any_number(scene);
    let finder = NounPhrase::of(Determiner::Word("the"), "", noun, number);
    let inner = Clause { subject: finder.clone(), ..clause_with_thing(scene) };
    let verb = knowing(scene);
    let outer = Clause::new(subject, verb, scene.tense);
    let good = format!("{} that {}", finder.object(), inner.predicate());
    let bad = format!("who {}", inner.statement());
    (outer.clone().with_tail(&good).statement(), outer.with_tail(&bad).statement())
}

/// "Which key did Tom find?" and not "which did Tom find key?"
fn left_branch(scene: &mut Scene) -> Contrast {
    let noun = varying_noun(scene, PORTABLE);
    let mut clause = clause_about(scene, noun);
    clause.group.perfect = scene.draw.chance(40);
    let word = scene.draw.pick(&["which", "whose"]);
    let question = clause.question_without_object();
    (joined(&[word, &noun.singular, &question]), joined(&[word, &question, &noun.singular]))
}

/// "What did Tom find after buying the key?" and not "what did Tom find the key after buying?"
fn adjunct(scene: &mut Scene) -> Contrast {
    let noun = varying_noun(scene, PORTABLE);
    let mut clause = clause_about(scene, noun);
    clause.group.perfect = false;
    let other = &handling(scene, noun.kind, &clause.verb.base).gerund;
    let thing = clause.object.as_ref().map_or(String::new(), NounPhrase::object);
    let link = scene.draw.pick(&["after", "before", "without"]);
    let question = clause.question_without_object();
    (
        format!("what {question} {link} {other} {thing}"),
        format!("what {question} {thing} {link} {other}"),
    )
}

/// "What did Anna and Tom buy?" and not "what did Anna buy and Tom?"
fn coordination(scene: &mut Scene) -> Contrast {
    let (first, second) = (gendered(scene), gendered(scene));
    let both = NounPhrase::new(
        format!("{} and {}", first.subject(), second.subject()),
        Number::Plural,
        first.agreement.gender,
    );
    let clause = Clause { group: Group::simple(Tense::Past), ..clause_with_thing(scene) };
    let good = Clause { subject: both, ..clause.clone() }.question_without_object();
    let bad = Clause { subject: first, ..clause }.question_without_object();
    (format!("what {good}"), format!("what {bad} and {}", second.subject()))
}

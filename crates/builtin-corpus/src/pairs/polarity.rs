//! Negative polarity and quantifiers.

use super::materials::*;
use super::{Contrast, Method, Paradigm};
use crate::discourse::scene::Scene;
use crate::grammar::clause::Clause;
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::{joined, with_article};
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::NUMBERS;

const POLARITY: (&str, &str) = ("semantics", "npi_licensing");
const SCOPE: (&str, &str) = ("syntax_semantics", "npi_licensing");
const QUANTIFIERS: (&str, &str) = ("semantics", "quantifiers");

use Method::{OnePrefix, Sentence, TwoPrefixes};

pub(super) const PARADIGMS: &[Paradigm] = &[
    Paradigm::new(
        "sentential_negation_npi_licensor_present",
        POLARITY,
        TwoPrefixes,
        false,
        negation,
    ),
    Paradigm::new("sentential_negation_npi_scope", SCOPE, TwoPrefixes, true, negation_scope),
    Paradigm::new("only_npi_licensor_present", POLARITY, TwoPrefixes, false, only),
    Paradigm {
        marks: ('?', '.'),
        ..Paradigm::new(
            "matrix_question_npi_licensor_present",
            POLARITY,
            TwoPrefixes,
            true,
            question,
        )
    },
    Paradigm::new("npi_present_1", POLARITY, OnePrefix, false, even),
    Paradigm::new("npi_present_2", POLARITY, OnePrefix, false, plain),
    Paradigm::new("existential_there_quantifiers_1", QUANTIFIERS, Sentence, false, there),
    Paradigm::new("superlative_quantifiers_1", QUANTIFIERS, Sentence, false, superlative_after_no),
    Paradigm::new(
        "superlative_quantifiers_2",
        QUANTIFIERS,
        TwoPrefixes,
        false,
        no_before_superlative,
    ),
];

const POSITIVE: &[&str] =
    &["often", "also", "really", "already", "certainly", "probably", "clearly"];

/// "Tom has not ever found the key" and not "Tom has really ever found the key".
fn negation(scene: &mut Scene) -> Contrast {
    let clause = perfect(transitive_clause(scene)).with_adverb("ever");
    let filler = scene.draw.pick(&["really", "also", "certainly", "probably", "clearly"]);
    let good = clause.clone().negated().statement();
    let bad = good.replacen(" not ever ", &format!(" {filler} ever "), 1);
    (good, bad)
}

/// The negation has to be in the clause of `ever`, not in the relative clause before it.
fn negation_scope(scene: &mut Scene) -> Contrast {
    let noun = varying_noun(scene, PERSON);
    let number = any_number(scene);
    let head = NounPhrase::of(Determiner::Word("the"), "", noun, number);
    let inner = perfect(Clause { subject: head.clone(), ..transitive_clause(scene) });
    let outer = perfect(transitive_clause(scene)).with_adverb("ever");
    let said = |inner: Clause, outer: Clause| {
        let subject = head.clone().followed_by(&format!("that {}", inner.predicate()));
        Clause { subject, ..outer }.statement()
    };
    (said(inner.clone(), outer.clone().negated()), said(inner.negated(), outer))
}

/// "Only Tom has ever found the key" and not "even Tom has ever found the key".
fn only(scene: &mut Scene) -> Contrast {
    let clause = perfect(transitive_clause(scene)).with_adverb("ever");
    let subject = gendered(scene);
    let clause = Clause { subject, ..clause };
    (format!("only {}", clause.statement()), format!("even {}", clause.statement()))
}

/// "Has Tom ever found the key?" and not "Tom has ever found the key."
fn question(scene: &mut Scene) -> Contrast {
    let clause = perfect(transitive_clause(scene)).with_adverb("ever");
    (clause.question(), clause.statement())
}

fn even(scene: &mut Scene) -> Contrast {
    let (good, bad) = plain(scene);
    (format!("even {good}"), format!("even {bad}"))
}

/// "Tom has often found the key" and not "Tom has ever found the key".
fn plain(scene: &mut Scene) -> Contrast {
    let subject = gendered(scene);
    let clause = perfect(Clause { subject, ..transitive_clause(scene) });
    let adverb = scene.draw.pick(POSITIVE);
    (clause.clone().with_adverb(adverb).statement(), clause.with_adverb("ever").statement())
}

/// "There was a key on the table" and not "there was every key on the table".
fn there(scene: &mut Scene) -> Contrast {
    let noun = varying_noun(scene, OBJECT.or(ANIMAL));
    let place = scene.location();
    let (good, bad, number) = match any_number(scene) {
        Number::Singular => (
            with_article(&noun.singular),
            format!("{} {}", scene.draw.pick(&["every", "each"]), noun.singular),
            Number::Singular,
        ),
        Number::Plural => {
            let weak = scene.draw.pick(&["some", "many", "two", "three", "several", "a few"]);
            let strong = scene.draw.pick(&["all", "most"]);
            (format!("{weak} {}", noun.plural), format!("{strong} {}", noun.plural), Number::Plural)
        }
    };
    let there = NounPhrase::new("there", number, Gender::Neuter);
    let clause = Clause::linking(there, scene.tense, "");
    let said = |things: &str| clause.clone().with_tail(&joined(&[things, &place])).statement();
    (said(&good), said(&bad))
}

/// A clause of one person that counts its object: "baker", "sold", "more than", "ten pies".
struct Counted {
    clause: Clause,
    number: &'static str,
    things: String,
}

impl Counted {
    fn draw(scene: &mut Scene) -> Self {
        let noun = varying_noun(scene, PORTABLE);
        let verb = transitive(scene, |verb| verb.object.meets(noun.kind) && !verb.stative);
        let person = varying_noun(scene, PERSON);
        let subject = NounPhrase::of(Determiner::Bare, "", person, Number::Singular);
        let clause = Clause::new(subject, verb, scene.tense);
        Self {
            clause: with_auxiliaries_in_time(scene, clause),
            number: scene.draw.zipf(NUMBERS),
            things: noun.plural.clone(),
        }
    }

    fn said(&self, determiner: &str, count: &str) -> String {
        let object = NounPhrase::unknown(&format!("{count} {} {}", self.number, self.things));
        format!("{determiner} {}", self.clause.clone().with_object(object).statement())
    }
}

/// The clause as it is or in the perfect.
fn with_auxiliaries_in_time(scene: &mut Scene, clause: Clause) -> Clause {
    if scene.draw.chance(40) { perfect(clause) } else { clause }
}

/// "No baker sold more than ten pies" and not "no baker sold at least ten pies".
fn superlative_after_no(scene: &mut Scene) -> Contrast {
    let it = Counted::draw(scene);
    let (good, bad) = scene.draw.pick(&[("more than", "at least"), ("fewer than", "at most")]);
    (it.said("no", good), it.said("no", bad))
}

/// "The baker sold at most ten pies" and not "no baker sold at most ten pies".
fn no_before_superlative(scene: &mut Scene) -> Contrast {
    let it = Counted::draw(scene);
    let count = scene.draw.pick(&["at least", "at most"]);
    let determiner = scene.draw.pick(&["the", "this", "that"]);
    (it.said(determiner, count), it.said("no", count))
}

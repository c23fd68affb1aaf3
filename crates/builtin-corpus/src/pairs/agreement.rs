//! Agreement of anaphors, determiners and verbs, and the forms of irregular words.

use super::materials::*;
use super::{Contrast, Method, Paradigm};
use crate::discourse::event::REFLEXIVES;
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Agreement, Case, Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::PARTICIPLE_ADJECTIVES;
use crate::lexicon::{Noun, lexicon};

const ANAPHOR: (&str, &str) = ("morphology", "anaphor_agreement");
const DETERMINER: (&str, &str) = ("morphology", "determiner_noun_agreement");
const VERB: (&str, &str) = ("morphology", "subject_verb_agreement");
const FORMS: (&str, &str) = ("morphology", "irregular_forms");

use Method::{OnePrefix, TwoPrefixes};

pub(super) const PARADIGMS: &[Paradigm] = &[
    Paradigm::new("anaphor_gender_agreement", ANAPHOR, OnePrefix, false, anaphor_gender),
    Paradigm::new("anaphor_number_agreement", ANAPHOR, OnePrefix, true, anaphor_number),
    Paradigm::new("determiner_noun_agreement_1", DETERMINER, OnePrefix, true, |scene| {
        noun_after(scene, Kind::Regular, false)
    }),
    Paradigm::new("determiner_noun_agreement_2", DETERMINER, TwoPrefixes, true, |scene| {
        determiner_before(scene, Kind::Regular, false)
    }),
    Paradigm::new("determiner_noun_agreement_irregular_1", DETERMINER, OnePrefix, true, |scene| {
        noun_after(scene, Kind::Irregular, false)
    }),
    Paradigm::new(
        "determiner_noun_agreement_irregular_2",
        DETERMINER,
        TwoPrefixes,
        true,
        |scene| determiner_before(scene, Kind::Irregular, false),
    ),
    Paradigm::new(
        "determiner_noun_agreement_with_adjective_1",
        DETERMINER,
        OnePrefix,
        true,
        |scene| noun_after(scene, Kind::Regular, true),
    ),
    Paradigm::new("determiner_noun_agreement_with_adj_2", DETERMINER, TwoPrefixes, true, |scene| {
        determiner_before(scene, Kind::Regular, true)
    }),
    Paradigm::new("regular_plural_subject_verb_agreement_1", VERB, OnePrefix, false, |scene| {
        verb_after(scene, Kind::Regular)
    }),
    Paradigm::new("regular_plural_subject_verb_agreement_2", VERB, TwoPrefixes, false, |scene| {
        subject_before(scene, Kind::Regular)
    }),
    Paradigm::new("irregular_plural_subject_verb_agreement_1", VERB, OnePrefix, false, |scene| {
        verb_after(scene, Kind::Irregular)
    }),
    Paradigm::new("irregular_plural_subject_verb_agreement_2", VERB, TwoPrefixes, false, |scene| {
        subject_before(scene, Kind::Irregular)
    }),
    Paradigm::new("distractor_agreement_relational_noun", VERB, OnePrefix, false, distractor_noun),
    Paradigm::new(
        "distractor_agreement_relative_clause",
        VERB,
        OnePrefix,
        false,
        distractor_clause,
    ),
    Paradigm::new("irregular_past_participle_verbs", FORMS, OnePrefix, false, participle_verb),
    Paradigm::new(
        "irregular_past_participle_adjectives",
        FORMS,
        TwoPrefixes,
        false,
        participle_adjective,
    ),
];

/// Whose plural a noun forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Irregular,
}

fn noun_with(scene: &mut Scene, plural: Kind, kinds: Kinds) -> &'static Noun {
    let fits = |noun: &&Noun| {
        noun.irregular == (plural == Kind::Irregular) && noun.singular != noun.plural
    };
    let nouns: Vec<&Noun> = lexicon().count_nouns_of(kinds).into_iter().filter(fits).collect();
    scene.draw.zipf(&nouns)
}

fn reflexive_clause(scene: &mut Scene, subject: NounPhrase, own: &str) -> Clause {
    let verb =
        transitive(scene, |verb| REFLEXIVES.contains(&&*verb.base) && verb.object.meets(PERSON));
    let clause = Clause::new(subject, verb, scene.tense).with_object(NounPhrase::unknown(own));
    with_auxiliaries(scene, clause)
}

fn with_other_object(clause: &Clause, object: &str) -> Clause {
    clause.clone().with_object(NounPhrase::unknown(object))
}

fn anaphor_gender(scene: &mut Scene) -> Contrast {
    let subject = gendered(scene);
    let own = subject.reflexive();
    let clause = reflexive_clause(scene, subject, own);
    let other = if own == "himself" { "herself" } else { "himself" };
    (clause.statement(), with_other_object(&clause, other).statement())
}

fn anaphor_number(scene: &mut Scene) -> Contrast {
    let number = any_number(scene);
    let subject = if number == Number::Plural { people(scene, number) } else { gendered(scene) };
    let own = subject.reflexive();
    let gender = scene.draw.pick(&[Gender::Feminine, Gender::Masculine]);
    let other = match number {
        Number::Plural => Agreement::third(Number::Singular, gender).pronoun(Case::Reflexive),
        Number::Singular => "themselves",
    };
    let clause = reflexive_clause(scene, subject, own);
    (clause.statement(), with_other_object(&clause, other).statement())
}

/// Someone does something to "this cup" or "these cups": determiner, adjective or none, noun in
/// both numbers.
struct Demonstrated {
    before: String,
    this: &'static str,
    these: &'static str,
    adjective: &'static str,
    noun: &'static Noun,
    number: Number,
}

impl Demonstrated {
    fn draw(scene: &mut Scene, plural: Kind, described: bool) -> Self {
        let noun = noun_with(scene, plural, VISIBLE);
        let verb = transitive(scene, |verb| verb.object.meets(noun.kind));
        let number = any_number(scene);
        let subject_number = any_number(scene);
        let subject = people(scene, subject_number);
        let clause = Clause::new(subject, verb, scene.tense);
        let (this, these) = scene.draw.pick(&[("this", "these"), ("that", "those")]);
        let adjective = if described { scene.adjective_for(noun) } else { "" };
        Self {
            before: with_auxiliaries(scene, clause).without_object(),
            this,
            these,
            adjective,
            noun,
            number,
        }
    }

    fn said(&self, determiner: Number, noun: Number) -> String {
        let determiner = if determiner == Number::Plural { self.these } else { self.this };
        let phrase = NounPhrase::of(Determiner::Word(determiner), self.adjective, self.noun, noun);
        joined(&[&self.before, &phrase.object()])
    }
}

fn noun_after(scene: &mut Scene, plural: Kind, described: bool) -> Contrast {
    let it = Demonstrated::draw(scene, plural, described);
    (it.said(it.number, it.number), it.said(it.number, other_number(it.number)))
}

fn determiner_before(scene: &mut Scene, plural: Kind, described: bool) -> Contrast {
    let it = Demonstrated::draw(scene, plural, described);
    (it.said(it.number, it.number), it.said(other_number(it.number), it.number))
}

/// The clause with a verb that agrees with the wrong number.
fn disagreeing(clause: &Clause) -> Clause {
    let mut bad = clause.clone();
    bad.subject.agreement.number = other_number(bad.subject.agreement.number);
    bad
}

fn verb_after(scene: &mut Scene, plural: Kind) -> Contrast {
    let noun = noun_with(scene, plural, PERSON);
    let number = any_number(scene);
    let subject = described(scene, noun, number);
    let clause = showing_number(scene, subject);
    (clause.statement(), disagreeing(&clause).statement())
}

fn subject_before(scene: &mut Scene, plural: Kind) -> Contrast {
    let noun = noun_with(scene, plural, PERSON);
    let number = any_number(scene);
    let phrase = |number| NounPhrase::of(Determiner::Word("the"), "", noun, number);
    let clause = showing_number(scene, phrase(number));
    let bad = joined(&[&phrase(other_number(number)).subject(), &clause.predicate()]);
    (clause.statement(), bad)
}

fn distractor_noun(scene: &mut Scene) -> Contrast {
    let number = any_number(scene);
    let noun = scene.draw.zipf(&lexicon().nouns_of(KIN));
    let owner = varying_noun(scene, PERSON);
    let owner = described(scene, owner, other_number(number));
    let subject = NounPhrase::of(Determiner::Word("the"), "", noun, number)
        .followed_by(&format!("of {}", owner.object()));
    let clause = showing_number(scene, subject);
    (clause.statement(), disagreeing(&clause).statement())
}

fn distractor_clause(scene: &mut Scene) -> Contrast {
    let number = any_number(scene);
    let noun = varying_noun(scene, PERSON);
    let head = NounPhrase::of(Determiner::Word("the"), "", noun, number);
    let verb = transitive(scene, |verb| verb.object.meets(PERSON) && !verb.stative);
    let other = varying_noun(scene, PERSON);
    let object = described(scene, other, other_number(number));
    let inner = Clause::new(head.clone(), verb, Tense::Past).with_object(object);
    let subject = head.followed_by(&format!("that {}", inner.predicate()));
    let clause = showing_number(scene, subject);
    (clause.statement(), disagreeing(&clause).statement())
}

/// "Tom has eaten" and not "has ate"; "Tom ate" and not "eaten".
fn participle_verb(scene: &mut Scene) -> Contrast {
    let number = any_number(scene);
    let subject = people(scene, number);
    let verb = transitive(scene, |verb| verb.irregular && verb.past != verb.participle);
    let object = object_of(scene, verb);
    let clause = Clause::new(subject, verb, Tense::Past).with_object(object);
    let (clause, right, wrong) = match scene.draw.chance(50) {
        true => (perfect(clause), &verb.participle, &verb.past),
        false => (clause, &verb.past, &verb.participle),
    };
    let good = clause.statement();
    let bad = good.replacen(&format!(" {right} "), &format!(" {wrong} "), 1);
    (good, bad)
}

fn participle_adjective(scene: &mut Scene) -> Contrast {
    let (right, wrong) = scene.draw.pick(PARTICIPLE_ADJECTIVES);
    let nouns: Vec<&Noun> = lexicon()
        .count_nouns_of(OBJECT.or(PLANT).or(OUTDOOR))
        .into_iter()
        .filter(|noun| lexicon().adjectives_of(noun.kind).contains(&right))
        .collect();
    let noun = scene.draw.zipf(&nouns);
    let number = any_number(scene);
    let subject = NounPhrase::of(Determiner::Word("the"), right, noun, number);
    let good = if noun.kind.meets(SMALL) && scene.draw.chance(50) {
        let spot = scene.spot();
        Clause::linking(subject, scene.tense, spot).statement()
    } else {
        let person = gendered(scene);
        let verb = transitive(scene, |verb| verb.object.meets(noun.kind) && !verb.stative);
        Clause::new(person, verb, Tense::Past).with_object(subject).passive(true).statement()
    };
    let bad = good.replacen(&format!("the {right} "), &format!("the {wrong} "), 1);
    (good, bad)
}

//! Binding: where a reflexive finds its antecedent.

use super::materials::*;
use super::{Contrast, Method, Paradigm};
use crate::discourse::event::REFLEXIVES;
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::Number;
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::lexicon::kinds::*;
use crate::lexicon::{Frame, Verb, lexicon};

const BINDING: (&str, &str) = ("syntax_semantics", "binding");

use Method::OnePrefix;

pub(super) const PARADIGMS: &[Paradigm] = &[
    Paradigm::new("principle_A_case_1", BINDING, OnePrefix, false, case),
    Paradigm::new("principle_A_domain_1", BINDING, OnePrefix, false, |scene| domain(scene, false)),
    Paradigm::new("principle_A_domain_2", BINDING, OnePrefix, false, |scene| domain(scene, true)),
    Paradigm::new("principle_A_c_command", BINDING, OnePrefix, false, c_command),
];

fn saying(scene: &mut Scene) -> &'static Verb {
    scene.draw.zipf(&lexicon().verbs_of(Frame::Clausal, PERSON))
}

fn self_verb(scene: &mut Scene) -> &'static Verb {
    transitive(scene, |verb| REFLEXIVES.contains(&&*verb.base) && verb.object.meets(PERSON))
}

/// "Anna said that she had found the key" and not "that herself had found the key".
fn case(scene: &mut Scene) -> Contrast {
    let speaker = gendered(scene);
    let verb = saying(scene);
    let inner = perfect(Clause { subject: speaker.as_pronoun(), ..transitive_clause(scene) });
    let own = Clause {
        subject: NounPhrase::new(speaker.reflexive(), Number::Singular, speaker.agreement.gender),
        ..inner.clone()
    };
    let outer = Clause::new(speaker, verb, scene.tense);
    let said =
        |inner: Clause| outer.clone().with_tail(&format!("that {}", inner.statement())).statement();
    (said(inner), said(own))
}

/// "Anna said that the boys had seen her" (or "themselves") and not "had seen herself".
fn domain(scene: &mut Scene, bound_inside: bool) -> Contrast {
    let speaker = gendered(scene);
    let noun = varying_noun(scene, PERSON);
    let others = NounPhrase::of(Determiner::Word("the"), "", noun, Number::Plural);
    let (verb, inner_verb) = (saying(scene), self_verb(scene));
    let right =
        if bound_inside { others.reflexive().to_string() } else { speaker.as_pronoun().object() };
    let wrong = speaker.reflexive();
    let outer = Clause::new(speaker.clone(), verb, scene.tense);
    let said = |object: &str| {
        let inner = perfect(
            Clause::new(others.clone(), inner_verb, outer.group.tense)
                .with_object(NounPhrase::unknown(object)),
        );
        outer.clone().with_tail(&format!("that {}", inner.statement())).statement()
    };
    (said(&right), said(wrong))
}

/// "The sister of the boys blamed herself" and not "blamed themselves".
fn c_command(scene: &mut Scene) -> Contrast {
    let gendered_kin: Vec<_> = lexicon()
        .nouns_of(KIN)
        .into_iter()
        .filter(|noun| noun.gender.is_some() && !noun.singular.contains("grand"))
        .collect();
    let kin = scene.draw.zipf(&gendered_kin);
    let head = NounPhrase::of(Determiner::Word("the"), "", kin, Number::Singular);
    let noun = varying_noun(scene, PERSON);
    let others = NounPhrase::of(Determiner::Word("the"), "", noun, Number::Plural);
    let (right, wrong) = (head.reflexive(), others.reflexive());
    let verb = self_verb(scene);
    let subject = if scene.draw.chance(50) {
        head.followed_by(&format!("of {}", others.object()))
    } else {
        let helping = transitive(scene, |verb| verb.object.meets(PERSON) && !verb.stative);
        let inner = Clause::new(head.clone(), helping, Tense::Past).with_object(others);
        head.followed_by(&format!("who {}", inner.predicate()))
    };
    let clause = Clause::new(subject, verb, scene.tense);
    let said = |object: &str| clause.clone().with_object(NounPhrase::unknown(object)).statement();
    (said(right), said(wrong))
}

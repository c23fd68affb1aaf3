//! Sentences by construction: relative clauses, embedded questions, polarity, quantifiers,
//! ellipsis, raising. Each returns its words without a capital or a full stop.

mod embedding;
mod quantity;

use crate::discourse::phrases::preposition;
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::{joined, with_article, with_er};
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::*;
use crate::lexicon::{Frame, Verb, lexicon};

/// A construction, to be chosen by weight.
pub(crate) type Construction = fn(&mut Scene) -> String;

/// The constructions of running prose, with their weights.
pub(crate) const CONSTRUCTIONS: &[(usize, Construction)] = &[
    (24, |scene| scene.plain()),
    (8, |scene| scene.state_sentence()),
    (6, |scene| scene.coordination()),
    (7, |scene| scene.subordination()),
    (5, |scene| scene.subject_relative()),
    (6, |scene| scene.object_relative()),
    (6, |scene| scene.that_clause()),
    (6, |scene| scene.embedded_question()),
    (4, |scene| scene.never_ever()),
    (4, |scene| scene.negated_any()),
    (2, |scene| scene.only_ever()),
    (4, |scene| scene.passive()),
    (5, |scene| scene.existential()),
    (4, |scene| scene.quantified_subject()),
    (3, |scene| scene.counted_object()),
    (3, |scene| scene.noun_ellipsis()),
    (4, |scene| scene.related_subject()),
    (3, |scene| scene.raising()),
    (3, |scene| scene.object_control()),
    (4, |scene| scene.participial()),
    (3, |scene| scene.bound_far()),
    (3, |scene| scene.thing_event()),
    (2, |scene| scene.comparison()),
];

impl Scene<'_> {
    /// A sentence of a random construction.
    pub(crate) fn sentence(&mut self) -> String {
        let construction = self.draw.weighted(CONSTRUCTIONS);
        let words = construction(self);
        self.next_sentence();
        words
    }

    fn plain(&mut self) -> String {
        let who = self.somebody();
        let mut clause = self.event(who);
        if !clause.verb.stative {
            match self.draw.below(100) {
                0..12 => clause.group.perfect = true,
                12..24 if clause.verb.frame != Frame::Control => clause.group.progressive = true,
                24..30 => {
                    clause.group.modal = if self.tense == Tense::Past { "could" } else { "can" }
                }
                30..36 => clause.adverb = self.draw.zipf(FREQUENCIES),
                36..41 => clause = clause.negated(),
                _ => {}
            }
        }
        clause.statement()
    }

    fn state_sentence(&mut self) -> String {
        let who = self.somebody();
        if self.draw.chance(35) && self.entities[who].name.is_some() {
            let subject = self.refer(who);
            let noun = self.entities[who].noun;
            let adjective = self.adjective_for(noun);
            let kind = NounPhrase::of(Determiner::Indefinite, adjective, noun, Number::Singular);
            return Clause::linking(subject, self.tense, kind.subject()).statement();
        }
        self.state(who).statement()
    }

    fn coordination(&mut self) -> String {
        let who = self.somebody();
        let first = self.bare_event(who);
        if self.draw.chance(45) {
            let second = self.in_the_same_breath(who, &first);
            return format!("{} and {}", first.statement(), second.predicate());
        }
        let mentioned = self.current.clone();
        let Some(other) = self.one_of(ANIMATE, |other| !mentioned.contains(&other)) else {
            return first.statement();
        };
        match self.draw.below(3) {
            0 => {
                let other = self.name(other);
                let echo = Clause { subject: other, ..first.clone() };
                format!(
                    "{}, but {} {}",
                    first.statement(),
                    echo.subject.subject(),
                    echo.operator(true)
                )
            }
            1 => {
                let other = self.name(other);
                let echo = Clause { subject: other, ..first.clone() };
                format!(
                    "{}, and so {} {}",
                    first.statement(),
                    echo.operator(false),
                    echo.subject.subject()
                )
            }
            _ => {
                let link = self.draw.zipf(&["and", "but", "so", "and then"]);
                format!("{}, {link} {}", first.statement(), self.circumstance(other).statement())
            }
        }
    }

    /// Another act of the same subject, whose pronoun inside cannot be misread.
    fn in_the_same_breath(&mut self, who: usize, first: &Clause) -> Clause {
        self.act(who, first.subject.as_pronoun())
    }

    /// "The boat was mended by the fisherman"
    fn passive(&mut self) -> String {
        let who = self.somebody();
        let kind = self.kind(who);
        let subject = self.name(who);
        let verbs: Vec<&Verb> = lexicon()
            .verbs_of(Frame::Transitive, kind)
            .into_iter()
            .filter(|verb| verb.particle.is_empty())
            .collect();
        let verb = self.draw.zipf(&verbs);
        let object = self.object(Some(who), verb, &subject);
        let mut clause = Clause::new(subject, verb, self.tense)
            .with_object(object)
            .passive(self.draw.chance(75));
        match self.draw.below(6) {
            0 => clause.group.perfect = true,
            1 => clause.group.modal = if self.tense == Tense::Past { "could" } else { "can" },
            2 => clause.group.negative = true,
            _ => {}
        }
        let time = if self.draw.chance(30) { self.time() } else { "" };
        clause.with_tail(time).statement()
    }

    /// "The cup fell", "the boat has vanished"
    fn thing_event(&mut self) -> String {
        let noun = self.noun_of(OBJECT, "thing");
        let number = self.number_for(noun);
        let subject = self.phrase(noun, number, None);
        let verb = self.draw.zipf(&lexicon().verbs_of(Frame::Intransitive, noun.kind));
        let mut clause = Clause::new(subject, verb, self.tense);
        clause.group.perfect = self.draw.chance(30);
        let place = match verb.base.as_str() {
            "fall" => format!(
                "from the {}",
                self.draw.zipf(&["table", "shelf", "chair", "tree", "cart", "bed", "roof", "wall"])
            ),
            _ => String::new(),
        };
        clause.with_tail(&place).statement()
    }

    /// "The fox was bigger than the dog"
    fn comparison(&mut self) -> String {
        let who = self.somebody();
        let Some(other) = self.one_of(ANIMATE, |other| other != who) else {
            return self.state_sentence();
        };
        let (first, second) = (self.name(who), self.name(other));
        let adjective = self.draw.pick(&[
            "old", "tall", "young", "clever", "brave", "strong", "kind", "small", "big", "fast",
        ]);
        let more = with_er(adjective);
        if self.draw.chance(25) {
            let much = format!("as {adjective} as {}", second.object());
            return Clause::linking(first, self.tense, much).negated().statement();
        }
        Clause::linking(first, self.tense, format!("{more} than {}", second.object())).statement()
    }

    /// "There lived an old king in Kelbridge": the first sentence of a story.
    pub(crate) fn opening(&mut self) -> String {
        self.name(0);
        let entity = self.entities[0].clone();
        let number = entity.number;
        let noun = NounPhrase::of(Determiner::Indefinite, entity.adjective, entity.noun, number);
        let noun = if number == Number::Plural {
            NounPhrase::new(format!("two {}", noun.subject()), number, entity.gender)
        } else {
            noun
        };
        let noun = match entity.name {
            Some(name) => noun.followed_by(&format!("named {name}")),
            None => noun,
        };
        let place = with_article(&joined(&[self.adjective_for(self.place), &self.place.singular]));
        let place = format!("{} {place}", preposition(self.place).replace("at", "near"));
        let said = match self.draw.below(4) {
            0 => format!("once upon a time there lived {} {place}", noun.object()),
            1 => format!(
                "{} {}",
                self.draw.pick(&["long ago,", "many years ago,", "one winter,"]),
                there(noun, Tense::Past, &place).statement()
            ),
            2 => Clause::linking(
                noun,
                Tense::Past,
                format!("{} {place}", self.draw.pick(&["alone", "sitting", "waiting", "working"])),
            )
            .statement(),
            _ => format!(
                "one {}, {} came to {}",
                self.draw.pick(&["morning", "evening", "day", "night"]),
                noun.subject(),
                with_article(&self.place.singular)
            ),
        };
        self.next_sentence();
        said
    }

    /// The clause one step further back in time: "had eaten" in the past, "has eaten" in the
    /// present.
    pub(super) fn earlier(&mut self, mut clause: Clause) -> Clause {
        clause.group.perfect = true;
        clause
    }
}

/// "there is a cup on the table": the verb agrees with what is there.
pub(crate) fn there(phrase: NounPhrase, tense: Tense, place: &str) -> Clause {
    let subject = NounPhrase::new("there", phrase.agreement.number, Gender::Neuter);
    Clause::linking(subject, tense, joined(&[&phrase.object(), place]))
}

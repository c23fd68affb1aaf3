//! Clauses inside clauses: relative clauses, reported clauses and questions, infinitives,
//! participles.

use crate::discourse::event::REFLEXIVES;
use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Gender, Number, Person};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::{joined, with_ed, with_s};
use crate::lexicon::kinds::*;
use crate::lexicon::{Frame, Verb, lexicon};

impl Scene<'_> {
    pub(super) fn subordination(&mut self) -> String {
        let who = self.somebody();
        let main = self.event(who);
        let other = if self.draw.chance(50) { who } else { self.somebody() };
        let link = self.draw.zipf(&["because", "when", "while", "although", "before", "after"]);
        let mut side = self.circumstance(other);
        if link == "while" && !side.verb.stative && side.verb.base != "be" {
            side.group.progressive = true;
        }
        if link == "after" && self.tense == Tense::Past {
            side = self.earlier(side);
        }
        if self.draw.chance(30) && !main.subject.is_pronoun() {
            let pronoun =
                if other == who { main.subject.as_pronoun() } else { main.subject.clone() };
            let (front, back) = (
                Clause { subject: main.subject.clone(), ..side.clone() },
                Clause { subject: pronoun, ..main.clone() },
            );
            let front = if other == who { front } else { side };
            return format!("{link} {}, {}", front.statement(), back.statement());
        }
        format!("{} {link} {}", main.statement(), side.statement())
    }

    /// "The fox that had chased the hen ran away"; its noun and the nearest noun often differ in
    /// number.
    pub(super) fn subject_relative(&mut self) -> String {
        let noun = self.noun_of(ANIMATE, "that");
        let number = self.number_for(noun);
        let head = NounPhrase::of(Determiner::Word("the"), "", noun, number);
        let mut inner = self.event_of(head.clone(), noun.kind);
        if !inner.verb.stative && self.draw.chance(50) {
            inner = self.earlier(inner);
        }
        let link = if noun.kind.meets(HUMAN) && self.draw.chance(50) { "who" } else { "that" };
        let subject = head.followed_by(&format!("{link} {}", inner.predicate()));
        if self.draw.chance(50) {
            self.state_of(subject).statement()
        } else {
            self.event_of(subject, noun.kind).statement()
        }
    }

    /// "She found the key that her brother had hidden"
    pub(super) fn object_relative(&mut self) -> String {
        let (who, other) = self.two_humans();
        let subject = self.refer(who);
        let noun = self.noun_of(PORTABLE, "which");
        let outer = self.draw.zipf(&lexicon().verbs_between(PERSON, noun.kind));
        let verbs: Vec<&Verb> = lexicon()
            .verbs_between(PERSON, noun.kind)
            .into_iter()
            .filter(|verb| !verb.stative)
            .collect();
        let inner = self.draw.beside(&noun.singular, &verbs);
        let giver = self.name(other);
        let gap = Clause::new(giver, inner, self.tense);
        let gap = if inner.base == outer.base { gap.negated() } else { self.earlier(gap) };
        let number = self.number_for(noun);
        let link = self.draw.zipf(&["that", "which", ""]);
        let adjective = if self.draw.chance(25) { self.adjective_for(noun) } else { "" };
        let head = NounPhrase::of(Determiner::Word("the"), adjective, noun, number);
        let object = head.followed_by(&joined(&[link, &gap.without_object()]));
        Clause::new(subject, outer, self.tense).with_object(object).statement()
    }

    pub(super) fn that_clause(&mut self) -> String {
        let who = self.human();
        let verb = self.draw.zipf(&lexicon().verbs_of(Frame::Clausal, PERSON));
        let subject = self.refer(who);
        let other = self.somebody();
        let mut inner = self.circumstance(other);
        if !inner.verb.stative && self.draw.chance(40) {
            inner = self.earlier(inner);
        }
        let link = if self.draw.chance(65) { "that" } else { "" };
        let link = if ["doubt", "explain", "notice", "discover", "admit"].contains(&&*verb.base) {
            "that"
        } else {
            link
        };
        Clause::new(subject, verb, self.tense)
            .with_tail(&joined(&[link, &inner.statement()]))
            .statement()
    }

    /// "Tom wondered what the fox had eaten"
    pub(crate) fn embedded_question(&mut self) -> String {
        let who = self.human();
        let verb = self.draw.zipf(&lexicon().verbs_of(Frame::Asking, PERSON));
        let subject = self.refer(who);
        let question = self.indirect_question(who);
        let mut clause = Clause::new(subject, verb, self.tense).with_tail(&question);
        if verb.base != "wonder" && self.draw.chance(25) {
            clause = clause.negated();
        }
        clause.statement()
    }

    /// "what the fox had eaten", "who had eaten the fish", "where the key was"
    pub(crate) fn indirect_question(&mut self, who: usize) -> String {
        let other = self.one_of(ANIMATE, |other| other != who).unwrap_or(who);
        match self.draw.below(10) {
            0..4 => {
                let noun = self.noun_of(PORTABLE.or(ANIMATE), "what");
                let verbs = lexicon().verbs_between(self.kind(other), noun.kind);
                let verb = self.draw.zipf(&verbs);
                let word = if noun.kind.meets(HUMAN) { "who" } else { "what" };
                let subject = self.name(other);
                let gap = Clause::new(subject, verb, self.tense);
                let gap = if verb.stative { gap } else { self.earlier(gap) };
                format!("{word} {}", gap.without_object())
            }
            4..7 => {
                let somebody = NounPhrase::unknown("who");
                let clause = self.event_of(somebody, PERSON);
                let clause = if clause.verb.stative { clause } else { self.earlier(clause) };
                clause.statement()
            }
            7..9 => {
                let thing = self.some_thing();
                Clause::linking(thing.clone(), self.tense, "").statement().replacen(
                    &thing.subject(),
                    &format!("where {}", thing.subject()),
                    1,
                )
            }
            _ => {
                let link = self.draw.pick(&["why", "whether", "how", "when"]);
                format!("{link} {}", self.bare_event(other).statement())
            }
        }
    }

    /// One of the scene's things, or a new one.
    pub(crate) fn some_thing(&mut self) -> NounPhrase {
        match self.one_of(OBJECT, |_| true) {
            Some(thing) => self.name(thing),
            None => self.fresh(OBJECT, "thing", None),
        }
    }

    /// "Tom seemed to know the way"
    pub(crate) fn raising(&mut self) -> String {
        let who = self.somebody();
        let subject = self.refer(who);
        let verb = self.draw.zipf(&lexicon().verbs_of(Frame::Raising, PERSON));
        if self.draw.chance(20) {
            let inner = self.circumstance(who);
            let it = NounPhrase::new("it", Number::Singular, Gender::Neuter);
            let verb = &lexicon().verbs_of(Frame::Raising, PERSON)[..2];
            let verb = self.draw.pick(verb);
            return Clause::new(it, verb, self.tense)
                .with_tail(&format!("that {}", inner.statement()))
                .statement();
        }
        let inner = self.act(who, subject.clone());
        Clause::new(subject, verb, self.tense)
            .with_tail(&format!("to {}", inner.bare()))
            .statement()
    }

    /// "Anna wanted the boys to wash themselves", "she asked him to help"
    pub(crate) fn object_control(&mut self) -> String {
        let (who, other) = self.two_humans();
        if who == other {
            return self.raising();
        }
        let (subject, object) = (self.refer(who), self.refer(other));
        let verbs = [
            "ask", "tell", "want", "help", "teach", "expect", "allow", "persuade", "warn", "invite",
        ];
        let verb = self.draw.zipf(&verbs);
        let past = match verb {
            "tell" => "told".to_string(),
            "teach" => "taught".to_string(),
            _ => with_ed(verb),
        };
        let singular = subject.agreement.person == Person::Third && !subject.agreement.plural();
        let present = if singular { with_s(verb) } else { verb.to_string() };
        let finite = if self.tense == Tense::Past { past } else { present };
        let not = if verb == "warn" || self.draw.chance(10) { "not" } else { "" };
        let inner = self.deed(Some(other), self.kind(other), &object.as_pronoun());
        joined(&[&subject.subject(), &finite, &object.object(), not, "to", &inner.bare()])
    }

    /// "After washing the cups, Anna went home"
    pub(crate) fn participial(&mut self) -> String {
        let who = self.human();
        let subject = self.name(who);
        let side = self.act(who, subject.as_pronoun());
        let link = self.draw.zipf(&["after", "before", "while", "without"]);
        let link = if side.verb.stative && link == "while" { "after" } else { link };
        let main = self.act(who, subject);
        if link != "without" && self.draw.chance(60) {
            format!("{link} {}, {}", side.gerund(), main.statement())
        } else {
            format!("{} {link} {}", main.statement(), side.gerund())
        }
    }

    /// "Anna said that the boys had blamed themselves", "the girls' father had hurt himself"
    pub(crate) fn bound_far(&mut self) -> String {
        let (who, other) = self.two_humans();
        let words = lexicon();
        let subject = self.name(who);
        let inner_subject =
            if who == other { self.fresh(PERSON, "self", None) } else { self.name(other) };
        let verbs: Vec<&Verb> = words
            .verbs_between(PERSON, HUMAN)
            .into_iter()
            .filter(|verb| REFLEXIVES.contains(&&*verb.base))
            .collect();
        let verb = self.draw.zipf(&verbs);
        let own = if self.draw.chance(65) {
            NounPhrase::new(inner_subject.reflexive(), Number::Singular, Gender::Neuter)
        } else {
            subject.as_pronoun()
        };
        let mut inner = Clause::new(inner_subject, verb, self.tense).with_object(own);
        inner.group.perfect = self.draw.chance(60);
        let saying = self.draw.zipf(&words.verbs_of(Frame::Clausal, PERSON));
        Clause::new(subject, saying, self.tense)
            .with_tail(&format!("that {}", inner.statement()))
            .statement()
    }
}

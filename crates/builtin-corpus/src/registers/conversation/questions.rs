//! Exchanges that begin with a question about the scene.

use super::Talk;
use crate::discourse::constructions::there;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Gender, Number, Person};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::REASONS;
use crate::lexicon::{Frame, Verb, lexicon};

impl Talk<'_, '_> {
    pub(super) fn yes_or_no(&mut self) {
        let who = self.topic();
        let clause = if self.scene.draw.chance(30) { self.scene.state(who) } else { self.act(who) };
        self.say(&clause.question(), '?');
        self.reply();
        self.short_answer(&clause);
        if self.scene.draw.chance(45) {
            let who = self.subject_of_news();
            self.remark_of(who);
        }
    }

    /// "What did Tom buy?" "He bought a hat."
    pub(super) fn what(&mut self) {
        let who = self.topic();
        let kind = self.scene.kind(who);
        let verbs: Vec<&Verb> = lexicon()
            .verbs_of(Frame::Transitive, kind)
            .into_iter()
            .filter(|verb| verb.object.meets(PORTABLE))
            .collect();
        let verb = self.scene.draw.zipf(&verbs);
        let tense = if verb.stative { Tense::Present } else { Tense::Past };
        let mut clause = Clause::new(self.scene.refer(who), verb, tense);
        clause.group.contracted = true;
        if !verb.stative && self.scene.draw.chance(30) {
            clause.group.tense = Tense::Present;
            clause.group.progressive = true;
        }
        let noun = self.scene.noun_of(PORTABLE, &verb.base);
        let may_choose = !noun.mass && verb.object.meets(noun.kind);
        let (asked, chosen) = match self.scene.draw.below(100) {
            0..10 if may_choose => (
                format!("which {}", noun.singular),
                format!("the {} one", self.scene.adjective_for(noun)),
            ),
            10..18 if may_choose => (format!("whose {}", noun.singular), self.someones(who)),
            _ => ("what".to_string(), String::new()),
        };
        self.say(&format!("{asked} {}", clause.question_without_object()), '?');
        self.reply();
        let answer = Self::turned(&clause);
        if chosen.is_empty() && self.scene.draw.chance(18) {
            return self.say(&format!("I don't know what {}", answer.without_object()), '.');
        }
        let object = match chosen.is_empty() {
            true => self.scene.object(Some(who), verb, &answer.subject),
            false => NounPhrase::new(chosen, Number::Singular, Gender::Neuter),
        };
        self.say(&Self::said(answer.with_object(object)), '.');
    }

    pub(super) fn where_is_it(&mut self) {
        let thing = self.known_thing(SMALL.or(FOOD).or(ANIMAL));
        let place = Clause::linking(thing.clone(), Tense::Present, "");
        let words = if self.scene.draw.chance(25) { "have you seen" } else { "where" };
        match words {
            "where" => self.say(&format!("where {}", place.question()), '?'),
            _ => self.say(&format!("{words} {}", thing.object()), '?'),
        }
        self.reply();
        let spot =
            if self.scene.draw.chance(60) { self.scene.spot() } else { self.scene.location() };
        let words = match self.scene.draw.below(10) {
            0..6 => Self::said(Clause::linking(thing.as_pronoun(), Tense::Present, spot)),
            6..8 => format!("I can't find {} anywhere", thing.as_pronoun().object()),
            8 => format!(
                "I don't know where {}",
                Clause::linking(thing.as_pronoun(), Tense::Present, "").statement()
            ),
            _ => format!("I think I left {} {spot}", thing.as_pronoun().object()),
        };
        self.say(&words, '.');
    }

    pub(super) fn who_did_it(&mut self) {
        let somebody = NounPhrase::unknown("who");
        let mut clause = self.scene.in_tense(Tense::Past, |scene| scene.event_of(somebody, PERSON));
        if self.scene.draw.chance(30) {
            clause.group.tense = Tense::Present;
            clause.group.perfect = true;
        }
        self.say(&clause.statement(), '?');
        self.reply();
        let answer = match self.scene.draw.below(10) {
            0..5 => {
                let who = self.subject_of_news();
                let subject = match self.scene.agreement(who).person {
                    Person::Third => self.scene.name(who),
                    _ => self.scene.refer(who),
                };
                let echo = Clause { subject, ..clause };
                format!("{} {}", echo.subject.subject(), echo.operator(false))
            }
            5..7 => format!("nobody {}", clause.operator(false)),
            7 => format!("I {}n't", if clause.group.perfect { "have" } else { "did" }),
            _ => format!(
                "I don't know {}",
                Clause { subject: clause.subject.clone(), ..Self::turned(&clause) }.statement()
            ),
        };
        self.say(&answer, '.');
    }

    /// "Have you ever seen a whale?" "No, I've never seen any whales."
    pub(super) fn ever(&mut self) {
        let who = self.topic();
        let subject = self.scene.refer(who);
        let verbs: Vec<&Verb> = lexicon().verbs_of(Frame::Transitive, self.scene.kind(who));
        let verb = self.scene.draw.zipf(&verbs);
        let noun = self.scene.noun_of(verb.object, &verb.base);
        let one = self.scene.phrase(noun, Number::Singular, None);
        let any = NounPhrase::of(Determiner::Word("any"), "", noun, Number::Plural);
        let asked = if self.scene.draw.chance(60) {
            NounPhrase::of(Determiner::Indefinite, "", noun, Number::Singular)
        } else {
            any.clone()
        };
        let mut clause =
            Clause::new(subject, verb, Tense::Present).with_object(asked).with_adverb("ever");
        clause.group.perfect = true;
        clause.group.contracted = true;
        self.say(&clause.question(), '?');
        self.reply();
        let answer = Self::turned(&clause);
        let words = match self.scene.draw.below(10) {
            0..4 => format!("no, {}", answer.with_adverb("never").with_object(any).statement()),
            4..5 => {
                format!("no, {}", answer.with_adverb("").with_object(any).negated().statement())
            }
            5..6 => format!(
                "nobody has ever {} {}",
                joined(&[&verb.participle, verb.particle]),
                any.object()
            ),
            _ => {
                let mut past = Clause { adverb: "", ..answer }.with_object(one);
                past.group.perfect = false;
                past.group.tense = Tense::Past;
                format!(
                    "yes, {} {}",
                    past.statement(),
                    self.scene.in_tense(Tense::Past, |scene| scene.time())
                )
            }
        };
        self.say(&words, '.');
    }

    pub(super) fn tag(&mut self) {
        let who = self.absent().unwrap_or(self.second);
        let mut clause =
            if self.scene.draw.chance(50) { self.scene.state(who) } else { self.act(who) };
        clause.group.contracted = true;
        let pronoun = clause.subject.as_pronoun().subject();
        let operator = clause.operator(false);
        if self.scene.draw.chance(65) && operator != "am" && operator != "might" {
            self.say(&format!("{}, {} {pronoun}", clause.statement(), clause.operator(true)), '?');
        } else {
            let negative = clause.clone().negated();
            self.say(&format!("{}, {operator} {pronoun}", negative.statement()), '?');
        }
        self.reply();
        self.short_answer(&clause);
    }

    pub(super) fn how_many(&mut self) {
        let who = self.topic();
        let subject = self.scene.refer(who);
        let noun = self.scene.noun_of(PORTABLE.or(DRINK), "many");
        let verbs: Vec<&Verb> = lexicon()
            .verbs_between(self.scene.kind(who), noun.kind)
            .into_iter()
            .filter(|verb| verb.particle.is_empty())
            .collect();
        let verb = self.scene.draw.zipf(&verbs);
        let mut clause = Clause::new(subject, verb, Tense::Past);
        clause.group.contracted = true;
        let what = if noun.mass {
            format!("how much {}", noun.singular)
        } else {
            format!("how many {}", noun.plural)
        };
        self.say(&format!("{what} {}", clause.question_without_object()), '?');
        self.reply();
        let answer = Self::turned(&clause);
        let amounts: &[&str] = match noun.mass {
            true => &["a lot", "not much", "a little", "all of it", "none"],
            false => &[
                "two",
                "three",
                "only one",
                "four",
                "more than ten",
                "a few",
                "not many",
                "none",
                "at least five",
            ],
        };
        let amount = self.scene.draw.zipf(amounts);
        if ["not", "none"].iter().any(|start| amount.starts_with(start)) {
            return self.say(amount, '.');
        }
        let answer = answer.with_object(NounPhrase::new(amount, Number::Plural, Gender::Neuter));
        self.say(&answer.statement(), '.');
    }

    pub(super) fn why(&mut self) {
        let who = self.topic();
        let mut clause = self.scene.in_tense(Tense::Past, |scene| scene.bare_event(who));
        clause.group.contracted = true;
        if self.scene.draw.chance(25) {
            clause = clause.negated();
        }
        self.say(&format!("why {}", clause.question()), '?');
        self.reply();
        let own = Self::turned(&clause).subject;
        let mut reason =
            Clause::linking(own, Tense::Past, self.scene.draw.beside(&clause.verb.base, REASONS));
        reason.group.contracted = true;
        self.say(&format!("because {}", reason.statement()), '.');
    }

    pub(super) fn existence(&mut self) {
        let noun = self.scene.noun_of(OBJECT.or(ANIMAL).or(DRINK), "there");
        let number = if noun.mass { Number::Singular } else { Number::Plural };
        let place = self.scene.location();
        if self.scene.draw.chance(50) {
            let any = NounPhrase::of(Determiner::Word("any"), "", noun, number);
            let clause = there(any.clone(), Tense::Present, &place);
            self.say(&clause.question(), '?');
            self.reply();
            let words = match self.scene.draw.below(3) {
                0 => "no, there isn't".replace("isn't", &clause.operator(true)),
                1 => format!(
                    "yes, there {} {}",
                    clause.operator(false),
                    if noun.mass { "a lot" } else { "many" }
                ),
                _ => format!("I can't see {}", any.object()),
            };
            return self.say(&words, '.');
        }
        let number = self.scene.number_for(noun);
        let phrase = self.scene.weak_phrase(noun, number);
        let mut clause = there(phrase, Tense::Present, &place);
        clause.group.contracted = true;
        self.say(&clause.statement(), '.');
        self.reply();
        let it = if number == Number::Plural { "them" } else { "it" };
        let words = match self.scene.draw.below(3) {
            0 => format!("I can't see {it}"),
            1 => format!("I don't want {it}"),
            _ => "I know".into(),
        };
        self.say(&words, '.');
    }

    /// "What is that?" "It's an owl."
    pub(super) fn naming(&mut self) {
        let noun = self.scene.noun_of(OBJECT.or(ANIMAL).or(PLANT), "that");
        let plural = self.scene.draw.chance(40) && !noun.mass;
        let number = if plural { Number::Plural } else { Number::Singular };
        let (near, be) =
            if plural { (["these", "those"], "are") } else { (["this", "that"], "is") };
        let near = self.scene.draw.pick(&near);
        if self.scene.draw.chance(50) {
            self.say(&format!("what {be} {near}"), '?');
        } else {
            let other = self.scene.noun_of(noun.kind, "that");
            let other = NounPhrase::of(Determiner::Indefinite, "", other, number);
            self.say(&format!("{be} {near} {}", other.object()), '?');
        }
        self.reply();
        let adjective =
            if self.scene.draw.chance(40) { self.scene.adjective_for(noun) } else { "" };
        let named = NounPhrase::of(Determiner::Indefinite, adjective, noun, number);
        let they = if plural { "they're" } else { "it's" };
        self.say(&format!("{they} {}", named.object()), '.');
    }
}

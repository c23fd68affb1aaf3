//! Exchanges that begin with a request, a plan, news or an opinion.

use super::Talk;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::{Agreement, Gender, Number, Person};
use crate::grammar::noun_phrase::NounPhrase;
use crate::grammar::spelling::{joined, with_article};
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::FUTURE_TIMES;
use crate::lexicon::{Frame, lexicon};

impl Talk<'_, '_> {
    pub(super) fn request(&mut self) {
        let verb = self.scene.draw.zipf(&lexicon().verbs_of(Frame::Giving, PERSON));
        let you = self.you();
        let thing = self.scene.object(None, verb, &you);
        let mut clause = Clause::new(you, verb, Tense::Present).with_object(thing);
        clause.group.modal = self.scene.draw.zipf(&["can", "could", "would", "will"]);
        clause.tail = "to me".into();
        if clause.object.as_ref().is_some_and(|object| !object.is_pronoun())
            && self.scene.draw.chance(70)
        {
            clause.tail.clear();
            clause.indirect = Some(self.me());
        }
        match self.scene.draw.below(3) {
            0 => self.say(&joined(&[&clause.bare(), "please"]), '.'),
            1 => self.say(&joined(&[&clause.question(), "please"]), '?'),
            _ => self.say(&clause.question(), '?'),
        }
        self.reply();
        let answer = self.scene.draw.zipf(&[
            "of course",
            "here you are",
            "not now",
            "just a moment",
            "I can't, I'm busy",
            "all right",
            "I don't have any",
            "yes, of course",
            "I'm afraid I can't",
            "wait a minute",
        ]);
        self.say(answer, '.');
    }

    pub(super) fn opinion(&mut self) {
        let who = self.absent().unwrap_or(self.second);
        let subject = self.scene.refer(who);
        let inner = Self::said(self.scene.state_of(subject));
        let start = self.scene.draw.zipf(&[
            "I think",
            "I don't think",
            "I'm sure",
            "I hope",
            "I know",
            "I believe",
            "I'm not sure",
            "I guess",
        ]);
        let link = if self.scene.draw.chance(40) || start == "I'm not sure" { "that" } else { "" };
        self.say(&joined(&[start, link, &inner]), '.');
        self.reply();
        let answer = match start {
            "I don't think" => "neither do I",
            "I'm sure" | "I'm not sure" => "are you",
            _ => self.scene.draw.zipf(&[
                "so do I",
                "do you really think so",
                "why do you say that",
                "I don't",
                "so does everybody",
            ]),
        };
        let mark = if ["are", "do ", "why"].iter().any(|start| answer.starts_with(start)) {
            '?'
        } else {
            '.'
        };
        self.say(answer, mark);
    }

    pub(super) fn news(&mut self) {
        let speaker = self.scene.speaker.unwrap_or(0);
        let who =
            if self.scene.draw.chance(40) { speaker } else { self.absent().unwrap_or(speaker) };
        let subject = self.scene.refer(who);
        let mut clause = self.scene.deed(Some(who), self.scene.kind(who), &subject);
        clause.group.perfect = true;
        self.say(&Self::said(clause.clone()), '.');
        self.reply();
        let first = self.scene.draw.zipf(&[
            "really",
            "oh no",
            "are you sure",
            "good",
            "that's strange",
            "I know",
            "I'm glad",
            "when",
        ]);
        self.say(
            first,
            if ["really", "are you sure", "when"].contains(&first) { '?' } else { '.' },
        );
        let echo = Self::turned(&clause);
        match self.scene.draw.below(3) {
            0 => self.say(&format!("why {} {}", echo.operator(false), echo.subject.subject()), '?'),
            1 => self.say(&format!("I didn't know that {}", Self::said(echo)), '.'),
            _ => {
                let who = self.subject_of_news();
                self.remark_of(who);
            }
        }
    }

    pub(super) fn suggestion(&mut self) {
        let we =
            Agreement { person: Person::First, number: Number::Plural, gender: Gender::Neuter };
        let we = NounPhrase::pronoun(we);
        let about_others =
            |clause: &Clause| !clause.bare().split(' ').any(|word| ["me", "you"].contains(&word));
        let clause = self.scene.retried(|scene| scene.deed(None, PERSON, &we), about_others);
        match self.scene.draw.below(3) {
            0 => self.say(&format!("why don't we {}", clause.bare()), '?'),
            1 => self.say(&format!("shall we {}", clause.bare()), '?'),
            _ => self.say(&format!("let's {}", clause.bare()), '.'),
        }
        self.reply();
        let answer = self.scene.draw.zipf(&[
            "all right",
            "good idea",
            "not today",
            "yes, let's",
            "I don't want to",
            "maybe later",
            "why not",
        ]);
        self.say(answer, if answer == "why not" { '?' } else { '.' });
    }

    pub(super) fn reported(&mut self) {
        let (speaker, listener) = (self.scene.speaker, self.scene.listener);
        let who = self
            .scene
            .one_of(HUMAN, |who| Some(who) != listener && Some(who) != speaker)
            .or(listener)
            .unwrap_or(0);
        let words = self.scene.in_tense(Tense::Past, |scene| {
            let subject = scene.refer(who);
            if scene.draw.chance(50) {
                let other = scene.somebody();
                let mut inner = scene.circumstance(other);
                inner.group.contracted = true;
                let saying = scene.draw.zipf(&["said", "told me", "thought", "promised", "knew"]);
                format!("{} {saying} that {}", subject.subject(), inner.statement())
            } else {
                let asking = scene.draw.zipf(&[
                    "asked me",
                    "wanted to know",
                    "wondered",
                    "didn't know",
                    "couldn't remember",
                ]);
                format!("{} {asking} {}", subject.subject(), scene.indirect_question(who))
            }
        });
        self.say(&words, '.');
        self.reply();
        let answer = self.scene.draw.zipf(&[
            "and what did you say",
            "when was that",
            "I see",
            "that's not true",
            "I thought so",
            "are you serious",
        ]);
        self.say(
            answer,
            if ["and", "whe", "are"].iter().any(|start| answer.starts_with(start)) {
                '?'
            } else {
                '.'
            },
        );
    }

    /// "Don't touch the stove." "Put the cup on the table."
    pub(super) fn warning(&mut self) {
        let you = self.you();
        let clause = self.scene.deed(None, PERSON, &you);
        let words = match self.scene.draw.below(4) {
            0 => format!("don't {}", clause.bare()),
            1 => format!("please {}", clause.bare()),
            2 => format!("you mustn't {}", clause.bare()),
            _ => clause.bare(),
        };
        let mark = if self.scene.draw.chance(25) { '!' } else { '.' };
        self.say(&words, mark);
        self.reply();
        let answer = self.scene.draw.zipf(&[
            "all right",
            "I won't",
            "why not",
            "I'm sorry",
            "yes",
            "I was only looking",
            "not again",
        ]);
        self.say(answer, if answer == "why not" { '?' } else { '.' });
    }

    pub(super) fn plan(&mut self) {
        let verb = self.scene.draw.zipf(&[
            "going to",
            "trying to",
            "about to",
            "ready to",
            "afraid to",
            "happy to",
        ]);
        let me = self.me();
        let speaker = self.scene.speaker.unwrap_or(0);
        let clause = self.scene.deed(Some(speaker), PERSON, &me);
        let time = if verb == "going to" { self.scene.draw.zipf(FUTURE_TIMES) } else { "" };
        self.say(&joined(&["I'm", verb, &clause.bare(), time]), '.');
        self.reply();
        let answer = self.scene.draw.zipf(&[
            "can I come with you",
            "good luck",
            "be careful",
            "I'll help you",
            "don't be late",
            "so am I",
        ]);
        self.say(answer, if answer.starts_with("can") { '?' } else { '.' });
    }

    pub(super) fn exclamation(&mut self) {
        let noun = self.scene.noun_of(OBJECT.or(ANIMAL), "what");
        let adjective = self.scene.adjective_for(noun);
        let number = self.scene.number_for(noun);
        let words = match number {
            Number::Singular if !noun.mass => with_article(&joined(&[adjective, &noun.singular])),
            _ => joined(&[adjective, &noun.plural]),
        };
        self.say(&format!("what {words}"), '!');
        self.reply();
        let they = if number == Number::Plural { "they're" } else { "it's" };
        let own = if self.scene.draw.chance(50) { "mine" } else { "not mine" };
        self.say(&format!("{they} {own}"), '.');
    }

    /// Something from running prose, taken up by the other.
    pub(super) fn remark(&mut self) {
        let tense = self.scene.draw.pick(&[Tense::Past, Tense::Present]);
        let words = self.scene.in_tense(tense, |scene| scene.sentence());
        self.say(&words, '.');
        self.reply();
        let who = self.subject_of_news();
        self.remark_of(who);
    }
}

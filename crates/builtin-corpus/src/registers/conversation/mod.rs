//! Talk between two people: questions and their answers, requests, opinions, news.

mod questions;
mod statements;

use crate::discourse::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::Person;
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::FUTURE_TIMES;
use crate::registers::finished;

/// What one of the two says before the other speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub first_speaker: bool,
    pub text: String,
}

/// Two or more turns about one thing; the scene's `I` and `you` follow the speaker.
type Exchange = fn(&mut Talk);

const EXCHANGES: &[(usize, Exchange)] = &[
    (10, |talk| talk.yes_or_no()),
    (9, |talk| talk.what()),
    (7, |talk| talk.where_is_it()),
    (5, |talk| talk.who_did_it()),
    (7, |talk| talk.request()),
    (5, |talk| talk.opinion()),
    (6, |talk| talk.ever()),
    (5, |talk| talk.tag()),
    (7, |talk| talk.news()),
    (4, |talk| talk.how_many()),
    (4, |talk| talk.suggestion()),
    (4, |talk| talk.reported()),
    (4, |talk| talk.why()),
    (4, |talk| talk.warning()),
    (4, |talk| talk.existence()),
    (4, |talk| talk.naming()),
    (4, |talk| talk.plan()),
    (3, |talk| talk.exclamation()),
    (9, |talk| talk.remark()),
];

/// One exchange between two of the cast.
pub(crate) fn exchange(scene: &mut Scene, first: usize, second: usize) -> Vec<Turn> {
    let mut talk = Talk { scene, first, second, turns: Vec::new() };
    talk.give_word_to(true);
    let exchange = talk.scene.draw.weighted(EXCHANGES);
    exchange(&mut talk);
    let turns = talk.turns;
    scene.speaker = None;
    scene.listener = None;
    turns
}

struct Talk<'s, 'w> {
    scene: &'s mut Scene<'w>,
    first: usize,
    second: usize,
    turns: Vec<Turn>,
}

impl Talk<'_, '_> {
    /// Makes one of the two the speaker.
    fn give_word_to(&mut self, first_speaker: bool) {
        let (speaker, listener) =
            if first_speaker { (self.first, self.second) } else { (self.second, self.first) };
        self.scene.speaker = Some(speaker);
        self.scene.listener = Some(listener);
    }

    fn say(&mut self, words: &str, mark: char) {
        let first_speaker = self.scene.speaker == Some(self.first);
        let text = finished(words, mark);
        self.scene.next_sentence();
        match self.turns.last_mut() {
            Some(turn) if turn.first_speaker == first_speaker => {
                turn.text.push(' ');
                turn.text.push_str(&text);
            }
            _ => self.turns.push(Turn { first_speaker, text }),
        }
    }

    /// Makes the other one of the two the speaker.
    fn reply(&mut self) {
        let first = self.scene.speaker == Some(self.second);
        self.give_word_to(first);
    }

    fn me(&self) -> NounPhrase {
        NounPhrase::speech(Person::First)
    }

    fn you(&self) -> NounPhrase {
        NounPhrase::speech(Person::Second)
    }

    /// Someone who is not here.
    fn absent(&mut self) -> Option<usize> {
        let here = [self.first, self.second];
        self.scene.one_of(ANIMATE, |who| !here.contains(&who))
    }

    /// Whom one asks about: you or someone else.
    fn topic(&mut self) -> usize {
        let listener = self.scene.listener.unwrap_or(0);
        if self.scene.draw.chance(45) { listener } else { self.absent().unwrap_or(listener) }
    }

    /// Whom one tells about: me or someone else, seldom you.
    fn subject_of_news(&mut self) -> usize {
        let (speaker, listener) =
            (self.scene.speaker.unwrap_or(0), self.scene.listener.unwrap_or(0));
        match self.scene.draw.below(10) {
            0 => listener,
            1..5 => speaker,
            _ => self.absent().unwrap_or(speaker),
        }
    }

    /// An act in one of the tenses of talk.
    fn act(&mut self, who: usize) -> Clause {
        let past = self.scene.draw.chance(45);
        let mut clause = match past {
            true => self.scene.in_tense(Tense::Past, |scene| scene.event(who)),
            false => self.scene.bare_event(who),
        };
        clause.group.contracted = true;
        if past || clause.verb.stative {
            return clause;
        }
        match self.scene.draw.below(10) {
            0..3 => clause.group.progressive = true,
            3..6 => clause.group.perfect = true,
            6..8 => {
                clause.group.modal = "will";
                clause.tail = joined(&[&clause.tail, self.scene.draw.zipf(FUTURE_TIMES)]);
            }
            8 => {
                clause.group.modal =
                    self.scene.draw.pick(&["can", "could", "would", "should", "might"])
            }
            _ => {}
        }
        clause
    }

    fn said(mut clause: Clause) -> String {
        clause.group.contracted = true;
        clause.statement()
    }

    /// The clause as the other one says it: `you` turned to `I`, and the subject a pronoun.
    fn turned(clause: &Clause) -> Clause {
        let person = |phrase: &NounPhrase| match phrase.agreement.person {
            Person::First => NounPhrase::speech(Person::Second),
            Person::Second => NounPhrase::speech(Person::First),
            Person::Third => phrase.with_words(turned_words),
        };
        Clause {
            subject: person(&clause.subject.as_pronoun()),
            indirect: clause.indirect.as_ref().map(person),
            object: clause.object.as_ref().map(person),
            tail: turned_words(&clause.tail),
            ..clause.clone()
        }
    }

    /// "Yes, she did." or "No, I haven't."
    fn short_answer(&mut self, question: &Clause) -> bool {
        let echo = Self::turned(question);
        let yes = self.scene.draw.chance(50);
        let subject = echo.subject.subject();
        match yes {
            true => self.say(&format!("yes, {subject} {}", echo.operator(false)), '.'),
            false if echo.operator(false) == "am" => self.say("no, I'm not", '.'),
            false => self.say(&format!("no, {subject} {}", echo.operator(true)), '.'),
        }
        yes
    }

    fn remark_of(&mut self, who: usize) {
        let clause = if self.scene.draw.chance(30) { self.scene.state(who) } else { self.act(who) };
        let words = Self::said(clause);
        self.say(&words, '.');
    }

    /// A thing that both know: "the key", "my key".
    fn known_thing(&mut self, kinds: Kinds) -> NounPhrase {
        let known = self.scene.one_of(kinds, |_| true).map(|who| self.scene.entities[who].noun);
        let noun = match known {
            Some(noun) => noun,
            None => self.scene.noun_of(kinds, "where"),
        };
        let owned = noun.kind.meets(SMALL);
        let determiner = if owned && self.scene.draw.chance(40) {
            self.scene.draw.pick(&["my", "your"])
        } else {
            "the"
        };
        let adjective =
            if self.scene.draw.chance(25) { self.scene.adjective_for(noun) } else { "" };
        let number = self.scene.number_for(noun);
        NounPhrase::of(Determiner::Word(determiner), adjective, noun, number)
    }

    /// "Tom's", "the baker's", "mine": of someone other than the one asked about.
    fn someones(&mut self, but: usize) -> String {
        let here = [self.first, self.second, but];
        match self.scene.one_of(HUMAN, |who| !here.contains(&who)) {
            Some(who) => self.scene.name(who).genitive(),
            None => "mine".into(),
        }
    }
}

/// Words outside the subject as the other one says them: "my" turned to "your".
fn turned_words(text: &str) -> String {
    const PAIRS: &[(&str, &str)] =
        &[("me", "you"), ("my", "your"), ("myself", "yourself"), ("our", "your")];
    let turned = |word| {
        let first = PAIRS.iter().find(|pair| pair.0 == word).map(|pair| pair.1);
        first
            .or_else(|| PAIRS.iter().find(|pair| pair.1 == word).map(|pair| pair.0))
            .unwrap_or(word)
    };
    text.split(' ').map(turned).collect::<Vec<_>>().join(" ")
}

//! What happens: a subject, a verb it can be the subject of, and complements that the verb selects.

use super::scene::Scene;
use crate::grammar::clause::{Clause, Tense};
use crate::grammar::features::Number;
use crate::grammar::noun_phrase::NounPhrase;
use crate::grammar::spelling::joined;
use crate::lexicon::kinds::*;
use crate::lexicon::modifiers::{MANNERS, STATES};
use crate::lexicon::{Frame, Verb, lexicon};

/// Verbs of what one does to oneself.
pub(crate) const REFLEXIVES: &[&str] = &[
    "see", "blame", "hide", "teach", "draw", "admire", "scare", "help", "trust", "forgive", "warn",
    "paint", "praise",
];

/// What happens to one, and is not done with care or in haste.
const UNWILLED: &[&str] =
    &["disappear", "vanish", "fall", "arrive", "lose", "find", "forget", "meet", "break", "sleep"];

const HUMAN_FRAMES: &[(usize, Frame)] = &[
    (50, Frame::Transitive),
    (13, Frame::Motion),
    (11, Frame::Intransitive),
    (9, Frame::Giving),
    (8, Frame::Placing),
    (9, Frame::Control),
];
const ANIMAL_FRAMES: &[(usize, Frame)] =
    &[(48, Frame::Transitive), (26, Frame::Motion), (26, Frame::Intransitive)];

impl Scene<'_> {
    /// Something that one of the cast does, in the scene's tense, with an adjunct or none.
    pub(crate) fn event(&mut self, who: usize) -> Clause {
        let mut clause = self.bare_event(who);
        if self.draw.chance(14) && Self::takes_manner(clause.verb) {
            clause.adverb = self.draw.beside(&clause.verb.base, MANNERS);
        }
        let adjunct = self.adjunct(&clause);
        clause.with_tail(&adjunct)
    }

    fn takes_manner(verb: &Verb) -> bool {
        !verb.stative && verb.frame != Frame::Control && !UNWILLED.contains(&&*verb.base)
    }

    /// An act rather than a state, under the given name: what can be planned, ordered or going on.
    pub(crate) fn deed(&mut self, who: Option<usize>, kind: Kinds, subject: &NounPhrase) -> Clause {
        self.retried(
            |scene| scene.plain_act(who, kind, subject.clone()),
            |clause| !clause.verb.stative,
        )
    }

    /// Tries until the result is good. The scene keeps nothing of what the other tries mentioned.
    pub(crate) fn retried<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> T,
        good: impl Fn(&T) -> bool,
    ) -> T {
        let before = self.clone();
        loop {
            let result = attempt(self);
            if good(&result) {
                return result;
            }
            let draw = self.draw.clone();
            *self = Scene { draw, ..before.clone() };
        }
    }

    /// An act without an infinitive inside.
    fn plain_act(&mut self, who: Option<usize>, kind: Kinds, subject: NounPhrase) -> Clause {
        let frame = self.frame_for(kind, false);
        self.framed(frame, who, kind, subject)
    }

    /// What one of the cast does, as a clause without adjuncts.
    pub(crate) fn bare_event(&mut self, who: usize) -> Clause {
        let subject = self.refer(who);
        self.act(who, subject)
    }

    /// The event of a subject that is not one of the cast.
    pub(crate) fn event_of(&mut self, subject: NounPhrase, kind: Kinds) -> Clause {
        let frame = self.frame_for(kind, true);
        self.framed(frame, None, kind, subject)
    }

    /// What one of the cast does, under the given name.
    pub(crate) fn act(&mut self, who: usize, subject: NounPhrase) -> Clause {
        let kind = self.kind(who);
        let frame = self.frame_for(kind, true);
        self.framed(frame, Some(who), kind, subject)
    }

    fn frame_for(&mut self, kind: Kinds, may_embed: bool) -> Frame {
        let frames = if kind.meets(HUMAN) { HUMAN_FRAMES } else { ANIMAL_FRAMES };
        match self.draw.weighted(frames) {
            Frame::Control if !may_embed => Frame::Transitive,
            frame => frame,
        }
    }

    fn framed(
        &mut self,
        frame: Frame,
        who: Option<usize>,
        kind: Kinds,
        subject: NounPhrase,
    ) -> Clause {
        if frame == Frame::Transitive {
            return self.transitive(who, kind, subject);
        }
        let verb = self.draw.zipf(&lexicon().verbs_of(frame, kind));
        let mut clause = Clause::new(subject, verb, self.tense);
        match frame {
            Frame::Motion => clause.tail = self.way(&verb.base),
            Frame::Giving => clause = self.giving(who, clause),
            Frame::Placing => {
                clause.object = Some(self.object(who, verb, &clause.subject));
                clause.tail = self.spot();
            }
            Frame::Control => {
                let inner = self.deed(who, kind, &clause.subject.as_pronoun());
                clause.tail = format!("to {}", inner.bare());
            }
            _ => {}
        }
        clause
    }

    /// "gave the ball to Tom" or "gave Tom the ball"
    fn giving(&mut self, who: Option<usize>, mut clause: Clause) -> Clause {
        let Some(other) = self.one_of(HUMAN, |other| Some(other) != who) else {
            clause.object = Some(self.object(who, clause.verb, &clause.subject));
            return clause.with_tail("to her friend");
        };
        let thing = self.object(who, clause.verb, &clause.subject);
        let person = self.refer(other);
        if thing.is_pronoun() || self.draw.chance(50) {
            clause.tail = format!("to {}", person.object());
        } else {
            clause.indirect = Some(person);
        }
        clause.object = Some(thing);
        clause
    }

    /// A verb and its object: either what the scene already holds and what one can do to it, or a
    /// verb and what it takes.
    fn transitive(&mut self, who: Option<usize>, kind: Kinds, subject: NounPhrase) -> Clause {
        let words = lexicon();
        if kind.meets(HUMAN) && self.draw.chance(4) {
            let verbs: Vec<&Verb> = words
                .verbs_between(kind, HUMAN)
                .into_iter()
                .filter(|verb| REFLEXIVES.contains(&&*verb.base))
                .collect();
            let verb = self.draw.zipf(&verbs);
            let own =
                NounPhrase::new(subject.reflexive(), Number::Singular, subject.agreement.gender);
            return Clause::new(subject, verb, self.tense).with_object(own);
        }
        if self.draw.chance(55)
            && let Some(other) = self.one_of(VISIBLE.or(IDEA).or(DRINK), |other| Some(other) != who)
        {
            let noun = self.entities[other].noun;
            let verbs = words.verbs_between(kind, noun.kind);
            if !verbs.is_empty() {
                let verb = self.draw.beside(&noun.singular, &verbs);
                let object = self.refer(other);
                return Clause::new(subject, verb, self.tense).with_object(object);
            }
        }
        let verb = self.draw.zipf(&words.verbs_of(Frame::Transitive, kind));
        let object = self.object(who, verb, &subject);
        Clause::new(subject, verb, self.tense).with_object(object)
    }

    /// An object that the verb takes, from the scene or new.
    pub(crate) fn object(
        &mut self,
        who: Option<usize>,
        verb: &Verb,
        subject: &NounPhrase,
    ) -> NounPhrase {
        if self.draw.chance(45)
            && let Some(other) = self.one_of(verb.object, |other| Some(other) != who)
        {
            return self.refer(other);
        }
        self.fresh(verb.object, &verb.base, Some(subject))
    }

    fn adjunct(&mut self, clause: &Clause) -> String {
        let (verb, subject) = (clause.verb, &clause.subject);
        let may_locate = !matches!(verb.frame, Frame::Motion | Frame::Placing | Frame::Control);
        match self.draw.below(100) {
            0..14 if may_locate => self.location(),
            14..30 => self.time().to_string(),
            30..36 if Self::takes_manner(verb) && clause.adverb.is_empty() => {
                self.draw.zipf(MANNERS).to_string()
            }
            36..40 if may_locate => joined(&[&self.location(), self.time()]),
            40..44 if verb.subject == HUMAN && !verb.stative => {
                let companion = self
                    .draw
                    .beside(&subject.subject(), &lexicon().nouns_of(KIN))
                    .singular
                    .as_str();
                joined(&["with", subject.possessive(), companion])
            }
            _ => String::new(),
        }
    }

    /// "Anna was tired", "the dog seemed hungry"
    pub(crate) fn state(&mut self, who: usize) -> Clause {
        let subject = self.refer(who);
        self.state_of(subject)
    }

    /// The state of a subject that is not one of the cast.
    pub(crate) fn state_of(&mut self, subject: NounPhrase) -> Clause {
        let state = self.draw.zipf(STATES);
        if self.draw.chance(20) {
            let seem = &lexicon().verbs_of(Frame::Raising, PERSON)[..2];
            let seem = self.draw.zipf(seem);
            return Clause::new(subject, seem, self.tense).with_tail(&format!("to be {state}"));
        }
        let degree = if self.draw.chance(30) {
            self.draw.zipf(&["very", "quite", "rather", "really", "a little"])
        } else {
            ""
        };
        let degree = if ["asleep", "alone", "awake", "lost", "safe", "ready"].contains(&state) {
            ""
        } else {
            degree
        };
        Clause::linking(subject, self.tense, joined(&[degree, state]))
    }

    /// A clause about someone: an act or a state.
    pub(crate) fn circumstance(&mut self, who: usize) -> Clause {
        if self.draw.chance(35) { self.state(who) } else { self.bare_event(who) }
    }

    /// The clause in another tense.
    pub(crate) fn in_tense<T>(&mut self, tense: Tense, say: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.tense, tense);
        let said = say(self);
        self.tense = before;
        said
    }
}

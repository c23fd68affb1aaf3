//! Who and what a scene is about, and how its sentences refer to them.

use crate::draw::Draw;
use crate::grammar::clause::Tense;
use crate::grammar::features::{Agreement, Case, Gender, Number, Person};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::lexicon::kinds::*;
use crate::lexicon::themes::{THEMES, Theme};
use crate::lexicon::{Noun, lexicon};
use crate::world::World;

/// Someone or something that sentences come back to.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub noun: &'static Noun,
    pub name: Option<String>,
    pub number: Number,
    pub gender: Gender,
    /// Told at the first mention, often again later; may be empty.
    pub adjective: &'static str,
    introduced: bool,
}

/// The state that the sentences of one text share.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'w> {
    pub draw: Draw,
    pub world: &'w World,
    pub tense: Tense,
    pub theme: &'static Theme,
    /// The cast, then the things.
    pub entities: Vec<Entity>,
    pub place: &'static Noun,
    /// In speech: who says `I`, and who is `you`.
    pub speaker: Option<usize>,
    pub listener: Option<usize>,
    pub(super) cast_size: usize,
    /// Entities of the sentence before and of this one.
    pub(super) previous: Vec<usize>,
    pub(super) current: Vec<usize>,
}

impl<'w> Scene<'w> {
    /// A scene on a random topic.
    pub(crate) fn new(mut draw: Draw, world: &'w World, tense: Tense) -> Self {
        let theme = &THEMES[draw.below(THEMES.len())];
        let place = draw.zipf(&lexicon().nouns_named(theme.places));
        let mut scene = Self {
            draw,
            world,
            tense,
            theme,
            entities: Vec::new(),
            place,
            speaker: None,
            listener: None,
            cast_size: 0,
            previous: Vec::new(),
            current: Vec::new(),
        };
        let people = scene.draw.between(2, 3);
        while scene.entities.len() < people {
            scene.add_person();
        }
        if scene.draw.chance(60) {
            scene.add_noun(theme.animals, 20);
        }
        scene.cast_size = scene.entities.len();
        for _ in 0..scene.draw.between(3, 5) {
            scene.add_noun(theme.things, 25);
        }
        scene
    }

    fn add_person(&mut self) {
        let words = lexicon();
        let noun = if self.draw.chance(85) {
            let people: Vec<&Noun> = words.nouns_named(self.theme.people);
            self.draw
                .zipf(&people.into_iter().filter(|noun| noun.kind == PERSON).collect::<Vec<_>>())
        } else {
            self.draw.zipf(&words.nouns_of(PERSON))
        };
        let number = if self.draw.chance(12) { Number::Plural } else { Number::Singular };
        let gender = noun.gender.unwrap_or(self.draw.pick(&[Gender::Feminine, Gender::Masculine]));
        let name = (number == Number::Singular && self.draw.chance(65))
            .then(|| self.world.first_name(&mut self.draw, gender));
        self.add(noun, name, number, gender);
    }

    fn add_noun(&mut self, theme_words: &str, plural_percent: usize) {
        let words = lexicon();
        let noun = self.draw.zipf(&words.nouns_named(theme_words));
        let number = if !noun.mass && self.draw.chance(plural_percent) {
            Number::Plural
        } else {
            Number::Singular
        };
        self.add(noun, None, number, Gender::Neuter);
    }

    /// Adds an entity unless one of its noun or name is here already, which would leave "the dog"
    /// unclear.
    fn add(&mut self, noun: &'static Noun, name: Option<String>, number: Number, gender: Gender) {
        let known = |entity: &Entity| {
            entity.noun.singular == noun.singular || (name.is_some() && entity.name == name)
        };
        if self.entities.iter().any(known) {
            return;
        }
        let adjective = if self.draw.chance(40) { self.adjective_for(noun) } else { "" };
        self.entities.push(Entity { noun, name, number, gender, adjective, introduced: false });
    }

    /// An adjective that goes with a noun; empty where none does.
    pub(crate) fn adjective_for(&mut self, noun: &Noun) -> &'static str {
        let adjectives = lexicon().adjectives_of(noun.kind);
        if adjectives.is_empty() { "" } else { self.draw.beside(&noun.singular, &adjectives) }
    }

    pub(crate) fn agreement(&self, who: usize) -> Agreement {
        let entity = &self.entities[who];
        let person = match Some(who) {
            of if of == self.speaker => Person::First,
            of if of == self.listener => Person::Second,
            _ => Person::Third,
        };
        Agreement { person, number: entity.number, gender: entity.gender }
    }

    pub(crate) fn kind(&self, who: usize) -> Kinds {
        self.entities[who].noun.kind
    }

    /// The indices of people and animals.
    pub(crate) fn cast(&self) -> std::ops::Range<usize> {
        0..self.cast_size
    }

    /// The indices of things.
    pub(crate) fn things(&self) -> std::ops::Range<usize> {
        self.cast_size..self.entities.len()
    }

    /// One of the entities of some kinds that the test lets through.
    pub(crate) fn one_of(
        &mut self,
        kinds: Kinds,
        allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let found: Vec<usize> = (0..self.entities.len())
            .filter(|&who| self.kind(who).meets(kinds) && allowed(who))
            .collect();
        (!found.is_empty()).then(|| self.draw.pick(&found))
    }

    /// Someone to be a subject, preferring who was spoken of last.
    pub(crate) fn somebody(&mut self) -> usize {
        let before: Vec<usize> =
            self.previous.iter().copied().filter(|&who| who < self.cast_size).collect();
        if !before.is_empty() && self.draw.chance(55) {
            before[0]
        } else {
            self.draw.below(self.cast_size)
        }
    }

    /// One person.
    pub(crate) fn human(&mut self) -> usize {
        let cast_size = self.cast_size;
        self.one_of(HUMAN, |who| who < cast_size).unwrap_or(0)
    }

    /// Two people in random order. Every cast begins with two.
    pub(crate) fn two_humans(&mut self) -> (usize, usize) {
        let first = self.human();
        let second = self.one_of(HUMAN, |who| who != first).unwrap_or(1 - first.min(1));
        (first, second)
    }

    /// How the scene speaks of an entity here: by pronoun where that is clear, else by name or
    /// noun.
    pub(crate) fn refer(&mut self, who: usize) -> NounPhrase {
        let agreement = self.agreement(who);
        let here = self.current.contains(&who);
        let form = agreement.pronoun(Case::Subject);
        let clear = (0..self.entities.len()).all(|other| {
            let mentioned = self.previous.contains(&other) || self.current.contains(&other);
            other == who || !mentioned || self.agreement(other).pronoun(Case::Subject) != form
        });
        let pronoun = match here {
            true => clear || self.current[0] == who,
            false => clear && self.previous.contains(&who) && self.draw.chance(75),
        };
        if agreement.person != Person::Third || pronoun {
            self.mark(who);
            return NounPhrase::pronoun(agreement);
        }
        self.name(who)
    }

    /// Name or noun, never a pronoun.
    pub(crate) fn name(&mut self, who: usize) -> NounPhrase {
        self.mark(who);
        let Entity { noun, name, number, gender, adjective, introduced } =
            self.entities[who].clone();
        self.entities[who].introduced = true;
        if let Some(name) = name {
            return NounPhrase::new(name, Number::Singular, gender);
        }
        let again = introduced && !self.draw.chance(25);
        let adjective = if again { "" } else { adjective };
        let determiner = match (introduced, number) {
            (true, _) => Determiner::Word("the"),
            (false, Number::Plural) => Determiner::Word(
                self.draw.zipf(&["some", "two", "the", "three", "several", "four"]),
            ),
            (false, _) if noun.mass => Determiner::Word("some"),
            (false, _) => Determiner::Indefinite,
        };
        NounPhrase::of(determiner, adjective, noun, number).with_gender(gender)
    }

    /// Counts an entity as spoken of in this sentence.
    pub(crate) fn mark(&mut self, who: usize) {
        if !self.current.contains(&who) {
            self.current.push(who);
        }
    }

    /// Ends a sentence: what it spoke of is now what came before.
    pub(crate) fn next_sentence(&mut self) {
        if !self.current.is_empty() {
            self.previous = std::mem::take(&mut self.current);
        }
    }

    /// Makes a sentence's start forget what a half-said one mentioned.
    pub(crate) fn forget(&mut self) {
        self.previous.clear();
        self.current.clear();
    }
}

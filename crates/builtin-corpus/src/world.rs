//! A small invented country: its towns, its people and their facts are the same in every text of a
//! seed, so that what a model has read of a town in one place helps it in another.

use base::rng::Rng;

use super::draw::Draw;
use super::grammar::features::Gender;
use super::grammar::spelling::capitalised;
use super::lexicon::kinds::{ANIMAL, OUTDOOR, PERSON, PLANT, TREASURE};
use super::lexicon::lexicon;
use super::lexicon::names::*;

const TOWNS: usize = 300;
const FIGURES: usize = 900;

#[derive(Clone, Debug)]
pub(crate) struct Town {
    pub name: String,
    pub county: &'static str,
    pub river: &'static str,
    pub fame: &'static str,
    pub population: usize,
    pub founded: usize,
}

/// Someone with an article of their own.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub first: &'static str,
    pub surname: String,
    pub gender: Gender,
    pub profession: &'static str,
    /// Index of the town of birth.
    pub town: usize,
    pub born: usize,
    pub died: usize,
    /// The title of what they are known for.
    pub work: String,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub towns: Vec<Town>,
    pub figures: Vec<Figure>,
}

impl World {
    /// The country of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(Rng::new(seed, "builtin world"));
        let mut towns: Vec<Town> = Vec::new();
        while towns.len() < TOWNS {
            let name = compound(&mut draw, NAME_STARTS, TOWN_ENDS);
            if towns.iter().all(|town| town.name != name) {
                towns.push(town(&mut draw, name));
            }
        }
        let figures = (0..FIGURES).map(|_| figure(&mut draw)).collect();
        Self { towns, figures }
    }

    /// A town, the earlier ones being spoken of more often.
    pub(crate) fn town(&self, draw: &mut Draw) -> &Town {
        &self.towns[draw.rank(self.towns.len())]
    }

    pub(crate) fn figure(&self, draw: &mut Draw) -> &Figure {
        &self.figures[draw.rank(self.figures.len())]
    }

    pub(crate) fn first_name(&self, draw: &mut Draw, gender: Gender) -> String {
        first_name(draw, gender).to_string()
    }
}

impl Figure {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.first, self.surname)
    }
}

fn one_of(draw: &mut Draw, words: &'static str) -> &'static str {
    draw.zipf(&words.split_whitespace().collect::<Vec<_>>())
}

fn first_name(draw: &mut Draw, gender: Gender) -> &'static str {
    one_of(draw, if gender == Gender::Feminine { FEMININE_NAMES } else { MASCULINE_NAMES })
}

fn compound(draw: &mut Draw, starts: &'static str, ends: &'static str) -> String {
    format!("{}{}", one_of(draw, starts), one_of(draw, ends))
}

/// A made-up surname.
pub(crate) fn surname(draw: &mut Draw) -> String {
    compound(draw, NAME_STARTS, SURNAME_ENDS)
}

fn town(draw: &mut Draw, name: String) -> Town {
    Town {
        name,
        county: one_of(draw, COUNTIES),
        river: one_of(draw, RIVERS),
        fame: draw.zipf(TOWN_FAME),
        population: draw.between(2, 90) * 100 + draw.below(100),
        founded: draw.between(900, 1850),
    }
}

fn figure(draw: &mut Draw) -> Figure {
    let gender = draw.pick(&[Gender::Feminine, Gender::Masculine]);
    let born = draw.between(1640, 1930);
    Figure {
        first: first_name(draw, gender),
        surname: surname(draw),
        gender,
        profession: draw.zipf(PROFESSIONS),
        town: draw.rank(TOWNS),
        born,
        died: born + draw.between(31, 92),
        work: title(draw),
    }
}

/// "The Silver Fox", "A Bridge in Winter"
fn title(draw: &mut Draw) -> String {
    let nouns = lexicon().count_nouns_of(PERSON.or(ANIMAL).or(OUTDOOR).or(PLANT).or(TREASURE));
    let noun = draw.pick(&nouns);
    let words = noun.singular.split(' ').map(capitalised).collect::<Vec<_>>().join(" ");
    let colour = draw.pick(&[
        "Silver", "Last", "Hidden", "Golden", "Second", "Silent", "Lost", "Red", "Broken", "White",
    ]);
    match draw.below(3) {
        0 => format!("The {colour} {words}"),
        1 => format!(
            "The {words} and the {}",
            draw.pick(&["Sea", "Moon", "Snow", "Wind", "Night", "Star", "Mirror"])
        ),
        _ => format!("Song of the {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_world() {
        let (world, again, other) = (World::new(1), World::new(1), World::new(2));
        let names =
            |world: &World| world.towns.iter().map(|town| town.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&world), names(&again));
        assert_ne!(names(&world), names(&other));
        assert!(
            world.figures.iter().all(|figure| figure.died > figure.born && figure.town < TOWNS)
        );
    }
}

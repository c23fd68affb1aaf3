//! Reference: articles on towns, people, animals, things and trades, and talks on how things come
//! about.

use super::finished;
use crate::discourse::scene::Scene;
use crate::draw::Draw;
use crate::grammar::clause::Tense;
use crate::grammar::features::{Agreement, Case, Gender, Number};
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::grammar::spelling::{capitalised, with_article};
use crate::lexicon::articles::*;
use crate::lexicon::facts::*;
use crate::lexicon::kinds::PERSON;
use crate::lexicon::lexicon;
use crate::lexicon::modifiers::NUMBERS;
use crate::lexicon::names::CIVIC_BUILDINGS;
use crate::world::{Town, World, surname};

/// A title and the sentences below it, without capitals and full stops.
#[derive(Clone, Debug)]
pub(crate) struct Article {
    pub title: String,
    pub sentences: Vec<String>,
}

/// An article on something of the world.
pub(crate) fn article(draw: &mut Draw, world: &World) -> Article {
    match draw.below(100) {
        0..26 => on_town(draw, world),
        26..54 => on_figure(draw, world),
        54..74 => on_animal(draw, world),
        74..90 => on_thing(draw, world),
        _ => on_trade(draw, world),
    }
}

/// What the names in a template stand for.
type Facts = Vec<(&'static str, String)>;

/// A way to say most of the groups of an outline, in order; the first one always.
fn told(draw: &mut Draw, outline: Outline, facts: &Facts) -> Vec<String> {
    let mut sentences = Vec::new();
    for (position, group) in outline.iter().enumerate() {
        if position == 0 || draw.chance(62) {
            sentences.push(filled(draw.pick(group), facts));
        }
    }
    sentences
}

fn filled(template: &str, facts: &Facts) -> String {
    let mut words = template.to_string();
    for (name, value) in facts {
        words = words.replace(&format!("{{{name}}}"), value);
    }
    words
}

fn grouped(number: usize) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1000, number % 1000)
    }
}

/// Something that once happened: "a miller sold two silver coins".
fn happening(draw: &mut Draw, world: &World) -> String {
    let mut scene = Scene::new(draw.fork(), world, Tense::Past);
    let somebody = scene.fresh(PERSON, "chronicle", None);
    let clause = scene.deed(None, PERSON, &somebody);
    let clause = if clause.verb.particle.is_empty() && draw.chance(45) {
        clause.passive(true)
    } else {
        clause
    };
    clause.statement()
}

/// Facts that any article can use.
fn common_facts(draw: &mut Draw, world: &World) -> Facts {
    let material = |draw: &mut Draw| {
        draw.pick(&[
            "wood", "iron", "glass", "silver", "copper", "stone", "clay", "leather", "steel",
        ])
    };
    let year = draw.between(1750, 1995);
    let (building, other_building) = (draw.zipf(CIVIC_BUILDINGS), draw.zipf(CIVIC_BUILDINGS));
    let person = format!("{} {}", world.figure(draw).first, surname(draw));
    vec![
        ("few", draw.zipf(NUMBERS).into()),
        ("count", draw.zipf(NUMBERS).into()),
        ("age", draw.between(8, 60).to_string()),
        ("year", year.to_string()),
        ("buildings", both_numbers(building).1),
        ("building", building.into()),
        (
            "other_building",
            if building == other_building { "market".into() } else { other_building.into() },
        ),
        ("material", material(draw).into()),
        ("other_material", draw.pick(&["gold", "bone", "paper", "brass"]).into()),
        ("other", draw.pick(&["fox", "king", "cat", "crow", "baker", "miller", "knight"]).into()),
        ("person", person),
        ("town", world.town(draw).name.clone()),
        ("place", world.town(draw).name.clone()),
        ("county", world.town(draw).county.into()),
        (
            "papers",
            draw.zipf(&["letters", "books", "poems", "songs", "plays", "reports", "diaries"])
                .into(),
        ),
        ("chronicle", format!("in {year}, {}", happening(draw, world))),
        (
            "later_chronicle",
            format!("{} years later, {}", draw.zipf(NUMBERS), happening(draw, world)),
        ),
        ("happening", happening(draw, world)),
    ]
}

/// The article's own facts before those that any article can use, and its outline told from them.
fn written(
    draw: &mut Draw,
    world: &World,
    title: String,
    outline: Outline,
    mut facts: Facts,
) -> Article {
    facts.extend(common_facts(draw, world));
    Article { title, sentences: told(draw, outline, &facts) }
}

fn on_town(draw: &mut Draw, world: &World) -> Article {
    let town = world.town(draw);
    let Town { name, county, river, fame, population, founded } = town;
    let near = world
        .towns
        .iter()
        .find(|other| other.county == *county && other.name != *name)
        .unwrap_or(&world.towns[0]);
    let born_here = world.figures.iter().find(|figure| world.towns[figure.town].name == *name);
    let mut facts: Facts = vec![
        ("name", name.clone()),
        ("kind", if *population > 4000 { "town" } else { "village" }.into()),
        ("county", county.to_string()),
        ("river", river.to_string()),
        ("near", near.name.clone()),
        ("fame", fame.to_string()),
        ("population", grouped(*population)),
        ("founded", founded.to_string()),
    ];
    let figure = born_here.unwrap_or(&world.figures[0]);
    facts.extend([
        ("profession", figure.profession.into()),
        ("figure", figure.name()),
        ("born", figure.born.to_string()),
    ]);
    let article = written(draw, world, name.clone(), TOWN, facts);
    let sentences = article
        .sentences
        .into_iter()
        .filter(|words| born_here.is_some() || !words.contains(&figure.name()));
    Article { title: article.title, sentences: sentences.collect() }
}

fn on_figure(draw: &mut Draw, world: &World) -> Article {
    let figure = world.figure(draw);
    let town = &world.towns[figure.town];
    let me = Agreement::third(Number::Singular, figure.gender);
    let married_to =
        if figure.gender == Gender::Feminine { Gender::Masculine } else { Gender::Feminine };
    let parent = draw.pick(&[Gender::Feminine, Gender::Masculine]);
    let middle = figure.born + 24 + figure.work.len() % 6;
    let facts: Facts = vec![
        ("name", figure.name()),
        ("they", me.pronoun(Case::Subject).into()),
        ("them", me.pronoun(Case::Object).into()),
        ("their", me.pronoun(Case::Possessive).into()),
        ("self", me.pronoun(Case::Reflexive).into()),
        ("born", figure.born.to_string()),
        ("died", figure.died.to_string()),
        ("early", (figure.born + draw.between(15, 23)).to_string()),
        ("middle", middle.to_string()),
        ("profession", with_article(figure.profession)),
        ("bare_profession", figure.profession.into()),
        ("town", town.name.clone()),
        ("county", town.county.into()),
        ("river", town.river.into()),
        ("work", figure.work.clone()),
        ("parent", if parent == Gender::Feminine { "mother" } else { "father" }.into()),
        ("parents_trade", with_article(trade_of(draw, parent))),
        ("spouse", if married_to == Gender::Feminine { "wife" } else { "husband" }.into()),
        ("spouses_trade", with_article(trade_of(draw, married_to))),
        ("sibling", draw.pick(&["brother", "sister"]).into()),
        ("children", draw.zipf(&NUMBERS[1..7]).into()),
    ];
    written(draw, world, figure.name(), FIGURE, facts)
}

/// The facts of a noun: its numbers, and the reflexive of its plural.
fn noun_facts(word: &str) -> (String, Facts) {
    let (singular, plural) = both_numbers(word);
    let facts = vec![
        ("a_name", with_article(&singular)),
        ("names", plural),
        ("name", singular.clone()),
        ("self", "themselves".to_string()),
    ];
    (capitalised(&singular), facts)
}

fn on_animal(draw: &mut Draw, world: &World) -> Article {
    let fact = &ANIMAL_FACTS[draw.rank(ANIMAL_FACTS.len())];
    let (title, mut facts) = noun_facts(fact.animal);
    let [first, second] = fact.habits;
    let (first, second) = if draw.chance(50) { (first, second) } else { (second, first) };
    facts.extend([
        ("class", with_article(fact.class)),
        ("home", fact.home.into()),
        ("food", fact.food.into()),
        ("first_habit", first.into()),
        ("second_habit", second.into()),
    ]);
    written(draw, world, title, ANIMAL, facts)
}

fn on_thing(draw: &mut Draw, world: &World) -> Article {
    let (thing, genus, purpose) = draw.zipf(THING_FACTS);
    let (title, mut facts) = noun_facts(thing);
    facts.extend([("genus", with_article(genus)), ("purpose", purpose.into())]);
    written(draw, world, title, THING, facts)
}

fn on_trade(draw: &mut Draw, world: &World) -> Article {
    let (trade, work, workplace) = draw.zipf(TRADE_FACTS);
    let (title, mut facts) = noun_facts(trade);
    facts.extend([("work", work.into()), ("workplace", workplace.into())]);
    written(draw, world, title, TRADE, facts)
}

/// A trade that people of this gender can have.
fn trade_of(draw: &mut Draw, gender: Gender) -> &'static str {
    let allowed = |trade: &&str| lexicon().noun(trade).is_none_or(|noun| noun.allows(gender));
    let trades: Vec<&str> = TRADE_FACTS.iter().map(|fact| fact.0).filter(allowed).collect();
    draw.zipf(&trades)
}

fn both_numbers(word: &str) -> (String, String) {
    lexicon()
        .noun(word)
        .map_or((word.into(), word.into()), |noun| (noun.singular.clone(), noun.plural.clone()))
}

/// A talk: sentences as a speaker says them to a class.
pub(crate) fn talk(draw: &mut Draw, world: &World) -> Vec<String> {
    let mut sentences = Vec::new();
    let greeting = draw.pick(&[
        "hello everyone",
        "good morning",
        "welcome back",
        "hi",
        "thank you for coming",
    ]);
    sentences.push(finished(greeting, '.'));
    for _ in 0..draw.between(1, 3) {
        if draw.chance(45) {
            sentences.extend(process(draw));
        } else {
            sentences.extend(explained(draw, world));
        }
    }
    sentences.push(finished(
        draw.pick(&[
            "thank you",
            "thank you very much",
            "that's all for today",
            "see you next week",
        ]),
        '.',
    ));
    sentences
}

fn process(draw: &mut Draw) -> Vec<String> {
    let (question, steps) = PROCESSES[draw.rank(PROCESSES.len())];
    let start = draw.pick(&[
        "today we're going to talk about",
        "I want to show you",
        "have you ever wondered",
        "let's look at",
        "do you know",
    ]);
    let mark = if start.starts_with("have") || start.starts_with("do ") { '?' } else { '.' };
    let mut sentences = vec![finished(&format!("{start} {question}"), mark)];
    for (position, step) in steps.iter().enumerate() {
        let link = match position {
            0 => draw.pick(&["first,", "in the beginning,", "well, first"]),
            last if last + 1 == steps.len() => {
                draw.pick(&["finally,", "in the end,", "and at last"])
            }
            _ => draw.pick(&["then", "next,", "after that,", "and then", "so"]),
        };
        sentences.push(finished(&format!("{link} {step}"), '.'));
        if draw.chance(20) {
            sentences.push(finished(
                draw.pick(&[
                    "isn't that strange",
                    "can you see that",
                    "does anybody know why",
                    "any questions",
                ]),
                '?',
            ));
        }
    }
    sentences
}

fn explained(draw: &mut Draw, world: &World) -> Vec<String> {
    let Article { title, sentences } = article(draw, world);
    let subject = match lexicon().noun(&title.to_lowercase()) {
        Some(noun) => NounPhrase::of(Determiner::Indefinite, "", noun, Number::Plural).object(),
        None => title,
    };
    let start = draw.pick(&[
        "let's talk about",
        "now I want to tell you about",
        "the next thing is about",
        "so, what do we know about",
    ]);
    let mark = if start.starts_with("so") { '?' } else { '.' };
    let mut said = vec![finished(&format!("{start} {subject}"), mark)];
    said.extend(sentences.iter().map(|words| finished(words, '.')));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::rng::Rng;

    #[test]
    fn every_template_is_filled() {
        let world = World::new(1);
        let mut draw = Draw::new(Rng::new(1, "test"));
        for _ in 0..2000 {
            let article = article(&mut draw, &world);
            for words in &article.sentences {
                assert!(
                    !words.contains(['{', '}']) && !words.contains("  "),
                    "{}: {words}",
                    article.title
                );
            }
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([7, 999, 1000, 24310].map(grouped), ["7", "999", "1,000", "24,310"]);
    }
}

//! Spoken sources: child-directed speech, conversation, telephone talk, films, lectures.

use super::quirks::*;
use crate::discourse::scene::Scene;
use crate::draw::Draw;
use crate::grammar::clause::Tense;
use crate::grammar::features::Number;
use crate::grammar::noun_phrase::{Determiner, NounPhrase};
use crate::lexicon::kinds::*;
use crate::registers::conversation::{Turn, exchange};
use crate::registers::exposition::talk;
use crate::registers::narrative::event;
use crate::world::{World, surname};

/// A conversation of a number of exchanges between two people of a scene.
fn conversation(draw: &mut Draw, world: &World, exchanges: usize) -> Vec<Turn> {
    let mut scene = Scene::new(draw.fork(), world, Tense::Present);
    let (first, second) = scene.two_humans();
    let mut turns: Vec<Turn> = Vec::new();
    for _ in 0..exchanges {
        let mut more = exchange(&mut scene, first, second);
        if scene.draw.chance(50) {
            more.iter_mut().for_each(|turn| turn.first_speaker = !turn.first_speaker);
        }
        turns.extend(more);
    }
    turns
}

/// The sentences of a turn, marks included.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '?', '!']).map(str::trim).filter(|sentence| !sentence.is_empty())
}

/// `aochildes`: what grown-ups say to a child; lower case, one utterance a line, a space before
/// each mark.
pub(super) fn child_directed(draw: &mut Draw, world: &World) -> String {
    let mut scene = Scene::new(draw.fork(), world, Tense::Present);
    let (first, second) = scene.two_humans();
    let mut lines = String::new();
    for _ in 0..draw.between(8, 20) {
        let utterances: Vec<String> = if scene.draw.chance(45) {
            play(&mut scene)
        } else {
            exchange(&mut scene, first, second)
                .iter()
                .flat_map(|turn| sentences(&turn.text))
                .map(str::to_string)
                .collect()
        };
        for utterance in utterances {
            lines.push_str(&spaced(&utterance.to_lowercase().replace(", ", " ")));
            lines.push('\n');
        }
    }
    lines
}

/// Sentences in which one thing is pointed at, asked for and named again, as with a small child.
fn play(scene: &mut Scene) -> Vec<String> {
    let noun = match scene.draw.chance(60) {
        true => {
            scene.one_of(SMALL.or(FOOD).or(ANIMAL), |_| true).map(|who| scene.entities[who].noun)
        }
        false => None,
    };
    let noun = noun.unwrap_or_else(|| scene.noun_of(SMALL.or(FOOD).or(ANIMAL), "look"));
    let number = scene.number_for(noun);
    let adjective = scene.adjective_for(noun);
    let one = NounPhrase::of(Determiner::Indefinite, "", noun, number);
    let nice = NounPhrase::of(Determiner::Indefinite, adjective, noun, number);
    let the = NounPhrase::of(Determiner::Word("the"), "", noun, number);
    let plural = number == Number::Plural;
    let (is, this, it, its) =
        if plural { ("are", "those", "them", "they're") } else { ("is", "that", "it", "it's") };
    let (one, nice, the) = (one.object(), nice.object(), the.object());
    let lines = [
        format!("look at {the}."),
        format!("what {is} {this}?"),
        format!("{is} {this} {one}?"),
        format!("that's right {its} {one}."),
        format!("where {is} {the}?"),
        format!("there {} {} !", if plural { "they" } else { "it" }, is),
        format!("can you see {the}?"),
        format!("yeah {nice}."),
        format!("do you want {the}?"),
        format!("give {it} to mommy."),
        format!("{} !", noun.singular),
        format!("can you say {} ?", noun.singular),
        format!("what color {is} {the}?"),
        format!("you like {the} don't you?"),
        format!("put {it} {}.", scene.spot()),
        format!("are you gonna hold {it}?"),
        format!("daddy's got {nice} too."),
        format!("no don't throw {it}."),
        "good girl.".into(),
        "hm?".into(),
        "okay.".into(),
        "uhoh!".into(),
    ];
    (0..scene.draw.between(3, 6))
        .map(|_| scene.draw.pick(&lines.each_ref()).replace(" !", "!").replace(" ?", "?"))
        .collect()
}

/// `bnc_spoken`: one turn a line; fillers, loose spacing, empty lines between conversations.
pub(super) fn british_conversation(draw: &mut Draw, world: &World) -> String {
    let mut lines = String::new();
    let exchanges = draw.between(8, 22);
    let mut pause = false;
    for turn in conversation(draw, world, exchanges) {
        if pause && draw.chance(12) {
            lines.push_str(draw.zipf(&[
                "Mm.\n",
                "Yeah.\n",
                "Right.\n",
                "Mhm.\n",
                "Oh.\n",
                "Sorry?\n",
                "Oh yeah.\n",
                "Is it?\n",
            ]));
        }
        pause = turn.text.ends_with('.');
        let text = if draw.chance(35) {
            hesitant(draw, &turn.text, &["er", "erm", "er,", "you know", "sort of", "like"], 9)
        } else {
            turn.text
        };
        let text = mistyped(draw, &text, 3);
        let start = if draw.chance(12) {
            draw.zipf(&["Well ", "Oh ", "Er ", "Yeah ", "Erm, "])
        } else {
            ""
        };
        let text = if start.is_empty() { text } else { format!("{start}{}", uncapitalised(&text)) };
        lines.push_str(&loosely_spaced(draw, &text));
        lines.push('\n');
    }
    // Three line feeds: the cleaner deletes two, and the line still ends.
    lines + "\n\n"
}

/// `switchboard`: telephone talk, the speaker before each utterance, much hesitation.
pub(super) fn telephone(draw: &mut Draw, world: &World) -> String {
    let mut lines = String::new();
    let exchanges = draw.between(8, 20);
    for turn in conversation(draw, world, exchanges) {
        let (speaker, other) = if turn.first_speaker { ("A:", "B:") } else { ("B:", "A:") };
        for sentence in sentences(&turn.text) {
            let start = if draw.chance(20) {
                draw.zipf(&["Well, ", "And, uh, ", "I mean, ", "You know, ", "So, ", "Oh, "])
            } else {
                ""
            };
            let sentence =
                if start.is_empty() { sentence.to_string() } else { uncapitalised(sentence) };
            let said = hesitant(draw, &sentence, &["uh,", "you know,", "uh", "um,", "I mean,"], 6);
            lines.push_str(&format!("{speaker}\t{start}{said}\n"));
        }
        if turn.text.ends_with('.') && draw.chance(15) {
            let noise = draw.zipf(&[
                "Uh-huh.",
                "Right.",
                "Yeah.",
                "Oh, really.",
                "Huh.",
                "Sure.",
                "That's right.",
            ]);
            lines.push_str(&format!("{other}\t{noise}\n"));
        }
    }
    lines
}

/// `open_subtitles`: one sentence a line, some with a dash, credits at both ends of a film.
pub(super) fn subtitles(draw: &mut Draw, world: &World) -> String {
    let mut lines = String::new();
    if draw.chance(40) {
        lines.push_str(&credit(draw, world));
    }
    let exchanges = draw.between(15, 40);
    for turn in conversation(draw, world, exchanges) {
        for sentence in sentences(&turn.text) {
            let dash = if draw.chance(18) { "- " } else { "" };
            let mark = if draw.chance(2) && sentence.ends_with('.') { ".." } else { "" };
            lines.push_str(&format!("{dash}{sentence}{mark}\n"));
        }
    }
    if draw.chance(25) {
        lines.push_str(&credit(draw, world));
    }
    lines
}

fn credit(draw: &mut Draw, world: &World) -> String {
    let name = format!("{} {}", world.figure(draw).first, surname(draw));
    match draw.below(4) {
        0 => format!("Subtitles by {name}\n"),
        1 => format!("English subtitles: {name}\n"),
        2 => format!("Subtitles downloaded from www.{}.example\n", surname(draw).to_lowercase()),
        _ => "SUBTITLES BY THE NIGHT TEAM\n".into(),
    }
}

/// `qed`: lectures in short lines; some wholly in upper case with l for I, some with sounds in
/// brackets.
pub(super) fn lecture(draw: &mut Draw, world: &World) -> String {
    let mut said = if draw.chance(65) {
        talk(draw, world)
    } else {
        let tense = draw.pick(&[Tense::Past, Tense::Present, Tense::Present]);
        let mut scene = Scene::new(draw.fork(), world, tense);
        (0..draw.between(6, 14)).map(|_| event(&mut scene)).collect()
    };
    if draw.chance(30) {
        let place = draw.between(1, said.len() - 1);
        said.insert(
            place,
            draw.zipf(&["(Laughter)", "(Applause)", "(Music)", "(Audience laughs)"]).to_string(),
        );
    }
    let text = wrapped(&said.join(" "), 42);
    let text = if draw.chance(15) { shouted(&text) } else { text };
    text + "\n"
}

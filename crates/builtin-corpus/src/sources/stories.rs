//! Books: the Children's Book Test, stories for children, old novels.

use super::quirks::*;
use crate::discourse::scene::Scene;
use crate::draw::Draw;
use crate::grammar::clause::Tense;
use crate::grammar::features::Gender;
use crate::registers::narrative::story;
use crate::world::{World, surname};

/// `cbt`: one sentence a line, words and marks apart: "` I do n't know , ' said the king ."
pub(super) fn tokenised_story(draw: &mut Draw, world: &World) -> String {
    let mut scene = Scene::new(draw.fork(), world, Tense::Past);
    let mut lines = String::new();
    for sentence in story(&mut scene, draw.between(3, 6)).into_iter().flatten() {
        let sentence = quoted(&split_clitics(&spaced_around_quotes(&sentence)), "` ", " '");
        lines.push_str(&sentence);
        lines.push('\n');
    }
    lines
}

/// Marks apart from their words, also before a closing quote.
fn spaced_around_quotes(sentence: &str) -> String {
    sentence.split('"').map(spaced).collect::<Vec<_>>().join("\"")
}

/// `children_stories`: a title in capitals, a paragraph a line, printers' quotes, an empty line
/// after the story.
pub(super) fn story_for_children(draw: &mut Draw, world: &World) -> String {
    let mut scene = Scene::new(draw.fork(), world, Tense::Past);
    let heroes = [
        scene.entities[0].noun,
        scene.entities[scene.things().start.min(scene.entities.len() - 1)].noun,
    ];
    let mut text = format!(
        "THE {} AND THE {}\n\n",
        heroes[0].singular.to_uppercase(),
        heroes[1].singular.to_uppercase()
    );
    for paragraph in story(&mut scene, draw.between(3, 6)) {
        text.push_str(&quoted(&paragraph.join(" "), "“", "”").replace('\'', "’"));
        text.push('\n');
    }
    text + "\n"
}

/// `gutenberg`: chapters of long sentences in wrapped lines, the people called by title and
/// surname.
pub(super) fn old_book(draw: &mut Draw, world: &World) -> String {
    let mut scene = Scene::new(draw.fork(), world, Tense::Past);
    for who in scene.cast() {
        if scene.entities[who].name.is_some() && draw.chance(60) {
            let title = match scene.entities[who].gender {
                Gender::Feminine => draw.pick(&["Miss", "Mrs.", "Lady", "Madame"]),
                _ => draw.pick(&["Mr.", "Captain", "Doctor", "Sir"]),
            };
            scene.entities[who].name = Some(format!("{title} {}", surname(draw)));
        }
    }
    let mut text = format!("CHAPTER {}.\n\n", roman(draw.between(1, 39)));
    for paragraph in story(&mut scene, draw.between(3, 7)) {
        let long = lengthened(draw, &paragraph);
        text.push_str(&wrapped(&mistyped(draw, &long, 1), 72));
        text.push_str("\n\n");
    }
    text
}

/// Some full stops turned to semicolons, as old novels like it.
fn lengthened(draw: &mut Draw, paragraph: &[String]) -> String {
    let mut long = String::new();
    for sentence in paragraph {
        let open = long.ends_with('.') && !long.ends_with("r.") && !sentence.starts_with('"');
        if open && draw.chance(30) {
            long.pop();
            let linked = ["But", "So", "Then", "And"].iter().any(|link| sentence.starts_with(link));
            long.push_str(if linked { "; " } else { draw.pick(&["; and ", "; but ", "; "]) });
            long.push_str(&uncapitalised(sentence));
        } else {
            if !long.is_empty() {
                long.push(' ');
            }
            long.push_str(sentence);
        }
    }
    long
}

/// A small number in Roman numerals.
fn roman(mut number: usize) -> String {
    let mut numeral = String::new();
    for (value, letters) in [(10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")] {
        while number >= value {
            numeral.push_str(letters);
            number -= value;
        }
    }
    numeral
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerals_are_roman() {
        assert_eq!([4, 9, 14, 39].map(roman), ["IV", "IX", "XIV", "XXXIX"]);
    }
}

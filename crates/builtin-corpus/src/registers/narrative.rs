//! Stories in the past tense, with the speech of their people.

use super::conversation::exchange;
use super::finished;
use crate::discourse::scene::Scene;
use crate::grammar::clause::Tense;
use crate::grammar::spelling::joined;

/// A paragraph of a story: its sentences, each with its mark.
pub(crate) type Paragraph = Vec<String>;

const SAYING: &[&str] = &["said", "asked", "cried", "answered", "whispered", "shouted", "replied"];

/// A story of the scene: an opening, what happens, some talk, an end.
pub(crate) fn story(scene: &mut Scene, paragraphs: usize) -> Vec<Paragraph> {
    let mut opening = vec![finished(&scene.opening(), '.')];
    opening.extend(events(scene));
    let mut story = vec![opening];
    for _ in 0..paragraphs {
        story.push(if scene.draw.chance(35) { spoken(scene) } else { events(scene) });
    }
    story.push(vec![ending(scene)]);
    story
}

fn events(scene: &mut Scene) -> Paragraph {
    (0..scene.draw.between(3, 7)).map(|_| event(scene)).collect()
}

/// One thing that happens, often linked to the one before.
pub(crate) fn event(scene: &mut Scene) -> String {
    const LINKS: &[&str] = &[
        "then",
        "after that,",
        "but",
        "so",
        "at last",
        "meanwhile,",
        "the next day",
        "soon",
        "of course,",
    ];
    let words = scene.sentence();
    let fronted = ["after", "before", "while", "when", "because", "although"]
        .iter()
        .any(|link| words.starts_with(link));
    let link = if !fronted && scene.draw.chance(22) { scene.draw.zipf(LINKS) } else { "" };
    finished(&joined(&[link, &words]), '.')
}

/// Two people talk: `"Where is my hat?" asked Rosa.`
fn spoken(scene: &mut Scene) -> Paragraph {
    let (first, second) = scene.two_humans();
    let talk = scene.in_tense(Tense::Present, |scene| exchange(scene, first, second));
    let mut paragraph = Vec::new();
    for (position, turn) in talk.into_iter().enumerate() {
        let speaker = if turn.first_speaker { first } else { second };
        let tagged = position < 2 || scene.draw.chance(25);
        paragraph.push(quoted(scene, &turn.text, speaker, tagged));
    }
    scene.forget();
    paragraph
}

fn quoted(scene: &mut Scene, text: &str, speaker: usize, tagged: bool) -> String {
    if !tagged {
        return format!("\"{text}\"");
    }
    let name = scene.name(speaker).subject();
    let verb = match text.ends_with('?') {
        true => "asked",
        false if scene.draw.chance(60) => "said",
        false => scene.draw.pick(SAYING),
    };
    let verb = if verb == "asked" && !text.ends_with('?') { "said" } else { verb };
    match text.strip_suffix('.') {
        Some(stem) => format!("\"{stem},\" {verb} {name}."),
        None => format!("\"{text}\" {verb} {name}."),
    }
}

fn ending(scene: &mut Scene) -> String {
    let hero = scene.name(0);
    let words = match scene.draw.below(5) {
        0 => format!("in the end {} went home", hero.subject()),
        1 => format!("and {} never forgot that day", hero.subject()),
        2 => format!("nobody ever knew what {} had done", hero.subject()),
        3 => format!(
            "from that day on {} {} very happy",
            hero.subject(),
            if hero.agreement.plural() { "were" } else { "was" }
        ),
        _ => format!("at last it was dark, and {} fell asleep", hero.subject()),
    };
    finished(&words, '.')
}

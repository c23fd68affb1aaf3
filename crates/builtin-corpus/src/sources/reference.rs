//! The two encyclopedias.

use crate::draw::Draw;
use crate::registers::exposition::{Article, article};
use crate::registers::finished;
use crate::world::World;

/// `simple_wikipedia`: one paragraph an article, empty lines between.
pub(super) fn simple_article(draw: &mut Draw, world: &World) -> String {
    let Article { sentences, .. } = article(draw, world);
    let sentences: Vec<String> = sentences.iter().map(|words| finished(words, '.')).collect();
    // Three line feeds: the cleaner deletes two, and the line still ends.
    sentences.join(" ") + "\n\n\n"
}

/// `wikipedia`: a heading between equals signs, then longer sentences.
pub(super) fn long_article(draw: &mut Draw, world: &World) -> String {
    let Article { title, sentences } = article(draw, world);
    let mut body: Vec<String> = Vec::new();
    let mut rest = sentences.into_iter().peekable();
    while let Some(words) = rest.next() {
        let words = match rest.peek() {
            Some(_) if draw.chance(40) => {
                format!("{words}, and {}", rest.next().unwrap_or_default())
            }
            _ => words,
        };
        body.push(finished(&words, '.'));
    }
    // The cleaner joins the heading to what follows its line feed: here an empty line, so that the
    // title stays a line.
    format!(" = = = {title} = = =\n\n{}\n", body.join(" "))
}

//! The ten sources of BabyLM 2023: which register each one uses, and the raw form that its cleaner
//! expects.

mod quirks;
mod reference;
mod speech;
mod stories;

use std::sync::Arc;

use base::rng::Rng;
use base::stop::{self, ShouldStop, Stopped};

use super::Split;
use super::draw::Draw;
use super::world::World;

/// One source of the corpus.
pub(crate) struct Source {
    /// The stem of its file.
    pub name: &'static str,
    /// The source's part of the corpus: thousands of words in BabyLM 2023's ten million.
    pub share: usize,
    /// What stands before the first document.
    start: &'static str,
    /// Writes one document: a conversation, a story, an article.
    document: fn(&mut Draw, &World) -> String,
}

const fn source(
    name: &'static str,
    share: usize,
    document: fn(&mut Draw, &World) -> String,
) -> Source {
    Source { name, share, start: "", document }
}

pub(crate) const SOURCES: &[Source] = &[
    source("aochildes", 439, speech::child_directed),
    source("bnc_spoken", 861, speech::british_conversation),
    source("cbt", 571, stories::tokenised_story),
    source("children_stories", 343, stories::story_for_children),
    source("gutenberg", 992, stories::old_book),
    source("open_subtitles", 3092, speech::subtitles),
    source("qed", 1041, speech::lecture),
    source("simple_wikipedia", 1523, reference::simple_article),
    source("switchboard", 116, speech::telephone),
    // The cleaner drops the first character of the file, which is the line feed before the first
    // heading.
    Source { start: "\n", ..source("wikipedia", 899, reference::long_article) },
];

impl Source {
    /// About `words` words of raw text, document by document.
    pub(crate) fn documents<'a>(
        &'static self,
        should_stop: ShouldStop<'a>,
        world: Arc<World>,
        seed: u64,
        split: Split,
        words: usize,
    ) -> impl Iterator<Item = Result<String, Stopped>> + 'a {
        let mut draw =
            Draw::new(Rng::new(seed, "builtin text").at(split as u64).at(self.share as u64));
        let mut written = 0;
        let documents = std::iter::from_fn(move || {
            (written < words).then(|| {
                stop::check(should_stop)?;
                let document = (self.document)(&mut draw.fork(), &world);
                let mut text = String::with_capacity(document.len());
                for line in document.split_inclusive('\n') {
                    if written >= words {
                        break;
                    }
                    written += line.split_whitespace().count();
                    text.push_str(line);
                }
                Ok(text)
            })
        });
        std::iter::once(Ok(self.start.to_owned())).chain(documents)
    }
}

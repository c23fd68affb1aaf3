//! Cleaning one long text on several threads, without holding it whole.

use base::ShouldStop;

use super::wikipedia::Finish;
use crate::error::Result;
use crate::pieces::{IsCut, PIECE_BYTES, Pieces, in_parallel};
use crate::texts::{Parts, Text};

/// How the text of a source is cleaned.
#[derive(Clone, Copy, Debug)]
pub struct Cleaner {
    clean: fn(&str) -> String,
    /// Where a text can be cut into pieces that are cleaned apart.
    is_cut: IsCut,
    /// What is lost between two pieces that are cleaned apart.
    glue: &'static str,
    /// Whether the whole clean text goes through [`Finish`].
    is_finished: bool,
}

impl Cleaner {
    /// Cleans with a function that keeps the last line end.
    pub(super) const fn new(clean: fn(&str) -> String, is_cut: IsCut) -> Self {
        Self { clean, is_cut, glue: "", is_finished: false }
    }

    /// Cleans with a function that drops the last line end.
    pub(super) const fn without_last_line_end(self) -> Self {
        Self { glue: "\n", ..self }
    }

    /// Has the whole clean text go through [`Finish`].
    pub(super) const fn finished(self) -> Self {
        Self { is_finished: true, ..self }
    }

    /// The clean text of a whole text: the slow reference of [`clean_text`](Self::clean_text).
    pub fn clean(&self, text: &str) -> String {
        let clean = (self.clean)(text);
        if !self.is_finished {
            return clean;
        }
        let mut finish = Finish::default();
        finish.push(&clean) + finish.end()
    }

    /// The clean text, which is cleaned in parallel whenever it is read.
    pub fn clean_text<'a>(self, should_stop: ShouldStop<'a>, text: Text<'a>) -> Text<'a> {
        text.changed(move |parts| self.clean_parts(should_stop, parts, PIECE_BYTES))
    }

    /// Cleans a text in pieces of about `piece_bytes` bytes.
    pub(super) fn clean_parts<'a>(
        self,
        should_stop: ShouldStop<'a>,
        parts: Parts<'a>,
        piece_bytes: usize,
    ) -> Parts<'a> {
        let pieces = Pieces::new(parts, piece_bytes, self.is_cut);
        let clean = move |piece: String| (self.clean)(&piece);
        let cleaned = in_parallel(should_stop, pieces, String::as_str, clean);
        let glue = move |(index, piece): (usize, Result<String>)| match index {
            0 => piece,
            _ => Ok(self.glue.to_owned() + &piece?),
        };
        let joined = cleaned.enumerate().map(glue);
        match self.is_finished {
            true => Box::new(finished(joined)),
            false => Box::new(joined),
        }
    }
}

/// Has parts go through [`Finish`].
fn finished(
    mut parts: impl Iterator<Item = Result<String>>,
) -> impl Iterator<Item = Result<String>> {
    let (mut finish, mut is_done) = (Finish::default(), false);
    std::iter::from_fn(move || match parts.next() {
        Some(part) => Some(part.map(|part| finish.push(&part))),
        None if is_done => None,
        None => {
            is_done = true;
            Some(Ok(finish.end().to_owned()))
        }
    })
}

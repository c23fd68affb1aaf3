//! Texts in pieces, so that several threads can share one text and a long one need not fit into
//! memory.

use std::vec;

use base::stop::{self, ShouldStop};
use rayon::prelude::*;

use crate::error::Result;
use crate::texts::Text;

/// About how many bytes make a piece worth a task of its own. Fixed, so that pieces never depend on
/// the threads.
pub(crate) const PIECE_BYTES: usize = 1 << 18;

/// About how many bytes of pieces are worked on at once: enough for a hundred threads.
const BATCH_BYTES: usize = 1 << 25;

/// Whether a text may be cut before the byte at an offset, which is neither 0 nor the text's length
/// and stands between characters. It follows from what stands before the offset and the two
/// characters behind it.
pub(crate) type IsCut = fn(&str, usize) -> bool;

/// The bytes behind an offset that [`IsCut`] may look at: two characters.
const LOOK_AHEAD: usize = 8;

/// Cuts a text that comes in parts into pieces of `piece_bytes` or little more, at the places that
/// a rule allows; what has no such place stays one piece, however long. Together the pieces are the
/// text; there is always one.
pub(crate) struct Pieces<I> {
    parts: I,
    is_cut: IsCut,
    piece_bytes: usize,
    /// What was read and not given out.
    buffer: String,
    /// Where the next cut is looked for.
    next: usize,
    is_first: bool,
    /// No part follows.
    is_whole: bool,
}

impl<I: Iterator<Item = Result<String>>> Pieces<I> {
    pub(crate) fn new(parts: I, piece_bytes: usize, is_cut: IsCut) -> Self {
        let (buffer, next, is_first, is_whole) = (String::new(), piece_bytes.max(1), true, false);
        Self { parts, is_cut, piece_bytes, buffer, next, is_first, is_whole }
    }

    /// The first cut of the buffer, as far as that can be known yet.
    fn find_cut(&mut self) -> Option<usize> {
        let known = match self.is_whole {
            true => self.buffer.len(),
            false => self.buffer.len().saturating_sub(LOOK_AHEAD),
        };
        let text = self.buffer.as_str();
        let found =
            (self.next..known).find(|&at| text.is_char_boundary(at) && (self.is_cut)(text, at));
        self.next = found.unwrap_or(self.next.max(known));
        found
    }
}

impl<I: Iterator<Item = Result<String>>> Iterator for Pieces<I> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(cut) = self.find_cut() {
                let rest = self.buffer.split_off(cut);
                self.next = self.piece_bytes.max(1);
                self.is_first = false;
                return Some(Ok(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.is_whole {
                let is_left = self.is_first || !self.buffer.is_empty();
                self.is_first = false;
                return is_left.then(|| Ok(std::mem::take(&mut self.buffer)));
            }
            match self.parts.next() {
                Some(Ok(part)) => self.buffer.push_str(&part),
                Some(Err(error)) => return Some(Err(error)),
                None => self.is_whole = true,
            }
        }
    }
}

/// The pieces of several texts one after the other, each with the text's index. Every text has one.
pub(crate) fn pieces_of(
    texts: &[Text<'_>],
    is_cut: IsCut,
) -> impl Iterator<Item = Result<(usize, String)>> {
    texts.iter().enumerate().flat_map(move |(index, text)| {
        let pieces = Pieces::new(text.parts(), PIECE_BYTES, is_cut);
        pieces.map(move |piece| Ok((index, piece?)))
    })
}

/// Does the same work on every piece, many at once, and gives the results in the order of the
/// pieces. `items` are pieces with whatever goes with them; `text` finds the piece in an item.
pub(crate) fn in_parallel<T: Send, R: Send>(
    should_stop: ShouldStop<'_>,
    mut items: impl Iterator<Item = Result<T>>,
    text: impl Fn(&T) -> &str,
    work: impl Fn(T) -> R + Sync,
) -> impl Iterator<Item = Result<R>> {
    let mut batch = move || -> Result<Vec<R>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let Some(item) = items.next().transpose()? else { break };
            // Also an empty piece takes its place in memory.
            bytes += text(&item).len().max(PIECE_BYTES / 16);
            batch.push(item);
        }
        let work = |item| {
            stop::check(should_stop)?;
            Ok(work(item))
        };
        batch.into_par_iter().map(work).collect()
    };
    let mut ready: vec::IntoIter<R> = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if ready.len() == 0 {
            match batch() {
                Ok(results) => ready = results.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        ready.next().map(Ok)
    })
}

/// A place for a cut: after any line feed.
pub(crate) fn after_a_line(text: &str, at: usize) -> bool {
    text[..at].ends_with('\n')
}

/// A place for a cut: between any two characters.
pub(crate) fn between_characters(_text: &str, _at: usize) -> bool {
    true
}

/// No place for a cut.
pub(crate) fn nowhere(_text: &str, _at: usize) -> bool {
    false
}

/// The pieces of a whole text: the slow reference of [`Pieces`].
#[cfg(test)]
pub(crate) fn cut(text: &str, piece_bytes: usize, is_cut: IsCut) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let is_cut_of = |text: &str, at| text.is_char_boundary(at) && is_cut(text, at);
    while let Some(end) =
        (piece_bytes.max(1)..text.len() - start).find(|&at| is_cut_of(&text[start..], at))
    {
        pieces.push(&text[start..start + end]);
        start += end;
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::CorpusError;

    fn pieces(text: &str, part_bytes: usize, piece_bytes: usize, is_cut: IsCut) -> Vec<String> {
        let parts = cut(text, part_bytes, between_characters).into_iter();
        let parts = parts.map(|part| Ok(part.to_owned()));
        Pieces::new(parts, piece_bytes, is_cut).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn pieces_reach_their_size_and_end_at_a_cut() {
        let text = "a\nbc\n\ndéf\ng";
        assert_eq!(cut(text, 0, after_a_line), ["a\n", "bc\n", "\n", "déf\n", "g"]);
        assert_eq!(cut(text, 3, after_a_line), ["a\nbc\n", "\ndéf\n", "g"]);
        assert_eq!(cut(text, 100, after_a_line), [text]);
        assert_eq!(cut("", 0, after_a_line), [""]);
        assert_eq!(cut("\n", 0, after_a_line), ["\n"]);
        assert_eq!(cut("no end", 2, after_a_line), ["no end"]);
    }

    #[test]
    fn pieces_of_parts_are_those_of_the_whole() {
        let long = "one 𝄞𝄞 line\nanother\n\n".repeat(20);
        for text in ["", "\n", "𝄞𝄞𝄞𝄞𝄞𝄞", "no end of the line", "\n\n\n\n\n\n\n\n\n\n\n", &long]
        {
            for part_bytes in [1, 2, 3, 7, 64] {
                for piece_bytes in [0, 1, 3, 7, 64, 1000] {
                    for is_cut in [after_a_line, between_characters, nowhere] {
                        let found = pieces(text, part_bytes, piece_bytes, is_cut);
                        assert_eq!(found, cut(text, piece_bytes, is_cut), "{part_bytes} {text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn results_have_the_order_of_the_pieces_and_no_more_is_read_than_a_batch() {
        let read = AtomicUsize::new(0);
        let pieces = (0..1000).map(|index| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(index.to_string().repeat(40_000))
        });
        let work = |piece: String| piece.len();
        let mut results = in_parallel(&stop::never, pieces, String::as_str, work);
        assert_eq!(results.next().unwrap().unwrap(), 40_000);
        let most = BATCH_BYTES / 40_000 + 1;
        assert!(read.load(Ordering::Relaxed) <= most);
        let lengths: Vec<usize> = results.map(Result::unwrap).collect();
        assert_eq!((lengths.len(), lengths[8], lengths[9]), (999, 40_000, 80_000));
    }

    #[test]
    fn work_stops_between_pieces() {
        let pieces = ["a", "b"].map(|piece| Ok(piece.to_owned()));
        let mut results = in_parallel(&|| true, pieces.into_iter(), String::as_str, |piece| piece);
        assert!(matches!(results.next(), Some(Err(CorpusError::Stopped(_)))));
    }
}

//! Cleaning one long text on several threads.

use rayon::prelude::*;

use crate::pieces::{PIECE_BYTES, cut};

/// How the text of a source is cleaned.
#[derive(Clone, Copy, Debug)]
pub struct Cleaner {
    clean: fn(&str) -> String,
    /// What is lost between two pieces that are cleaned apart.
    glue: &'static str,
    finish: Option<fn(&str) -> String>,
}

impl Cleaner {
    /// Cleans with a function that keeps the last line end.
    pub(super) const fn new(clean: fn(&str) -> String) -> Self {
        Self { clean, glue: "", finish: None }
    }

    /// Cleans with a function that drops the last line end.
    pub(super) const fn without_last_line_end(clean: fn(&str) -> String) -> Self {
        Self { clean, glue: "\n", finish: None }
    }

    /// Has the whole clean text go through one more function.
    pub(super) const fn then(self, finish: fn(&str) -> String) -> Self {
        Self { finish: Some(finish), ..self }
    }

    /// The clean text; a long one is cleaned in parallel.
    pub fn clean(&self, text: &str) -> String {
        self.clean_in_pieces(text, PIECE_BYTES)
    }

    /// Cleans a text in pieces of about so many bytes. One single piece is the slow reference.
    pub(super) fn clean_in_pieces(&self, text: &str, piece_bytes: usize) -> String {
        let joined = pieces(text, piece_bytes)
            .into_par_iter()
            .map(self.clean)
            .collect::<Vec<String>>()
            .join(self.glue);
        match self.finish {
            Some(finish) => finish(&joined),
            None => joined,
        }
    }
}

/// Pieces of a text that can be cleaned apart: each but the last ends in a line feed between two
/// visible ASCII characters other than `=`.
///
/// So no cut stands beside a blank line, beside white space at an end of a line, or at one of
/// Wikipedia's headings: no cleaner looks at anything else that reaches over a line end.
pub(super) fn pieces(text: &str, piece_bytes: usize) -> Vec<&str> {
    cut(text, piece_bytes, between_lines)
}

fn between_lines(bytes: &[u8], at: usize) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'=';
    bytes[at - 1] == b'\n' && at >= 2 && visible(bytes[at - 2]) && visible(bytes[at])
}

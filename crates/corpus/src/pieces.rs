//! Long texts in pieces, so that several threads can share one file.

/// About how many bytes make a piece worth a task of its own. Fixed, so that pieces never depend on
/// the threads.
pub(crate) const PIECE_BYTES: usize = 1 << 18;

/// Cuts a text into pieces of `piece_bytes` or little more, at the places that `is_cut` allows.
///
/// `is_cut(bytes, at)` returns whether the text may be cut before the byte `at`, which is neither
/// its first one nor past its end; it must allow places between characters only. Together the
/// pieces are the text; there is always one.
pub(crate) fn cut(
    text: &str,
    piece_bytes: usize,
    is_cut: impl Fn(&[u8], usize) -> bool,
) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(end) = (start + piece_bytes.max(1)..bytes.len()).find(|&at| is_cut(bytes, at)) {
        pieces.push(&text[start..end]);
        start = end;
    }
    pieces.push(&text[start..]);
    pieces
}

/// A place for [`cut`]: after any line feed.
pub(crate) fn after_a_line(bytes: &[u8], at: usize) -> bool {
    bytes[at - 1] == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

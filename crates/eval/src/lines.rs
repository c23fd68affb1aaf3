//! Text files line by line.

use std::path::Path;

use base::input_file::without_byte_order_mark;

use crate::error::EvalError;

/// The lines of a file that are not blank, with their numbers from 1. A byte order mark before the
/// first is left out.
pub(crate) fn text_lines<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Vec<(usize, &'a str)>, EvalError> {
    let text = without_byte_order_mark(bytes);
    let (mut lines, mut offset) = (Vec::new(), bytes.len() - text.len());
    for (index, bytes) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|error| EvalError::NotUtf8 {
            path: path.to_owned(),
            line: index + 1,
            offset: offset + error.valid_up_to(),
        })?;
        offset += bytes.len();
        if !text.trim().is_empty() {
            lines.push((index + 1, text.trim_end_matches(['\n', '\r'])));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_text_and_counts_as_bytes() {
        let lines = |bytes: &'static [u8]| text_lines(Path::new("a.jsonl"), bytes);
        assert_eq!(lines(b"\xef\xbb\xbf{}\r\n\n[]").unwrap(), [(1, "{}"), (3, "[]")]);
        assert!(lines(b"\xef\xbb\xbf").unwrap().is_empty());
        let message = lines(b"\xef\xbb\xbf{}\n\xff\n").unwrap_err().to_string();
        assert!(message.contains("line 2: not UTF-8 (byte 6"), "{message}");
    }
}

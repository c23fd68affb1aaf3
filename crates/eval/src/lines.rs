//! Text files line by line.

use std::path::Path;

use crate::error::EvalError;

/// The lines of a file that are not blank, with their numbers from 1.
pub(crate) fn text_lines<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Vec<(usize, &'a str)>, EvalError> {
    let (mut lines, mut offset) = (Vec::new(), 0);
    for (index, bytes) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
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

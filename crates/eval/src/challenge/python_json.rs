//! JSON as Python's `json.dumps` writes it, which the pipelines' files are.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// A value as Python's `json.dumps` writes it: a space behind commas and colons, characters beyond
/// ASCII escaped, floats as `repr` writes them, and `NaN` for what is null here.
pub(super) fn to_text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Python))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Python;

impl Formatter for Python {
    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"NaN")
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A finite number as Python's `repr` writes it: the shortest text that reads back as the number,
/// with an exponent below 1e-4 and from 1e16 on.
pub(super) fn repr(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The texts are those of Python 3.11's `json.dumps`.
    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = json!({"id": "a_0", "pred": "caf\u{e9} \u{1f600}\n\"x\"", "n": [1, 2.0, -0.5]});
        let expected =
            r#"{"id": "a_0", "pred": "caf\u00e9 \ud83d\ude00\n\"x\"", "n": [1, 2.0, -0.5]}"#;
        assert_eq!(to_text(&value).unwrap(), expected);
        let numbers = json!([1e16, 123456789.125, 1e-5, 0.0001, 3.0e-7, 0.1, null, 1.5e300]);
        let expected = "[1e+16, 123456789.125, 1e-05, 0.0001, 3e-07, 0.1, NaN, 1.5e+300]";
        assert_eq!(to_text(&numbers).unwrap(), expected);
        assert_eq!(to_text(&json!({"a": [], "b": {}})).unwrap(), r#"{"a": [], "b": {}}"#);
        assert_eq!(to_text(&"\u{7f}\u{1}").unwrap(), "\"\u{7f}\\u0001\"");
    }

    /// Expectations: `repr` of Python 3.11.
    #[test]
    fn numbers_are_written_as_python_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (3.0, "3.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (19.375880241394043, "19.375880241394043"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(repr(value), expected);
        }
    }
}

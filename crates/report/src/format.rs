//! Numbers and times as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The text in place of a missing number.
pub const NOTHING: &str = "-";

/// A whole number with commas between thousands: `58,343,936`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large number in three digits and a unit: `950`, `16.6 k`, `58.3 M`, `1.20 G`.
pub fn short(number: f64) -> String {
    if !number.is_finite() {
        return NOTHING.to_string();
    }
    let mut scaled = number;
    for unit in ["", " k", " M", " G", " T", " P"] {
        // Three digits, and no 1000 by rounding.
        let decimals = match scaled.abs() {
            _ if unit.is_empty() && scaled.fract() == 0.0 => 0,
            size if size < 9.995 => 2,
            size if size < 99.95 => 1,
            _ => 0,
        };
        if scaled.abs() < 999.5 {
            return format!("{scaled:.decimals$}{unit}");
        }
        scaled /= 1000.0;
    }
    format!("{number:.2e}")
}

/// A number with `decimals` decimals, or a dash for none (or for what is not finite).
pub fn decimal(number: Option<f64>, decimals: usize) -> String {
    match number {
        Some(number) if number.is_finite() => format!("{number:.decimals$}"),
        _ => NOTHING.to_string(),
    }
}

/// A share between 0 and 1 as a percentage with one decimal: `73.2 %`.
pub fn percent(share: Option<f64>) -> String {
    match share {
        Some(share) if share.is_finite() => format!("{:.1} %", 100.0 * share),
        _ => NOTHING.to_string(),
    }
}

/// A time in seconds: `0:07`, `12:34`, `1:02:03`, `2 d 03:00`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NOTHING.to_string();
    }
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days} d {hours:02}:{minutes:02}"),
    }
}

/// A moment as `2026-11-28T14:05:09Z`, in UTC.
pub fn time_of_day(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment.max(UNIX_EPOCH)).to_string()
}

/// A number of things, such as `1 document` and `2,000 documents`.
pub fn counted(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", grouped(count))
}

/// The verb behind a number of things.
pub fn is_or_are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A sentence on lines of a log that are no records, such as `1 line of metrics.jsonl is no
/// record`.
pub fn no_records(lines: u64, log: &str) -> String {
    let ending = if lines == 1 { "" } else { "s" };
    format!("{} of {log} {} no record{ending}", counted(lines, "line"), is_or_are(lines))
}

/// Names that a sentence lists for one reason.
const LISTED: usize = 6;

/// Names with their reasons, in lists of those that share one.
pub fn by_reason(named: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for (name, why) in named {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let list = |(why, names): (String, Vec<String>)| {
        let listed = names[..names.len().min(LISTED)].join(", ");
        match names.len().saturating_sub(LISTED) {
            0 => (listed, why),
            more => (format!("{listed} and {more} more"), why),
        }
    };
    reasons.into_iter().map(list).collect()
}

/// A name as tables and lines of text show it: control characters, which names of files may have,
/// are escaped, and so are those that turn the direction of the text around them and those that
/// no document may hold.
pub fn in_one_line(name: &str) -> String {
    escaped(name, is_unseen)
}

/// A text of lines as a page or a terminal shows it: the same, but line feeds and tabs stay.
pub fn visible(text: &str) -> String {
    escaped(text, |letter| is_unseen(letter) && !matches!(letter, '\n' | '\t'))
}

/// JSON as a terminal, a page or a file shows it: the same characters as their JSON escapes, so
/// that it is the same value.
pub fn visible_json(json: &str) -> String {
    json_escaped(json, |letter| is_unseen(letter) && !matches!(letter, '\n' | '\t'))
}

/// JSON with some characters, which must be within its strings, as escapes.
pub(crate) fn json_escaped(json: &str, is_hidden: impl Fn(char) -> bool) -> String {
    let mut written = String::with_capacity(json.len());
    for letter in json.chars() {
        match is_hidden(letter) {
            true => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    written += &format!("\\u{unit:04x}");
                }
            }
            false => written.push(letter),
        }
    }
    written
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool + Copy) -> String {
    let show = |letter: char| match is_hidden(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    match text.contains(is_hidden) {
        true => text.chars().map(show).collect(),
        false => text.to_owned(),
    }
}

/// Whether a character changes the text around it, or is hidden in it, instead of being read:
/// control characters, line and paragraph separators, marks and controls of direction, invisible
/// operators, annotations, byte order marks, tags and noncharacters. Joiners and zero-width spaces,
/// which scripts and emoji need, are none.
pub(crate) fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{180e}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..='\u{e007f}')
        || letter as u32 & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_that_are_no_records_have_their_verb() {
        assert_eq!(no_records(1, "a.jsonl"), "1 line of a.jsonl is no record");
        assert_eq!(no_records(2000, "the logs"), "2,000 lines of the logs are no records");
    }

    #[test]
    fn hidden_characters_of_lines_are_shown() {
        assert_eq!(visible("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(visible("\u{202e}gnp\u{0}\r"), "\\u{202e}gnp\\u{0}\\r");
    }

    #[test]
    fn every_control_of_direction_and_every_tag_is_shown() {
        // The characters of Unicode's Bidi_Control, and those that hide text in text.
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\
                    \u{2068}\u{2069}";
        let hidden =
            "\u{2060}\u{2064}\u{206f}\u{feff}\u{fff9}\u{180e}\u{e0001}\u{e0041}\u{7f}\u{9b}";
        for letter in bidi.chars().chain(hidden.chars()) {
            let expected = format!("a\\u{{{:x}}}b", letter as u32);
            assert_eq!(visible(&format!("a{letter}b")), expected);
        }
        // Letters that scripts are written with.
        for text in ["a\u{200c}b", "a\u{200d}b", "ไทย\u{200b}", "שלום", "e\u{301}"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{e0041}\n\u{7f}", 1.5, "é"] });
        let text = visible_json(&value.to_string());
        assert_eq!(text, "{\"a\\u202e\":[\"\\udb40\\udc41\\n\\u007f\",1.5,\"é\"]}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(visible_json(&pretty).lines().count(), pretty.lines().count());
    }

    #[test]
    fn one_thing_is_no_plural() {
        let found = [0, 1, 2000].map(|count| counted(count, "document"));
        assert_eq!(found, ["0 documents", "1 document", "2,000 documents"]);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 58_343_936].map(grouped), ["0", "999", "1,000", "58,343,936"]);
    }

    #[test]
    fn large_numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1.5, "1.50"),
            (950.0, "950"),
            (999.6, "1.00 k"),
            (16_584.0, "16.6 k"),
            (58_343_936.0, "58.3 M"),
            (999_600_000.0, "1.00 G"),
            (345_355_200.0, "345 M"),
            (-1234.0, "-1.23 k"),
            (1e20, "1.00e20"),
            (f64::NAN, "-"),
        ];
        for (number, expected) in cases {
            assert_eq!(short(number), expected);
        }
    }

    #[test]
    fn characters_that_change_other_text_are_escaped() {
        let cases = [
            ("a\tb", "a\\tb"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("\u{feff}x\u{2028}\u{ffff}", "\\u{feff}x\\u{2028}\\u{ffff}"),
            ("é 漢 \u{1f468}\u{200d}\u{1f469}", "é 漢 \u{1f468}\u{200d}\u{1f469}"),
        ];
        for (name, expected) in cases {
            assert_eq!(in_one_line(name), expected);
        }
    }

    #[test]
    fn absent_numbers_are_dashes() {
        assert_eq!(decimal(Some(2.71), 1), "2.7");
        assert_eq!(decimal(None, 2), "-");
        assert_eq!(decimal(Some(f64::INFINITY), 2), "-");
        assert_eq!(percent(Some(0.7325)), "73.2 %");
        assert_eq!(percent(None), "-");
    }

    #[test]
    fn durations_grow_units() {
        let cases = [
            (7.2, "0:07"),
            (59.7, "1:00"),
            (754.0, "12:34"),
            (3723.0, "1:02:03"),
            (183_600.0, "2 d 03:00"),
            (-1.0, "-"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn moments_have_their_date() {
        let at = |seconds| time_of_day(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_874_709), "2026-11-28T14:05:09Z");
    }
}

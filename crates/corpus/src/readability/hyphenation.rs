//! Hyphenation points of English words by Liang's patterns (Word Hy-phen-a-tion by Com-put-er,
//! 1983), with the dictionary and the margins of pyphen, of which textstat counts syllables.

use std::collections::HashMap;
use std::sync::LazyLock;

const DICTIONARY: &str = include_str!("hyph_en_US.dic");

/// Characters that stay before the first and after the last point. The dictionary states three at
/// the end, which pyphen ignores.
const MARGIN: usize = 2;

struct Patterns {
    /// Letters of a pattern, with the value of the gap before each and after the last.
    values: HashMap<Vec<char>, Vec<u8>>,
    /// Characters of the longest pattern.
    longest: usize,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    // The first line names the encoding; the settings after it are in capitals.
    let lines = DICTIONARY.lines().skip(1).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['%', '#']));
    let patterns = lines.filter(|line| !line.contains("HYPHENMIN")).map(parse);
    let values: HashMap<_, _> = patterns.collect();
    let longest = values.keys().map(Vec::len).max().unwrap_or(0);
    Patterns { values, longest }
});

/// A pattern such as `.a2ch4`: letters, with a digit in each gap that it raises.
fn parse(line: &str) -> (Vec<char>, Vec<u8>) {
    let (mut letters, mut values) = (Vec::new(), vec![0]);
    for character in line.chars() {
        match character.to_digit(10) {
            Some(value) => *values.last_mut().unwrap_or(&mut 0) = value as u8,
            None => {
                letters.push(character);
                values.push(0);
            }
        }
    }
    (letters, values)
}

/// Where a word in lower case may be divided, as numbers of characters before the point.
pub(super) fn points(word: &str) -> Vec<usize> {
    let dotted: Vec<char> = std::iter::once('.').chain(word.chars()).chain(['.']).collect();
    let mut gaps = vec![0u8; dotted.len() + 1];
    for start in 0..dotted.len() {
        for end in start + 1..=(start + PATTERNS.longest).min(dotted.len()) {
            let Some(values) = PATTERNS.values.get(&dotted[start..end]) else { continue };
            for (gap, &value) in gaps[start..].iter_mut().zip(values) {
                *gap = value.max(*gap);
            }
        }
    }
    let length = dotted.len() - 2;
    let is_point = |&point: &usize| gaps[point + 1] % 2 == 1;
    (MARGIN..=length.saturating_sub(MARGIN)).filter(is_point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_those_of_pyphen() {
        for (word, expected) in [
            ("education", &[2, 3, 5][..]),
            ("yesterday", &[3, 6]),
            ("university", &[3, 6, 8]),
            ("communication", &[3, 5, 7, 9]),
            ("photosynthetic", &[3, 5, 8, 12]),
            ("apple", &[2]),
            ("every", &[2]),
            ("area", &[]),
            ("idea", &[]),
            ("cafés", &[]),
            ("dont", &[]),
            ("1969", &[]),
            ("a", &[]),
            ("", &[]),
        ] {
            assert_eq!(points(word), expected, "{word}");
        }
    }
}

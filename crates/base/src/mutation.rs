//! Mutated inputs for the tests of parsers: from a seed and a number, always the same.

use std::time::{Duration, Instant};

use crate::rng::Rng;

/// Longer than any parser may take for an input of a few kilobytes.
pub const LONGEST: Duration = Duration::from_secs(2);

/// What mutations put in: values at the limits of types, and JSON's own signs.
const PIECES: [&str; 32] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e-320",
    "1e999",
    "NaN",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"default\"",
    ",",
    ":",
    "}",
    "]",
    "..",
    "/dev/zero",
];

/// One of infinitely many mutations of a seed, by its number.
pub fn mutated(seed: &[u8], number: u64) -> Vec<u8> {
    let rng = Rng::new(number, "mutations");
    let mut bytes = seed.to_vec();
    for round in 0..1 + rng.below(0, 4) {
        let rng = rng.at(round);
        let place = |index: u64, length: usize| rng.below(index, length as u64 + 1) as usize;
        let (start, length) = (place(1, bytes.len()), place(2, 16));
        let end = (start + length).min(bytes.len());
        let piece = PIECES[rng.below(3, PIECES.len() as u64) as usize].as_bytes();
        match rng.below(4, 7) {
            0 if start < bytes.len() => bytes[start] ^= 1 << rng.below(5, 8),
            1 if start < bytes.len() => bytes[start] = rng.bits(6) as u8,
            2 => drop(bytes.drain(start..end)),
            3 => drop(bytes.splice(start..start, piece.iter().copied())),
            4 => {
                let copy = bytes[start..end].to_vec();
                let target = place(7, bytes.len());
                drop(bytes.splice(target..target, copy));
            }
            5 if rng.below(8, 8) == 0 => bytes.truncate(start),
            // A whole number becomes another one.
            _ => {
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let first = bytes[start..].iter().position(is_digit).map(|step| start + step);
                if let Some(first) = first {
                    let rest = &bytes[first..];
                    let last = first + rest.iter().position(|b| !is_digit(b)).unwrap_or(rest.len());
                    drop(bytes.splice(first..last, piece.iter().copied()));
                }
            }
        }
    }
    bytes
}

/// Gives the seeds and `count` mutations of them to a parser, and returns how many mutations it
/// accepted.
///
/// # Panics
/// When all seeds are refused, or an input takes longer than `longest`.
pub fn try_all(
    seeds: &[Vec<u8>],
    count: u64,
    longest: Duration,
    mut parse: impl FnMut(&[u8]) -> bool,
) -> u64 {
    let sound = seeds.iter().filter(|seed| parse(seed)).count();
    assert!(sound > 0, "the seeds themselves are refused");
    let mut accepted = 0;
    for number in 0..count {
        let input = mutated(&seeds[number as usize % seeds.len()], number);
        let began = Instant::now();
        accepted += u64::from(parse(&input));
        let (took, shown) = (began.elapsed(), || String::from_utf8_lossy(&input));
        assert!(took < longest, "mutation {number} takes {took:?}: {}", shown());
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_gets_every_mutation_and_a_slow_one_is_found() {
        let seeds = [b"[1]".to_vec(), b"{}".to_vec()];
        let mut inputs = 0;
        let accepted = try_all(&seeds, 200, LONGEST, |input| {
            inputs += 1;
            input.starts_with(b"[") || input.starts_with(b"{")
        });
        assert!(accepted > 20 && accepted < 200 && inputs == 202, "{accepted} of {inputs}");
        let slow = |input: &[u8]| {
            std::thread::sleep(Duration::from_millis(if input == seeds[0] { 0 } else { 5 }));
            true
        };
        let tried = || try_all(&seeds[..1], 9, Duration::from_millis(4), slow);
        assert!(crate::guard::catch(tried).unwrap_err().starts_with("mutation "));
    }

    #[test]
    fn a_number_gives_one_mutation_and_most_differ() {
        let seed = b"{\"a\": 12, \"b\": [1, 2, 3]}";
        let all: Vec<Vec<u8>> = (0..100).map(|number| mutated(seed, number)).collect();
        assert_eq!(all[7], mutated(seed, 7));
        assert!(all.iter().filter(|bytes| bytes.as_slice() != seed).count() > 80);
        assert!(mutated(b"", 3).len() < 100);
    }
}

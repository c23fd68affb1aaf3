//! How two texts that are too long together are cut.

/// How many tokens of each text remain when both together may have `max_length`: the longer one is
/// cut first. Nothing is cut that fits. This is `longest_first` of the `tokenizers` library, which
/// the pipeline of 2024 uses; transformers' own loop, that of 2023, differs only where an odd
/// length is halved, and both pipelines cut to 128.
pub fn longest_first(first: usize, second: usize, max_length: usize) -> (usize, usize) {
    if first + second <= max_length {
        return (first, second);
    }
    let short = first.min(second).min(max_length / 2);
    let long = max_length - short;
    if first <= second { (short, long) } else { (long, short) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// transformers' slow tokenizers: one token after another from the end of the longer text, of
    /// the second when both are equally long.
    fn one_at_a_time(mut first: usize, mut second: usize, max_length: usize) -> (usize, usize) {
        while first + second > max_length {
            if first > second {
                first -= 1;
            } else {
                second -= 1;
            }
        }
        (first, second)
    }

    #[test]
    fn the_longer_text_loses_its_end_one_token_at_a_time() {
        for max_length in 1..=24 {
            for first in 0..=40 {
                for second in 0..=40 {
                    let found = longest_first(first, second, max_length);
                    let expected = one_at_a_time(first, second, max_length);
                    if max_length % 2 == 0 || found.0.abs_diff(found.1) != 1 {
                        assert_eq!(found, expected, "{first} and {second} in {max_length}");
                    } else {
                        // Halves of an odd length: the two libraries give the odd token to
                        // different texts.
                        assert_eq!(found.0 + found.1, expected.0 + expected.1);
                        assert!(
                            found.0.abs_diff(expected.0) <= 1,
                            "{first} and {second} in {max_length}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn at_128_both_pipelines_cut_alike() {
        for (first, second) in
            [(200, 300), (64, 65), (65, 64), (10, 400), (127, 1), (128, 128), (0, 500), (63, 66)]
        {
            assert_eq!(longest_first(first, second, 128), one_at_a_time(first, second, 128));
        }
        assert_eq!(longest_first(200, 300, 128), (64, 64));
        assert_eq!(longest_first(30, 300, 128), (30, 98));
    }

    /// `tools/golden/classification.py`: the `tokenizers` library itself, odd lengths included.
    #[test]
    fn every_cut_is_that_of_the_tokenizers_library() {
        let text = include_str!("../../tests/fixtures/truncation.json");
        let cases: Vec<[usize; 5]> = serde_json::from_str(text).unwrap();
        assert!(cases.len() > 300);
        for [max_length, first, second, kept_first, kept_second] in cases {
            let found = longest_first(first, second, max_length);
            assert_eq!(found, (kept_first, kept_second), "{first} and {second} in {max_length}");
        }
    }
}

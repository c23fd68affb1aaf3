//! What a model scores: the tokens of a text after the tokens of another, as the two pipelines
//! cut them.

use crate::error::EvalError;
use crate::rules::Rules;

/// Token ids to score after token ids that are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// At least one id.
    pub context: Vec<u32>,
    /// The ids that are scored, each after all before it.
    pub continuation: Vec<u32>,
}

/// The request for `choice` after `context`, which may be empty, with `before` between them.
/// `encode` turns text into token ids and adds none of its own; `prefix` is the id of
/// `rules.prefix_token()`, which stands where there is no context and nowhere else.
///
/// A choice begins with a space, of which `before` may have more than one, or none where there is
/// no context. The pipeline of 2023 encodes it apart from its context; that of 2024 encodes both as
/// one text, after moving white space from the context's end to the choice, and cuts behind as many
/// tokens as the context has by itself.
///
/// # Errors
/// Those of `encode`; when the choice has no token of its own, where the pipelines stop too.
pub fn request(
    rules: Rules,
    encode: impl Fn(&str) -> Result<Vec<u32>, EvalError>,
    prefix: u32,
    context: &str,
    before: &str,
    choice: &str,
) -> Result<Request, EvalError> {
    let (kept, space) = match rules == Rules::Year2023 {
        true => (context, ""),
        false => context.split_at(context.trim_end().len()),
    };
    let (given, choice) = (encode(kept)?, format!("{space}{before}{choice}"));
    let request = if given.is_empty() {
        Request { context: vec![prefix], continuation: encode(&choice)? }
    } else if rules == Rules::Year2023 {
        Request { context: given, continuation: encode(&choice)? }
    } else {
        let whole = encode(&format!("{kept}{choice}"))?;
        let continuation = whole.get(given.len()..).unwrap_or_default().to_vec();
        Request { context: given, continuation }
    };
    if request.continuation.is_empty() {
        return Err(EvalError::NothingToScore { place: String::new(), choice });
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token for each word with the space before it: its length.
    fn encode(text: &str) -> Vec<u32> {
        let starts =
            text.char_indices().filter(|&(index, c)| index > 0 && c == ' ').map(|(index, _)| index);
        let ends: Vec<usize> = [0].into_iter().chain(starts).chain([text.len()]).collect();
        ends.windows(2)
            .map(|ends| (ends[1] - ends[0]) as u32)
            .filter(|&length| length > 0)
            .collect()
    }

    fn of(rules: Rules, context: &str, choice: &str) -> (Vec<u32>, Vec<u32>) {
        let encode = |text: &str| Ok(encode(text));
        let request = request(rules, encode, 99, context, " ", choice).unwrap();
        (request.context, request.continuation)
    }

    #[test]
    fn without_a_context_the_prefix_token_stands_before_the_choice() {
        for rules in [Rules::Year2023, Rules::Year2024] {
            assert_eq!(of(rules, "", "The cat"), (vec![99], vec![4, 4]));
        }
    }

    #[test]
    fn with_a_context_there_is_no_prefix_token() {
        for rules in [Rules::Year2023, Rules::Year2024] {
            assert_eq!(of(rules, "a bc", "def g"), (vec![1, 3], vec![4, 2]));
        }
    }

    #[test]
    fn white_space_at_the_contexts_end_moves_over_in_2024() {
        assert_eq!(of(Rules::Year2023, "a bc ", "def"), (vec![1, 3, 1], vec![4]));
        assert_eq!(of(Rules::Year2024, "a bc ", "def"), (vec![1, 3], vec![1, 4]));
        assert_eq!(of(Rules::Year2024, "  ", "def"), (vec![99], vec![1, 1, 4]));
    }

    /// In 2024 the context keeps its number of tokens even where the whole text is cut elsewhere.
    #[test]
    fn the_whole_text_is_cut_behind_the_contexts_tokens() {
        // Pairs of bytes; the last may stand alone.
        let pairs = |text: &str| {
            let pairs = text.as_bytes().chunks(2);
            Ok(pairs.map(|pair| pair.iter().map(|&b| b as u32).sum()).collect())
        };
        let [x, space, a, b] = [b'x', b' ', b'a', b'b'].map(u32::from);
        let found = request(Rules::Year2024, pairs, 99, "x", " ", "ab").unwrap();
        assert_eq!(found, Request { context: vec![x], continuation: vec![a + b] });
        let found = request(Rules::Year2023, pairs, 99, "x", " ", "ab").unwrap();
        assert_eq!(found, Request { context: vec![x], continuation: vec![space + a, b] });
    }

    #[test]
    fn a_choice_may_have_another_space_before_it() {
        let encode = |text: &str| Ok(encode(text));
        for (context, expected) in [("", (vec![99], vec![1, 4])), ("a", (vec![1], vec![1, 4]))] {
            let found = request(Rules::Year2024, encode, 99, context, "  ", "The").unwrap();
            assert_eq!((found.context, found.continuation), expected);
        }
    }

    #[test]
    fn a_choice_without_a_token_is_an_error() {
        let one = |_: &str| Ok(vec![7]);
        let error = request(Rules::Year2024, one, 99, "a", " ", "b").unwrap_err();
        assert!(error.to_string().contains("` b`"), "{error}");
        let none = |_: &str| Ok(Vec::new());
        assert!(request(Rules::Year2023, none, 99, "", " ", "b").is_err());
    }
}

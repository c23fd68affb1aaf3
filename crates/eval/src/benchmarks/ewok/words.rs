//! Words as the `word_tokenize` of NLTK 3.10 finds them in English text, here always in lower
//! case: sentences first, then the rules of the Penn Treebank with NLTK's additions for quotes.
//! NLTK 3.9.1 treats an apostrophe before a word otherwise: it leaves a single opening quote at
//! its word.
//!
//! NLTK has a list of abbreviations, after which no sentence ends, such as `mr.`; here these lose
//! their period like any other word. A vocabulary that was counted with NLTK usually has both
//! forms.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A pattern, and what takes its place.
type Rule = (Regex, &'static str);

fn rules<const N: usize>(rules: [(&str, &'static str); N]) -> Vec<Rule> {
    let compile = |(pattern, place): (&str, _)| {
        (Regex::new(pattern).expect("the pattern is a constant"), place)
    };
    rules.into_iter().map(compile).collect()
}

/// Opening quotes stand alone; straight ones become two back quotes.
static OPENING: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules([
        ("([«“‘„]|`+)", " $1 "),
        ("^\"", "``"),
        ("(``)", " $1 "),
        (r#"([ (\[{<])("|'{2})"#, "$1 `` "),
    ])
});

/// An apostrophe before a word.
static APOSTROPHE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(^|\W)'(\w+)").expect("a constant"));

/// What follows an apostrophe that belongs to the word before.
const CLITICS: [&str; 8] = ["re", "ve", "ll", "m", "t", "s", "d", "n"];

/// Punctuation, brackets, then closing quotes and clitics.
static CLOSING: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules([
        // The last period of a sentence, but none of an ellipsis.
        (r#"([^.])(\.)([\])}>"'»”’ ]*)\s*$"#, "$1 $2 $3 "),
        (r"([:,])(\D)", " $1 $2"),
        ("([:,])$", " $1 "),
        (r"\.{2,}|[;@#$%&?!*\u{2012}-\u{2015}]", " $0 "),
        (r#"([^.])(\.)([\])}>"']*)\s*$"#, "$1 $2$3 "),
        ("([^'])' ", "$1 ' "),
        (r"[\]\[(){}<>]|--", " $0 "),
        // What follows looks for the blank behind the last word.
        ("^|$", " "),
        ("[»”’]", " $0 "),
        ("''|\"", " '' "),
        (r"\s+", " "),
        ("([^' ])('s|'m|'d|') ", "$1 $2 "),
        ("([^' ])('ll|'re|'ve|n't) ", "$1 $2 "),
        (r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b", " $1$3$5$7 $2$4$6$8 "),
        (r"\b(got)(ta)\b|\b(lem)(me)\b|\b(more)('n)\b", " $1$3$5 $2$4$6 "),
        (r"\b(wan)(na)\s", " $1 $2  "),
        (" ('t)(is|was)\\b", " $1 $2 "),
    ])
});

/// The words of a text in lower case, punctuation among them.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    sentences(&text).into_iter().flat_map(words_of_sentence).collect()
}

/// A text cut after the words that end a sentence.
fn sentences(text: &str) -> Vec<&str> {
    let (mut sentences, mut begin) = (Vec::new(), 0);
    for blank in BLANK.find_iter(text) {
        let word = text[begin..blank.start()].split_whitespace().next_back().unwrap_or_default();
        if text[blank.end()..].chars().next().is_some_and(|next| ends_sentence(word, next)) {
            sentences.push(&text[begin..blank.start()]);
            begin = blank.end();
        }
    }
    sentences.push(&text[begin..]);
    sentences
}

static BLANK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+").expect("a constant"));

/// Whether a sentence ends behind a word, after which another one begins with this character.
/// Neither a number nor an initial ends one before a word in lower case.
fn ends_sentence(word: &str, next: char) -> bool {
    let unquoted = word.trim_end_matches(['"', '\'', '»', '”', '’', ')', ']', '}', '>']);
    let Some(stem) = unquoted.strip_suffix('.') else { return unquoted.ends_with(['?', '!']) };
    let inner = stem.trim_start_matches(|c| "(\"`{[:;&#*@)}]-,".contains(c));
    let mut letters = inner.chars();
    let is_initial = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
    let is_number = inner.contains(|c: char| c.is_ascii_digit())
        && inner.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '-'));
    let goes_on = unquoted == word && next.is_lowercase() && (is_initial || is_number);
    !stem.ends_with('.') && !goes_on
}

fn words_of_sentence(sentence: &str) -> Vec<String> {
    let apply =
        |text: String, (pattern, place): &Rule| pattern.replace_all(&text, *place).into_owned();
    let text = OPENING.iter().fold(sentence.trim().to_owned(), apply);
    let text =
        APOSTROPHE.replace_all(&text, |found: &Captures<'_>| match CLITICS.contains(&&found[2]) {
            true => found[0].to_owned(),
            false => format!("{}' {}", &found[1], &found[2]),
        });
    CLOSING.iter().fold(text.into_owned(), apply).split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invented texts and what NLTK 3.10 makes of them, by `tools/golden/words.py`.
    #[test]
    fn words_are_those_of_nltk() {
        let cases: Vec<(String, Vec<String>)> =
            serde_json::from_str(include_str!("../../../tests/fixtures/words.json")).unwrap();
        assert!(cases.len() > 300);
        let differ = cases.iter().filter(|(text, expected)| words(text) != *expected);
        let differ: Vec<_> = differ.map(|(text, expected)| (text, words(text), expected)).collect();
        assert!(differ.is_empty(), "{differ:#?}");
    }

    #[test]
    fn periods_stand_alone_where_sentences_end() {
        let found = words("Ida can't wait. It's 7.50 in 1962. No. \"Go!\" she said...");
        let expected = "ida ca n't wait . it 's 7.50 in 1962. no . `` go ! '' she said ...";
        assert_eq!(found.join(" "), expected);
        assert_eq!(words(""), [""; 0]);
    }
}

//! Where documents begin in a corpus that is one stream of tokens.

use std::collections::BTreeMap;

use corpus::Tokenizer;
use train::TokenSource;
use train::data::SourceRange;

use crate::recipe::{DocumentRule, EVERY_OTHER};

/// Tokens that are read at a time.
const PIECE: usize = 1 << 20;

/// The first token of every document, the first at 0. `rules` are by source; a source without one
/// has that of `default`, or is looked at.
pub(super) fn starts(
    text: &dyn TokenSource,
    sources: &[SourceRange],
    tokenizer: &Tokenizer,
    rules: &BTreeMap<String, DocumentRule>,
) -> Vec<usize> {
    let tokens: Vec<String> =
        (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.decode(&[id])).collect();
    let mut starts = Vec::new();
    for source in sources.iter().filter(|source| !source.tokens.is_empty()) {
        let rule = rules.get(&source.name).or(rules.get(EVERY_OTHER)).copied().unwrap_or_default();
        starts.push(source.tokens.start);
        match rule {
            DocumentRule::File => {}
            DocumentRule::BlankLine => starts.extend(after(text, source, &tokens, 2)),
            DocumentRule::Line => starts.extend(after(text, source, &tokens, 1)),
            DocumentRule::Auto => {
                let blocks = after(text, source, &tokens, 2);
                match blocks.is_empty() {
                    true => starts.extend(after(text, source, &tokens, 1)),
                    false => starts.extend(blocks),
                }
            }
        }
    }
    starts
}

/// The tokens of a source that begin with the first word after so many line feeds.
fn after(
    text: &dyn TokenSource,
    source: &SourceRange,
    tokens: &[String],
    line_feeds: usize,
) -> Vec<usize> {
    let (mut found, mut ids, mut seen) = (Vec::new(), Vec::new(), 0);
    for start in source.tokens.clone().step_by(PIECE) {
        text.read(start..(start + PIECE).min(source.tokens.end), &mut ids);
        for (place, id) in (start..).zip(&ids) {
            let Some(token) = tokens.get(*id as usize) else { continue };
            for character in token.chars() {
                match character {
                    '\n' => seen += 1,
                    _ if character.is_whitespace() => {}
                    _ => {
                        if seen >= line_feeds && place > source.tokens.start {
                            found.push(place);
                        }
                        seen = 0;
                    }
                }
            }
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use corpus::{Tokenizer, TokenizerSettings};

    use super::*;

    #[test]
    fn documents_begin_after_blank_lines_or_lines_or_with_a_file() {
        let first = "one two\nthree\n\nfour five\n \n six\n";
        let second = "a b\nc d\n";
        let texts = [("x".to_owned(), first.repeat(20) + second)];
        let settings = TokenizerSettings { vocab_size: 300, ..TokenizerSettings::default() };
        let tokenizer = Tokenizer::train(&texts, &settings).unwrap();
        let (one, two) = (tokenizer.encode(first).unwrap(), tokenizer.encode(second).unwrap());
        let text = [&one[..], &two].concat();
        let source = |name: &str, tokens| SourceRange { name: name.into(), tokens };
        let sources = [source("one", 0..one.len()), source("two", one.len()..text.len())];
        let found = |rules: &[(&str, DocumentRule)]| -> Vec<String> {
            let rules = rules.iter().map(|(name, rule)| ((*name).to_owned(), *rule)).collect();
            let starts = starts(&text, &sources, &tokenizer, &rules);
            let ends = starts.iter().skip(1).copied().chain([text.len()]);
            let pieces = starts.iter().zip(ends).map(|(&start, end)| &text[start..end]);
            pieces.map(|ids| tokenizer.decode(ids).trim().to_owned()).collect()
        };
        let all = ["one two\nthree", "four five", "six", "a b", "c d"];
        assert_eq!(found(&[]), all);
        let files = [first.trim(), second.trim()];
        assert_eq!(found(&[("default", DocumentRule::File)]), files);
        let rules = [("default", DocumentRule::BlankLine), ("one", DocumentRule::Line)];
        let lines = ["one two", "three", "four five", "six", second.trim()];
        assert_eq!(found(&rules), lines);
    }
}

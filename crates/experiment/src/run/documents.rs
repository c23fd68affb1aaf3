//! Where documents begin in a corpus that is one stream of tokens.

use std::collections::BTreeMap;
use std::path::Path;

use corpus::{TokenFile, TokenWriter, Tokenizer};
use train::TokenSource;
use train::data::SourceRange;

use crate::error::Result;
use crate::recipe::{DocumentRule, EVERY_OTHER};

/// Tokens that are read at a time.
const PIECE: usize = 1 << 20;

/// The first token of every document, the first at 0. `rules` are by source; a source without one
/// has that of `default`, or is looked at.
pub(crate) fn starts(
    text: &dyn TokenSource,
    sources: &[SourceRange],
    tokenizer: &Tokenizer,
    rules: &BTreeMap<String, DocumentRule>,
) -> Vec<usize> {
    find(text, sources, tokenizer, rules).0
}

/// The first token of every document, and the rule of each source.
fn find(
    text: &dyn TokenSource,
    sources: &[SourceRange],
    tokenizer: &Tokenizer,
    rules: &BTreeMap<String, DocumentRule>,
) -> (Vec<usize>, BTreeMap<String, DocumentRule>) {
    let tokens: Vec<String> =
        (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.decode(&[id])).collect();
    let (mut starts, mut found) = (Vec::new(), BTreeMap::new());
    for source in sources.iter().filter(|source| !source.tokens.is_empty()) {
        let rule = rules.get(&source.name).or(rules.get(EVERY_OTHER)).copied().unwrap_or_default();
        let after = |line_feeds| after(text, source, &tokens, line_feeds);
        let (rule, others) = match rule {
            DocumentRule::File => (rule, Vec::new()),
            DocumentRule::BlankLine => (rule, after(2)),
            DocumentRule::Line => (rule, after(1)),
            DocumentRule::Auto => match after(2) {
                blocks if blocks.is_empty() => (DocumentRule::Line, after(1)),
                blocks => (DocumentRule::BlankLine, blocks),
            },
        };
        starts.push(source.tokens.start);
        starts.extend(others);
        found.insert(source.name.clone(), rule);
    }
    (starts, found)
}

/// Copies a token file with the token that the tokenizer puts before texts before every document
/// that is not blank, and returns where the sources are then. `rules` get that of each source, also
/// where it was looked at.
pub(super) fn begin_each(
    from: &Path,
    to: &Path,
    sources: &[SourceRange],
    tokenizer: &Tokenizer,
    rules: &mut BTreeMap<String, DocumentRule>,
) -> Result<Vec<SourceRange>> {
    let text = TokenFile::open(from)?;
    let (starts, found) = find(&text, sources, tokenizer, rules);
    rules.extend(found);
    let [begin, ..] = tokenizer.tokens_around(false)?;
    let hash = tokenizer.content_hash();
    let mut writer = TokenWriter::create(to, tokenizer.vocab_size(), &hash)?;
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let (mut ids, mut begun) = (Vec::new(), Vec::new());
    for (&start, end) in starts.iter().zip(ends) {
        for place in (start..end).step_by(PIECE) {
            text.read(place..(place + PIECE).min(end), &mut ids);
            if place == start && !tokenizer.decode(&ids).trim().is_empty() {
                writer.push(&begin)?;
                begun.push(start);
            }
            writer.push(&ids)?;
        }
    }
    writer.finish()?;
    // As many more tokens stand before a place as documents begin before it.
    let moved = |place: usize| place + begin.len() * begun.partition_point(|&start| start < place);
    let of_source = |source: &SourceRange| SourceRange {
        name: source.name.clone(),
        tokens: moved(source.tokens.start)..moved(source.tokens.end),
    };
    Ok(sources.iter().map(of_source).collect())
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
    fn every_document_begins_with_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let texts = ["one two\nthree\n\nfour five\n \n six\n\n".repeat(9), "a b\nc d\n".repeat(9)];
        let all = [("x".to_owned(), texts.concat())];
        let settings = TokenizerSettings { vocab_size: 300, ..TokenizerSettings::default() };
        let tokenizer = Tokenizer::train(&all, &settings).unwrap().beginning_texts().unwrap();
        let encoded = texts.each_ref().map(|text| tokenizer.encode(text).unwrap());
        let [one, two] = &encoded;
        let hash = tokenizer.content_hash();
        let mut writer = TokenWriter::create(&path("a"), tokenizer.vocab_size(), &hash).unwrap();
        writer.push(&encoded.concat()).unwrap();
        writer.finish().unwrap();
        let whole = one.len() + two.len();
        let source = |name: &str, tokens| SourceRange { name: name.into(), tokens };
        let sources = [source("one", 0..one.len()), source("two", one.len()..whole)];
        let mut rules = BTreeMap::new();
        let found = begin_each(&path("a"), &path("b"), &sources, &tokenizer, &mut rules).unwrap();
        let settled = [("one", DocumentRule::BlankLine), ("two", DocumentRule::Line)];
        let settled = settled.map(|(name, rule)| (name.to_owned(), rule));
        assert_eq!(rules, settled.into());
        let (file, mut ids) = (TokenFile::open(&path("b")).unwrap(), Vec::new());
        // 27 blocks of the one, 18 lines of the other.
        assert_eq!(found[0].tokens, 0..one.len() + 27);
        assert_eq!(found[1].tokens, one.len() + 27..whole + 45);
        file.read(0..file.len(), &mut ids);
        let documents: Vec<String> =
            ids.split(|&id| id == 1).map(|ids| tokenizer.decode(ids).trim().to_owned()).collect();
        let expected = ["", "one two\nthree", "four five", "six"];
        assert_eq!((documents.len(), &documents[..4]), (46, &expected.map(str::to_owned)[..]));
        assert_eq!(documents[28..30], ["a b", "c d"]);
        // Nothing else has changed, and documents are found where they were.
        let kept: Vec<u32> = ids.iter().copied().filter(|&id| id != 1).collect();
        assert_eq!(kept, encoded.concat());
        let begins = ids.iter().enumerate().filter(|(_, id)| **id == 1).map(|(place, _)| place);
        assert_eq!(starts(&ids, &found, &tokenizer, &rules), begins.collect::<Vec<_>>());
    }

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

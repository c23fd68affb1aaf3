//! The tokens that models are trained on, with the files of the corpus that they come from.

use std::collections::BTreeMap;
use std::ops::Range;

use corpus::{Text, TokenFile, Tokenizer};
use train::TokenSource;
use train::data::SourceRange;

use super::documents;
use crate::error::Result;
use crate::identity::source_name;
use crate::recipe::DocumentRule;

/// A token file and the places of the corpus files in it.
pub(super) struct TrainingText {
    file: TokenFile,
    sources: Vec<SourceRange>,
    /// Where documents begin, where a model reads them in new orders.
    documents: Option<Vec<usize>>,
}

impl TrainingText {
    /// A token file whose texts have so many tokens each, in the file's order.
    pub(super) fn new(file: TokenFile, sources: Vec<SourceRange>) -> Self {
        Self { file, sources, documents: None }
    }

    /// The same text with its documents.
    pub(super) fn with_documents(
        self,
        tokenizer: &Tokenizer,
        rules: &BTreeMap<String, DocumentRule>,
    ) -> Self {
        let documents = documents::starts(&self.file, &self.sources, tokenizer, rules);
        Self { documents: Some(documents), ..self }
    }
}

impl TokenSource for TrainingText {
    fn len(&self) -> usize {
        self.file.len()
    }

    fn read(&self, range: Range<usize>, ids: &mut Vec<u32>) {
        self.file.read(range, ids);
    }

    fn tokenizer_hash(&self) -> Option<String> {
        self.file.tokenizer_hash()
    }

    fn sources(&self) -> &[SourceRange] {
        &self.sources
    }

    fn documents(&self) -> Option<&[usize]> {
        self.documents.as_deref()
    }
}

/// Where tokens of texts end up in a file that is written text by text.
pub(super) struct SourceCounter {
    counts: Vec<(String, usize)>,
}

impl SourceCounter {
    pub(super) fn new(texts: &[Text<'_>]) -> Self {
        Self { counts: texts.iter().map(|text| (source_name(text.name()), 0)).collect() }
    }

    /// Some more tokens of the text with this place among the texts.
    pub(super) fn add(&mut self, text: usize, tokens: usize) {
        self.counts[text].1 += tokens;
    }

    pub(super) fn ranges(self) -> Vec<SourceRange> {
        let mut start = 0;
        let range = |(name, count): (String, usize)| {
            let tokens = start..start + count;
            start = tokens.end;
            SourceRange { name, tokens }
        };
        self.counts.into_iter().map(range).collect()
    }
}

/// The places of texts that were encoded before their places were written down.
///
/// # Errors
/// When a text cannot be read, or the observer asked to stop.
pub(super) fn count_again(
    should_stop: base::ShouldStop<'_>,
    tokenizer: &Tokenizer,
    texts: &[Text<'_>],
) -> Result<Vec<SourceRange>> {
    let mut counter = SourceCounter::new(texts);
    for stretch in tokenizer.encode_texts(should_stop, texts) {
        let (text, ids) = stretch?;
        counter.add(text, ids.len());
    }
    Ok(counter.ranges())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_follow_each_other_under_names_without_ending() {
        let text = |name: &str| Text::new(name, || Box::new(std::iter::empty()));
        let mut counter = SourceCounter::new(&[text("cbt.train"), text("a.b.txt"), text("c")]);
        counter.add(0, 5);
        counter.add(0, 2);
        counter.add(2, 4);
        let found = counter.ranges();
        let found: Vec<_> =
            found.iter().map(|source| (source.name.as_str(), source.tokens.clone())).collect();
        assert_eq!(found, [("cbt", 0..7), ("a.b", 7..7), ("c", 7..11)]);
    }
}

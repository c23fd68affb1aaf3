//! Training a tokenizer.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFKC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::Tokenizer;
use crate::error::{CorpusError, Result};
use crate::text::NamedText;

/// The special tokens, whose ids are 0, 1 and 2.
pub const SPECIAL_TOKENS: [&str; 3] = ["<pad>", "<s>", "</s>"];

/// What a tokenizer is trained to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerSettings {
    /// Entries of the vocabulary, special tokens included. A small text may not have as many pieces.
    pub vocab_size: usize,
    /// How often a pair of pieces must occur to become one.
    pub min_frequency: u64,
}

impl Default for TokenizerSettings {
    /// The authors' settings.
    fn default() -> Self {
        Self { vocab_size: 16_000, min_frequency: 2 }
    }
}

impl Tokenizer {
    /// Trains on texts, line by line with their line ends, as the Python library does on files.
    ///
    /// The alphabet is the bytes that occur. The result depends on nothing but the arguments: pieces are counted, and
    /// among pairs equally frequent the one with the smallest ids is merged first.
    pub fn train(texts: &[NamedText], settings: &TokenizerSettings) -> Result<Self> {
        let json = train_json(texts, settings)
            .map_err(|cause| CorpusError::Tokenizer { doing: "training", cause: cause.to_string() })?;
        let tokenizer = Self::from_json(json).map_err(|cause| CorpusError::Tokenizer { doing: "training", cause })?;
        // Merging stops at the asked size, so what goes beyond it was there before the first merge.
        if tokenizer.vocab_size() > settings.vocab_size {
            let needed = tokenizer.vocab_size();
            return Err(CorpusError::VocabularyTooSmall { vocab_size: settings.vocab_size, needed });
        }
        Ok(tokenizer)
    }
}

fn train_json(texts: &[NamedText], settings: &TokenizerSettings) -> tokenizers::Result<String> {
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(Some(NFKC))
        .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(true)))
        .with_post_processor(Some(ByteLevel::default().trim_offsets(true)))
        .with_decoder(Some(ByteLevel::default()))
        .build()?;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(settings.vocab_size)
        .min_frequency(settings.min_frequency)
        .special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)).into())
        .show_progress(false)
        .build();
    let lines = texts.iter().flat_map(|(_, text)| text.split_inclusive('\n'));
    tokenizer.train(&mut trainer, lines)?.to_string(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::train;
    use super::*;

    /// Expectations: the Python library's `train` (0.23.3) on a file of the same text.
    #[test]
    fn merges_are_those_of_the_python_library() {
        let tokenizer = train("low lower lowest\nnew newer newest\n\nlow new \u{FF4C}ow ﬁx\n", 24);
        let mut pieces: Vec<(u32, String)> =
            tokenizer.inner.get_vocab(true).into_iter().map(|(piece, id)| (id, piece)).collect();
        pieces.sort_unstable();
        let pieces: Vec<&str> = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        let expected = "<pad> <s> </s> e f i l n o r s t w x Ċ Ġ lo Ġlo Ġlow ew new Ġnew er es";
        assert_eq!(pieces.join(" "), expected);
    }

    #[test]
    fn training_is_repeatable() {
        // Random words of a few letters, so that a great many pairs are equally frequent.
        let letter = |index: u64| (b'a' + engine::rng::Rng::new(1, "letters").below(index, 20) as u8) as char;
        let text: String = (0..12_000).map(|index| if index % 5 == 4 { '\n' } else { letter(index) }).collect();
        let first = train(&text, 800);
        for _ in 0..3 {
            assert_eq!(train(&text, 800).json, first.json);
        }
        assert_eq!(first.vocab_size(), 800);
    }

    #[test]
    fn a_vocabulary_that_cannot_hold_the_alphabet_is_refused() {
        let texts = [("a.train".to_string(), "abc\n".to_string())];
        let train = |vocab_size| Tokenizer::train(&texts, &TokenizerSettings { vocab_size, min_frequency: 1 });
        // Three special tokens; a, b, c, the line end, and the space that is put before the line.
        let message = train(7).unwrap_err().to_string();
        assert!(
            message.starts_with("a vocabulary of 7 is too small") && message.ends_with("alone take 8"),
            "{message}"
        );
        assert_eq!(train(8).unwrap().vocab_size(), 8);
        // A text with few pairs fills no large vocabulary.
        assert!(train(1000).unwrap().vocab_size() < 20);
    }

    /// Expectation: the Python libraries on the same files.
    #[test]
    #[ignore = "needs the folder named by BABYLLAMA_DATA; takes a minute"]
    fn the_corpus_of_2023_has_as_many_tokens_as_with_python() {
        let data = std::env::var("BABYLLAMA_DATA").expect("BABYLLAMA_DATA is set");
        let raw = crate::text::read_corpus(&std::path::Path::new(&data).join("babylm_10M")).unwrap();
        let texts = crate::cleaners::clean_texts(&raw);
        let tokenizer = Tokenizer::train(&texts, &TokenizerSettings::default()).unwrap();
        assert_eq!(tokenizer.vocab_size(), 16_000);
        let tokens: usize = texts.iter().map(|(_, text)| tokenizer.encode_file(text).len()).sum();
        assert_eq!(tokens, 14_698_928);
    }
}

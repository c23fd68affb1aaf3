//! Encoding word by word, with a cache of the tokens of words.
//!
//! A byte-level tokenizer encodes every word by itself, and most words of a text occurred before.
//! So a text is split into words (see [`words`](super::words)), which are looked up in the cache;
//! the library encodes only those that are not in it.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokenizers::Model;

use super::memory::Memory;
use super::normal_form::NormalForms;
use super::pieces;
use super::words::{WordSplitter, in_byte_level};

/// Encodes the texts of one tokenizer. Clones share the caches.
#[derive(Clone, Debug)]
pub(super) struct WordEncoder {
    added_tokens: AddedTokens,
    /// Caches that no thread is using: one for each thread that ever encoded at the same time as
    /// others, so that no thread waits for another.
    idle: Arc<Mutex<Vec<WordCache>>>,
}

impl WordEncoder {
    /// The encoder of a tokenizer; `None` unless it has GPT-2's pattern, no normalizer but a
    /// Unicode normal form, and added tokens that are all searched in the text as it is, in one
    /// pass.
    pub(super) fn new(tokenizer: &tokenizers::Tokenizer, content: &Value) -> Option<Self> {
        let normalized = |token: &Value| token["normalized"] != false;
        let added_tokens = content["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        // The library looks for the tokens that are not normalized first, and for the others in
        // what is left.
        let one_pass = !added_tokens.iter().any(normalized)
            || content["normalizer"].is_null() && added_tokens.iter().all(normalized);
        let has_no_prefix = content["pre_tokenizer"]["add_prefix_space"] == false;
        (pieces::encodes_words_alone(content) && has_no_prefix && one_pass)
            .then(|| Self { added_tokens: AddedTokens::of(tokenizer), idle: Arc::default() })
    }

    /// The tokens of a text; `tokenizer` is the one that this was made for.
    ///
    /// # Errors
    /// When the library fails at a word.
    pub(super) fn encode(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
    ) -> Result<Vec<u32>, String> {
        let mut cache = self.idle().pop().unwrap_or_default();
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut rest = text;
        while let Some((at, length, id)) = self.added_tokens.find(rest) {
            cache.encode(tokenizer, &rest[..at], &mut ids)?;
            ids.push(id);
            rest = &rest[at + length..];
        }
        cache.encode(tokenizer, rest, &mut ids)?;
        self.idle().push(cache);
        Ok(ids)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<WordCache>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The added tokens of a tokenizer, such as `<s>`, the longest ones first.
#[derive(Clone, Debug)]
struct AddedTokens {
    tokens: Vec<(String, u32)>,
    begins_one: [bool; 256],
}

impl AddedTokens {
    fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        let added = tokenizer.get_added_tokens_decoder().into_iter();
        let mut tokens: Vec<(String, u32)> = added.map(|(id, token)| (token.content, id)).collect();
        tokens.sort_unstable_by_key(|(token, id)| (Reverse(token.len()), *id));
        let mut begins_one = [false; 256];
        for byte in tokens.iter().filter_map(|(token, _)| token.bytes().next()) {
            begins_one[usize::from(byte)] = true;
        }
        Self { tokens, begins_one }
    }

    /// Place, length in bytes and id of the first added token in a text; of several there, the
    /// longest.
    fn find(&self, text: &str) -> Option<(usize, usize, u32)> {
        let bytes = text.as_bytes();
        let candidates = (0..bytes.len()).filter(|&at| self.begins_one[usize::from(bytes[at])]);
        candidates.into_iter().find_map(|at| {
            let (token, id) =
                self.tokens.iter().find(|(token, _)| bytes[at..].starts_with(token.as_bytes()))?;
            Some((at, token.len(), *id))
        })
    }
}

/// The tokens of words, for one thread at a time.
#[derive(Debug, Default)]
struct WordCache {
    splitter: WordSplitter,
    normal_forms: NormalForms,
    words: Memory<Box<[u32]>>,
}

impl WordCache {
    /// Appends the tokens of a text without added tokens.
    fn encode(
        &mut self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), String> {
        let normal = match tokenizer.get_normalizer() {
            Some(normalizer) => self.normal_forms.of(text, normalizer),
            None => text.into(),
        };
        self.splitter.try_for_each_word(&normal, |word| {
            match self.words.get(word) {
                Some(known) => ids.extend_from_slice(known),
                None => {
                    let new = encode_by_library(tokenizer, word)?;
                    ids.extend_from_slice(&new);
                    self.words.keep(word, new.into());
                }
            }
            Ok(())
        })
    }
}

fn encode_by_library(tokenizer: &tokenizers::Tokenizer, word: &str) -> Result<Vec<u32>, String> {
    let tokens = tokenizer.get_model().tokenize(&in_byte_level(word));
    let tokens = tokens.map_err(|cause| cause.to_string())?;
    Ok(tokens.into_iter().map(|token| token.id).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{changed, small};
    use super::super::{Tokenizer, test_texts};

    /// Encodes every test text both ways, twice, so that the cache is read as well.
    fn agree(tokenizer: &Tokenizer) {
        assert!(tokenizer.word_encoder.is_some());
        for text in test_texts::texts().into_iter().chain(test_texts::texts()) {
            let expected = tokenizer.encode_by_library(&text).unwrap();
            assert_eq!(tokenizer.encode(&text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_library() {
        agree(&small());
        agree(&changed(|value| value["normalizer"] = json!(null)));
        agree(&changed(|value| value["normalizer"]["type"] = json!("NFD")));
        agree(&changed(|value| value["model"]["ignore_merges"] = json!(true)));
        agree(&changed(|value| value["model"]["unk_token"] = json!("<s>")));
        agree(&changed(|value| value["added_tokens"] = json!([])));
    }

    #[test]
    fn of_added_tokens_the_first_and_the_longest_is_taken() {
        let token = |id: u32, content: &str| {
            json!({"id": id, "content": content, "special": true, "normalized": false,
                "lstrip": false, "rstrip": false, "single_word": false})
        };
        let tokenizer = changed(|value| {
            let added = value["added_tokens"].as_array_mut().unwrap();
            added.extend([
                token(300, "<s><s>"),
                token(301, "dog"),
                token(302, "gf"),
                token(303, "é"),
            ]);
        });
        agree(&tokenizer);
        for (text, expected) in
            [("<s><s><s>", "<s><s> <s>"), ("dogf", "dog f"), ("<s<s>é</s>", "< s <s> é </s>")]
        {
            let expected: Vec<u32> =
                expected.split(' ').map(|token| tokenizer.token_id(token).unwrap()).collect();
            assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn tokenizers_of_other_kinds_are_left_to_the_library() {
        let other = |change: fn(&mut serde_json::Value)| changed(change).word_encoder.is_none();
        assert!(other(|value| value["normalizer"]["type"] = json!("Lowercase")));
        assert!(other(|value| value["pre_tokenizer"] = json!({"type": "Whitespace"})));
        assert!(other(|value| value["pre_tokenizer"]["use_regex"] = json!(false)));
        assert!(other(|value| value["added_tokens"][0]["single_word"] = json!(true)));
        assert!(other(|value| value["added_tokens"][0]["normalized"] = json!(true)));
        // Without a normalizer it does not matter which kind they are, but they must be of one.
        assert!(other(|value| {
            value["normalizer"] = json!(null);
            value["added_tokens"][0]["normalized"] = json!(true);
        }));
        assert!(!other(|value| value["normalizer"] = json!(null)));
    }

    /// The tokens of a real corpus, by a tokenizer trained on a part of it.
    #[test]
    #[ignore = "needs the folder named by BABYLLAMA_DATA; takes a minute"]
    fn the_corpus_of_2023_has_the_tokens_of_the_library() {
        let data = std::env::var("BABYLLAMA_DATA").expect("BABYLLAMA_DATA is set");
        let texts =
            crate::text::read_corpus(&std::path::Path::new(&data).join("babylm_10M")).unwrap();
        let tokenizer = Tokenizer::train(&texts[..3], &Default::default()).unwrap();
        for (name, text) in texts {
            let expected = tokenizer.encode_by_library(&text).unwrap();
            assert!(tokenizer.encode_file(&text).unwrap() == expected, "{name}");
        }
    }
}

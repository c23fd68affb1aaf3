//! Byte-level BPE with the authors' settings: trained with a space put before each line, used
//! without.
//!
//! The authors train with `add_prefix_space=True`, then wrap the file in transformers'
//! `GPT2TokenizerFast`, which sets it to false. So does [`Tokenizer::load`] with a file that stands
//! alone; with a configuration beside it, it follows that, as [`Tokenizer::from_folder`] does.
//!
//! Unigram tokenizers, those of T5's folders, are read and used by the library alone.

mod background;
mod checks;
mod classes;
mod folder;
mod folder_settings;
mod growth;
mod identity;
mod keys;
mod memory;
mod normal_form;
mod pieces;
mod placed;
mod roles;
mod special_tokens;
mod stream;
#[cfg(test)]
mod test_texts;
mod train;
mod vocabulary_files;
mod word_cache;
mod words;

use serde_json::{Value, json};
use tokenizers::ModelWrapper;

use crate::error::{CorpusError, Result};
use crate::pieces::{IsCut, PIECE_BYTES, in_parallel, pieces_of};
use crate::texts::Text;
use background::in_background;
use base::guard;
use base::stop::{self, ShouldStop};
use roles::Roles;
use word_cache::WordEncoder;

pub use folder::TOKENIZER_FILE;
pub use folder_settings::TruncationSide;
pub use placed::PlacedToken;
pub use roles::Role;
pub use stream::TextStream;
pub use train::{SPECIAL_TOKENS, TokenizerSettings, sentinel};

/// A tokenizer as training, evaluation and generation use it: nothing is cut or padded, and no
/// space is put before a text unless a folder's own settings add one.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// `tokenizer.json` as it was trained or loaded.
    json: String,
    vocab_size: usize,
    content_hash: blake3::Hash,
    /// Where a text can be cut without changing its tokens.
    is_cut: IsCut,
    /// Encodes by a cache of words, for tokenizers that it supports.
    word_encoder: Option<WordEncoder>,
    /// The special tokens by the files of the folder that it came from.
    roles: Roles,
    /// Where a text is cut that is too long for a classifier.
    truncation_side: TruncationSide,
}

impl Tokenizer {
    /// The side at which a text is cut that is too long for a classifier.
    pub fn truncation_side(&self) -> TruncationSide {
        self.truncation_side
    }

    /// The tokenizer of a JSON, without a prefix space. The error is the cause alone.
    fn from_json(json: String) -> std::result::Result<Self, String> {
        Self::with_prefix_space(json, Some(false))
    }

    /// The tokenizer of a JSON with a prefix space or without, or as in the JSON. The error is the
    /// cause alone.
    fn with_prefix_space(
        json: String,
        prefix_space: Option<bool>,
    ) -> std::result::Result<Self, String> {
        let mut value: Value =
            serde_json::from_str(&json).map_err(|cause| format!("bad JSON: {cause}"))?;
        require_sound_model(&value["model"])?;
        keys::check(&value)?;
        checks::check(&value)?;
        growth::check(&value)?;
        set_as_used(&mut value, prefix_space);
        let inner = checks::load(value)?;
        let content = identity::content(&inner).map_err(|cause| cause.to_string())?;
        let largest_id = inner.get_vocab(true).into_values().max();
        Ok(Self {
            vocab_size: largest_id.map_or(0, |id| id as usize + 1),
            content_hash: blake3::hash(content.to_string().as_bytes()),
            is_cut: pieces::cuts_of(&content),
            word_encoder: WordEncoder::new(&inner, &content),
            roles: Roles::default(),
            truncation_side: TruncationSide::default(),
            json,
            inner,
        })
    }

    /// This tokenizer without Unicode normalisation: transformers' slow `GPT2Tokenizer`, which
    /// BabyLM's pipeline of 2023 loads, has none whatever is in the file. What marks the start of
    /// words in SentencePiece's vocabularies (`Prepend`, `Replace`) is part of the vocabulary, and
    /// stays.
    pub fn without_normalizer(&self) -> Result<Self> {
        let failed = |cause: String| CorpusError::Tokenizer {
            doing: "leaving out the normalizer of",
            cause,
        };
        let mut value =
            serde_json::to_value(&self.inner).map_err(|cause| failed(cause.to_string()))?;
        value["normalizer"] = marks_of_words(value["normalizer"].take());
        let without = Self::with_prefix_space(value.to_string(), None).map_err(failed)?;
        let (roles, truncation_side) = (self.roles.clone(), self.truncation_side);
        Ok(Self { roles, truncation_side, ..without })
    }

    /// Whether its pieces were found by SentencePiece's Unigram model, whose normalizer is part of
    /// the vocabulary.
    pub fn is_unigram(&self) -> bool {
        matches!(self.inner.get_model(), ModelWrapper::Unigram(_))
    }

    /// The tokens of a text.
    ///
    /// Special tokens spelled out in the text (`</s>`) become special tokens; none is added. Bytes
    /// that were not seen in training are dropped.
    ///
    /// # Errors
    /// When the library fails at the text, as it does where a pattern from outside takes too long.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encode = || match &self.word_encoder {
            Some(word_encoder) => word_encoder.encode(&self.inner, text),
            None => self.encode_by_library(text),
        };
        let failed = |cause| CorpusError::Tokenizer { doing: "encoding a text", cause };
        guard::catch(encode).and_then(|ids| ids).map_err(failed)
    }

    /// The tokens of a text as the library finds them: the slow reference of
    /// [`encode`](Self::encode), and the way for tokenizers of other kinds.
    fn encode_by_library(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let encoding = self.inner.encode_fast(text, false).map_err(|cause| cause.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of one long text in memory: those of [`encode`](Self::encode), found in parallel.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_file(&self, text: &str) -> Result<Vec<u32>> {
        let texts = [Text::of("", text)];
        let stretches = self.encode_texts(&stop::never, &texts).collect::<Result<Vec<_>>>()?;
        Ok(stretches.into_iter().flat_map(|(_, ids)| ids).collect())
    }

    /// The tokens of texts, found in parallel: stretches in order, each with the index of its text,
    /// every text having one. Those of a text are together the tokens of [`encode`](Self::encode).
    ///
    /// A text is cut where its tokens do not depend on it: before a space or line feed between two
    /// words, for byte-level tokenizers with GPT-2's pattern. Other tokenizers get every text as a
    /// whole.
    ///
    /// # Errors
    /// A text that cannot be read or encoded, or a request to stop, ends the stretches with an
    /// error.
    pub fn encode_texts<'a>(
        &'a self,
        should_stop: ShouldStop<'a>,
        texts: &'a [Text<'_>],
    ) -> impl Iterator<Item = Result<(usize, Vec<u32>)>> {
        let pieces = pieces_of(texts, self.is_cut);
        let encode = move |(index, piece)| Ok((index, self.encode_unless(should_stop, piece)?));
        in_parallel(should_stop, pieces, |(_, piece)| piece, encode).map(Result::flatten)
    }

    /// The tokens of a piece, which takes long where it could not be cut.
    fn encode_unless(&self, should_stop: ShouldStop<'_>, piece: String) -> Result<Vec<u32>> {
        if piece.len() < 4 * PIECE_BYTES {
            return self.encode(&piece);
        }
        let tokenizer = self.clone();
        in_background(should_stop, "encoding", move || tokenizer.encode(&piece))?
    }

    /// Where a text can be cut without changing its tokens.
    pub(crate) fn is_cut(&self) -> IsCut {
        self.is_cut
    }

    /// The text of tokens, special ones spelled out; ids outside the vocabulary are passed over,
    /// and bytes that are no whole character become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let decoded = guard::catch(|| self.inner.decode(ids, false).unwrap_or_default());
        decoded.unwrap_or_default()
    }

    /// One more than the largest id: the rows that an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// How many tokens the model of the vocabulary has, without those that were added to it
    /// (`vocab_size` of a transformers tokenizer).
    pub fn own_vocab_size(&self) -> usize {
        self.inner.get_vocab_size(false)
    }

    /// The id of a whole token, such as `<s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

/// Refuses what is neither a BPE nor a Unigram model, and one whose unknown token is not in its
/// vocabulary.
fn require_sound_model(model: &Value) -> std::result::Result<(), String> {
    if model["type"] == "Unigram" {
        let entries = model["vocab"].as_array().map_or(0, Vec::len);
        return match &model["unk_id"] {
            id if id.as_u64().is_some_and(|id| (id as usize) < entries) => Ok(()),
            id => Err(format!("its unknown token's id {id} is not in its vocabulary")),
        };
    }
    let is_bpe = match model["type"].as_str() {
        Some(kind) => kind == "BPE",
        None => model["merges"].is_array(),
    };
    if !is_bpe {
        let found = &model["type"];
        return Err(format!("its model is of type {found}, and babyllama knows BPE and Unigram"));
    }
    match model["unk_token"].as_str() {
        Some(unknown) if model["vocab"][unknown].is_null() => {
            Err(format!("its unknown token {unknown:?} is not in its vocabulary"))
        }
        _ => Ok(()),
    }
}

/// Turns off what would make tokens depend on more than the text: truncation, padding, BPE dropout.
/// Sets the prefix space if it is given.
fn set_as_used(tokenizer: &mut Value, prefix_space: Option<bool>) {
    tokenizer["truncation"] = Value::Null;
    tokenizer["padding"] = Value::Null;
    if tokenizer["model"]["type"] != "Unigram" {
        tokenizer["model"]["dropout"] = Value::Null;
    }
    let pre_tokenizer = &mut tokenizer["pre_tokenizer"];
    set_byte_level_as_used(pre_tokenizer, prefix_space);
    if let Some(parts) = pre_tokenizer.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        parts.iter_mut().for_each(|part| set_byte_level_as_used(part, prefix_space));
    }
}

fn set_byte_level_as_used(pre_tokenizer: &mut Value, prefix_space: Option<bool>) {
    if pre_tokenizer["type"] == "ByteLevel" {
        if let Some(prefix_space) = prefix_space {
            pre_tokenizer["add_prefix_space"] = json!(prefix_space);
        }
        // Has no effect here; set so that it cannot make two equal tokenizers look different.
        pre_tokenizer["trim_offsets"] = json!(true);
    }
}

/// What is left of a normalizer in `tokenizer.json` without all that changes characters of a text:
/// the marks of words' starts in SentencePiece's vocabularies.
fn marks_of_words(normalizer: Value) -> Value {
    let is_mark = |one: &Value| match one["type"].as_str() {
        Some("Prepend") => true,
        Some("Replace") => one["content"] == "\u{2581}",
        _ => false,
    };
    match normalizer["normalizers"].as_array() {
        Some(all) if all.iter().any(is_mark) => {
            let marks: Vec<&Value> = all.iter().filter(|one| is_mark(one)).collect();
            json!({ "type": "Sequence", "normalizers": marks })
        }
        None if is_mark(&normalizer) => normalizer,
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of a few hundred entries, with most bytes of English in its alphabet.
    pub(super) fn small() -> Tokenizer {
        let text = "The quick brown fox jumps over the lazy dog. \"Who's there?\" it's the dogs'; \
         we'll see!\n\
                    é café 2023 <s> and </s>\n"
            .repeat(20);
        train(&text, 300)
    }

    pub(super) fn train(text: &str, vocab_size: usize) -> Tokenizer {
        let texts = [("a.train".to_string(), text.to_string())];
        Tokenizer::train(
            &texts,
            &TokenizerSettings { vocab_size, min_frequency: 2, ..TokenizerSettings::default() },
        )
        .unwrap()
    }

    /// The small tokenizer with a change of its file.
    pub(super) fn changed(change: impl Fn(&mut Value)) -> Tokenizer {
        let mut value = serde_json::from_str(&small().json).unwrap();
        change(&mut value);
        Tokenizer::from_json(value.to_string()).unwrap()
    }

    fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokenizer
            .encode(text)
            .unwrap()
            .into_iter()
            .map(|id| tokenizer.inner.id_to_token(id).unwrap())
            .collect()
    }

    #[test]
    fn no_space_is_put_before_a_text() {
        let tokenizer = small();
        assert_eq!(pieces(&tokenizer, " the quick"), ["Ġthe", "Ġquick"]);
        assert_ne!(pieces(&tokenizer, "quick")[0], "Ġquick");
        assert!(tokenizer.encode("").unwrap().is_empty());
    }

    #[test]
    fn text_survives_up_to_its_normal_form() {
        let tokenizer = small();
        for text in ["The dog's fox\n\n  jumps ", "cafe\u{301}", "ﬁx²"] {
            let normal = text.replace("e\u{301}", "é").replace('ﬁ', "fi").replace('²', "2");
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), normal);
        }
    }

    #[test]
    fn without_normalizer_text_stays_as_it_is() {
        let tokenizer = small().without_normalizer().unwrap();
        for text in ["café fox", "The dog's 2"] {
            assert_eq!(tokenizer.encode(text).unwrap(), small().encode(text).unwrap());
        }
        // The decomposed é has a byte that training never saw, which is dropped.
        assert_eq!(tokenizer.encode("cafe\u{301}").unwrap(), tokenizer.encode("cafe").unwrap());
        assert_ne!(small().encode("cafe\u{301}").unwrap(), small().encode("cafe").unwrap());
    }

    /// A LLaMA's marks of words stay, of a sequence too; what changes characters goes.
    #[test]
    fn without_normalizer_words_keep_their_marks() {
        let prepend = json!({"type": "Prepend", "prepend": "\u{2581}"});
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
        let quotes = json!({"type": "Replace", "pattern": {"String": "``"}, "content": "\""});
        let of = |parts: &[&Value]| json!({"type": "Sequence", "normalizers": parts});
        let whole = of(&[&json!({"type": "NFKC"}), &prepend, &spaces, &quotes]);
        assert_eq!(marks_of_words(whole), of(&[&prepend, &spaces]));
        assert_eq!(marks_of_words(prepend.clone()), prepend);
        assert_eq!(marks_of_words(json!({"type": "NFKC"})), Value::Null);
        assert_eq!(marks_of_words(of(&[&json!({"type": "NFC"}), &quotes])), Value::Null);
        assert_eq!(marks_of_words(Value::Null), Value::Null);
    }

    #[test]
    fn a_long_file_has_the_tokens_of_the_library_on_any_number_of_threads() {
        let tokenizer = small();
        let text = test_texts::texts().concat().repeat(12);
        let expected = tokenizer.encode_by_library(&text).unwrap();
        let texts = [Text::of("a", &text), Text::of("b", ""), Text::of("c", "dog")];
        let encode = |should_stop| tokenizer.encode_texts(should_stop, &texts);
        assert!(encode(&stop::never).count() > 4, "{} bytes", text.len());
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(
                pool.install(|| tokenizer.encode_file(&text).unwrap()) == expected,
                "{threads} threads"
            );
        }
        let mut found = [const { Vec::new() }; 3];
        for stretch in encode(&stop::never) {
            let (index, ids) = stretch.unwrap();
            found[index].extend(ids);
        }
        assert!(found == [expected, Vec::new(), tokenizer.encode("dog").unwrap()]);
        assert!(matches!(encode(&|| true).next(), Some(Err(CorpusError::Stopped(_)))));
    }

    #[test]
    fn special_tokens_match_and_unseen_bytes_drop() {
        let tokenizer = small();
        let ids = tokenizer.encode("dog</s><s> fox<pad>").unwrap();
        assert_eq!(ids.iter().filter(|&&id| id < 3).copied().collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(tokenizer.decode(&ids), "dog</s><s> fox<pad>");
        assert_eq!(
            tokenizer.encode("dog\u{4E2D}@fox").unwrap(),
            tokenizer
                .encode("dog")
                .unwrap()
                .into_iter()
                .chain(tokenizer.encode("fox").unwrap())
                .collect::<Vec<_>>()
        );
        assert_eq!(tokenizer.decode(&[1, 9999]), "<s>");
    }

    #[test]
    fn ids_and_sizes() {
        let tokenizer = small();
        assert_eq!(
            SPECIAL_TOKENS.map(|token| tokenizer.token_id(token)),
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(tokenizer.token_id("no such token"), None);
        assert_eq!(tokenizer.vocab_size(), tokenizer.inner.get_vocab_size(true));
        assert_eq!(tokenizer.own_vocab_size(), tokenizer.vocab_size());
        // One token more that the model of the vocabulary does not have.
        let mut json: Value = serde_json::from_str(&tokenizer.json).unwrap();
        let mut added = json["added_tokens"][0].clone();
        (added["id"], added["content"]) = (tokenizer.vocab_size().into(), "<more>".into());
        json["added_tokens"].as_array_mut().unwrap().push(added);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, json.to_string()).unwrap();
        let more = Tokenizer::load(&path).unwrap();
        assert_eq!(more.vocab_size(), tokenizer.vocab_size() + 1);
        assert_eq!(more.own_vocab_size(), tokenizer.vocab_size());
    }

    #[test]
    fn files_that_are_no_tokenizer_are_refused_with_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let sound: Value = serde_json::from_str(&small().json).unwrap();
        let cases = [
            ("{", "bad JSON"),
            ("[1, 2]", "its model is of type null"),
            (r#"{"model": {"type": "WordPiece"}}"#, r#"its model is of type "WordPiece""#),
            (r#"{"model": {"type": "BPE"}}"#, "not a tokenizer babyllama can use"),
        ];
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Tokenizer::load(&path).unwrap_err().to_string()
        };
        for (text, expected) in cases {
            let message = message(text);
            assert!(message.contains(expected) && message.contains("tokenizer.json"), "{message}");
        }
        let mut unknown = sound.clone();
        unknown["model"]["unk_token"] = json!("<unk>");
        assert!(
            message(&unknown.to_string())
                .contains("unknown token \"<unk>\" is not in its vocabulary")
        );
        assert!(matches!(
            Tokenizer::from_folder(&folder.path().join("absent")),
            Err(CorpusError::Missing { .. })
        ));
    }

    #[test]
    fn truncation_and_padding_have_no_effect_and_dropout_is_refused() {
        let tokenizer = small();
        let mut value: Value = serde_json::from_str(&tokenizer.json).unwrap();
        value["model"]["dropout"] = json!(0.9);
        let refused = Tokenizer::from_json(value.to_string()).unwrap_err();
        assert!(refused.contains("`model.dropout` is 0.9"), "{refused}");
        value["model"]["dropout"] = json!(0.0);
        value["truncation"] =
            json!({"max_length": 2, "stride": 0, "strategy": "LongestFirst", "direction": "Right"});
        value["padding"] = json!({
            "strategy": {"Fixed": 50},
            "direction": "Right",
            "pad_to_multiple_of": null,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        });
        let other = Tokenizer::from_json(value.to_string()).unwrap();
        let text = "The quick brown fox";
        assert_eq!(other.encode(text).unwrap(), tokenizer.encode(text).unwrap());
        assert_eq!(other.content_hash(), tokenizer.content_hash());
    }
}

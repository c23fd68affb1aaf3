//! The special tokens around texts: `<s> A </s></s> B </s>` of masked models, `<s> A` of others.

use serde_json::json;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{Encoding, PostProcessor, Token};

use super::{Role, Tokenizer};
use crate::error::{CorpusError, Result};

impl Tokenizer {
    /// The tokenizer as a masked model's. If its post-processor adds no tokens it gets RoBERTa's,
    /// with the tokens of its own that begin and end texts, which is what transformers'
    /// `RobertaTokenizer` does.
    ///
    /// # Errors
    /// When it has no such token.
    pub fn of_masked_model(&self) -> Result<Self> {
        if self
            .inner
            .get_post_processor()
            .is_some_and(|processor| processor.added_tokens(false) > 0)
        {
            return Ok(self.clone());
        }
        let token = |role: Role| match self.role(role) {
            Some((token, id)) => Ok((token.to_owned(), id)),
            None => Err(CorpusError::NoSuchRole { key: role.key() }),
        };
        let processor = RobertaProcessing::new(token(Role::Separator)?, token(Role::Classifier)?);
        let mut with_ends = self.clone();
        with_ends.inner.with_post_processor(Some(processor.add_prefix_space(false)));
        Ok(with_ends)
    }

    /// The tokenizer with its token that begins texts before every text, and once before a pair. It
    /// stays as it is where its post-processor does that already.
    ///
    /// # Errors
    /// When it has no such token, or its post-processor puts other tokens around texts.
    pub fn beginning_texts(&self) -> Result<Self> {
        let failed = |cause: String| CorpusError::Tokenizer {
            doing: "putting the token that begins texts before them",
            cause,
        };
        let Some((token, id)) = self.role(Role::Begin) else {
            return Err(failed("it has no token that begins texts".to_owned()));
        };
        let [around, around_pair] = [self.tokens_around(false)?, self.tokens_around(true)?];
        let begins = |[before, between, after]: &[Vec<u32>; 3]| {
            *before == [id] && between.is_empty() && after.is_empty()
        };
        if begins(&around) && begins(&around_pair) {
            return Ok(self.clone());
        }
        if around.iter().chain(&around_pair).any(|tokens| !tokens.is_empty()) {
            return Err(failed("its post-processor puts other tokens around texts".to_owned()));
        }
        let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
        let begin = json!({ "SpecialToken": { "id": token, "type_id": 0 } });
        let special_token = json!({ "id": token, "ids": [id], "tokens": [token] });
        // As it is used, which its folder may have decided.
        let mut value = serde_json::to_value(&self.inner).map_err(|it| failed(it.to_string()))?;
        value["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [begin, text("A")],
            "pair": [begin, text("A"), text("B")],
            "special_tokens": { token: special_token },
        });
        let begins = Self::with_prefix_space(value.to_string(), None).map_err(failed)?;
        let truncation_side = self.truncation_side;
        Ok(Self { roles: self.roles.clone(), truncation_side, ..begins })
    }

    /// The tokens that the post-processor puts around one text or around a pair: before the first
    /// text, between the two, and after the last. They are what transformers adds with
    /// `add_special_tokens`.
    ///
    /// # Errors
    /// When the post-processor moves, repeats or leaves out texts.
    pub fn tokens_around(&self, pair: bool) -> Result<[Vec<u32>; 3]> {
        let failed = |cause: String| CorpusError::Tokenizer {
            doing: "putting special tokens around texts",
            cause,
        };
        // Placeholders of texts, outside any vocabulary.
        const TEXTS: [u32; 2] = [u32::MAX - 1, u32::MAX];
        let [first, second] =
            TEXTS.map(|id| Encoding::from_tokens(vec![Token::new(id, "a".into(), (0, 1))], 0));
        let second = pair.then_some(second);
        let Some(processor) = self.inner.get_post_processor() else {
            return Ok(Default::default());
        };
        let whole =
            processor.process(first, second, true).map_err(|cause| failed(cause.to_string()))?;
        let texts = &TEXTS[..1 + usize::from(pair)];
        let places: Vec<usize> = whole
            .get_ids()
            .iter()
            .enumerate()
            .filter(|(_, id)| TEXTS.contains(id))
            .map(|(place, _)| place)
            .collect();
        if !places.iter().map(|&place| whole.get_ids()[place]).eq(texts.iter().copied()) {
            return Err(failed("its post-processor moves, repeats or leaves out texts".to_owned()));
        }
        let mut parts = whole.get_ids().split(|id| TEXTS.contains(id)).map(<[u32]>::to_vec);
        let mut next = || parts.next().unwrap_or_default();
        let (before, between) = (next(), if pair { next() } else { Vec::new() });
        Ok([before, between, next()])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::small;
    use super::*;

    /// With another post-processor.
    fn with(processor: Value) -> Tokenizer {
        let mut value: Value = serde_json::from_str(&small().json).unwrap();
        value["post_processor"] = processor;
        Tokenizer::from_json(value.to_string()).unwrap()
    }

    fn template(single: &[Value], pair: &[Value]) -> Tokenizer {
        let special = |token: &str, id: u32| json!({ "id": token, "ids": [id], "tokens": [token] });
        with(json!({
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": {"<s>": special("<s>", 1), "</s>": special("</s>", 2)},
        }))
    }

    fn text(name: &str) -> Value {
        json!({"Sequence": {"id": name, "type_id": 0}})
    }

    fn special(token: &str) -> Value {
        json!({"SpecialToken": {"id": token, "type_id": 0}})
    }

    fn around(tokenizer: &Tokenizer) -> [[Vec<u32>; 3]; 2] {
        [false, true].map(|pair| tokenizer.tokens_around(pair).unwrap())
    }

    #[test]
    fn texts_begin_with_the_token_once() {
        let begins = small().beginning_texts().unwrap();
        let one = vec![1];
        let expected = [[one.clone(), vec![], vec![]], [one, vec![], vec![]]];
        assert_eq!(around(&begins), expected);
        assert_eq!(begins.encode("a cat").unwrap(), small().encode("a cat").unwrap());
        assert_eq!(begins.beginning_texts().unwrap().json, begins.json);
        let again = Tokenizer::from_json(begins.json.clone()).unwrap();
        assert_eq!(around(&again), expected);
        // A token of another name begins texts where the folder states it, and still does then.
        let folder = tempfile::tempdir().unwrap();
        small().save_folder(folder.path(), 8).unwrap();
        let config = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "</s>" });
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        std::fs::remove_file(folder.path().join("special_tokens_map.json")).unwrap();
        let named = Tokenizer::from_folder(folder.path()).unwrap().beginning_texts().unwrap();
        assert_eq!(around(&named)[0][0], [2]);
        named.save_folder(folder.path(), 8).unwrap();
        let again = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!((around(&again), again.role_id(Role::Begin)), (around(&named), Some(2)));
        let both = template(
            &[special("<s>"), text("A"), special("</s>")],
            &[special("<s>"), text("A"), special("</s>"), text("B"), special("</s>")],
        );
        let error = both.beginning_texts().unwrap_err().to_string();
        assert!(error.contains("its post-processor puts other tokens around texts"), "{error}");
    }

    const NOTHING: [[&[u32]; 3]; 2] = [[&[]; 3]; 2];
    const ROBERTA: [[&[u32]; 3]; 2] = [[&[1], &[], &[2]], [&[1], &[2, 2], &[2]]];

    #[test]
    fn the_post_processor_decides() {
        let byte_level = small();
        assert_eq!(around(&byte_level), NOTHING);
        assert_eq!(around(&with(Value::Null)), around(&byte_level));
        let roberta = json!({
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 1],
            "trim_offsets": true,
            "add_prefix_space": true,
        });
        assert_eq!(around(&with(roberta.clone())), ROBERTA);
        let byte_level = json!({
            "type": "ByteLevel",
            "add_prefix_space": true,
            "trim_offsets": true,
            "use_regex": true,
        });
        assert_eq!(
            around(&with(json!({"type": "Sequence", "processors": [byte_level, roberta]}))),
            ROBERTA
        );
        let bert = template(
            &[special("<s>"), text("A"), special("</s>")],
            &[special("<s>"), text("A"), special("</s>"), text("B"), special("</s>")],
        );
        assert_eq!(around(&bert)[1], [[1], [2], [2]]);
    }

    #[test]
    fn a_masked_model_always_has_ends() {
        let tokenizer = small().of_masked_model().unwrap();
        assert_eq!(around(&tokenizer), ROBERTA);
        assert_eq!(tokenizer.encode("dog").unwrap(), small().encode("dog").unwrap());
        assert_eq!(around(&tokenizer.without_normalizer().unwrap()), ROBERTA);
        // Its own post-processor counts before RoBERTa's.
        let own = template(&[text("A"), special("</s>")], &[text("A"), special("</s>"), text("B")]);
        let expected: [[&[u32]; 3]; 2] = [[&[], &[], &[2]], [&[], &[2], &[]]];
        assert_eq!(around(&own.of_masked_model().unwrap()), expected);
        // The saved file has them too.
        let folder = tempfile::tempdir().unwrap();
        tokenizer.save_folder(folder.path(), 64).unwrap();
        assert_eq!(around(&Tokenizer::from_folder(folder.path()).unwrap()), ROBERTA);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mut value: Value = serde_json::from_str(&small().json).unwrap();
        for token in value["added_tokens"].as_array_mut().unwrap() {
            token["content"] = json!(token["content"].as_str().unwrap().replace("s>", "z>"));
        }
        value["model"]["vocab"] = json!({"a": 3});
        value["model"]["merges"] = json!([]);
        let message = Tokenizer::from_json(value.to_string())
            .unwrap()
            .of_masked_model()
            .unwrap_err()
            .to_string();
        assert!(message.contains("`sep_token`") && message.contains("masked model"), "{message}");
        let twice = template(&[text("A"), text("A")], &[text("B"), text("A")]);
        for pair in [false, true] {
            let message = twice.tokens_around(pair).unwrap_err().to_string();
            assert!(message.contains("moves, repeats or leaves out texts"), "{message}");
        }
    }
}

//! The classes that `tokenizer_config.json` names, and what they make of a `tokenizer.json`
//! (transformers 5, `tokenization_auto.py`).

use serde_json::Value;

use super::Role;

/// What a folder's class does with its `tokenizer.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Takes everything from it, its prefix space included, and has no token for a role that no
    /// file names.
    Generic,
    /// Takes it with the prefix space of the configuration, and has these tokens for roles that no
    /// file names.
    Known(&'static [(Role, &'static str)]),
}

impl Class {
    /// The token that has a role where no file names one.
    pub(super) fn default_token(self, role: Role) -> Option<&'static str> {
        let Class::Known(tokens) = self else { return None };
        tokens.iter().find(|(known, _)| *known == role).map(|(_, token)| *token)
    }
}

const GPT2: &[(Role, &str)] = &[(Role::Begin, "<|endoftext|>"), (Role::End, "<|endoftext|>")];
const LLAMA: &[(Role, &str)] = &[(Role::Begin, "<s>"), (Role::End, "</s>")];
const ROBERTA: &[(Role, &str)] = &[
    (Role::Begin, "<s>"),
    (Role::End, "</s>"),
    (Role::Padding, "<pad>"),
    (Role::Classifier, "<s>"),
    (Role::Separator, "</s>"),
    (Role::Mask, "<mask>"),
];
const GPT_NEOX: &[(Role, &str)] =
    &[(Role::Begin, "<|endoftext|>"), (Role::End, "<|endoftext|>"), (Role::Padding, "<|padding|>")];

/// T5's, whose folders state the tokens that stand for hidden spans.
const T5: &[(Role, &str)] =
    &[(Role::End, "</s>"), (Role::Unknown, "<unk>"), (Role::Padding, "<pad>")];

/// Generic classes; the last lost its own class in transformers 5.
const GENERIC: [&str; 3] = ["PreTrainedTokenizer", "TokenizersBackend", "BloomTokenizer"];

/// Classes that follow `tokenizer.json` but for a byte-level prefix space, with their tokens (the
/// defaults of their constructors in transformers 5.24).
const KNOWN: [(&str, &[(Role, &str)]); 6] = [
    ("GPT2Tokenizer", GPT2),
    ("LlamaTokenizer", LLAMA),
    ("RobertaTokenizer", ROBERTA),
    ("CodeLlamaTokenizer", LLAMA),
    ("GPTNeoXTokenizer", GPT_NEOX),
    // As transformers 4 has it, with which its models are made and scored.
    ("T5Tokenizer", T5),
];

/// The class of a family's tokenizer, by the model's `model_type`; any other has a generic one.
const OF_FAMILIES: [(&str, &[(Role, &str)]); 5] =
    [("gpt2", GPT2), ("gptj", GPT2), ("opt", GPT2), ("roberta", ROBERTA), ("t5", T5)];

/// The class of the tokenizers of Qwen2-MoE and Qwen3, which is built in a way of its own.
const QWEN: &str = "Qwen2Tokenizer";

/// All other classes that transformers 5.24 has: they build a tokenizer in ways of their own. Any
/// further name is none of its classes, and stands for a generic one there.
const OWN_WAYS: &str = "\
    Albert Auto Bart Barthez Bartpho BertGeneration BertJapanese Bert Bertweet BigBird BioGpt \
    BlenderbotSmall Blenderbot ByT5 CLIP CTRL Camembert Canine Clvp CodeGen Cohere ConvBert \
    CpmAnt Cpm DPRContextEncoder DPRQuestionEncoder DPRReader Deberta DebertaV2 Dia DistilBert \
    Electra Esm Esmc FNet FSMT FastSpeech2Conformer Flaubert Funnel GPTNeoXJapanese GPTSw3 \
    Gemma Herbert LED Lasr LayoutLM LayoutLMv2 LayoutLMv3 LayoutXLM Longformer Luke Lxmert \
    M2M100 MBart50 MBart MLuke MPNet Marian MarkupLM Mgpstr Mistral MistralCommon MobileBert \
    Mvp MyT5 Nllb Nougat OpenAIGPT PLBart Parakeet Pegasus Perceiver Phobert Pop2Piano \
    ProphetNet Qwen2 Qwen3_5 Rag Reformer RemBert RetriBert RoCBert RoFormer SeamlessM4T \
    Siglip2 Siglip Speech2Text SpeechT5 Splinter SqueezeBert Tapas Tipsv2 Udop VideoPrism \
    Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper XGLM XLMRoberta XLM XLNet";

/// The class of a configuration; without one it is that of the model's family, if that is known.
///
/// # Errors
/// When it builds its tokenizer in a way of its own, or is no name.
pub(super) fn of(config: &Value, model_type: Option<&str>) -> Result<Class, String> {
    let class = match &config["tokenizer_class"] {
        Value::Null if matches!(model_type, Some("qwen2_moe" | "qwen3")) => QWEN,
        Value::Null => {
            let family = OF_FAMILIES.iter().find(|(family, _)| Some(*family) == model_type);
            return Ok(family.map_or(Class::Generic, |(_, tokens)| Class::Known(tokens)));
        }
        Value::String(class) => class,
        other => return Err(format!("`tokenizer_class` is {other}, not a name")),
    };
    let name = class.strip_suffix("Fast").unwrap_or(class);
    // This name alone has the slow class's rules under the bare one.
    if name == "PreTrainedTokenizer" && class == name {
        return Ok(Class::Known(&[]));
    }
    let stem = name.strip_suffix("Tokenizer").unwrap_or(name);
    if let Some((_, tokens)) = KNOWN.iter().find(|(known, _)| *known == name) {
        Ok(Class::Known(tokens))
    } else if !GENERIC.contains(&name) && OWN_WAYS.split_whitespace().any(|own| own == stem) {
        let known = GENERIC.into_iter().chain(KNOWN.map(|(name, _)| name));
        let known = known.collect::<Vec<_>>().join(", ");
        Err(format!(
            "`tokenizer_class` is {class:?}, which has rules of its own; known are {known}"
        ))
    } else {
        Ok(Class::Generic)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Expectations: `AutoTokenizer` of transformers 5.24 on folders of these `model_type`s.
    #[test]
    fn a_folder_without_a_class_has_that_of_its_family() {
        let family = |model_type| of(&json!({"eos_token": "</s>"}), model_type).unwrap();
        for (model_type, begin) in [
            ("gpt2", "<|endoftext|>"),
            ("gptj", "<|endoftext|>"),
            ("opt", "<|endoftext|>"),
            ("roberta", "<s>"),
        ] {
            let class = family(Some(model_type));
            assert_eq!(class.default_token(Role::Begin), Some(begin), "{model_type}");
        }
        assert_eq!(family(Some("llama")), Class::Generic);
        assert_eq!(family(None), Class::Generic);
        for model_type in ["qwen2_moe", "qwen3"] {
            let found = of(&json!({}), Some(model_type)).unwrap_err();
            assert!(found.contains("\"Qwen2Tokenizer\", which has rules of its own"), "{found}");
        }
    }

    #[test]
    fn names_that_transformers_does_not_have_are_generic() {
        let class = |name: Value| of(&json!({ "tokenizer_class": name }), None);
        for name in [
            "PreTrainedTokenizerFast",
            "TokenizersBackend",
            "BloomTokenizerFast",
            "MyCorpTokenizer",
            "SomethingElse",
        ] {
            assert_eq!(class(json!(name)), Ok(Class::Generic), "{name}");
        }
        for (name, begin) in [
            ("GPT2Tokenizer", "<|endoftext|>"),
            ("GPT2TokenizerFast", "<|endoftext|>"),
            ("LlamaTokenizerFast", "<s>"),
        ] {
            let class = class(json!(name)).unwrap();
            assert_eq!(class.default_token(Role::Begin), Some(begin), "{name}");
        }
        for name in ["BertTokenizer", "AlbertTokenizerFast", "Qwen2Tokenizer", "XLNetTokenizer"] {
            let message = class(json!(name)).unwrap_err();
            assert!(message.contains(name) && message.contains("GPT2Tokenizer"), "{message}");
        }
        assert!(class(json!(3)).unwrap_err().contains("`tokenizer_class` is 3"));
    }
}

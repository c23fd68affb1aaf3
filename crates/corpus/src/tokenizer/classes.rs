//! The classes that `tokenizer_config.json` names, and what they make of a `tokenizer.json`
//! (transformers 5, `tokenization_auto.py`).

use serde_json::Value;

/// What a folder's class does with its `tokenizer.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Takes everything from it, its prefix space included.
    Generic,
    /// Takes it with the prefix space of the configuration.
    Known,
}

/// Generic ones; the last lost its own class in transformers 5.
const GENERIC: [&str; 3] = ["PreTrainedTokenizer", "TokenizersBackend", "BloomTokenizer"];

/// Those of byte-level BPE that follow `tokenizer.json` but for the prefix space.
const KNOWN: [&str; 5] = [
    "GPT2Tokenizer",
    "LlamaTokenizer",
    "RobertaTokenizer",
    "CodeLlamaTokenizer",
    "GPTNeoXTokenizer",
];

/// All others that transformers 5.24 has: they build a tokenizer in ways of their own. Any further
/// name is none of its classes, and stands for a generic one there.
const OWN_WAYS: &str = "\
    Albert Auto Bart Barthez Bartpho BertGeneration BertJapanese Bert Bertweet BigBird BioGpt \
    BlenderbotSmall Blenderbot ByT5 CLIP CTRL Camembert Canine Clvp CodeGen Cohere ConvBert \
    CpmAnt Cpm DPRContextEncoder DPRQuestionEncoder DPRReader Deberta DebertaV2 Dia DistilBert \
    Electra Esm Esmc FNet FSMT FastSpeech2Conformer Flaubert Funnel GPTNeoXJapanese GPTSw3 \
    Gemma Herbert LED Lasr LayoutLM LayoutLMv2 LayoutLMv3 LayoutXLM Longformer Luke Lxmert \
    M2M100 MBart50 MBart MLuke MPNet Marian MarkupLM Mgpstr Mistral MistralCommon MobileBert \
    Mvp MyT5 Nllb Nougat OpenAIGPT PLBart Parakeet Pegasus Perceiver Phobert Pop2Piano \
    ProphetNet Qwen2 Qwen3_5 Rag Reformer RemBert RetriBert RoCBert RoFormer SeamlessM4T \
    Siglip2 Siglip Speech2Text SpeechT5 Splinter SqueezeBert T5 Tapas Tipsv2 Udop VideoPrism \
    Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper XGLM XLMRoberta XLM XLNet";

/// The class of a configuration; a folder without one has its family's, which follows the
/// configuration.
///
/// # Errors
/// When it builds its tokenizer in a way of its own, or is no name.
pub(super) fn of(config: &Value) -> Result<Class, String> {
    let class = match &config["tokenizer_class"] {
        Value::Null => return Ok(Class::Known),
        Value::String(class) => class,
        other => return Err(format!("`tokenizer_class` is {other}, not a name")),
    };
    let name = class.strip_suffix("Fast").unwrap_or(class);
    // This name alone has the slow class's rules under the bare one.
    if name == "PreTrainedTokenizer" && class == name {
        return Ok(Class::Known);
    }
    let stem = name.strip_suffix("Tokenizer").unwrap_or(name);
    if KNOWN.contains(&name) {
        Ok(Class::Known)
    } else if !GENERIC.contains(&name) && OWN_WAYS.split_whitespace().any(|own| own == stem) {
        let known = GENERIC.iter().chain(&KNOWN).copied().collect::<Vec<_>>().join(", ");
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

    #[test]
    fn names_that_transformers_does_not_have_are_generic() {
        let class = |name: Value| of(&json!({ "tokenizer_class": name }));
        for name in [
            "PreTrainedTokenizerFast",
            "TokenizersBackend",
            "BloomTokenizerFast",
            "MyCorpTokenizer",
            "SomethingElse",
        ] {
            assert_eq!(class(json!(name)), Ok(Class::Generic), "{name}");
        }
        for name in ["GPT2Tokenizer", "GPT2TokenizerFast", "LlamaTokenizerFast"] {
            assert_eq!(class(json!(name)), Ok(Class::Known), "{name}");
        }
        assert_eq!(of(&json!({})), Ok(Class::Known));
        for name in ["BertTokenizer", "T5TokenizerFast", "Qwen2Tokenizer", "XLNetTokenizer"] {
            let message = class(json!(name)).unwrap_err();
            assert!(message.contains(name) && message.contains("GPT2Tokenizer"), "{message}");
        }
        assert!(class(json!(3)).unwrap_err().contains("`tokenizer_class` is 3"));
    }
}

//! Folders as GPT-2, OPT and RoBERTa have them, against transformers
//! (`tools/golden/vocabulary_files.py`), and one as T5 has it (`tools/golden/t5.py`).

use std::path::{Path, PathBuf};

use corpus::tokenizer::{Role, Tokenizer};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn two_files_make_the_tokenizer_of_transformers() {
    for name in ["gpt2", "opt", "roberta", "prefix-space"] {
        let tokenizer = Tokenizer::from_folder(&fixture(name)).unwrap();
        let expected = std::fs::read_to_string(fixture(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for text in expected["texts"].as_array().unwrap() {
            let (text, wanted) = (text["text"].as_str().unwrap(), ids(&text["ids"]));
            assert_eq!(tokenizer.encode(text).unwrap(), wanted, "{name}: {text:?}");
            assert_eq!(tokenizer.encode_file(text).unwrap(), wanted, "{name}: {text:?}");
            assert_eq!(
                tokenizer.without_normalizer().unwrap().encode(text).unwrap(),
                wanted,
                "{name}: {text:?}"
            );
        }
        let roles =
            [Role::Begin, Role::End, Role::Padding, Role::Classifier, Role::Separator, Role::Mask]
                .map(|role| {
                    let wanted = expected["roles"][role.key()].as_u64().map(|id| id as u32);
                    // A usual token serves where transformers' class has none for the role.
                    wanted.is_none_or(|id| tokenizer.role_id(role) == Some(id))
                });
        assert_eq!(roles, [true; 6], "{name}");
        assert_eq!(tokenizer.vocab_size(), 300);
    }
}

#[test]
fn such_a_folder_can_be_saved_as_any_other() {
    for name in ["gpt2", "opt", "roberta", "prefix-space"] {
        let tokenizer = Tokenizer::from_folder(&fixture(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        tokenizer.save_folder(folder.path(), 128).unwrap();
        let again = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(tokenizer.first_difference(&again), None, "{name}");
        for role in [Role::Begin, Role::End, Role::Padding] {
            assert_eq!(again.role(role), tokenizer.role(role), "{name}");
        }
        let text = "The lazy dogs'</s> fox";
        assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap(), "{name}");
        assert_eq!(again.decode(&again.encode("The fox").unwrap()).trim_start(), "The fox");
    }
}

#[test]
fn a_tokenizer_json_counts_before_the_two_files() {
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::from_folder(&fixture("gpt2")).unwrap().save_folder(folder.path(), 128).unwrap();
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(fixture("opt").join(file), folder.path().join(file)).unwrap();
    }
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.role(Role::End), Some(("<|endoftext|>", 0)));
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let with = |file: &str, content: &str| {
        for file in ["vocab.json", "merges.txt"] {
            std::fs::copy(fixture("gpt2").join(file), folder.path().join(file)).unwrap();
        }
        std::fs::write(folder.path().join(file), content).unwrap();
        let message = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
        std::fs::remove_file(folder.path().join(file)).unwrap();
        assert!(message.contains(file), "{message}");
        message
    };
    assert!(with("vocab.json", "[]").contains("bad JSON"));
    assert!(with("merges.txt", "#version: 0.2\na b c\n").contains("line 2 is \"a b c\""));
    assert!(with("merges.txt", "a\n").contains("line 1"));
    let unknown = with("merges.txt", "#version: 0.2\nqqq rrr\n");
    assert!(unknown.contains("line 2 is \"qqq rrr\", and vocab.json has no \"qqq\""), "{unknown}");
    assert!(with("tokenizer_config.json", "{").contains("bad JSON"));
    assert!(with("special_tokens_map.json", "3").contains("bad JSON"));
    // One of the two files alone is nothing.
    std::fs::copy(fixture("gpt2").join("vocab.json"), folder.path().join("vocab.json")).unwrap();
    std::fs::remove_file(folder.path().join("merges.txt")).ok();
    let message = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json does not exist"), "{message}");
}

/// A `tokenizer.json` is used with or without a prefix space as transformers' class for its folder
/// would.
#[test]
fn the_class_of_a_folder_decides_about_the_prefix_space() {
    let folder = tempfile::tempdir().unwrap();
    let saved = Tokenizer::from_folder(&fixture("prefix-space")).unwrap();
    saved.save_folder(folder.path(), 128).unwrap();
    let puts_a_space = |config: &str| {
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        tokenizer.encode("fox").unwrap() == tokenizer.encode(" fox").unwrap()
    };
    assert!(puts_a_space(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#));
    assert!(!puts_a_space(r#"{"tokenizer_class": "GPT2Tokenizer"}"#));
    assert!(puts_a_space(r#"{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}"#));
    // Without a class it is the family's.
    assert!(puts_a_space("{}"));
    for (family, expected) in [("llama", true), ("gpt2", false), ("opt", false), ("roberta", false)]
    {
        let config = format!("{{\"model_type\": \"{family}\"}}");
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        assert_eq!(puts_a_space("{}"), expected, "{family}");
    }
    let alone = Tokenizer::load(&folder.path().join("tokenizer.json")).unwrap();
    assert_ne!(alone.encode("fox").unwrap(), alone.encode(" fox").unwrap());
}

/// A Unigram tokenizer in a folder of T5's class.
#[test]
fn a_unigram_tokenizer_is_that_of_transformers() {
    let tokenizer = Tokenizer::from_folder(&fixture("t5")).unwrap();
    let expected = std::fs::read_to_string(fixture("t5").join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    for text in expected["texts"].as_array().unwrap() {
        let (text, wanted) = (text["text"].as_str().unwrap(), ids(&text["ids"]));
        assert_eq!(tokenizer.encode(text).unwrap(), wanted, "{text:?}");
        assert_eq!(tokenizer.encode_file(text).unwrap(), wanted, "{text:?}");
    }
    for role in [Role::Begin, Role::End, Role::Padding, Role::Unknown] {
        let wanted = expected["roles"][role.key()].as_u64().map(|id| id as u32);
        assert_eq!(tokenizer.role_id(role), wanted, "{role:?}");
    }
    assert_eq!(Some(tokenizer.vocab_size() as u64), expected["vocab_size"].as_u64());
    let [a, b] = ["a", "b"].map(|text| tokenizer.encode(text).unwrap());
    for (pair, wanted) in [(false, &expected["around"][0]), (true, &expected["around"][1])] {
        let [before, between, after] = tokenizer.tokens_around(pair).unwrap();
        let second = if pair { b.clone() } else { Vec::new() };
        assert_eq!([before, a.clone(), between, second, after].concat(), ids(wanted));
    }
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save_folder(folder.path(), 128).unwrap();
    let again = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.first_difference(&again), None);
    assert_eq!(again.role(Role::End), Some(("</s>", 1)));
}

#[test]
fn what_no_unigram_tokenizer_has_is_refused() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(fixture("t5").join("tokenizer.json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, value.to_string()).unwrap();
        Tokenizer::load(&path).unwrap_err().to_string()
    };
    let unknown = refused(&|value| value["model"]["unk_id"] = 400.into());
    assert!(unknown.contains("unknown token's id 400 is not in its vocabulary"), "{unknown}");
    let none = refused(&|value| value["model"]["unk_id"] = Value::Null);
    assert!(none.contains("unknown token's id null"), "{none}");
    let foreign = refused(&|value| value["model"]["dropout"] = 0.5.into());
    assert!(foreign.contains("`model.dropout`"), "{foreign}");
    let other = refused(&|value| value["model"]["type"] = "WordLevel".into());
    assert!(other.contains("babyllama"), "{other}");
}

#[test]
fn a_folder_with_sentencepieces_file_alone_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spiece.model"), b"\n\x05").unwrap();
    let message = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("spiece.model is a file of SentencePiece"), "{message}");
}

//! Mutated tokenizers and token files: no panic, no hang, no memory that the input does not
//! justify.
//!
//! The quick tests try some hundreds; `cargo test --release -p corpus --test mutations --
//! --ignored` tries 500,000 of each file, or only of that file of a tokenizer that
//! `BABYLLAMA_MUTATED_FILE` names.

use std::alloc::System;
use std::path::Path;
use std::time::Duration;

use base::mutation::try_all;
use cap::Cap;
use corpus::{TokenFile, TokenWriter, Tokenizer, TokenizerSettings};
use serde_json::{Value, json};

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 512 << 20);

/// Longer than any file of this size may take: the trial texts' limit and a little more.
const LONGEST: Duration = Duration::from_secs(4);

/// Mutates what is at `path` and the `others` that may be there, and returns how many files were
/// accepted.
fn try_file(path: &Path, others: &[Vec<u8>], count: u64, load: impl Fn() -> bool) -> u64 {
    let seed = std::fs::read(path).unwrap();
    let seeds = [std::slice::from_ref(&seed), others].concat();
    let accepted = try_all(&seeds, count, LONGEST, |bytes| {
        std::fs::write(path, bytes).unwrap();
        load()
    });
    std::fs::write(path, seed).unwrap();
    accepted
}

fn tokenizer() -> Tokenizer {
    let text = "The quick brown fox's 12 dogs.\nA caf\u{E9}, and </s> more.\n".repeat(20);
    let settings = TokenizerSettings { vocab_size: 270, ..TokenizerSettings::default() };
    Tokenizer::train(&[("a.txt".into(), text)], &settings).unwrap()
}

/// What loads, works.
fn loads(folder: &Path) -> bool {
    match Tokenizer::from_folder(folder) {
        Ok(tokenizer) => {
            let ids = tokenizer.encode("A dog's caf\u{E9} <s>\u{4E2D}  \n").unwrap();
            tokenizer.decode(&ids);
            true
        }
        Err(error) => error.to_string().is_empty(),
    }
}

/// The files of a folder as this program writes it.
const FILES: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

fn tokenizers(name: &str, count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    tokenizer().save_folder(folder.path(), 64).unwrap();
    let path = folder.path().join(name);
    let others = if name == FILES[0] { vec![with_more_parts(&path)] } else { Vec::new() };
    try_file(&path, &others, count, || loads(folder.path()))
}

fn replace(pattern: Value, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": pattern, "content": content })
}

/// A `tokenizer.json` whose normalizer, words and decoder have parts of several kinds.
fn with_more_parts(path: &Path) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let normalizers = [
        replace(json!({ "String": "o" }), "\u{2581}x"),
        replace(json!({ "Regex": " {2,}|e" }), "ab"),
        json!({ "type": "NFKC" }),
        json!({ "type": "Prepend", "prepend": "q" }),
    ];
    let pattern = json!({ "Regex": "\\d|\\p{L}+" });
    let split = json!({
        "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false
    });
    let pre_tokenizers = [split, value["pre_tokenizer"].clone()];
    let decoders = [value["decoder"].clone(), replace(json!({ "String": "x" }), "yz")];
    value["normalizer"] = json!({ "type": "Sequence", "normalizers": normalizers });
    value["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": pre_tokenizers });
    value["decoder"] = json!({ "type": "Sequence", "decoders": decoders });
    value.to_string().into_bytes()
}

/// The files of a folder without `tokenizer.json`.
const SLOW_FILES: [(&str, &str); 3] = [
    ("vocab.json", "{\"<s>\": 0, \"</s>\": 1, \"a\": 2, \"b\": 3, \"\u{120}\": 4, \"ab\": 5}"),
    ("merges.txt", "#version: 0.2\na b\n"),
    ("added_tokens.json", "{\"<mask>\": 6}"),
];

fn vocabularies(name: &str, count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in SLOW_FILES {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    try_file(&folder.path().join(name), &[], count, || loads(folder.path()))
}

fn token_files(count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    let mut writer = TokenWriter::create(&path, 270, &tokenizer().content_hash()).unwrap();
    writer.push(&(0..200).collect::<Vec<u32>>()).unwrap();
    writer.finish().unwrap();
    for open in [TokenFile::open, TokenFile::raw] {
        try_file(&path, &[], count, || match open(&path) {
            Ok(file) => {
                let mut ids = Vec::new();
                file.read(0..file.len(), &mut ids);
                true
            }
            Err(error) => error.to_string().is_empty(),
        });
    }
}

#[test]
fn mutated_tokenizers_are_refused_or_work() {
    assert!(FILES.iter().all(|name| tokenizers(name, 60) > 0));
    assert!(SLOW_FILES.iter().all(|(name, _)| vocabularies(name, 60) > 0));
}

#[test]
fn mutated_token_files_are_refused_or_work() {
    token_files(2_000);
}

#[test]
#[ignore = "takes hours"]
fn many_mutated_tokenizers() {
    let chosen = std::env::var("BABYLLAMA_MUTATED_FILE").ok();
    let is_chosen = |name: &str| chosen.as_deref().is_none_or(|chosen| chosen == name);
    for name in FILES.into_iter().filter(|name| is_chosen(name)) {
        assert!(tokenizers(name, 500_000) > 0);
    }
    for (name, _) in SLOW_FILES.into_iter().filter(|(name, _)| is_chosen(name)) {
        assert!(vocabularies(name, 500_000) > 0);
    }
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_token_files() {
    token_files(500_000);
}

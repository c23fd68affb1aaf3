//! Mutated tokenizers and token files: no panic and no hang.
//!
//! The quick tests try some hundreds; `cargo test --release -p corpus --test mutations --
//! --ignored` tries 500,000 token files and 20,000 of each file of a tokenizer, which encodes trial
//! texts every time.

use std::path::Path;
use std::time::{Duration, Instant};

use base::mutation::mutated;
use corpus::{TokenFile, TokenWriter, Tokenizer, TokenizerSettings};

/// Longer than any file of this size may take: the trial texts' limit and a little more.
const LONGEST: Duration = Duration::from_secs(4);

/// Mutates `seed` at `path`, and returns how many files were accepted.
fn try_all(path: &Path, seed: &[u8], count: u64, load: impl Fn() -> bool) -> u64 {
    let mut accepted = 0;
    for number in 0..count {
        std::fs::write(path, mutated(seed, number)).unwrap();
        let began = Instant::now();
        accepted += u64::from(load());
        assert!(began.elapsed() < LONGEST, "mutation {number} took {:?}", began.elapsed());
    }
    std::fs::write(path, seed).unwrap();
    assert!(load(), "the seed itself is accepted");
    accepted
}

fn tokenizer() -> Tokenizer {
    let text = "The quick brown fox's 12 dogs.\nA caf\u{E9}, and </s> more.\n".repeat(20);
    let settings = TokenizerSettings { vocab_size: 270, ..TokenizerSettings::default() };
    Tokenizer::train(&[("a.txt".into(), text)], &settings).unwrap()
}

fn tokenizers(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    tokenizer().save_folder(folder.path(), 64).unwrap();
    let mut accepted = 0;
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        let path = folder.path().join(name);
        let seed = std::fs::read(&path).unwrap();
        let load = || match Tokenizer::from_folder(folder.path()) {
            Ok(tokenizer) => {
                // What was accepted works.
                let ids = tokenizer.encode("A dog's caf\u{E9} <s>\u{4E2D}  \n");
                tokenizer.decode(&ids);
                true
            }
            Err(error) => error.to_string().is_empty(),
        };
        accepted += try_all(&path, &seed, count, load);
    }
    accepted
}

fn token_files(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    let mut writer = TokenWriter::create(&path, 270, &tokenizer().content_hash()).unwrap();
    writer.push(&(0..200).collect::<Vec<u32>>()).unwrap();
    writer.finish().unwrap();
    let seed = std::fs::read(&path).unwrap();
    let load = || match TokenFile::open(&path) {
        Ok(file) => {
            let mut ids = Vec::new();
            file.read(0..file.len(), &mut ids);
            true
        }
        Err(error) => error.to_string().is_empty(),
    };
    try_all(&path, &seed, count, load)
}

#[test]
fn mutated_tokenizers_are_refused_or_work() {
    assert!(tokenizers(120) > 0);
}

#[test]
fn mutated_token_files_are_refused_or_work() {
    token_files(2_000);
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_tokenizers_and_token_files() {
    assert!(tokenizers(20_000) > 0);
    token_files(500_000);
}

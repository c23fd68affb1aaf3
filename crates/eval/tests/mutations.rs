//! Mutated benchmark files and results: no panic, no hang, no memory that the input does not
//! justify.
//!
//! The quick test tries some thousands of each; `cargo test --release -p eval --test mutations --
//! --ignored` tries 500,000.

use std::alloc::System;
use std::path::Path;

use base::mutation::{LONGEST, try_all};
use cap::Cap;
use eval::age_of_acquisition::{WordFinder, WordList, read_contexts};
use eval::challenge::reading::ReadingTable;
use eval::classification::{Rows, find_task};
use eval::ewok::Vocabulary;
use eval::output::predictions;
use eval::{BenchmarkResult, OtherPairs, Outcome, Prediction, Rules, TaskResult, minimal_pairs};

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 64 << 20);

const PAIRS: &str = "{\"sentence_good\": \"The dog runs.\", \"sentence_bad\": \"The dog run.\"}\n";

const ITEMS: &str = "{\"sentence\": \"The dog runs.\", \"label\": 1, \"idx\": 0}\n";

const EWOK: &str = "{\"Domain\": \"x\", \"Context1\": \"A.\", \"Context2\": \"B.\", \
                    \"Target1\": \"C.\", \"Target2\": \"D.\"}\n";

const CSV: &str = "Domain,Context1,Context2,Target1,Target2\nx,\"A, a\",B,C,\"D \"\"d\"\"\"\n";

const WORDS: &str = "language,uni_lemma,lexical_category,category,definition,word_clean,aoa,\
                     concreteness,frequency\nEnglish,dog,nouns,animals,|dog, a|,dog,18.5,4.9,30\n";

const CONTEXTS: &str = "[{\"sent\": \"A dog runs.\", \"words\": [\"dog\", \"cat\"]}]";

const READING: &str = "item,word,Subtlex_log10,length,context_length,RTfirstfix,RTfirstpass,\
                       RTgopast,RTrightbound,self_paced_reading_time,prev_word,prev_item,\
                       prev_length\n\"A, a\",dog,9.5,3,2,130.5,NaN,150,140,2e2,a,\"A,\",1\n";

/// The two files of a score: `result.json` and `predictions.jsonl`.
fn outcome() -> (String, String) {
    let answers = [Prediction::between(-1.5, -2.25), Prediction::between(-3.0, -0.1)];
    let task = TaskResult::of_choices("agreement", &answers, 0);
    let result = BenchmarkResult::of_tasks(&OtherPairs, Rules::Year2024, vec![task]);
    let json = serde_json::to_string(&result).unwrap();
    (json, predictions::to_lines(&Outcome { result, predictions: vec![answers.to_vec()] }))
}

/// How many of `count` mutations of each file are accepted.
fn all(count: u64) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let (cola, dog) = (find_task("cola").unwrap(), WordFinder::new(&["dog"]));
    let (result, answers) = outcome();
    let is_result = |bytes: &[u8]| serde_json::from_slice::<BenchmarkResult>(bytes).is_ok();
    type Reader<'a> = &'a dyn Fn(&Path) -> bool;
    let file = |seed: &str, name: &str, read: Reader<'_>| {
        let path = folder.path().join(name);
        try_all(&[seed.into()], count, LONGEST, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            read(&path)
        })
    };
    let parsed =
        |seed: &str, parse: &dyn Fn(&[u8]) -> bool| try_all(&[seed.into()], count, LONGEST, parse);
    let path = Path::new("a.jsonl");
    vec![
        parsed(PAIRS, &|bytes| minimal_pairs::parse(path, bytes).is_ok()),
        parsed(ITEMS, &|bytes| Rows::parse(cola, path, bytes).is_ok()),
        parsed(WORDS, &|bytes| WordList::parse(path, bytes).is_ok()),
        parsed(READING, &|bytes| ReadingTable::parse(path, bytes).is_ok()),
        parsed(&result, &is_result),
        file(EWOK, "a.jsonl", &|path| eval::ewok::read(path).is_ok()),
        file(CSV, "a.csv", &|path| eval::ewok::read(path).is_ok()),
        file("dog\ncat\n", "vocab.txt", &|path| Vocabulary::read(path).is_ok()),
        file(CONTEXTS, "sent_words.json", &|path| read_contexts(path, &dog).is_ok()),
        file(&answers, "predictions.jsonl", &|path| predictions::read(path).is_ok()),
    ]
}

#[test]
fn mutated_items_are_refused_or_read() {
    assert!(all(2_000).iter().all(|&accepted| accepted > 0));
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_items() {
    assert!(all(500_000).iter().all(|&accepted| accepted > 0));
}

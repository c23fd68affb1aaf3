//! Mutated benchmark files: no panic and no hang.
//!
//! The quick test tries some thousands of each; `cargo test --release -p eval --test mutations --
//! --ignored` tries 500,000.

use std::path::Path;
use std::time::{Duration, Instant};

use base::mutation::mutated;
use eval::classification::{Rows, find_task};
use eval::minimal_pairs;

const LONGEST: Duration = Duration::from_secs(2);

const PAIRS: &str = "{\"sentence_good\": \"The dog runs.\", \"sentence_bad\": \"The dog run.\"}\n";

const ITEMS: &str = "{\"sentence\": \"The dog runs.\", \"label\": 1, \"idx\": 0}\n";

const EWOK: &str = "{\"Domain\": \"x\", \"Context1\": \"A.\", \"Context2\": \"B.\", \
                    \"Target1\": \"C.\", \"Target2\": \"D.\"}\n";

const CSV: &str = "Domain,Context1,Context2,Target1,Target2\nx,\"A, a\",B,C,\"D \"\"d\"\"\"\n";

fn try_all(seed: &str, count: u64, parse: impl Fn(&[u8]) -> bool) -> u64 {
    assert!(parse(seed.as_bytes()), "the seed itself is accepted");
    let accepted = (0..count).filter(|&number| {
        let (input, began) = (mutated(seed.as_bytes(), number), Instant::now());
        let accepted = parse(&input);
        assert!(began.elapsed() < LONGEST, "{:?}", String::from_utf8_lossy(&input));
        accepted
    });
    accepted.count() as u64
}

fn all(count: u64) -> [u64; 4] {
    let folder = tempfile::tempdir().unwrap();
    let ewok = |name: &'static str| {
        let path = folder.path().join(name);
        move |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            eval::ewok::read(&path).is_ok()
        }
    };
    let task = find_task("cola").unwrap();
    [
        try_all(PAIRS, count, |bytes| minimal_pairs::parse(Path::new("a.jsonl"), bytes).is_ok()),
        try_all(ITEMS, count, |bytes| Rows::parse(task, Path::new("a.jsonl"), bytes).is_ok()),
        try_all(EWOK, count, ewok("a.jsonl")),
        try_all(CSV, count, ewok("a.csv")),
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

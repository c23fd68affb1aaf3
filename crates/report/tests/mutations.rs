//! Mutated metrics logs: no panic, no hang, no memory that the input does not justify.
//!
//! The quick test tries some thousands; `cargo test --release -p report --test mutations --
//! --ignored` tries 500,000.

use std::alloc::System;

use base::mutation::{LONGEST, try_all};
use cap::Cap;
use report::{MetricsLog, metrics};
use serde_json::{Value, json};

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 64 << 20);

const LOG: &[u8] = b"{\"event\":\"step\",\"step\":1,\"loss\":7.5,\"seconds\":0.1}\n\
    {\"event\":\"evaluation\",\"step\":1,\"epoch\":0.5,\"best\":true}\n\
    {\"step\":2,\"loss\":null}\n";

fn logs(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    try_all(&[LOG.to_vec()], count, LONGEST, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let _ = metrics::read::<Value>(&path);
        let Ok(mut log) = MetricsLog::open_at(&path, 1) else { return false };
        // What is continued ends in a whole line.
        log.append(&json!({ "step": 2 })).unwrap();
        drop(log);
        MetricsLog::open_at(&path, 2).unwrap();
        true
    })
}

#[test]
fn mutated_logs_are_refused_or_continued() {
    assert!(logs(2_000) > 0);
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_logs() {
    assert!(logs(500_000) > 0);
}

//! `result.json` of a fine-tuning.
#![no_main]

use experiment::finetuning::result::FinetuneResult;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = serde_json::from_slice::<FinetuneResult>(input);
});

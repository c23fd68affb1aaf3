//! The index of weights in several files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::hugging_face::bytes;

fuzz_target!(|input: &[u8]| {
    let _ = bytes::index(input);
});

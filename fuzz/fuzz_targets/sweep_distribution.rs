//! A distribution in Optuna's database.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sweep::distribution::Distribution;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(distribution) = Distribution::from_json(text) else { return };
    assert_eq!(Distribution::from_json(&distribution.to_json()), Ok(distribution));
});

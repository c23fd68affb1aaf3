//! The search space of a sweep's recipe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sweep::sampler::{SamplerKind, propose};
use sweep::space::Space;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(table) = text.parse() else { return };
    let Ok(space) = Space::parse(&table) else { return };
    for number in 0..4 {
        let stored = space.stored(&propose(SamplerKind::Random, &space, 1, number, &[]).point);
        space.point_of_stored(&stored).expect("what was stored can be read");
    }
});

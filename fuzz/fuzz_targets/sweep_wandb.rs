//! W&B's `sweep.yaml`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(import) = sweep::wandb::read(text) else { return };
    let recipe = import.to_recipe("name", "recipe.toml", "model");
    recipe.parse::<toml::Table>().expect("what was written can be read");
});

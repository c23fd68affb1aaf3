//! A recipe.
#![no_main]

use babyllama_fuzz::folder;
use experiment::recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("recipe.toml", input)]);
    if let Ok(recipe) = recipe::load(&folder.path().join("recipe.toml"), &[]) {
        recipe.resolved().expect("an accepted recipe can be written down");
    }
});

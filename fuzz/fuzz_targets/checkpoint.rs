//! `state.json` of a checkpoint.
#![no_main]

use std::sync::Arc;

use babyllama_fuzz::folder;
use engine::Device;
use engine::cpu::Cpu;
use libfuzzer_sys::fuzz_target;
use model::{Architecture, Model, ModelConfig};
use train::TrainSettings;
use train::checkpoint;
use train::optimizers::GroupedOptimizer;

fuzz_target!(|input: &[u8]| {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let config = ModelConfig { num_layers: 1, ..ModelConfig::tiny(Architecture::GPT2) };
    let Ok(mut model) = Model::new(config, &device, 1) else { return };
    let mut optimizer = GroupedOptimizer::new(model.parameters(), &TrainSettings::default());
    let folder = folder(&[("state", input)]);
    let step = folder.path().join("step-00000001");
    let _ = std::fs::create_dir(&step);
    let _ = std::fs::rename(folder.path().join("state"), step.join("state.json"));
    let _ = checkpoint::restore(folder.path(), &mut model, &mut optimizer, "aa", |_, _| ());
});

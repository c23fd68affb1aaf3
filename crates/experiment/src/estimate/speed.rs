//! How fast this machine trains, measured before an estimate of how long everything will take.

use std::sync::Arc;
use std::time::Instant;

use engine::Device;
use model::{Batch, Model};
use train::MicroBatch;
use train::step::Trainer;

use crate::error::{Result, refuse};
use crate::recipe::{ModelSection, Start};

/// Floating-point operations a second of a short training run on this machine: of a small model,
/// which a GPU would hardly notice, so that it gets a larger one.
pub fn measured_flops(device: &Arc<dyn Device>) -> Result<f64> {
    let (shape, sequences) = match device.memory() {
        None => ("hidden_size = 256\nintermediate_size = 768\nnum_heads = 4", 16),
        Some(_) => ("hidden_size = 1024\nintermediate_size = 2816\nnum_heads = 16", 64),
    };
    let shape = &format!("architecture = 'llama'\nnum_layers = 4\n{shape}");
    let Ok(ModelSection { start: Start::Random(shape), train, .. }) = toml::from_str(shape) else {
        return refuse("the model that measures the machine has no shape");
    };
    let config = shape.config(4000);
    let flops = 3.0 * config.forward_flops_per_token(128);
    let mut trainer = Trainer::new(Model::new(config, device, 0)?, &train, 0, None);
    let batch = MicroBatch::from(Batch::from_sequences(
        (0..sequences as u32)
            .map(|row| (0..128u32).map(|at| (row * 131 + at * 17) % 4000).collect::<Vec<_>>()),
    ));
    trainer.step(std::slice::from_ref(&batch), 1, 1e-4)?;
    device.synchronise();
    let (start, mut steps) = (Instant::now(), 0);
    while steps < 2 || start.elapsed().as_secs_f64() < 1.5 {
        steps += 1;
        trainer.step(std::slice::from_ref(&batch), steps + 1, 1e-4)?;
        device.synchronise();
    }
    Ok(flops * (steps as usize * batch.batch.tokens()) as f64 / start.elapsed().as_secs_f64())
}

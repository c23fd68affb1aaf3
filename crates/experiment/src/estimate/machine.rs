//! The machine's memory, and models that it cannot hold: refused before anything runs, where an
//! allocation that fails would end the program without a word on what to do.

use model::ModelConfig;
use report::format::short;
use train::TrainSettings;

use super::{activation_bytes, state_bytes};
use crate::error::{Context, Result, refuse};

/// Refuses a model whose weights, gradient and optimizer state are more than the machine's memory,
/// or whose steps need several times as much. `name` is how it is called in messages.
///
/// # Errors
/// With what it needs and what there is.
pub fn require_memory(name: &str, config: &ModelConfig, settings: &TrainSettings) -> Result<()> {
    let available = memory().unwrap_or(f64::INFINITY);
    require_within(available, name, config, settings)
}

fn require_within(
    available: f64,
    name: &str,
    config: &ModelConfig,
    settings: &TrainSettings,
) -> Result<()> {
    let state = state_bytes(config, settings);
    let step = activation_bytes(config, settings);
    let refuse = |what: &str, bytes: f64, advice: &str| {
        refuse(format_args!(
            "{name}: {what} need {}B of memory, and this machine has {}B",
            short(bytes),
            short(available)
        ))
        .advise(advice)
    };
    if state > available {
        return refuse(
            "weights, gradient and optimizer state",
            state,
            "choose smaller sizes, or a machine with more memory",
        );
    }
    // An estimate, which a fourth of the steps' memory in swap would still leave usable.
    if state + step > 4.0 * available {
        return refuse(
            "the steps",
            state + step,
            "set a smaller micro_batch_size, batch_size or sequence_length",
        );
    }
    Ok(())
}

/// Bytes of memory and swap that this process may use, where that is known.
#[cfg(target_os = "linux")]
fn memory() -> Option<f64> {
    let info = rustix::system::sysinfo();
    let machine = (info.totalram as f64 + info.totalswap as f64) * f64::from(info.mem_unit);
    // A container's limit; "max" where there is none.
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<f64>().ok());
    Some(limit.map_or(machine, |limit| limit.min(machine))).filter(|&bytes| bytes > 0.0)
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;

    #[test]
    fn models_and_steps_that_do_not_fit_are_refused() {
        let sizes = ModelConfig::tiny(Architecture::LLAMA);
        let large = ModelConfig { vocab_size: 1 << 24, hidden_size: 1 << 24, ..sizes.clone() };
        let settings = TrainSettings::default();
        let cause = |config, settings| {
            let refused = require_within(16e9, "models.a", config, settings);
            refused.unwrap_err().cause()
        };
        let message = cause(&large, &settings);
        assert!(message.starts_with("models.a: weights, gradient and optimizer"), "{message}");
        assert!(message.ends_with("and this machine has 16.0 GB"), "{message}");
        let long = TrainSettings { batch_size: 1 << 20, ..settings.clone() };
        assert!(cause(&sizes, &long).starts_with("models.a: the steps need "));
        let split = TrainSettings { micro_batch_size: 1, ..long };
        require_within(16e9, "models.a", &sizes, &split).unwrap();
        require_memory("models.a", &sizes, &settings).unwrap();
    }
}

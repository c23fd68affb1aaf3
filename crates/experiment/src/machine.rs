//! The machine and the program that something was computed by, as results record it.

use std::fs;

use engine::Device;
use serde::{Deserialize, Serialize};

/// A machine with the device and the program that worked on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name, where the system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Logical processors that the process may use.
    pub cores: usize,
    /// Threads that computed.
    pub threads: usize,
    /// The device with what computes its products, such as `cpu (AVX-512, 2 threads)`.
    pub device: String,
    /// What products were computed in, such as `f32`.
    pub precision: String,
    /// The version of the program.
    pub version: String,
}

impl Machine {
    /// This machine and one of its devices.
    pub fn of(device: &dyn Device) -> Self {
        Self {
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            device: device.name(),
            precision: device.arithmetic().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The machine in one line.
    pub fn line(&self) -> String {
        let Self { processor, cores, threads, device, precision, version } = self;
        let processor = processor.as_deref().unwrap_or("unknown processor");
        let plural = |count: usize, what: &str| report::format::counted(count as u64, what);
        let (cores, threads) = (plural(*cores, "core"), plural(*threads, "thread"));
        format!("{processor}, {cores}, {threads}; {device}, {precision}; babyllama {version}")
    }
}

/// The processor's name, where the system reports it.
pub fn processor() -> Option<String> {
    let description = fs::read_to_string("/proc/cpuinfo").ok()?;
    processor_in(&description)
}

/// The value of the first line `model name: value`.
fn processor_in(description: &str) -> Option<String> {
    let mut pairs = description.lines().filter_map(|line| line.split_once(':'));
    let name = pairs.find(|(key, _)| key.trim() == "model name").map(|(_, value)| value.trim());
    name.filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;

    #[test]
    fn the_processor_is_the_first_that_is_named() {
        let text = "model\t\t: 17\nmodel name\t: Some CPU @ 2.0 GHz\nmodel name\t: other\n";
        assert_eq!(processor_in(text).as_deref(), Some("Some CPU @ 2.0 GHz"));
        assert_eq!(processor_in("CPU part\t: 0xd0c\n"), None);
    }

    #[test]
    fn a_machine_is_described_in_one_line() {
        let found = Machine::of(&Cpu::new());
        assert!(found.cores >= 1 && found.threads >= 1 && found.precision == "f32", "{found:?}");
        let machine = Machine {
            processor: None,
            cores: 8,
            threads: 1,
            device: "cpu (AVX2, 1 thread)".into(),
            precision: "f32".into(),
            version: "1.2.3".into(),
        };
        let line =
            "unknown processor, 8 cores, 1 thread; cpu (AVX2, 1 thread), f32; babyllama 1.2.3";
        assert_eq!(machine.line(), line);
        let json = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine);
    }
}

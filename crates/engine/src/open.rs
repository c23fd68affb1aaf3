//! Which device to take, and opening it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::device::{Arithmetic, Device, DeviceError};

/// Which device to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    #[default]
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
    /// The first NVIDIA GPU when there is one, else the CPU.
    Auto,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |number: &str| number.parse().map(Self::Cuda).ok();
        match text {
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            "auto" => Some(Self::Auto),
            other => other.strip_prefix("cuda:").and_then(number),
        }
        .ok_or_else(|| format!("'{text}' is none of cpu, cuda, cuda:N and auto"))
    }
}

/// A device and how to use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Which device.
    pub choice: DeviceChoice,
    /// What products read; none for the device's own: bf16 on a GPU, f32 on the CPU.
    pub arithmetic: Option<Arithmetic>,
    /// A folder for compiled kernels, so that the next start need not compile them again.
    pub kernel_cache: Option<PathBuf>,
    /// Launch a GPU's kernels one by one, to measure what graphs gain or to rule them out.
    pub without_graphs: bool,
}

/// Opens the device.
///
/// # Errors
/// When there is no such GPU, or a library that it needs is missing. `Auto` takes the CPU where no
/// GPU can be used at all.
pub fn open(options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
    let cpu = || {
        let arithmetic = options.arithmetic.unwrap_or(Arithmetic::F32);
        Arc::new(Cpu::new().multiplying_in(arithmetic))
    };
    let cuda = |ordinal| {
        let arithmetic = options.arithmetic.unwrap_or(Arithmetic::Bf16);
        if arithmetic == Arithmetic::Bf16x3 {
            return Err(DeviceError::NotOnGpu(arithmetic));
        }
        Cuda::open(ordinal, arithmetic, options.kernel_cache.clone(), !options.without_graphs)
    };
    match options.choice {
        DeviceChoice::Cpu => Ok(cpu()),
        DeviceChoice::Cuda(ordinal) => Ok(Arc::new(cuda(ordinal)?)),
        DeviceChoice::Auto => match cuda(0) {
            Ok(cuda) => Ok(Arc::new(cuda)),
            Err(
                DeviceError::NoDriver { .. }
                | DeviceError::NoSuchGpu { .. }
                | DeviceError::TooOld { .. }
                | DeviceError::NotOnGpu(_),
            ) => Ok(cpu()),
            Err(broken) => Err(broken),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read() {
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(
                wrong.parse::<DeviceChoice>().unwrap_err().contains("none of cpu, cuda"),
                "{wrong}"
            );
        }
    }
}

//! What a device must be able to do: the sum of the operations' kernels. And which device to take.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::ops::attention::AttentionKernels;
use crate::ops::distillation_loss::DistillationLossKernels;
use crate::ops::dropout::DropoutKernels;
use crate::ops::embed::EmbedKernels;
use crate::ops::exact_gelu::ExactGeluKernels;
use crate::ops::gelu::GeluKernels;
use crate::ops::language_model_loss::LanguageModelLossKernels;
use crate::ops::linear::LinearKernels;
use crate::ops::memory::MemoryKernels;
use crate::ops::norm::NormKernels;
use crate::ops::optimizer::OptimizerKernels;
use crate::ops::relu::ReluKernels;
use crate::ops::swiglu::SwigluKernels;
use crate::ops::teacher_samples::TeacherSamplesKernels;

/// A place where tensors live and operations run.
///
/// Each operation declares its kernels as a trait in its `ops/` file; a device implements them in the file of the same
/// name. Kernels never fail: shapes are checked by the operations, and memory is asked for in `allocate`.
pub trait Device:
    MemoryKernels
    + EmbedKernels
    + LinearKernels
    + NormKernels
    + AttentionKernels
    + SwigluKernels
    + GeluKernels
    + ExactGeluKernels
    + ReluKernels
    + DropoutKernels
    + LanguageModelLossKernels
    + DistillationLossKernels
    + TeacherSamplesKernels
    + OptimizerKernels
    + Send
    + Sync
{
    /// What a person calls it, such as `cpu (AVX-512, 2 threads)`.
    fn name(&self) -> String;

    /// What its products round their operands to.
    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::F32
    }

    /// Waits until everything that was asked of it is done. The CPU is done when a kernel returns.
    fn synchronise(&self) {}

    /// Its own memory; none where it shares the host's.
    fn memory(&self) -> Option<DeviceMemory> {
        None
    }
}

/// A device's own memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What nobody uses, without what lies in the device's pool.
    pub free: u64,
    pub total: u64,
}

/// Which device to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    #[default]
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

/// What a GPU multiplies in. The CPU knows only f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// Products of bf16 values with sums in f32; weights, gradients, moments, norms and losses stay f32.
    #[default]
    Bf16,
    /// Everything in f32, to compare with the CPU.
    F32,
}

/// A device and how to use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    pub choice: DeviceChoice,
    pub arithmetic: Arithmetic,
    /// A folder for compiled kernels, so that the next start need not compile them again.
    pub kernel_cache: Option<PathBuf>,
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("no NVIDIA driver was found: the library {library} cannot be loaded")]
    NoDriver { library: &'static str },
    #[error("there is no NVIDIA GPU number {ordinal}: the driver knows {count}")]
    NoSuchGpu { ordinal: usize, count: usize },
    #[error("the library {library} cannot be loaded, which a GPU needs to {purpose}")]
    NoLibrary { library: &'static str, purpose: &'static str },
    #[error("the GPU {name} is too old: it has compute capability {major}.{minor}, and 8.0 is needed")]
    TooOld { name: String, major: i32, minor: i32 },
    #[error("a GPU kernel does not compile ({file}): {log}")]
    Kernel { file: &'static str, log: String },
    #[error("the NVIDIA driver failed to {doing}: {cause}")]
    Driver { doing: &'static str, cause: String },
}

/// Opens the device.
///
/// # Errors
/// When there is no such GPU, or a library that it needs is missing. `Auto` takes the CPU where no GPU can be used at all.
pub fn open(options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
    let cuda = |ordinal| Cuda::open(ordinal, options.arithmetic, options.kernel_cache.clone());
    match options.choice {
        DeviceChoice::Cpu => Ok(Arc::new(Cpu::new())),
        DeviceChoice::Cuda(ordinal) => Ok(Arc::new(cuda(ordinal)?)),
        DeviceChoice::Auto => match cuda(0) {
            Ok(cuda) => Ok(Arc::new(cuda)),
            Err(DeviceError::NoDriver { .. } | DeviceError::NoSuchGpu { .. } | DeviceError::TooOld { .. }) => {
                Ok(Arc::new(Cpu::new()))
            }
            Err(broken) => Err(broken),
        },
    }
}

/// The device that this program's own tests run on: a CPU, or what `BABYLLAMA_TEST_DEVICE` names (`cuda:f32`, `cuda:bf16`).
/// A GPU is shared by all tests of a process, which then must run one after the other (`--test-threads=1`).
///
/// # Panics
/// When there is no such device.
#[doc(hidden)]
pub fn for_tests() -> Arc<dyn Device> {
    static GPU: OnceLock<Arc<dyn Device>> = OnceLock::new();
    let arithmetic = match std::env::var("BABYLLAMA_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => return Arc::new(Cpu::new()),
        Ok("cuda:f32") => Arithmetic::F32,
        Ok("cuda:bf16") => Arithmetic::Bf16,
        Ok(other) => panic!("BABYLLAMA_TEST_DEVICE is {other}, not cpu, cuda:f32 or cuda:bf16"),
    };
    let options = DeviceOptions { choice: DeviceChoice::Cuda(0), arithmetic, kernel_cache: None };
    GPU.get_or_init(|| open(&options).unwrap_or_else(|cause| panic!("{cause}"))).clone()
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
            assert!(wrong.parse::<DeviceChoice>().unwrap_err().contains("none of cpu, cuda"), "{wrong}");
        }
    }
}

//! What a device must be able to do: the sum of the operations' kernels.

use crate::ops::attention::AttentionKernels;
use crate::ops::attention_pooling::AttentionPoolingKernels;
use crate::ops::biased_attention::BiasedAttentionKernels;
use crate::ops::blend::BlendKernels;
use crate::ops::distillation_loss::DistillationLossKernels;
use crate::ops::dropout::DropoutKernels;
use crate::ops::embed::EmbedKernels;
use crate::ops::exact_gelu::ExactGeluKernels;
use crate::ops::experts::ExpertKernels;
use crate::ops::geglu::GegluKernels;
use crate::ops::gelu::GeluKernels;
use crate::ops::head_norm::HeadNormKernels;
use crate::ops::language_model_loss::LanguageModelLossKernels;
use crate::ops::linear::LinearKernels;
use crate::ops::memory::MemoryKernels;
use crate::ops::mixture::MixtureKernels;
use crate::ops::multiply::MultiplyKernels;
use crate::ops::norm::NormKernels;
use crate::ops::optimizer::OptimizerKernels;
use crate::ops::orthogonal::OrthogonalKernels;
use crate::ops::relative_attention::RelativeAttentionKernels;
use crate::ops::relu::ReluKernels;
use crate::ops::router::RouterKernels;
use crate::ops::sam::SamKernels;
use crate::ops::scale::ScaleKernels;
use crate::ops::swiglu::SwigluKernels;
use crate::ops::tanh::TanhKernels;
use crate::ops::teacher_samples::TeacherSamplesKernels;

/// Where tensors are and operations run.
///
/// Each operation declares its kernels as a trait in its `ops/` file; a device implements them in
/// the file of the same name. Kernels return nothing: shapes are checked by the operations, and a
/// device that cannot go on raises a [`Fault`](crate::Fault).
pub trait Device:
    MemoryKernels
    + EmbedKernels
    + LinearKernels
    + NormKernels
    + AttentionKernels
    + RelativeAttentionKernels
    + BiasedAttentionKernels
    + AttentionPoolingKernels
    + ScaleKernels
    + HeadNormKernels
    + SwigluKernels
    + GegluKernels
    + GeluKernels
    + ExactGeluKernels
    + ReluKernels
    + TanhKernels
    + MultiplyKernels
    + MixtureKernels
    + RouterKernels
    + ExpertKernels
    + DropoutKernels
    + LanguageModelLossKernels
    + DistillationLossKernels
    + TeacherSamplesKernels
    + OptimizerKernels
    + OrthogonalKernels
    + SamKernels
    + BlendKernels
    + Send
    + Sync
{
    /// The device's name in messages, such as `cpu (AVX-512, 2 threads)`.
    fn name(&self) -> String;

    /// What the device's products round their operands to.
    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::F32
    }

    /// What computes its products, such as `bf16 by AMX tiles`: the same work has other bits where
    /// this differs.
    fn products(&self) -> String {
        self.name()
    }

    /// Begins with all queued work, without waiting: before the host is busy
    /// with something else.
    fn submit(&self) {}

    /// Waits until all queued work is done. The CPU is done when a kernel returns.
    fn synchronise(&self) {}

    /// The device's own memory; none where it shares the host's.
    fn memory(&self) -> Option<DeviceMemory> {
        None
    }

    /// Returns the memory in the device's pool to the system, after something large is gone for
    /// good.
    fn trim(&self);

    /// How often the pool had to request memory from the system so far.
    fn fresh_allocations(&self) -> u64;

    /// How many rows of logits of this vocabulary the device computes at a time.
    fn rows_of_logits(&self, vocab: usize) -> usize;

    /// The number of rows from which on each row of a product with `columns` output columns has
    /// bits that depend on that row and the weights alone, not on the rows beside it. 0 where no
    /// minimum is known.
    fn independent_rows(&self, columns: usize) -> usize {
        let _ = columns;
        0
    }

    /// How its kernels were launched so far; none where they are plain calls.
    fn launch_stats(&self) -> Option<LaunchStats> {
        None
    }
}

/// How many kernels and products were launched, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchStats {
    /// One by one.
    pub alone: u64,
    /// As part of a graph.
    pub in_graphs: u64,
    /// Graphs.
    pub graphs: u64,
    /// Why the first sequence that could not become a graph could not.
    pub refused: Option<String>,
}

/// A device's own memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What is not in use, without the free memory of the device's pool.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// What a device's products read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Products of bf16 values with sums in f32; weights, gradients, moments, norms and losses stay
    /// f32.
    Bf16,
    /// Each product of f32 values as three products of bf16 values, which together have 16 bits of
    /// their 24; everything else is f32. On the CPU only.
    Bf16x3,
    /// Everything in f32.
    F32,
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Bf16 => "bf16",
            Self::Bf16x3 => "bf16x3",
            Self::F32 => "f32",
        })
    }
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The driver library is missing.
    #[error("no NVIDIA driver was found: the library {library} cannot be loaded")]
    NoDriver {
        /// The library's name.
        library: &'static str,
    },
    /// There are fewer GPUs.
    #[error("there is no NVIDIA GPU number {ordinal}: the driver knows {count}")]
    NoSuchGpu {
        /// The number that was asked for.
        ordinal: usize,
        /// How many GPUs there are.
        count: usize,
    },
    /// A library beside the driver is missing.
    #[error("the library {library} cannot be loaded, which a GPU needs to {purpose}")]
    NoLibrary {
        /// The library's name.
        library: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// The GPU's compute capability is too low.
    #[error(
        "the GPU {name} is too old: it has compute capability {major}.{minor}, and 8.0 is needed"
    )]
    TooOld {
        /// The GPU's name.
        name: String,
        /// The number before the point of its compute capability.
        major: i32,
        /// The number after the point.
        minor: i32,
    },
    /// The compiler refuses a kernel.
    #[error("a GPU kernel does not compile ({file}): {log}")]
    Kernel {
        /// The source file.
        file: &'static str,
        /// The compiler's messages.
        log: String,
    },
    /// A GPU does not multiply in it.
    #[error("{0} is for the CPU: a GPU multiplies in bf16 or in f32")]
    NotOnGpu(Arithmetic),
    /// A call of the driver failed.
    #[error("the NVIDIA driver failed to {doing}: {cause}")]
    Driver {
        /// What was asked of the driver.
        doing: &'static str,
        /// The driver's error.
        cause: String,
    },
}

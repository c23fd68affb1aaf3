//! What a device must be able to do: the sum of the operations' kernels.

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
}

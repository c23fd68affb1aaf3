//! The kernels on an NVIDIA GPU, in files of the operations' names.
//!
//! The libraries (driver, NVRTC, cuBLASLt) are loaded at run time, so that the program builds and
//! runs without them. Kernels (`*.cu`) are compiled for the GPU that is present. Products run in
//! bf16 with sums in f32, or wholly in f32; everything else in f32. No sum depends on the order in
//! which threads happen to run, so the same run gives the same bits on the same kind of GPU.
//!
//! All work goes into one stream, in order. A kernel's call returns before the GPU has done it, and
//! often before the GPU has received the command (`queue.rs`); memory that is freed may be reused
//! at once, since its next use comes later in the stream.

mod attention;
mod attention_pooling;
mod blend;
mod command;
mod context;
mod distillation_loss;
mod elementwise;
mod embed;
mod ensemble;
mod experts;
mod graph;
mod head_norm;
mod kernels;
mod language_model_loss;
mod linear;
mod memory;
mod mixture;
mod multiplication;
mod norm;
mod optimizer;
mod orthogonal;
mod output_layer;
mod product;
mod queue;
#[cfg(test)]
mod queue_tests;
mod router;
mod sam;
mod staging;
mod tables;
mod teacher_samples;

use std::path::PathBuf;
use std::sync::Arc;

use crate::device::{Arithmetic, Device, DeviceError, DeviceMemory, LaunchStats};
use context::Context;
use kernels::Kernels;
use memory::Pool;
use product::Products;
use staging::Staging;
use tables::Tables;

pub use attention::dynamic_shared_memory;
pub use kernels::{Source, compile, sources};

/// An NVIDIA GPU.
pub struct Cuda {
    context: Arc<Context>,
    arithmetic: Arithmetic,
    pool: Pool,
    staging: Staging,
    kernels: Kernels,
    products: Products,
    tables: Tables,
}

impl Cuda {
    /// The GPU of this number, as the driver counts (`CUDA_VISIBLE_DEVICES` is heeded). With
    /// graphs, kernels that come in the same order again and again are started together.
    ///
    /// # Errors
    /// When there is no driver, no such GPU, it is too old, or NVRTC or cuBLASLt is missing.
    pub fn open(
        ordinal: usize,
        arithmetic: Arithmetic,
        kernel_cache: Option<PathBuf>,
        with_graphs: bool,
    ) -> Result<Self, DeviceError> {
        let context = Arc::new(Context::open(ordinal, with_graphs)?);
        let kernels = Kernels::new(context.clone(), kernel_cache)?;
        let products = Products::new(context.clone())?;
        Ok(Self {
            pool: Pool::new(context.clone()),
            staging: Staging::new(context.clone()),
            context,
            arithmetic,
            kernels,
            products,
            tables: Tables::default(),
        })
    }
}

impl Device for Cuda {
    fn name(&self) -> String {
        format!("cuda:{} ({}, {})", self.context.ordinal, self.context.name, self.arithmetic)
    }

    fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    fn submit(&self) {
        self.context.submit();
    }

    fn synchronise(&self) {
        self.context.synchronise();
    }

    fn memory(&self) -> Option<DeviceMemory> {
        Some(self.context.memory())
    }

    fn trim(&self) {
        self.pool.trim();
    }

    fn fresh_allocations(&self) -> u64 {
        self.pool.fresh_allocations()
    }

    fn rows_of_logits(&self, vocab: usize) -> usize {
        output_layer::rows_of_logits(vocab)
    }

    fn launch_stats(&self) -> Option<LaunchStats> {
        Some(self.context.launch_stats())
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Their products are cuBLASLt's, which goes before the context does.
        self.context.forget_graphs();
        self.tables.drain().into_iter().for_each(|table| self.pool.give_back(table));
    }
}

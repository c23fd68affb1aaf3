//! The kernels on the CPU, in files of the operations' names: f32, threads by rayon, vector
//! instructions chosen at run time, sums in an order that does not depend on the thread count.
//!
//! Work spreads over the rayon pool that the caller runs in.

mod attention;
mod attention_pooling;
mod biased_attention;
mod blend;
mod distillation_loss;
mod dropout;
mod elementwise;
mod embed;
mod ensemble;
mod exact_gelu;
mod experts;
mod geglu;
mod gelu;
mod head_norm;
mod language_model_loss;
mod linear;
mod math;
mod memory;
mod mixture;
mod multiply;
mod norm;
mod optimizer;
mod orthogonal;
mod output_layer;
mod prefetch;
mod product;
mod relative_attention;
mod relu;
mod router;
mod sam;
mod scale;
mod softmax;
mod swiglu;
mod tanh;
mod teacher_samples;
mod values;

use std::time::Instant;

use crate::device::{Arithmetic, Device, DeviceMemory};
use crate::tensor::{View, ViewMut};

use elementwise::TASK;
use memory::Pool;
use product::Products;
use product::bf16::Bf16;
use values::{Values, ValuesMut};

/// Compiles a function once for each family of vector instructions and picks the best at run time.
/// Functions that it calls must be `#[inline(always)]` to be part of that.
macro_rules! vectorised {
    ($($function:tt)*) => {
        #[multiversion::multiversion(targets(
            "x86_64+avx+avx2+fma+avx512f+avx512bw+avx512cd+avx512dq+avx512vl",
            "x86_64+avx+avx2+fma",
            "aarch64+neon",
        ))]
        $($function)*
    };
}
use vectorised;

/// The CPU.
#[derive(Default)]
pub struct Cpu {
    pool: Pool,
    products: Products,
}

impl Cpu {
    /// The CPU, with all the memory that the system gives.
    pub fn new() -> Self {
        Self::default()
    }

    /// A CPU whose tensors may take no more than `bytes` bytes, and which raises the fault of a GPU
    /// when they would: to try out what happens then.
    pub fn with_memory(bytes: u64) -> Self {
        Self { pool: Pool::limited(bytes), ..Self::default() }
    }

    /// This CPU with products of another arithmetic.
    pub fn multiplying_in(self, arithmetic: Arithmetic) -> Self {
        let products = match arithmetic {
            Arithmetic::F32 => Products::F32,
            Arithmetic::Bf16 => Products::Bf16(Bf16::detect()),
            Arithmetic::Bf16x3 => Products::Bf16(Bf16::detect_split()),
        };
        Self { products, ..self }
    }
}

/// How many times faster than f32 this processor multiplies bf16, measured with all threads in a
/// few milliseconds; none where it has no instructions for it.
pub fn bf16_speedup() -> Option<f64> {
    const SIZE: usize = 512;
    let bf16 = Bf16::tiles().or_else(Bf16::dot)?;
    let values = vec![1.0f32; SIZE * SIZE];
    let mut output = vec![0.0; SIZE * SIZE];
    let matrix = product::Matrix::dense(&values, SIZE, SIZE);
    let mut seconds = |products: Products| {
        let run = |_| {
            let begun = Instant::now();
            let output = product::MatrixMut::dense(&mut output, SIZE, SIZE);
            let (nothing, all) = (product::Addend::Nothing, product::Workers::All);
            products.product(output, nothing, matrix, matrix, 1.0, all);
            begun.elapsed().as_secs_f64()
        };
        (0..4).map(run).fold(f64::INFINITY, f64::min)
    };
    Some(seconds(Products::F32) / seconds(Products::Bf16(bf16)))
}

impl Device for Cpu {
    fn name(&self) -> String {
        let threads = rayon::current_num_threads();
        format!(
            "cpu ({}, {threads} thread{})",
            self.products(),
            if threads == 1 { "" } else { "s" }
        )
    }

    fn products(&self) -> String {
        match self.products {
            Products::F32 => instructions().to_owned(),
            Products::Bf16(bf16) => format!("{} by {}", bf16.arithmetic(), bf16.name()),
        }
    }

    fn arithmetic(&self) -> Arithmetic {
        match self.products {
            Products::F32 => Arithmetic::F32,
            Products::Bf16(bf16) => bf16.arithmetic(),
        }
    }

    fn memory(&self) -> Option<DeviceMemory> {
        self.pool.memory()
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

    fn independent_rows(&self, columns: usize) -> usize {
        self.products.independent_rows(columns)
    }
}

fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    std::env::consts::ARCH
}

/// A contiguous view as a matrix.
fn matrix<'a>(view: View<'a>) -> product::Matrix<'a> {
    product::Matrix::dense(values(view), view.rows, view.columns)
}

/// The values of a contiguous view.
fn values<'a>(view: View<'a>) -> Values<'a> {
    assert!(view.is_contiguous(), "this kernel reads contiguous rows");
    let range = view.offset..view.offset + view.rows * view.columns;
    memory::all_values(view.tensor).range(range)
}

/// The values of a view to write.
fn values_mut<'a>(view: ViewMut<'a>) -> ValuesMut<'a> {
    let range = view.offset..view.offset + view.rows * view.columns;
    memory::all_values_mut(view.tensor).range(range)
}

/// The values of a contiguous view in full precision.
fn slice<'a>(view: View<'a>) -> &'a [f32] {
    assert!(view.is_contiguous(), "this kernel reads contiguous rows");
    &memory::full_values(view.tensor)[view.offset..view.offset + view.rows * view.columns]
}

/// The values of a view in full precision, to write.
fn slice_mut<'a>(view: ViewMut<'a>) -> &'a mut [f32] {
    let range = view.offset..view.offset + view.rows * view.columns;
    &mut memory::full_values_mut(view.tensor)[range]
}

/// Rows that one task takes, so that a task is worth its start: about 16,000 values.
fn rows_per_task(columns: usize) -> usize {
    (TASK / columns.max(1)).max(1)
}

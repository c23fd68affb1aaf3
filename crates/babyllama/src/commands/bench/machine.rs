//! `babyllama bench machine`: what the processor and its memory can do.

use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Tensor};
use report::format::decimal;
use report::{Align, Table};
use serde::Serialize;

use super::Report;
use super::presets::Subject;
use super::process;
use super::products::{ProductPeak, best_seconds, filled, square_product};

/// Rows and columns of the large square product.
const SQUARE: usize = 2048;

/// Values of the vectors that measure the memory: 256 MiB each, far beyond any cache.
const VECTOR: usize = 1 << 26;

/// The machine and the program on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells it.
    pub processor: Option<String>,
    /// The device with its instruction set and threads.
    pub device: String,
    pub threads: usize,
}

impl Machine {
    pub fn here() -> Self {
        Self { processor: process::processor(), device: Cpu::new().name(), threads: rayon::current_num_threads() }
    }

    /// The machine in one line.
    pub fn line(&self) -> String {
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        format!("{processor}, {}", self.device)
    }
}

/// What the machine can do, in GFLOP/s and GB/s.
#[derive(Debug, Serialize)]
pub struct MachineReport {
    pub machine: Machine,
    /// The model whose step has these shapes.
    pub model: String,
    pub tokens_per_step: usize,
    pub product_peak: ProductPeak,
    pub square_product_gflops: f64,
    /// Reading one vector and writing another.
    pub copy_gigabytes_per_second: f64,
    /// Reading two vectors and writing one of them.
    pub add_gigabytes_per_second: f64,
}

/// Measures the machine at the shapes of a model's step.
pub fn measure(subject: &Subject) -> MachineReport {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let product_peak = ProductPeak::measure(subject, &device);
    let square_product_gflops = square_product(&device, SQUARE);
    // A new device, so that the memory of the products is free again.
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let (from, mut to): (Tensor, Tensor) = (filled(&device, 1, VECTOR), filled(&device, 1, VECTOR));
    let gigabytes = |vectors: f64, seconds: f64| vectors * 4.0 * VECTOR as f64 / seconds / 1e9;
    let copy = best_seconds(|| device.copy(from.view(), to.view_mut()));
    let add = best_seconds(|| device.add(from.view(), to.view_mut()));
    MachineReport {
        machine: Machine::here(),
        model: subject.name.clone(),
        tokens_per_step: subject.tokens_per_step,
        product_peak,
        square_product_gflops,
        copy_gigabytes_per_second: gigabytes(2.0, copy),
        add_gigabytes_per_second: gigabytes(3.0, add),
    }
}

impl Report for MachineReport {
    fn text(&self) -> String {
        let mut table = Table::new([("", Align::Left), ("best", Align::Right), ("", Align::Left)]);
        let shapes = format!("product peak, at the shapes of {}", self.model);
        let square = format!("product of two matrices of {SQUARE} x {SQUARE}");
        for (name, value, unit) in [
            (shapes, self.product_peak.gflops, "GFLOP/s"),
            (square, self.square_product_gflops, "GFLOP/s"),
            ("memory, one vector to another".to_owned(), self.copy_gigabytes_per_second, "GB/s"),
            ("memory, one vector added to another".to_owned(), self.add_gigabytes_per_second, "GB/s"),
        ] {
            let decimals = if unit == "GB/s" { 1 } else { 0 };
            table.push(vec![name, decimal(Some(value), decimals), unit.to_owned()]);
        }
        format!("{}\n\n{}\n{}", self.machine.line(), table.to_text(), self.product_peak.table().to_text())
    }
}

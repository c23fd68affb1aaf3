//! `babyllama bench machine`: what the processor and its memory can do.

use std::sync::Arc;

use engine::device::DeviceMemory;
use engine::{Device, Tensor};
use experiment::machine::processor;
use report::format::{decimal, short};
use report::{Align, Table};
use serde::Serialize;

use super::Report;
use super::presets::Subject;
use super::products::{FlopUnit, ProductPeak, best_seconds, dense_peak, filled, square_product};

/// Rows and columns of the large square product on the CPU.
const SQUARE: usize = 2048;

/// Values of the vectors that measure the memory: 256 MiB each, far beyond any cache.
const VECTOR: usize = 1 << 26;

/// The machine and the program on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name, where the system reports it.
    pub processor: Option<String>,
    /// The device with its instruction set and threads.
    pub device: String,
    pub threads: usize,
    /// Bytes of a device with memory of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<u64>,
}

impl Machine {
    /// This machine, and the device that works.
    pub fn with(device: &dyn Device) -> Self {
        let (processor, threads) = (processor(), rayon::current_num_threads());
        Self {
            processor,
            device: device.name(),
            threads,
            device_memory: device.memory().map(|memory| memory.total),
        }
    }

    /// The unit in which speeds are shown.
    pub fn unit(&self) -> FlopUnit {
        match self.device_memory {
            None => FlopUnit { name: "GFLOP/s", gigaflops: 1.0, more_decimals: 0 },
            Some(_) => FlopUnit { name: "TFLOP/s", gigaflops: 1000.0, more_decimals: 1 },
        }
    }

    /// The machine in one line.
    pub fn line(&self) -> String {
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        format!("{processor}, {}", self.device)
    }
}

/// How much of a device's own memory is taken, by this program and others.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeviceUse {
    pub used: u64,
    pub total: u64,
}

impl DeviceUse {
    /// None where the device shares the host's memory.
    pub fn of(device: &dyn Device) -> Option<Self> {
        device
            .memory()
            .map(|DeviceMemory { free, total }| Self { used: total.saturating_sub(free), total })
    }

    pub fn line(&self) -> String {
        format!(
            "device memory in use: {}B of {}B",
            short(self.used as f64),
            short(self.total as f64)
        )
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
    /// Rows and columns of that product.
    pub square_size: usize,
    /// Reading one vector and writing another.
    pub copy_gigabytes_per_second: f64,
    /// Reading two vectors and writing one of them.
    pub add_gigabytes_per_second: f64,
}

/// Measures the machine at the shapes of a model's step.
pub fn measure(subject: &Subject, device: &Arc<dyn Device>) -> MachineReport {
    let product_peak = ProductPeak::measure(subject, device);
    let (square_product_gflops, square_size) =
        dense_peak(device).unwrap_or_else(|| (square_product(device, SQUARE), SQUARE));
    // The memory of the products is free again.
    device.trim();
    let (from, mut to): (Tensor, Tensor) = (filled(device, 1, VECTOR), filled(device, 1, VECTOR));
    let gigabytes = |vectors: f64, seconds: f64| vectors * 4.0 * VECTOR as f64 / seconds / 1e9;
    let copy = best_seconds(&**device, || device.copy(from.view(), to.view_mut()));
    let add = best_seconds(&**device, || device.add(from.view(), to.view_mut()));
    MachineReport {
        machine: Machine::with(&**device),
        model: subject.name.clone(),
        tokens_per_step: subject.tokens_per_step,
        product_peak,
        square_product_gflops,
        square_size,
        copy_gigabytes_per_second: gigabytes(2.0, copy),
        add_gigabytes_per_second: gigabytes(3.0, add),
    }
}

impl Report for MachineReport {
    fn text(&self) -> String {
        let mut table = Table::new([("", Align::Left), ("best", Align::Right), ("", Align::Left)]);
        let shapes = format!("product peak, at the shapes of {}", self.model);
        let square = format!("product of two matrices of {0} x {0}", self.square_size);
        let unit = self.machine.unit();
        for (name, value) in
            [(shapes, self.product_peak.gflops), (square, self.square_product_gflops)]
        {
            table.push(vec![name, unit.show(Some(value), 0), unit.name.to_owned()]);
        }
        for (name, value) in [
            ("memory, one vector to another", self.copy_gigabytes_per_second),
            ("memory, one vector added to another", self.add_gigabytes_per_second),
        ] {
            table.push(vec![name.to_owned(), decimal(Some(value), 1), "GB/s".to_owned()]);
        }
        format!(
            "{}\n\n{}\n{}",
            self.machine.line(),
            table.to_text(),
            self.product_peak.table(unit).to_text()
        )
    }
}

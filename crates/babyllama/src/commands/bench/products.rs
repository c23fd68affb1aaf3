//! The product peak: how fast the machine multiplies matrices of the shapes that a training step
//! multiplies.

use std::sync::Arc;
use std::time::Instant;

use engine::{Device, Precision, Shape, Tensor};
use model::{MatrixProduct, ModelConfig};
use report::format::{decimal, grouped};
use report::{Align, Table};
use serde::Serialize;

use super::presets::Subject;
use crate::args::bench::TeacherSignal;

/// A unit that suits a device's speed.
#[derive(Clone, Copy, Debug)]
pub struct FlopUnit {
    pub name: &'static str,
    pub gigaflops: f64,
    pub more_decimals: usize,
}

impl FlopUnit {
    /// A speed in GFLOP/s as a cell.
    pub fn show(&self, speed: Option<f64>, decimals: usize) -> String {
        decimal(speed.map(|speed| speed / self.gigaflops), decimals + self.more_decimals)
    }
}

/// Rows of logits that a CPU computes at a time when the output layer's product is measured. A step
/// takes fewer, but packs the matrix once for all of them, which a product by itself cannot do.
const OUTPUT_ROWS_OF_CPU: usize = 1024;

/// Rows of logits that a device computes at a time when the output layer's product is measured: as
/// many as in a step, but for the CPU.
fn output_rows(device: &dyn Device, vocab_size: usize) -> usize {
    if device.memory().is_some() { device.rows_of_logits(vocab_size) } else { OUTPUT_ROWS_OF_CPU }
}

/// A product is measured at least so often and so long; the best time counts.
const LEAST_RUNS: usize = 3;
const LEAST_SECONDS: f64 = 0.2;

/// Time between two waits for a GPU.
const GROUP_SECONDS: f64 = 0.01;

/// A product with a weight matrix `[outputs, inputs]`, as a step computes it.
#[derive(Clone, Debug, PartialEq)]
struct Product {
    name: String,
    rows: usize,
    inputs: usize,
    outputs: usize,
    /// Multiplications and additions of all its forward products in a step.
    step_flops: f64,
    /// Whether the step computes the gradients of input and weights too.
    gradients: bool,
}

/// How fast a product was, in GFLOP/s.
#[derive(Clone, Debug, Serialize)]
pub struct ProductSpeed {
    pub name: String,
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub forward: f64,
    pub input_gradient: Option<f64>,
    pub weight_gradient: Option<f64>,
}

/// The speeds of a step's products, and of all of them in the step's proportions.
#[derive(Clone, Debug, Serialize)]
pub struct ProductPeak {
    pub gflops: f64,
    pub products: Vec<ProductSpeed>,
}

impl ProductPeak {
    /// Measures all products of a step.
    pub fn measure(subject: &Subject, device: &Arc<dyn Device>) -> Self {
        let (mut flops, mut seconds, mut speeds) = (0.0, 0.0, Vec::new());
        for product in products(subject, output_rows(&**device, subject.config.vocab_size)) {
            let speed = product.measure(device);
            for gflops in [Some(speed.forward), speed.input_gradient, speed.weight_gradient]
                .into_iter()
                .flatten()
            {
                flops += product.step_flops;
                seconds += product.step_flops / (1e9 * gflops);
            }
            speeds.push(speed);
        }
        Self { gflops: flops / seconds / 1e9, products: speeds }
    }

    /// One line a product.
    pub fn table(&self, unit: FlopUnit) -> Table {
        let heads = ["rows", "inputs", "outputs", "forward", "input gradient", "weight gradient"];
        let heads = heads.map(|head| (head, Align::Right));
        let head = format!("{} of the product", unit.name);
        let mut table = Table::new([(head.as_str(), Align::Left)].into_iter().chain(heads));
        for speed in &self.products {
            table.push(vec![
                speed.name.clone(),
                grouped(speed.rows as u64),
                grouped(speed.inputs as u64),
                grouped(speed.outputs as u64),
                unit.show(Some(speed.forward), 0),
                unit.show(speed.input_gradient, 0),
                unit.show(speed.weight_gradient, 0),
            ]);
        }
        table
    }
}

/// The products of a step: the model's with their gradients, and those of the teachers that the
/// signal needs, without. At most `output_rows` rows of logits are computed at a time.
fn products(subject: &Subject, output_rows: usize) -> Vec<Product> {
    let mut products = of_model(subject, "", &subject.config, output_rows, true);
    for (name, teacher) in &subject.teachers {
        let mut of_teacher = of_model(subject, &format!("{name} "), teacher, output_rows, false);
        match subject.signal {
            Some(TeacherSignal::Online) => {}
            // The output layer, which is the last.
            Some(TeacherSignal::Hidden | TeacherSignal::HiddenBf16) => {
                drop(of_teacher.drain(..of_teacher.len() - 1))
            }
            Some(TeacherSignal::Sampled) | None => of_teacher.clear(),
        }
        for product in of_teacher {
            let same = |known: &&mut Product| {
                let shape = |product: &Product| (product.rows, product.inputs, product.outputs);
                !known.gradients && shape(known) == shape(&product)
            };
            // Teachers of one shape are measured once.
            match products.iter_mut().find(same) {
                Some(known) => known.step_flops += product.step_flops,
                None => products.push(product),
            }
        }
    }
    products
}

fn of_model(
    subject: &Subject,
    prefix: &str,
    config: &ModelConfig,
    output_rows: usize,
    gradients: bool,
) -> Vec<Product> {
    let rows = subject.micro_batch() * subject.settings.sequence_length;
    let product = |rows: usize, MatrixProduct { name, inputs, outputs, count }| Product {
        name: format!("{prefix}{name}"),
        rows,
        inputs,
        outputs,
        step_flops: 2.0 * (count * subject.tokens_per_step * inputs * outputs) as f64,
        gradients,
    };
    let (inputs, outputs) = (config.hidden_size, config.vocab_size);
    let output = MatrixProduct { name: "output", inputs, outputs, count: 1 };
    let of_layers = config.architecture.products(config).into_iter();
    let of_layers = of_layers.map(|of_layer| product(rows, of_layer));
    of_layers.chain([product(rows.min(output_rows), output)]).collect()
}

impl Product {
    fn measure(&self, device: &Arc<dyn Device>) -> ProductSpeed {
        let tensor = |rows, columns| activations(device, rows, columns);
        let (input, weight) =
            (tensor(self.rows, self.inputs), filled(device, self.outputs, self.inputs));
        let mut output = tensor(self.rows, self.outputs);
        let gflops =
            |seconds: f64| 2.0 * (self.rows * self.inputs * self.outputs) as f64 / seconds / 1e9;
        let forward = best_seconds(&**device, || {
            device.linear(input.view(), weight.view(), None, None, output.view_mut())
        });
        let input_gradient = self.gradients.then(|| {
            let mut d_input = tensor(self.rows, self.inputs);
            best_seconds(&**device, || {
                device.linear_input_gradient(
                    output.view(),
                    weight.view(),
                    d_input.view_mut(),
                    false,
                );
            })
        });
        let weight_gradient = self.gradients.then(|| {
            let mut d_weight = filled(device, self.outputs, self.inputs);
            best_seconds(&**device, || {
                device.linear_weight_gradient(output.view(), input.view(), d_weight.view_mut());
            })
        });
        ProductSpeed {
            name: self.name.clone(),
            rows: self.rows,
            inputs: self.inputs,
            outputs: self.outputs,
            forward: gflops(forward),
            input_gradient: input_gradient.map(gflops),
            weight_gradient: weight_gradient.map(gflops),
        }
    }
}

/// GFLOP/s of the product of two square matrices.
pub fn square_product(device: &Arc<dyn Device>, size: usize) -> f64 {
    let (input, weight) = (activations(device, size, size), filled(device, size, size));
    let mut output = activations(device, size, size);
    let run = || device.linear(input.view(), weight.view(), None, None, output.view_mut());
    2.0 * (size as f64).powi(3) / best_seconds(&**device, run) / 1e9
}

/// Rows and columns of the square products of which the best is a GPU's dense peak.
const DENSE_SQUARES: [usize; 3] = [4096, 8192, 16_384];

/// GFLOP/s of dense products on a device with memory of its own, each in the way that the device
/// multiplies: the best of some large squares, and its size. None for the CPU, whose products are
/// measured at a step's shapes.
pub fn dense_peak(device: &Arc<dyn Device>) -> Option<(f64, usize)> {
    let memory = device.memory()?;
    let fits = |size: &usize| 16 * (size * size) as u64 <= memory.free;
    let peaks =
        DENSE_SQUARES.into_iter().filter(fits).map(|size| (square_product(device, size), size));
    peaks.max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// A matrix of one small value, in f32: the time of a product does not depend on its values, as
/// long as nothing overflows.
pub fn filled(device: &Arc<dyn Device>, rows: usize, columns: usize) -> Tensor {
    of_precision(device, rows, columns, Precision::Full)
}

/// A matrix of one small value, in the precision in which the device keeps activations.
fn activations(device: &Arc<dyn Device>, rows: usize, columns: usize) -> Tensor {
    of_precision(device, rows, columns, Precision::Compact)
}

fn of_precision(
    device: &Arc<dyn Device>,
    rows: usize,
    columns: usize,
    precision: Precision,
) -> Tensor {
    let mut tensor = Tensor::of_shape(device, Shape { rows, columns, precision });
    device.fill(tensor.view_mut(), 1e-3);
    tensor
}

/// The shortest time that something takes, after a first time that does not count. What is asked of
/// a GPU takes a while to get there, so that several runs share one wait.
pub fn best_seconds(device: &dyn Device, mut run: impl FnMut()) -> f64 {
    let mut timed = |runs: u32| {
        let start = Instant::now();
        (0..runs).for_each(|_| run());
        device.synchronise();
        start.elapsed().as_secs_f64() / f64::from(runs)
    };
    timed(1);
    let group = match device.memory() {
        None => 1,
        Some(_) => (GROUP_SECONDS / timed(1)).ceil().clamp(1.0, 100.0) as u32,
    };
    let (begun, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < LEAST_RUNS || begun.elapsed().as_secs_f64() < LEAST_SECONDS {
        best = best.min(timed(group));
        runs += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use engine::Device;
    use engine::cpu::Cpu;

    use super::*;
    use crate::args::bench::{ModelChoice, Preset, StepShape, StudentChoice, StudentPreset};

    /// Products and attention together are what a step computes.
    #[test]
    fn no_product_of_a_step_is_missing() {
        for preset in [Preset::Llama16m, Preset::Llama345m, Preset::Gpt2, Preset::Gptj] {
            let choice = ModelChoice { preset: Some(preset), ..ModelChoice::default() };
            let subject = Subject::model(&choice, &StepShape::default()).unwrap();
            let config = &subject.config;
            let attention = 2 * config.num_layers * config.num_heads * config.head_dim * 129;
            let products: f64 =
                products(&subject, 1024).iter().map(|product| product.step_flops).sum();
            let forward = config.forward_flops_per_token(128) * subject.tokens_per_step as f64;
            // GPT-2's position table is the one matrix that counts as neither.
            assert_eq!(
                products + (attention * subject.tokens_per_step) as f64,
                forward,
                "{preset:?}"
            );
        }
    }

    #[test]
    fn logits_are_measured_in_the_devices_own_blocks() {
        let cpu = Cpu::new();
        assert_eq!((output_rows(&cpu, 16_000), output_rows(&cpu, 500)), (1024, 1024));
        let with_memory = Cpu::with_memory(1 << 20);
        assert_eq!(output_rows(&with_memory, 16_000), with_memory.rows_of_logits(16_000));
        assert!(with_memory.rows_of_logits(16_000) < 1024);
        let subject = student(StudentPreset::BabyLlama1, TeacherSignal::Online);
        let tokens = subject.micro_batch() * subject.settings.sequence_length;
        let rows = |most| {
            let outputs =
                products(&subject, most).into_iter().filter(|product| product.outputs == 16_000);
            outputs.map(|product| product.rows).collect::<Vec<_>>()
        };
        assert_eq!((rows(100), rows(1 << 20)), (vec![100; 3], vec![tokens; 3]));
    }

    fn student(preset: StudentPreset, signal: TeacherSignal) -> Subject {
        let choice = StudentChoice { preset: Some(preset), config: None, model: None };
        Subject::student(&choice, signal, &StepShape::default()).unwrap()
    }

    #[test]
    fn teachers_have_no_gradients_and_equal_ones_are_measured_once() {
        let products = products(&student(StudentPreset::BabyLlama2, TeacherSignal::Online), 1024);
        assert_eq!(products.len(), 10);
        assert!(products[..5].iter().all(|product| product.gradients));
        for (student, teachers) in products[..5].iter().zip(&products[5..]) {
            assert!(!teachers.gradients && teachers.step_flops == 2.0 * student.step_flops);
        }
    }

    #[test]
    fn a_cache_leaves_of_the_teachers_what_it_does_not_hold() {
        let flops = |signal| student(StudentPreset::BabyLlama1, signal).flops_per_token();
        let names = |signal| {
            let products = products(&student(StudentPreset::BabyLlama1, signal), 1024);
            products[5..].iter().map(|product| product.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(TeacherSignal::Hidden), ["llama-360m output", "gpt2-705m output"]);
        assert_eq!(names(TeacherSignal::Sampled), [""; 0]);
        let logits = 2.0 * (16_000 * (1024 + 1536)) as f64;
        assert_eq!(flops(TeacherSignal::HiddenBf16), flops(TeacherSignal::Sampled) + logits);
        assert!(flops(TeacherSignal::Online) > 5.0 * flops(TeacherSignal::Hidden));
    }
}

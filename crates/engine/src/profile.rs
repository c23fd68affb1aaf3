//! Where the time goes: a device that passes everything on to another one and keeps time by
//! operation.
//!
//! A model whose tensors are made on a [`Profiler`] runs as on the device inside, with the same
//! bits. While it records, it waits after every operation until the device has finished it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::device::{Arithmetic, Device, DeviceMemory, LaunchStats};
use crate::ops::attention::{AttentionKernels, AttentionSpan, Heads};
use crate::ops::distillation_loss::{
    DistillationLossKernels, DistillationObjective, DistillationSums, TeacherSignal,
};
use crate::ops::dropout::DropoutKernels;
use crate::ops::embed::EmbedKernels;
use crate::ops::exact_gelu::ExactGeluKernels;
use crate::ops::gelu::GeluKernels;
use crate::ops::language_model_loss::{
    LanguageModelLossKernels, OutputGradient, Projection, Target,
};
use crate::ops::linear::LinearKernels;
use crate::ops::memory::MemoryKernels;
use crate::ops::norm::NormKernels;
use crate::ops::optimizer::{AdamwStep, OptimizerKernels};
use crate::ops::relu::ReluKernels;
use crate::ops::swiglu::SwigluKernels;
use crate::ops::tanh::TanhKernels;
use crate::ops::teacher_samples::{SoftenedTeachers, TeacherSamplesKernels};
use crate::tape::DropoutMask;
use crate::tensor::{Precision, Storage, Tensor, View, ViewMut};

/// What one kind of operation took while the profiler was recording.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationTime {
    /// The kernel's name, such as `linear_weight_gradient`.
    pub name: &'static str,
    pub calls: u64,
    pub seconds: f64,
    /// Floating-point operations of its matrix products, two per multiplication; 0 where it has
    /// none.
    pub flops: f64,
}

/// A device that keeps time by operation, between [`start`](Self::start) and [`stop`](Self::stop).
pub struct Profiler {
    device: Arc<dyn Device>,
    recording: AtomicBool,
    times: Mutex<BTreeMap<&'static str, OperationTime>>,
}

impl Profiler {
    /// A profiler around a device; it does not record yet.
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { device, recording: AtomicBool::new(false), times: Mutex::default() }
    }

    /// Forgets what was recorded, and records from now on.
    pub fn start(&self) {
        self.times().clear();
        self.recording.store(true, Ordering::Relaxed);
    }

    /// Stops recording. Until then and afterwards operations only pass through.
    pub fn stop(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// What was recorded since the last [`start`](Self::start), the longest first.
    pub fn snapshot(&self) -> Vec<OperationTime> {
        let mut times: Vec<_> = self.times().values().cloned().collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        times
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<&'static str, OperationTime>> {
        self.times.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn measure<T>(&self, name: &'static str, flops: f64, operation: impl FnOnce() -> T) -> T {
        if !self.recording.load(Ordering::Relaxed) {
            return operation();
        }
        let start = Instant::now();
        let result = operation();
        // After a fault memory is given back while the thread unwinds; a second fault on the way
        // would end the program.
        if !std::thread::panicking() {
            self.device.synchronise();
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut times = self.times();
        let time =
            times.entry(name).or_insert(OperationTime { name, calls: 0, seconds: 0.0, flops: 0.0 });
        time.calls += 1;
        time.seconds += seconds;
        time.flops += flops;
        result
    }
}

impl Device for Profiler {
    fn name(&self) -> String {
        self.device.name()
    }

    fn arithmetic(&self) -> Arithmetic {
        self.device.arithmetic()
    }

    fn submit(&self) {
        self.device.submit();
    }

    fn synchronise(&self) {
        self.device.synchronise();
    }

    fn memory(&self) -> Option<DeviceMemory> {
        self.device.memory()
    }

    fn independent_rows(&self, columns: usize) -> usize {
        self.device.independent_rows(columns)
    }

    fn launch_stats(&self) -> Option<LaunchStats> {
        self.device.launch_stats()
    }
}

/// Operations of the product of `rows` rows with a matrix.
fn product_flops(rows: usize, matrix: View<'_>) -> f64 {
    2.0 * (rows * matrix.rows * matrix.columns) as f64
}

fn projection_flops(projections: &[Projection<'_>]) -> f64 {
    projections
        .iter()
        .map(|projection| product_flops(projection.hidden.rows, projection.output))
        .sum()
}

/// Operations of one product between the queries of all heads and the keys that they may see, which
/// is as much as one between their weights and the values.
fn attention_flops(spans: &[AttentionSpan], heads: &Heads) -> f64 {
    let seen = |span: &AttentionSpan| {
        let (queries, keys) = (span.queries.len(), span.key_count());
        // Where it is causal, the last query sees all keys, the one before it all but the last, and
        // so on.
        let unseen = if heads.causal { queries * queries.saturating_sub(1) / 2 } else { 0 };
        queries * keys - unseen
    };
    2.0 * (spans.iter().map(seen).sum::<usize>() * heads.query_columns()) as f64
}

impl MemoryKernels for Profiler {
    fn allocate(&self, length: usize, precision: Precision) -> Storage {
        self.measure("allocate", 0.0, || self.device.allocate(length, precision))
    }

    fn recycle(&self, storage: Storage) {
        self.measure("recycle", 0.0, || self.device.recycle(storage));
    }

    fn trim(&self) {
        self.device.trim();
    }

    fn fresh_allocations(&self) -> u64 {
        self.device.fresh_allocations()
    }

    fn read(&self, from: View<'_>, to: &mut [f32]) {
        self.measure("read", 0.0, || self.device.read(from, to));
    }

    fn write(&self, to: ViewMut<'_>, from: &[f32]) {
        self.measure("write", 0.0, || self.device.write(to, from));
    }

    fn write_bf16(&self, to: ViewMut<'_>, from: &[[u8; 2]]) {
        self.measure("write", 0.0, || self.device.write_bf16(to, from));
    }

    fn copy(&self, from: View<'_>, to: ViewMut<'_>) {
        self.measure("copy", 0.0, || self.device.copy(from, to));
    }

    fn fill(&self, to: ViewMut<'_>, value: f32) {
        self.measure("fill", 0.0, || self.device.fill(to, value));
    }

    fn add(&self, from: View<'_>, to: ViewMut<'_>) {
        self.measure("add", 0.0, || self.device.add(from, to));
    }
}

impl EmbedKernels for Profiler {
    fn embed(&self, table: View<'_>, ids: &[u32], output: ViewMut<'_>, accumulate: bool) {
        self.measure("embed", 0.0, || self.device.embed(table, ids, output, accumulate));
    }

    fn embed_gradient(
        &self,
        d_output: View<'_>,
        ids: &[u32],
        padding: Option<u32>,
        d_table: ViewMut<'_>,
    ) {
        self.measure("embed_gradient", 0.0, || {
            self.device.embed_gradient(d_output, ids, padding, d_table)
        });
    }
}

impl LinearKernels for Profiler {
    fn linear(
        &self,
        input: View<'_>,
        weight: View<'_>,
        bias: Option<View<'_>>,
        residual: Option<View<'_>>,
        output: ViewMut<'_>,
    ) {
        let flops = product_flops(input.rows, weight);
        self.measure("linear", flops, || self.device.linear(input, weight, bias, residual, output));
    }

    fn linear_input_gradient(
        &self,
        d_output: View<'_>,
        weight: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
    ) {
        let flops = product_flops(d_output.rows, weight);
        self.measure("linear_input_gradient", flops, || {
            self.device.linear_input_gradient(d_output, weight, d_input, accumulate);
        });
    }

    fn linear_weight_gradient(&self, d_output: View<'_>, input: View<'_>, d_weight: ViewMut<'_>) {
        let flops = product_flops(d_output.columns, input);
        self.measure("linear_weight_gradient", flops, || {
            self.device.linear_weight_gradient(d_output, input, d_weight)
        });
    }

    fn linear_bias_gradient(&self, d_output: View<'_>, d_bias: ViewMut<'_>) {
        self.measure("linear_bias_gradient", 0.0, || {
            self.device.linear_bias_gradient(d_output, d_bias)
        });
    }
}

impl NormKernels for Profiler {
    fn rms_norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        epsilon: f32,
        output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        self.measure("rms_norm", 0.0, || {
            self.device.rms_norm(input, gain, epsilon, output, statistics)
        });
    }

    fn rms_norm_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        gain: View<'_>,
        statistics: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
        d_gain: ViewMut<'_>,
    ) {
        self.measure("rms_norm_gradient", 0.0, || {
            self.device
                .rms_norm_gradient(d_output, input, gain, statistics, d_input, accumulate, d_gain);
        });
    }

    fn layer_norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        bias: View<'_>,
        epsilon: f32,
        output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        self.measure("layer_norm", 0.0, || {
            self.device.layer_norm(input, gain, bias, epsilon, output, statistics)
        });
    }

    fn layer_norm_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        gain: View<'_>,
        statistics: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
        d_gain_bias: ViewMut<'_>,
    ) {
        self.measure("layer_norm_gradient", 0.0, || {
            self.device.layer_norm_gradient(
                d_output,
                input,
                gain,
                statistics,
                d_input,
                accumulate,
                d_gain_bias,
            );
        });
    }
}

impl AttentionKernels for Profiler {
    fn rotate(&self, fused_qkv: ViewMut<'_>, positions: &[u32], heads: &Heads, inverse: bool) {
        self.measure("rotate", 0.0, || self.device.rotate(fused_qkv, positions, heads, inverse));
    }

    fn attention(
        &self,
        queries: View<'_>,
        keys: View<'_>,
        values: View<'_>,
        spans: &[AttentionSpan],
        heads: &Heads,
        dropout: Option<DropoutMask>,
        output: ViewMut<'_>,
        logsumexp: Option<ViewMut<'_>>,
    ) {
        // Scores and output.
        let flops = 2.0 * attention_flops(spans, heads);
        self.measure("attention", flops, || {
            self.device.attention(queries, keys, values, spans, heads, dropout, output, logsumexp);
        });
    }

    fn attention_gradient(
        &self,
        d_output: View<'_>,
        fused_qkv: View<'_>,
        output: View<'_>,
        logsumexp: View<'_>,
        spans: &[AttentionSpan],
        heads: &Heads,
        dropout: Option<DropoutMask>,
        d_fused_qkv: ViewMut<'_>,
    ) {
        // The scores once more, and the gradients of weights, queries, keys and values.
        let flops = 5.0 * attention_flops(spans, heads);
        self.measure("attention_gradient", flops, || {
            self.device.attention_gradient(
                d_output,
                fused_qkv,
                output,
                logsumexp,
                spans,
                heads,
                dropout,
                d_fused_qkv,
            );
        });
    }

    fn append_to_cache(
        &self,
        fused_qkv: View<'_>,
        heads: &Heads,
        length: usize,
        cache: ViewMut<'_>,
    ) {
        self.measure("append_to_cache", 0.0, || {
            self.device.append_to_cache(fused_qkv, heads, length, cache)
        });
    }
}

impl SwigluKernels for Profiler {
    fn swiglu(&self, gate_up: View<'_>, output: ViewMut<'_>) {
        self.measure("swiglu", 0.0, || self.device.swiglu(gate_up, output));
    }

    fn swiglu_gradient(&self, d_output: View<'_>, gate_up: View<'_>, d_gate_up: ViewMut<'_>) {
        self.measure("swiglu_gradient", 0.0, || {
            self.device.swiglu_gradient(d_output, gate_up, d_gate_up)
        });
    }
}

impl GeluKernels for Profiler {
    fn gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.measure("gelu", 0.0, || self.device.gelu(input, output));
    }

    fn gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        self.measure("gelu_gradient", 0.0, || self.device.gelu_gradient(d_output, input, d_input));
    }
}

impl ExactGeluKernels for Profiler {
    fn exact_gelu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.measure("exact_gelu", 0.0, || self.device.exact_gelu(input, output));
    }

    fn exact_gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>) {
        self.measure("exact_gelu_gradient", 0.0, || {
            self.device.exact_gelu_gradient(d_output, input, d_input)
        });
    }
}

impl ReluKernels for Profiler {
    fn relu(&self, input: View<'_>, output: ViewMut<'_>) {
        self.measure("relu", 0.0, || self.device.relu(input, output));
    }

    fn relu_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        self.measure("relu_gradient", 0.0, || self.device.relu_gradient(d_output, output, d_input));
    }
}

impl TanhKernels for Profiler {
    fn tanh(&self, input: View<'_>, output: ViewMut<'_>) {
        self.measure("tanh", 0.0, || self.device.tanh(input, output));
    }

    fn tanh_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>) {
        self.measure("tanh_gradient", 0.0, || self.device.tanh_gradient(d_output, output, d_input));
    }
}

impl DropoutKernels for Profiler {
    fn dropout(
        &self,
        input: View<'_>,
        residual: Option<View<'_>>,
        mask: DropoutMask,
        output: ViewMut<'_>,
    ) {
        self.measure("dropout", 0.0, || self.device.dropout(input, residual, mask, output));
    }
}

/// Products of the logits, and with a gradient as many again for each of the two factors.
fn loss_flops(projection: Projection<'_>, gradient: &Option<OutputGradient<'_>>) -> f64 {
    let products = if gradient.is_some() { 3.0 } else { 1.0 };
    products * projection_flops(&[projection])
}

impl LanguageModelLossKernels for Profiler {
    fn language_model_loss(
        &self,
        projection: Projection<'_>,
        targets: &[u32],
        scale: f32,
        gradient: Option<OutputGradient<'_>>,
    ) -> f64 {
        let flops = loss_flops(projection, &gradient);
        self.measure("language_model_loss", flops, || {
            self.device.language_model_loss(projection, targets, scale, gradient)
        })
    }

    fn log_probabilities(
        &self,
        projections: &[Projection<'_>],
        targets: &[Target],
        log_probabilities: &mut [f64],
    ) {
        let rows = targets.chunk_by(|a, b| a.row == b.row).count();
        let flops =
            projections.iter().map(|projection| product_flops(rows, projection.output)).sum();
        self.measure("log_probabilities", flops, || {
            self.device.log_probabilities(projections, targets, log_probabilities);
        });
    }

    fn logits(&self, projections: &[Projection<'_>], logits: &mut [f32]) {
        self.measure("logits", projection_flops(projections), || {
            self.device.logits(projections, logits)
        });
    }

    fn rows_of_logits(&self, vocab: usize) -> usize {
        self.device.rows_of_logits(vocab)
    }
}

impl DistillationLossKernels for Profiler {
    fn distillation_loss(
        &self,
        student: Projection<'_>,
        teachers: TeacherSignal<'_>,
        targets: &[u32],
        objective: DistillationObjective,
        gradient: Option<OutputGradient<'_>>,
    ) -> DistillationSums {
        let of_teachers = match teachers {
            TeacherSignal::States(projections) => projection_flops(projections),
            TeacherSignal::Samples(_) => 0.0,
        };
        let flops = loss_flops(student, &gradient) + of_teachers;
        self.measure("distillation_loss", flops, || {
            self.device.distillation_loss(student, teachers, targets, objective, gradient)
        })
    }
}

impl TeacherSamplesKernels for Profiler {
    fn sample_teachers(
        &self,
        teachers: SoftenedTeachers<'_>,
        uniforms: &[f32],
        count: usize,
        ids: &mut [u32],
        negative_entropies: &mut [f32],
    ) {
        self.measure("sample_teachers", projection_flops(teachers.projections), || {
            self.device.sample_teachers(teachers, uniforms, count, ids, negative_entropies);
        });
    }
}

impl OptimizerKernels for Profiler {
    fn adamw(
        &self,
        values: &mut Tensor,
        gradients: &Tensor,
        first_moment: &mut Tensor,
        second_moment: &mut Tensor,
        range: Range<usize>,
        step: AdamwStep,
    ) {
        self.measure("adamw", 0.0, || {
            self.device.adamw(values, gradients, first_moment, second_moment, range, step);
        });
    }

    fn sum_of_squares(&self, values: &Tensor) -> f64 {
        self.measure("sum_of_squares", 0.0, || self.device.sum_of_squares(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::attention::LayerCache;
    use crate::ops::distillation_loss::Ensemble;
    use crate::params::Layout;
    use crate::testing::{device, random};
    use crate::{Parameters, Tape};

    /// What training steps do not use, in numbers: logits, log-probabilities, samples, attention
    /// over a cache.
    fn outside_of_steps(device: &Arc<dyn Device>) -> Vec<f64> {
        let tensor = |seed, rows, columns| {
            Tensor::from_slice(device, rows, columns, &random(seed, rows * columns))
        };
        let (hidden, output) = (tensor(1, 3, 5), tensor(2, 11, 5));
        let projections =
            [Projection { hidden: hidden.view(), output: output.view(), bias: None, share: 1.0 }];
        let (mut logits, mut log_probabilities) = ([0.0; 33], [0.0; 3]);
        device.logits(&projections, &mut logits);
        device.log_probabilities(
            &projections,
            &Target::of_rows(&[4, 0, 10]),
            &mut log_probabilities,
        );
        let (mut ids, mut entropies) = ([0; 12], [0.0; 3]);
        let teachers = SoftenedTeachers {
            projections: &projections,
            ensemble: Ensemble::MeanProbs,
            temperature: 2.0,
        };
        device.sample_teachers(teachers, &[0.1, 0.5, 0.9], 4, &mut ids, &mut entropies);
        let heads = Heads {
            num_heads: 2,
            num_kv_heads: 1,
            head_dim: 4,
            rope_theta: Some(100.0),
            causal: true,
            dropout: 0.0,
        };
        let parameters = Parameters::zeros(device, Arc::new(Layout::default()));
        let (mut tape, mut cache) =
            (Tape::inference(&parameters), LayerCache::new(device, 3, &heads));
        let fused_qkv = tape.input(tensor(3, 2, 16));
        let attended = tape.attention_cached(fused_qkv, &Arc::from([0, 1]), &heads, &mut cache);
        let singles =
            logits.into_iter().chain(entropies).chain(attended.value().to_vec()).map(f64::from);
        singles.chain(log_probabilities).chain(ids.map(f64::from)).collect()
    }

    #[test]
    fn nothing_changes_on_the_way_through() {
        let profiler = Arc::new(Profiler::new(device()));
        profiler.start();
        let device: Arc<dyn Device> = profiler.clone();
        assert_eq!(outside_of_steps(&device), outside_of_steps(&crate::testing::device()));
        let times = profiler.snapshot();
        let flops = |name| times.iter().find(|time| time.name == name).map(|time| time.flops);
        for name in ["logits", "log_probabilities", "sample_teachers"] {
            assert_eq!(flops(name), Some(2.0 * 165.0), "{name}");
        }
        // Two queries see three keys in all, with two heads of four channels.
        assert_eq!(
            (flops("attention"), flops("append_to_cache")),
            (Some(2.0 * 2.0 * 24.0), Some(0.0))
        );
    }

    #[test]
    fn only_what_happens_between_start_and_stop_is_kept() {
        let profiler = Arc::new(Profiler::new(device()));
        let device: Arc<dyn Device> = profiler.clone();
        let tensor = |rows, columns| Tensor::zeros(&device, rows, columns);
        let (input, weight, mut output) = (tensor(3, 5), tensor(7, 5), tensor(3, 7));
        let mut product =
            || device.linear(input.view(), weight.view(), None, None, output.view_mut());
        product();
        assert_eq!(profiler.snapshot(), []);
        profiler.start();
        product();
        product();
        profiler.stop();
        product();
        let times = profiler.snapshot();
        let [time] = &times[..] else { panic!("{times:?}") };
        assert_eq!((time.name, time.calls, time.flops), ("linear", 2, 2.0 * 2.0 * 105.0));
        assert!(time.seconds > 0.0);
        profiler.start();
        profiler.stop();
        assert_eq!(profiler.snapshot(), [], "a start forgets");
    }

    #[test]
    fn queries_are_counted_with_the_keys_they_see() {
        let heads = Heads {
            num_heads: 3,
            num_kv_heads: 1,
            head_dim: 2,
            rope_theta: None,
            causal: true,
            dropout: 0.0,
        };
        for (past, queries, keys) in
            [(0, 0, 0), (0, 1, 1), (0, 4, 4), (0, 1, 6), (0, 3, 7), (5, 3, 3)]
        {
            let seen: usize = (0..queries).map(|query| past + keys - (queries - 1 - query)).sum();
            let prefix = if past > 0 { vec![0..past - 1, 7..8] } else { Vec::new() };
            let spans = [AttentionSpan { prefix, queries: 0..queries, keys: 0..keys }];
            let flops = (2 * seen * 6) as f64;
            assert_eq!(
                attention_flops(&spans, &heads),
                flops,
                "{past} past, {queries} queries, {keys} keys"
            );
            let all = attention_flops(&spans, &Heads { causal: false, ..heads });
            assert_eq!(
                all,
                (2 * queries * (past + keys) * 6) as f64,
                "{past} past, {queries} queries, {keys} keys"
            );
        }
    }
}

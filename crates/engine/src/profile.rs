//! A profiler: a device that passes every operation on to another one and measures its time, by
//! operation.
//!
//! A model whose tensors are made on a [`Profiler`] runs as on the device inside, with the same
//! bits. While it records, it waits after every operation until the device has finished it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::device::{Arithmetic, Device, DeviceMemory, LaunchStats};

/// What one kind of operation took while the profiler was recording.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationTime {
    /// The kernel's name, such as `linear_weight_gradient`.
    pub name: &'static str,
    /// How often it ran.
    pub calls: u64,
    /// Seconds that all calls took.
    pub seconds: f64,
    /// Floating-point operations of its matrix products, two per multiplication; 0 where it has
    /// none.
    pub flops: f64,
}

/// A device that measures time by operation, between [`start`](Self::start) and
/// [`stop`](Self::stop).
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

    /// Runs a kernel on the device that is measured, which is how this device implements every
    /// operation ([`kernels!`](crate::kernels)).
    pub(crate) fn measure<T>(
        &self,
        name: &'static str,
        flops: f64,
        kernel: impl FnOnce(&dyn Device) -> T,
    ) -> T {
        if !self.recording.load(Ordering::Relaxed) {
            return kernel(&*self.device);
        }
        let start = Instant::now();
        let result = kernel(&*self.device);
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

    fn trim(&self) {
        self.device.trim();
    }

    fn fresh_allocations(&self) -> u64 {
        self.device.fresh_allocations()
    }

    fn rows_of_logits(&self, vocab: usize) -> usize {
        self.device.rows_of_logits(vocab)
    }

    fn products(&self) -> String {
        self.device.products()
    }

    fn independent_rows(&self, columns: usize) -> usize {
        self.device.independent_rows(columns)
    }

    fn launch_stats(&self) -> Option<LaunchStats> {
        self.device.launch_stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::attention::{Heads, LayerCache, Rotary};
    use crate::ops::distillation_loss::Ensemble;
    use crate::ops::language_model_loss::{Projection, Target};
    use crate::ops::teacher_samples::SoftenedTeachers;
    use crate::params::Layout;
    use crate::testing::{device, random};
    use crate::{Parameters, Tape, Tensor};

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
            rotary: Some(Rotary { theta: 100.0, channels: 4 }),
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
        assert_eq!(profiler.snapshot(), [], "a start clears what was recorded");
    }
}

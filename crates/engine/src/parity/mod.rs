//! Whether a device computes what another one does: every operation, forward and backward, on the
//! same numbers.
//!
//! The reference is the CPU, whose kernels the tests hold to slow references, finite differences
//! and PyTorch.

mod cases;
mod problem;

use std::sync::Arc;

use crate::Device;
use crate::fault::{self, Fault};

pub use problem::Output;

/// What computes a case on a device.
type Run = Box<dyn Fn(&Arc<dyn Device>) -> Vec<Output>>;

/// One operation on one shape.
struct Case {
    operation: &'static str,
    shape: String,
    run: Run,
}

/// What one case found.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseResult {
    /// The operation's name.
    pub operation: &'static str,
    /// The shape of the case, in words.
    pub shape: String,
    /// The output that differs most.
    pub output: &'static str,
    /// The norm of its difference over the norm of the reference; not a number when either is.
    pub error: f64,
    /// Whether a second run on the device gave the same bits as the first.
    pub repeatable: bool,
    /// What kept the device from finishing.
    pub fault: Option<Fault>,
    /// Whether the error is within the tolerance, the bits repeat and there was no fault.
    pub passed: bool,
}

/// Runs every case on both devices, twice on the one that is looked at. `tolerance` is the largest
/// error that passes.
pub fn run(
    reference: &Arc<dyn Device>,
    device: &Arc<dyn Device>,
    tolerance: f64,
    progress: &mut dyn FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let results = cases::all().into_iter().map(|case| {
        let result = compare(&case, reference, device, tolerance);
        progress(&result);
        result
    });
    results.collect()
}

fn compare(
    case: &Case,
    reference: &Arc<dyn Device>,
    device: &Arc<dyn Device>,
    tolerance: f64,
) -> CaseResult {
    let expected = (case.run)(reference);
    let result = |output, error, repeatable, fault: Option<Fault>| {
        let (operation, shape) = (case.operation, case.shape.clone());
        let passed = fault.is_none() && repeatable && error <= tolerance;
        CaseResult { operation, shape, output, error, repeatable, fault, passed }
    };
    match fault::catch(|| ((case.run)(device), (case.run)(device))) {
        Err(fault) => result("nothing", f64::NAN, false, Some(fault)),
        Ok((found, again)) => {
            let repeatable = found.iter().map(Output::bits).eq(again.iter().map(Output::bits));
            let outputs = expected.iter().zip(&found);
            let errors = outputs.map(|(expected, found)| (found.name, error(expected, found)));
            // What is not a number counts as the largest.
            let (output, error) =
                errors.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("nothing", f64::NAN));
            let error = if expected.len() == found.len() { error } else { f64::NAN };
            result(output, error, repeatable, None)
        }
    }
}

/// `|found - expected| / |expected|`, by the sums of squares.
fn error(expected: &Output, found: &Output) -> f64 {
    if expected.values.len() != found.values.len() {
        return f64::NAN;
    }
    let pairs = expected.values.iter().zip(&found.values);
    let apart: f64 = pairs.map(|(&e, &f)| (e as f64 - f as f64).powi(2)).sum();
    let size: f64 = expected.values.iter().map(|&value| (value as f64).powi(2)).sum();
    if apart == 0.0 { 0.0 } else { (apart / size).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arithmetic;
    use crate::cpu::Cpu;

    #[test]
    fn the_cpu_is_its_own_equal() {
        let cpu: Arc<dyn Device> = Arc::new(Cpu::new());
        let mut reported = 0;
        let results = run(&cpu, &cpu, 0.0, &mut |_| reported += 1);
        assert!(results.len() > 40 && reported == results.len());
        for result in results {
            assert!(result.passed, "{result:?}");
        }
    }

    #[test]
    fn errors_are_relative_to_the_whole_and_nothing_hides() {
        let output = |values: &[f32]| Output { name: "output", values: values.to_vec() };
        assert_eq!(error(&output(&[3.0, 4.0]), &output(&[3.0, 4.0])), 0.0);
        assert!((error(&output(&[3.0, 4.0]), &output(&[3.0, 4.5])) - 0.1).abs() < 1e-12);
        assert!(error(&output(&[1.0]), &output(&[f32::NAN])).is_nan());
        assert!(error(&output(&[1.0]), &output(&[])).is_nan());
        assert_eq!(error(&output(&[0.0]), &output(&[0.1])), f64::INFINITY);
    }

    #[test]
    fn the_cpu_computes_in_bf16_what_it_does_in_f32() {
        let cpu: Arc<dyn Device> = Arc::new(Cpu::new());
        for (arithmetic, tolerance) in [(Arithmetic::Bf16, 1e-2), (Arithmetic::Bf16x3, 1e-4)] {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let results = run(&cpu, &device, tolerance, &mut |_| {});
            let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
            assert!(failed.is_empty(), "{failed:#?}");
            assert!(results.iter().any(|result| result.error > 0.0));
        }
    }

    /// The device that `BABYLLAMA_TEST_DEVICE` names against the CPU.
    #[test]
    #[ignore = "needs a GPU or the emulator"]
    fn a_device_computes_what_the_cpu_does() {
        let cpu: Arc<dyn Device> = Arc::new(Cpu::new());
        let full = std::env::var("BABYLLAMA_TEST_DEVICE").as_deref() == Ok("cuda:f32");
        let device = crate::testing::device();
        let results = run(&cpu, &device, if full { 1e-5 } else { 1e-2 }, &mut |_| {});
        let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

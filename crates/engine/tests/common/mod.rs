//! The device that this program's own tests run on. Part of the engine's unit tests and of the
//! integration tests of several crates.

use std::sync::{Arc, OnceLock};

use engine::cpu::Cpu;
use engine::{Arithmetic, Device, DeviceChoice, DeviceOptions, open};

/// A CPU, or what `BABYLLAMA_TEST_DEVICE` names (`cuda:f32`, `cuda:bf16`). A GPU is shared by all
/// tests of a process, which then must run one after the other (`--test-threads=1`).
///
/// # Panics
/// When there is no such device.
pub(crate) fn test_device() -> Arc<dyn Device> {
    static GPU: OnceLock<Arc<dyn Device>> = OnceLock::new();
    let arithmetic = match std::env::var("BABYLLAMA_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => return Arc::new(Cpu::new()),
        Ok("cuda:f32") => Arithmetic::F32,
        Ok("cuda:bf16") => Arithmetic::Bf16,
        Ok(other) => {
            panic!("BABYLLAMA_TEST_DEVICE is {other}, not cpu, cuda:f32 or cuda:bf16")
        }
    };
    let options = DeviceOptions {
        choice: DeviceChoice::Cuda(0),
        arithmetic: Some(arithmetic),
        ..DeviceOptions::default()
    };
    GPU.get_or_init(|| open::open(&options).unwrap_or_else(|cause| panic!("{cause}"))).clone()
}

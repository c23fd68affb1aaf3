//! The numeric engine: matrices of `[tokens, channels]`, flat parameters, fused operations with
//! their backwards, devices. It knows nothing of language, files or recipes.

pub mod batch_limit;
pub mod cpu;
pub mod cuda;
pub mod device;
pub mod fault;
mod kernels;
pub mod open;
pub mod ops;
pub mod params;
pub mod parity;
pub mod profile;
pub mod spans;
pub mod tape;
pub mod tensor;
// Unit tests share a file with the integration tests, which know the crate by its name.
#[cfg(test)]
extern crate self as engine;
#[cfg(test)]
mod testing;

pub use batch_limit::{Attempt, BatchLimit, OutOfMemory};
pub use device::{Arithmetic, Device, DeviceError, LaunchStats};
pub use fault::Fault;
pub use open::{DeviceChoice, DeviceOptions};
pub use params::{Layout, Parameters, Role, Segment};
pub use profile::{OperationTime, Profiler};
pub use spans::Spans;
pub use tape::{DropoutStream, Tape, Var};
pub use tensor::{Precision, Shape, Tensor, View, ViewMut};

//! The numeric engine: matrices of `[tokens, channels]`, flat parameters, a tape, fused operations
//! with their gradients, and devices. It knows nothing of language, files or recipes.
//!
//! A [`Layout`] names the matrices ([`Segment`]s) of a model; [`Parameters`] holds their values in
//! one flat vector on a [`Device`], the CPU or an NVIDIA GPU. A [`Tape`] records the operations of
//! a forward pass ([`ops`], one file each), and its backward adds the gradients to a second vector
//! of the same layout. Sequences of any lengths are laid end to end; [`Spans`] holds where each
//! begins and ends. Where a device runs out of memory, a [`Fault`] unwinds to a [`BatchLimit`],
//! which halves the work and begins again.
//!
//! ```
//! use std::sync::Arc;
//!
//! use engine::cpu::Cpu;
//! use engine::ops::linear::Linear;
//! use engine::{Device, Layout, Parameters, Role, Tape, Tensor};
//!
//! let device: Arc<dyn Device> = Arc::new(Cpu::new());
//! let mut layout = Layout::default();
//! let weight = layout.add("weight", 1, 2, Role::Matrix);
//! let layout = Arc::new(layout);
//! let mut parameters = Parameters::zeros(&device, layout.clone());
//! device.write(parameters.view_mut(weight), &[2.0, -1.0]);
//! let mut gradients = Parameters::zeros(&device, layout);
//!
//! // One token of two channels through a matrix of one output channel.
//! let mut tape = Tape::training(&parameters, &mut gradients, None);
//! let input = tape.input(Tensor::from_slice(&device, 1, 2, &[3.0, 4.0]));
//! let output = tape.linear(&input, &Linear::from(weight));
//! assert_eq!(output.value().to_vec(), [2.0]);
//!
//! // The gradient of half the output.
//! tape.seed(&output, Tensor::from_slice(&device, 1, 1, &[0.5]));
//! let input_gradients = tape.backward();
//! assert_eq!(gradients.values().to_vec(), [1.5, 2.0]);
//! assert_eq!(input_gradients.of(&input).unwrap().to_vec(), [1.0, -0.5]);
//! ```

#![warn(missing_docs)]

#[cfg(panic = "abort")]
compile_error!("a device's faults unwind (engine::fault), so panics must not abort");

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

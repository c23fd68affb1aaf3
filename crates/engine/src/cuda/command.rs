//! Commands for the GPU: kernels with their parameters, and products.

use std::ffi::c_void;
use std::ops::Range;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::multiplication::Multiplication;

/// Words of a kernel's largest parameter.
pub(super) const SLOT: usize = 8;

/// A parameter of a kernel, at the beginning of its slot.
pub(super) type Slot = [u64; SLOT];

/// A kernel with what it is started in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub name: &'static str,
    pub function: sys::CUfunction,
    pub grid: (u32, u32, u32),
    pub threads: u32,
    pub shared_bytes: u32,
}

/// Commands for the GPU.
pub(super) enum Command {
    /// A kernel, and which of the queue's slots are its parameters.
    Kernel(Kernel, Range<usize>),
    Product(Multiplication),
}

/// The device's streams.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    /// Where all work goes.
    pub work: sys::CUstream,
    /// No work runs on it: calls while it captures become part of a graph.
    pub capture: sys::CUstream,
}

/// The addresses of parameters, as the driver takes them.
pub(super) fn addresses(parameters: &mut [Slot]) -> Vec<*mut c_void> {
    parameters.iter_mut().map(|slot| slot.as_mut_ptr().cast()).collect()
}

impl Kernel {
    /// Starts it on a stream of the current context.
    ///
    /// # Errors
    /// The driver's error, and the kernel's name.
    pub(super) fn start(
        &self,
        parameters: &mut [Slot],
        stream: sys::CUstream,
    ) -> Result<(), String> {
        let Self { name, function, grid, threads, shared_bytes } = *self;
        let mut addresses = addresses(parameters);
        // Safety: the code that queued the kernel promised that the parameters are its own; the
        // driver copies them before it returns. Memory that they name is freed only after the
        // stream has passed.
        let started = unsafe {
            result::launch_kernel(
                function,
                grid,
                (threads, 1, 1),
                shared_bytes,
                stream,
                &mut addresses,
            )
        };
        started.map_err(|cause| {
            format!("cannot run {name} in {grid:?} blocks of {threads}: {}", describe(cause))
        })
    }
}

/// The driver's own words.
pub(super) fn describe(cause: DriverError) -> String {
    let text = |words: Result<&std::ffi::CStr, DriverError>| {
        words
            .map(|words| words.to_string_lossy().into_owned())
            .unwrap_or_else(|_| format!("{:?}", cause.0))
    };
    text(cause.error_string())
}

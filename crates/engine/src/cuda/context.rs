//! The GPU and its stream: finding them, and the calls of the driver that other parts need.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::command::{Kernel, Slot, Streams, describe};
use super::multiplication::Multiplication;
use super::queue::Queue;
use crate::device::{DeviceError, DeviceMemory, LaunchStats};
use crate::fault::{Fault, raise};

/// A GPU's primary context with one stream.
pub(super) struct Context {
    pub ordinal: usize,
    /// As the driver calls it, such as `NVIDIA H200`.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    device: sys::CUdevice,
    context: sys::CUcontext,
    streams: Streams,
    queue: Mutex<Queue>,
    number: u64,
}

// Safety: the driver's handles may be used from any thread; `activate` makes the context the
// calling thread's.
unsafe impl Send for Context {}
// Safety: as for `Send`; the rest is behind a mutex or never changes.
unsafe impl Sync for Context {}

thread_local! {
    /// The number of the context that this thread's driver calls go to; 0 for none.
    static ACTIVE: Cell<u64> = const { Cell::new(0) };
}

/// Contexts opened so far. One that is opened again may have the handle of one that is gone, but
/// not its number.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// The oldest GPUs that have bf16 products: Ampere.
pub(super) const OLDEST: i32 = 8;

impl Context {
    /// Finds the GPU of this number. Sequences that repeat are started as graphs if
    /// `with_graphs`.
    pub(super) fn open(ordinal: usize, with_graphs: bool) -> Result<Self, DeviceError> {
        // Safety: loading the driver's library runs its own initialisation only.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver { library: "libcuda" });
        }
        match result::init() {
            Ok(()) => {}
            Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
                return Err(DeviceError::NoSuchGpu { ordinal, count: 0 });
            }
            // The library that compilers link against, without a driver behind it.
            Err(DriverError(sys::CUresult::CUDA_ERROR_STUB_LIBRARY)) => {
                return Err(DeviceError::NoDriver { library: "libcuda" });
            }
            Err(cause) => return Err(failed("begin", cause)),
        }
        let count =
            result::device::get_count().map_err(|cause| failed("count its GPUs", cause))? as usize;
        if ordinal >= count {
            return Err(DeviceError::NoSuchGpu { ordinal, count });
        }
        let device =
            result::device::get(ordinal as i32).map_err(|cause| failed("find the GPU", cause))?;
        let name =
            result::device::get_name(device).map_err(|cause| failed("name the GPU", cause))?;
        let attribute = |attribute| {
            // Safety: the device came from the driver.
            unsafe { result::device::get_attribute(device, attribute) }
                .map_err(|cause| failed("describe the GPU", cause))
        };
        let major =
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor =
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        if major < OLDEST {
            return Err(DeviceError::TooOld { name, major, minor });
        }
        // Safety: the device came from the driver; the context is released on drop.
        let context = unsafe { result::primary_ctx::retain(device) }
            .map_err(|cause| failed("open the GPU", cause))?;
        // Safety: the context was just made.
        unsafe { result::ctx::set_current(context) }
            .map_err(|cause| failed("open the GPU", cause))?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed) + 1;
        ACTIVE.set(number);
        let stream = || {
            result::stream::create(result::stream::StreamKind::NonBlocking)
                .map_err(|cause| failed("make a stream", cause))
        };
        let streams = Streams { work: stream()?, capture: stream()? };
        let queue =
            Mutex::new(Queue::new(streams, with_graphs && driver_version() >= FIRST_WITH_GRAPHS));
        Ok(Self {
            ordinal,
            name,
            capability: (major, minor),
            device,
            context,
            streams,
            queue,
            number,
        })
    }

    /// Makes the context the calling thread's.
    pub(super) fn activate(&self) {
        if ACTIVE.get() != self.number {
            // Safety: the context lives as long as `self`.
            self.check("take the GPU", unsafe { result::ctx::set_current(self.context) });
            ACTIVE.set(self.number);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sends everything that was queued.
    pub(super) fn submit(&self) {
        self.activate();
        let sent = self.queue().send();
        sent.unwrap_or_else(|what| self.fail(what));
    }

    /// The stream, after everything that was queued.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.submit();
        self.streams.work
    }

    /// Queues a kernel.
    ///
    /// # Safety
    /// The parameters are those of the kernel, in its order. Memory that they name stays allocated
    /// until the stream has passed.
    pub(super) unsafe fn start(&self, kernel: Kernel, parameters: &[Slot]) {
        self.add(|queue| queue.add_kernel(kernel, parameters));
    }

    /// Queues a product.
    pub(super) fn multiply(&self, product: Multiplication) {
        self.add(|queue| queue.add_product(product));
    }

    fn add(&self, add: impl FnOnce(&mut Queue)) {
        let is_full = {
            let mut queue = self.queue();
            add(&mut queue);
            queue.is_full()
        };
        if is_full {
            self.submit();
        }
    }

    /// How kernels and products were started so far.
    pub(super) fn launch_stats(&self) -> LaunchStats {
        self.queue().launch_stats()
    }

    /// The value, or a fault that names what the driver failed to do.
    pub(super) fn check<T>(&self, doing: &str, result: Result<T, DriverError>) -> T {
        match result {
            Ok(value) => value,
            Err(cause) => self.fail(format!("cannot {doing}: {}", describe(cause))),
        }
    }

    /// Raises a fault.
    pub(super) fn fail(&self, what: String) -> ! {
        raise(Fault::Device { device: self.label(), what })
    }

    /// How messages call the GPU.
    pub(super) fn label(&self) -> String {
        format!("cuda:{} ({})", self.ordinal, self.name)
    }

    /// Waits for everything that was queued.
    pub(super) fn synchronise(&self) {
        // Safety: the stream lives as long as `self`.
        self.check("finish", unsafe { result::stream::synchronize(self.stream()) });
        self.queue().has_run_dry();
    }

    /// Waits for everything that was queued, where nothing can be done about a failure. The next
    /// use of the GPU reports it.
    pub(super) fn settle(&self) {
        // Safety: context and stream live as long as `self`.
        unsafe {
            if result::ctx::set_current(self.context).is_ok() {
                ACTIVE.set(self.number);
            }
            self.queue().send_silently();
            result::stream::synchronize(self.streams.work).ok();
        }
    }

    /// Waits as `settle` does, and lets the graphs go: what they read and write may be freed, and
    /// they take memory.
    pub(super) fn forget_graphs(&self) {
        self.settle();
        self.queue().forget();
    }

    pub(super) fn memory(&self) -> DeviceMemory {
        self.activate();
        let (free, total) = self.check("report its memory", result::mem_get_info());
        DeviceMemory { free: free as u64, total: total as u64 }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.forget_graphs();
        // Failing here is of no consequence any more: the process gives all back.
        // Safety: all were made in `open` and they have no user after the last holder of this.
        unsafe {
            result::stream::destroy(self.streams.capture).ok();
            result::stream::destroy(self.streams.work).ok();
            result::primary_ctx::release(self.device).ok();
        }
        ACTIVE.set(0);
    }
}

/// The first driver that has the functions for graphs by the names that we call: CUDA 12.0.
const FIRST_WITH_GRAPHS: i32 = 12_000;

fn driver_version() -> i32 {
    let mut version = 0;
    // Safety: the driver writes a number.
    unsafe { sys::cuDriverGetVersion(&mut version) };
    version
}

fn failed(doing: &'static str, cause: DriverError) -> DeviceError {
    DeviceError::Driver { doing, cause: describe(cause) }
}

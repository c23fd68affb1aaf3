//! Faults: a device that ran out of memory or failed.
//!
//! Kernels return no result; on the CPU they cannot fail. On a GPU memory can run out and the
//! driver can fail at any call. Such a fault unwinds from the kernel to where the work began,
//! without a message; code that can try a smaller batch, or report the fault, catches it there.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// Why a device cannot continue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is not enough free memory.
    #[error("{device} has no memory for {} more: {} of its {} are \
     free", Bytes(*.wanted), Bytes(*.free), Bytes(*.total))]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// Bytes that were asked for.
        wanted: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes of the whole device.
        total: u64,
    },
    /// The device or its driver failed.
    #[error("{device} failed: {what}")]
    Device {
        /// The device's name.
        device: String,
        /// What failed.
        what: String,
    },
    /// The device has no kernel for what was asked of it.
    #[error("{device} cannot compute this model: {what}")]
    Unsupported {
        /// The device's name.
        device: String,
        /// What there is no kernel for.
        what: String,
    },
}

/// Bytes as people write them.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 30 => {
                write!(formatter, "{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
            }
            bytes if bytes >= 1 << 20 => write!(formatter, "{} MiB", bytes >> 20),
            bytes => write!(formatter, "{} KiB", bytes.div_ceil(1 << 10)),
        }
    }
}

/// Unwinds to the nearest [`catch`].
pub fn raise(fault: Fault) -> ! {
    // Tests mostly catch nothing, and would fail without a word.
    #[cfg(test)]
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{fault}\n")).ok();
    panic::resume_unwind(Box::new(fault))
}

/// Runs work that uses a device. After a fault, what the work was changing may be half done.
///
/// # Errors
/// When a kernel raised a fault. Panics that are none pass through.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|cause| match cause.downcast::<Fault>() {
        Ok(fault) => *fault,
        Err(other) => panic::resume_unwind(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_caught_and_panics_are_not() {
        let fault = Fault::OutOfMemory {
            device: "cuda:0".into(),
            wanted: 3 << 30,
            free: 200 << 20,
            total: 8 << 30,
        };
        assert_eq!(catch(|| -> u8 { raise(fault.clone()) }), Err(fault.clone()));
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(
            fault.to_string(),
            "cuda:0 has no memory for 3.0 GiB more: 200 MiB of its 8.0 GiB are free"
        );
        let panicked =
            panic::catch_unwind(|| catch(|| panic::resume_unwind(Box::new("another"))).is_ok());
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"another"));
    }
}

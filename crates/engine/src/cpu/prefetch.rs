//! Hints that memory will be read soon, for reads too far apart for the processor to predict.

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Has `count` values brought into the first cache; places that do not exist do no harm.
#[inline]
pub(super) fn prefetch<T>(start: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..count).step_by((LINE / size_of::<T>()).max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // Safety: a prefetch reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, count);
}

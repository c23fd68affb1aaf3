//! Buckets of distances as kernels read them.

use bytemuck::{Pod, Zeroable};

use crate::Device;
use crate::cuda::Cuda;
use crate::cuda::kernels::Parameter;
use crate::cuda::tables::TablesInUse;
use crate::fault::{Fault, raise};
use crate::ops::relative_attention::{DistanceBuckets, KeyRange};

/// The most buckets whose sums fit a block's shared memory beside everything else.
pub(super) const MOST_BUCKETS: usize = 128;

/// Bytes of shared memory of a row of sums: one value of each bucket, an odd number of them.
pub(super) fn sums_row_bytes(buckets: usize) -> usize {
    4 * (buckets | 1)
}

/// `Range` of `attention_buckets.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Range {
    first: i32,
    end: i32,
}

// Safety: two words, any of which may have any bits.
unsafe impl Zeroable for Range {}
// Safety: as for `Zeroable`, and without padding.
unsafe impl Pod for Range {}

/// `Buckets` of `attention_buckets.cuh`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Buckets {
    of: u64,
    ranges: u64,
    count: u32,
    longest: u32,
}

// Safety: `repr(C)`, three words.
unsafe impl Parameter for Buckets {}

impl Buckets {
    pub(super) fn new(buckets: &DistanceBuckets, tables: &mut TablesInUse<'_>) -> Self {
        let longest = buckets.longest_sequence() - 1;
        let mut ranges = vec![Range::default(); buckets.count()];
        let mut of = vec![0u32; 2 * longest + 1];
        for &KeyRange { first, end, bucket } in buckets.key_ranges() {
            ranges[bucket] = Range { first: first as i32, end: end as i32 };
            // Keys are ahead of their queries where distances are below 0.
            let places = (longest as isize - end + 1)..(longest as isize - first + 1);
            places.for_each(|place| of[place as usize] = bucket as u32);
        }
        let (of, ranges) = (tables.place(&of), tables.place(&ranges));
        Self { of, ranges, count: buckets.count() as u32, longest: longest as u32 }
    }
}

impl Cuda {
    /// Refuses more buckets than there is shared memory for.
    pub(super) fn require_buckets(&self, buckets: &DistanceBuckets) {
        let found = buckets.count();
        if found > MOST_BUCKETS {
            let what = format!(
                "distances have {found} buckets, and {MOST_BUCKETS} are the most that its kernels \
                 take"
            );
            raise(Fault::Unsupported { device: self.name(), what })
        }
    }
}

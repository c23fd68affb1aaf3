//! Automatic micro-batching: how much passes through a device at once, as much as was asked for or
//! as there is memory for.

use crate::device::Device;
use crate::fault::{self, Fault};

/// How many things pass through a device at once, in a unit that the caller chooses (sequences, or
/// tokens). Halved when the device runs out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    size: usize,
    is_fixed: bool,
}

/// One try of a [`BatchLimit`].
pub struct Attempt<W> {
    /// What the work function receives.
    pub work: W,
    /// How large the work is, in the limit's unit.
    pub size: usize,
    /// Whether nothing smaller can be tried.
    pub is_minimal: bool,
}

/// There is no memory for the smallest attempt, or for one of the size that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The size of the attempt that failed, in the limit's unit.
    pub size: usize,
    /// The device's report.
    pub fault: Fault,
}

impl BatchLimit {
    /// This size at most, less once the device ran out of memory.
    pub fn up_to(size: usize) -> Self {
        Self { size: size.max(1), is_fixed: false }
    }

    /// Exactly this size: running out of memory is an error.
    pub fn fixed(size: usize) -> Self {
        Self { size: size.max(1), is_fixed: true }
    }

    /// The size that the next attempt may have.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Calls `work` with a number of equal things: the limit, or `available` where that is less.
    /// Where memory runs out, calls it again with half as many.
    ///
    /// # Errors
    /// As [`fit_attempt`](Self::fit_attempt).
    pub fn fit<T>(
        &mut self,
        device: &dyn Device,
        available: usize,
        work: impl FnMut(usize) -> T,
    ) -> Result<T, OutOfMemory> {
        let take = |size: usize| {
            let count = size.min(available);
            Attempt { work: count, size: count, is_minimal: count <= 1 }
        };
        self.fit_attempt(device, take, work)
    }

    /// Does the work that `take` returns for the limit. Where memory runs out, the limit is halved
    /// and the work begun again from the start, so an attempt that failed must leave no effect. An
    /// attempt may be larger than the limit only if it is minimal.
    ///
    /// # Errors
    /// When there is no memory for a minimal attempt, or for one of the size that is fixed. Faults
    /// of other kinds unwind further.
    pub fn fit_attempt<W, T>(
        &mut self,
        device: &dyn Device,
        mut take: impl FnMut(usize) -> Attempt<W>,
        mut work: impl FnMut(W) -> T,
    ) -> Result<T, OutOfMemory> {
        loop {
            let Attempt { work: taken, size, is_minimal } = take(self.size);
            match fault::catch(|| work(taken)) {
                Ok(done) => return Ok(done),
                Err(fault @ Fault::OutOfMemory { .. }) => {
                    if self.is_fixed || is_minimal {
                        return Err(OutOfMemory { size, fault });
                    }
                    // The pool holds the attempt's buffers, which are too large for a smaller one.
                    device.trim();
                    self.size = size.div_ceil(2).min(size.saturating_sub(1));
                }
                Err(fault) => fault::raise(fault),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;

    fn full() -> Fault {
        Fault::OutOfMemory { device: "gpu".into(), wanted: 3 << 20, free: 1 << 20, total: 8 << 20 }
    }

    /// The sizes that are tried where memory suffices for `most`.
    fn tried(
        limit: &mut BatchLimit,
        available: usize,
        most: usize,
    ) -> (Vec<usize>, Result<usize, OutOfMemory>) {
        let mut tried = Vec::new();
        let result = limit.fit(&Cpu::new(), available, |size| {
            tried.push(size);
            if size > most { fault::raise(full()) } else { size }
        });
        (tried, result)
    }

    #[test]
    fn what_does_not_fit_is_halved_until_it_does() {
        let mut limit = BatchLimit::up_to(13);
        assert_eq!(tried(&mut limit, 20, 3), (vec![13, 7, 4, 2], Ok(2)));
        assert_eq!(limit.size(), 2);
        // The next attempt begins with the size that fitted.
        assert_eq!(tried(&mut limit, 20, 3).0, [2]);
        let mut limit = BatchLimit::up_to(64);
        assert_eq!(tried(&mut limit, 5, 64).0, [5]);
        assert_eq!((tried(&mut limit, 5, 3).0, limit.size()), (vec![5, 3], 3));
    }

    #[test]
    fn a_minimal_attempt_must_fit_and_so_must_a_fixed_size() {
        let out_of_memory = |size| Err(OutOfMemory { size, fault: full() });
        assert_eq!(tried(&mut BatchLimit::up_to(4), 20, 0), (vec![4, 2, 1], out_of_memory(1)));
        assert_eq!(tried(&mut BatchLimit::fixed(4), 20, 3), (vec![4], out_of_memory(4)));
    }

    /// Attempts of whole things, of which one may be larger than the limit, or all empty.
    #[test]
    fn attempts_shrink_until_they_are_minimal() {
        let attempts = |sizes: &[usize]| {
            let (mut limit, mut tried) = (BatchLimit::up_to(50), Vec::new());
            let take = |most: usize| {
                let mut size = sizes[0];
                let more = sizes[1..]
                    .iter()
                    .take_while(|&&next| (size + next <= most).then(|| size += next).is_some());
                let count = 1 + more.count();
                Attempt { work: count, size, is_minimal: count == 1 }
            };
            let result: Result<(), OutOfMemory> = limit.fit_attempt(&Cpu::new(), take, |count| {
                tried.push(count);
                fault::raise(full())
            });
            assert_eq!(result.unwrap_err().size, sizes[0]);
            tried
        };
        assert_eq!(attempts(&[30, 10, 10, 10]), [3, 1]);
        assert_eq!(attempts(&[10, 10, 10, 10, 30]), [4, 2, 1]);
        assert_eq!(attempts(&[1, 0, 0]), [3, 1]);
    }

    #[test]
    fn other_faults_are_not_tried_again() {
        let (mut limit, mut times) = (BatchLimit::up_to(4), 0);
        let lost = Fault::Device { device: "gpu".into(), what: "it fell off the bus".into() };
        let found = fault::catch(|| {
            limit.fit(&Cpu::new(), 4, |_| {
                times += 1;
                fault::raise(lost.clone())
            })
        });
        assert_eq!((found, times, limit.size()), (Err::<Result<(), _>, _>(lost), 1, 4));
    }
}

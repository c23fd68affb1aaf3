//! How much goes to a device at a time: as much as was asked for, or as it has memory for.

use crate::device::Device;
use crate::fault::{self, Fault};

/// How much goes through at a time, in units of the caller's: sequences, or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    size: usize,
    is_fixed: bool,
}

/// What is tried at once.
pub struct Portion<W> {
    pub work: W,
    /// In the room's unit.
    pub size: usize,
    /// Whether nothing smaller can be tried.
    pub is_least: bool,
}

/// There is no memory for the least portion, or for one of the size that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoom {
    pub size: usize,
    pub fault: Fault,
}

impl Room {
    /// So much, or less from when on the device runs out of memory.
    pub fn up_to(size: usize) -> Self {
        Self { size: size.max(1), is_fixed: false }
    }

    /// Exactly so much.
    pub fn fixed(size: usize) -> Self {
        Self { size: size.max(1), is_fixed: true }
    }

    /// How much there is room for, as far as is known.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Does work on as many equal things at a time as there is room for, and no more than there
    /// are.
    ///
    /// # Errors
    /// As [`fit_portion`](Self::fit_portion).
    pub fn fit<T>(
        &mut self,
        device: &dyn Device,
        available: usize,
        work: impl FnMut(usize) -> T,
    ) -> Result<T, NoRoom> {
        let take = |size: usize| {
            let count = size.min(available);
            Portion { work: count, size: count, is_least: count <= 1 }
        };
        self.fit_portion(device, take, work)
    }

    /// Does the work that `take` makes for the room there is. Where memory runs out, less is taken
    /// and the work begun again: what an attempt left behind must not matter. What `take` makes may
    /// exceed the room only where it is the least.
    ///
    /// # Errors
    /// When there is no memory for the least portion, or for one of the size that is fixed. Faults
    /// of other kinds unwind further.
    pub fn fit_portion<W, T>(
        &mut self,
        device: &dyn Device,
        mut take: impl FnMut(usize) -> Portion<W>,
        mut work: impl FnMut(W) -> T,
    ) -> Result<T, NoRoom> {
        loop {
            let Portion { work: taken, size, is_least } = take(self.size);
            match fault::catch(|| work(taken)) {
                Ok(done) => return Ok(done),
                Err(fault @ Fault::OutOfMemory { .. }) => {
                    if self.is_fixed || is_least {
                        return Err(NoRoom { size, fault });
                    }
                    // The attempt's memory lies in the pool, in pieces that are too large by half.
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

    /// The sizes that are tried where there is room for `most`.
    fn tried(
        room: &mut Room,
        available: usize,
        most: usize,
    ) -> (Vec<usize>, Result<usize, NoRoom>) {
        let mut tried = Vec::new();
        let result = room.fit(&Cpu::new(), available, |size| {
            tried.push(size);
            if size > most { fault::raise(full()) } else { size }
        });
        (tried, result)
    }

    #[test]
    fn what_does_not_fit_is_halved_until_it_does() {
        let mut room = Room::up_to(13);
        assert_eq!(tried(&mut room, 20, 3), (vec![13, 7, 4, 2], Ok(2)));
        assert_eq!(room.size(), 2);
        // From then on it is known.
        assert_eq!(tried(&mut room, 20, 3).0, [2]);
        let mut room = Room::up_to(64);
        assert_eq!(tried(&mut room, 5, 64).0, [5]);
        assert_eq!((tried(&mut room, 5, 3).0, room.size()), (vec![5, 3], 3));
    }

    #[test]
    fn the_least_must_fit_and_so_must_what_was_asked_for() {
        let no_room = |size| Err(NoRoom { size, fault: full() });
        assert_eq!(tried(&mut Room::up_to(4), 20, 0), (vec![4, 2, 1], no_room(1)));
        assert_eq!(tried(&mut Room::fixed(4), 20, 3), (vec![4], no_room(4)));
    }

    /// Portions of whole things, of which one may be larger than the room, or none take anything.
    #[test]
    fn portions_shrink_until_they_are_the_least() {
        let attempts = |sizes: &[usize]| {
            let (mut room, mut tried) = (Room::up_to(50), Vec::new());
            let take = |most: usize| {
                let mut size = sizes[0];
                let more = sizes[1..]
                    .iter()
                    .take_while(|&&next| (size + next <= most).then(|| size += next).is_some());
                let count = 1 + more.count();
                Portion { work: count, size, is_least: count == 1 }
            };
            let result: Result<(), NoRoom> = room.fit_portion(&Cpu::new(), take, |count| {
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
        let (mut room, mut times) = (Room::up_to(4), 0);
        let lost = Fault::Device { device: "gpu".into(), what: "it fell off the bus".into() };
        let found = fault::catch(|| {
            room.fit(&Cpu::new(), 4, |_| {
                times += 1;
                fault::raise(lost.clone())
            })
        });
        assert_eq!((found, times, room.size()), (Err::<Result<(), _>, _>(lost), 1, 4));
    }
}

//! How many sequences go through the models at a time: as many as were asked for, or as the device has memory for.

use engine::{Device, Fault, fault};

use crate::error::TrainError;

/// Sequences that go through the models at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    sequences: usize,
    is_fixed: bool,
}

impl Room {
    /// So many, or fewer from when on the device runs out of memory.
    pub fn up_to(sequences: usize) -> Self {
        Self { sequences: sequences.max(1), is_fixed: false }
    }

    /// Exactly so many.
    pub fn fixed(sequences: usize) -> Self {
        Self { sequences: sequences.max(1), is_fixed: true }
    }

    /// How many there is room for, as far as is known.
    pub fn sequences(&self) -> usize {
        self.sequences
    }

    /// Does work on as many sequences at a time as there is room for, and no more than there are. Where memory runs out,
    /// the work is begun again with half as many, down to one: what an attempt left behind must not matter.
    ///
    /// # Errors
    /// Those of the work; when there is no room for a single sequence of this length, or for as many as are fixed; and when
    /// the device fails otherwise.
    pub fn fit<T>(
        &mut self,
        device: &dyn Device,
        available: usize,
        length: usize,
        mut work: impl FnMut(usize) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        loop {
            let sequences = self.sequences.min(available);
            match fault::catch(|| work(sequences)) {
                Ok(done) => return done,
                Err(fault @ Fault::OutOfMemory { .. }) => {
                    if self.is_fixed || sequences <= 1 {
                        return Err(TrainError::NoRoom { sequences, length, fault });
                    }
                    // The attempt's memory lies in the pool, in pieces that are too large by half.
                    device.trim();
                    self.sequences = sequences.div_ceil(2);
                }
                Err(fault) => return Err(TrainError::Device(fault)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::*;

    fn full() -> ! {
        fault::raise(Fault::OutOfMemory { device: "gpu".into(), wanted: 3 << 20, free: 1 << 20, total: 8 << 20 })
    }

    /// The sizes that are tried where there is room for `most`.
    fn tried(room: &mut Room, available: usize, most: usize) -> (Vec<usize>, Result<usize, TrainError>) {
        let mut tried = Vec::new();
        let result = room.fit(&Cpu::new(), available, 16, |sequences| {
            tried.push(sequences);
            if sequences > most { full() } else { Ok(sequences) }
        });
        (tried, result)
    }

    #[test]
    fn what_does_not_fit_is_halved_until_it_does() {
        let mut room = Room::up_to(13);
        assert_eq!(tried(&mut room, 20, 3).0, [13, 7, 4, 2]);
        assert_eq!(room.sequences(), 2);
        // From then on it is known.
        assert_eq!(tried(&mut room, 20, 3).0, [2]);
        let mut room = Room::up_to(64);
        assert_eq!(tried(&mut room, 5, 64).0, [5]);
        assert_eq!((tried(&mut room, 5, 3).0, room.sequences()), (vec![5, 3], 3));
    }

    #[test]
    fn one_sequence_must_fit_and_so_must_what_was_asked_for() {
        let message = |mut room, most| tried(&mut room, 20, most).1.unwrap_err().to_string();
        let needs = "gpu has no memory for 3 MiB more: 1 MiB of its 8 MiB are free";
        assert_eq!(message(Room::up_to(4), 0), format!("there is no room for one sequence of 16 tokens: {needs}"));
        let fixed = message(Room::fixed(4), 3);
        assert_eq!(fixed, format!("there is no room for 4 sequences of 16 tokens at a time: {needs}"));
    }

    #[test]
    fn other_faults_are_not_tried_again() {
        let (mut room, mut times) = (Room::up_to(4), 0);
        let lost = Fault::Device { device: "gpu".into(), what: "it fell off the bus".into() };
        let found: Result<(), TrainError> = room.fit(&Cpu::new(), 4, 16, |_| {
            times += 1;
            fault::raise(lost.clone())
        });
        assert_eq!((found.unwrap_err().to_string(), times, room.sequences()), (lost.to_string(), 1, 4));
        let refused: Result<(), _> = room.fit(&Cpu::new(), 4, 16, |_| Err(TrainError::Unplaced));
        assert!(matches!(refused, Err(TrainError::Unplaced)));
    }
}

//! A model's metrics log in few points: read line by line, whatever its size, and thinned on the
//! way so that the lowest and the highest values stay.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use base::input_file::open_regular;
use report::decimate;
use report::page::{Axis, Series};
use serde::Deserialize;

/// What can be drawn of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Loss,
    CrossEntropy,
    Kl,
    LearningRate,
    GradientNorm,
    Speed,
}

impl Quantity {
    pub(super) const ALL: [Self; 6] = [
        Self::Loss,
        Self::CrossEntropy,
        Self::Kl,
        Self::LearningRate,
        Self::GradientNorm,
        Self::Speed,
    ];
}

/// The axes and quantities of some records: a column for each.
#[derive(Debug)]
struct Columns<const N: usize> {
    x: [Vec<f64>; 4],
    y: [Vec<f64>; N],
}

impl<const N: usize> Default for Columns<N> {
    fn default() -> Self {
        Self { x: Default::default(), y: [const { Vec::new() }; N] }
    }
}

/// What a log has.
#[derive(Debug, Default)]
pub(super) struct Log {
    steps: Columns<6>,
    evaluations: Columns<1>,
    /// Lines that are no record, with the number of the first.
    pub(super) damaged: u64,
    pub(super) first_damaged: u64,
    /// Whether the last line has no end, as a process that was killed leaves it.
    pub(super) is_cut: bool,
    /// Records of steps.
    pub(super) count: u64,
    /// Tokens of all steps.
    pub(super) tokens: f64,
    /// Time in steps, in seconds.
    pub(super) seconds: f64,
}

/// A line of the log as far as it is drawn; what older or damaged files lack is absent.
#[derive(Deserialize)]
struct Line {
    event: Option<String>,
    step: f64,
    epoch: Option<f64>,
    loss: Option<f64>,
    cross_entropy: Option<f64>,
    averaged: Option<f64>,
    kl: Option<f64>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f64>,
    tokens: Option<f64>,
    seconds: Option<f64>,
}

/// Rows that are held at most before they are thinned.
const MOST_ROWS: usize = 400_000;
/// Values of each quantity that thinning leaves, more than anything draws.
const THINNED: usize = 20_000;
/// Longer lines are no records.
const LONGEST_LINE: u64 = 1 << 20;

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut log = Self::default();
        let mut reader = BufReader::with_capacity(1 << 18, open_regular(path)?);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            if io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(log);
            }
            number += 1;
            match serde_json::from_slice::<Line>(&line) {
                Ok(found) if line.ends_with(b"\n") => log.add(&found),
                _ if !line.ends_with(b"\n") => log.is_cut = true,
                _ => {
                    log.damaged += 1;
                    log.first_damaged = if log.damaged == 1 { number } else { log.first_damaged };
                }
            }
        }
    }

    fn add(&mut self, line: &Line) {
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let is_evaluation = line.event.as_deref() == Some("evaluation");
        if !is_evaluation {
            self.tokens += line.tokens.unwrap_or(0.0);
            self.seconds += line.seconds.unwrap_or(0.0);
            self.count += 1;
        }
        let x = [line.step, or_nan(line.epoch), self.tokens, self.seconds];
        if is_evaluation {
            self.evaluations.push(x, [or_nan(line.averaged.or(line.cross_entropy))]);
            return;
        }
        let speed = line.tokens.zip(line.seconds).map(|(tokens, seconds)| tokens / seconds);
        let y = [line.loss, line.cross_entropy, line.kl, line.learning_rate, line.gradient_norm];
        let [loss, cross_entropy, kl, rate, norm] = y.map(or_nan);
        self.steps.push(x, [loss, cross_entropy, kl, rate, norm, or_nan(speed)]);
    }

    /// A quantity of the steps in at most so many points; none where no step has it.
    pub(super) fn series(&self, name: &str, quantity: Quantity, points: usize) -> Option<Series> {
        self.steps.series(name, quantity as usize, points)
    }

    /// Whether any step has a quantity.
    pub(super) fn has(&self, quantity: Quantity) -> bool {
        self.steps.has(quantity as usize)
    }

    /// Whether it has held-out losses.
    pub(super) fn is_evaluated(&self) -> bool {
        self.evaluations.has(0)
    }

    /// The held-out losses.
    pub(super) fn held_out(&self, name: &str, points: usize) -> Option<Series> {
        self.evaluations.series(name, 0, points)
    }

    /// How far the training has come.
    pub(super) fn last_step(&self) -> Option<f64> {
        self.steps.x[0].last().copied()
    }
}

impl<const N: usize> Columns<N> {
    fn push(&mut self, x: [f64; 4], y: [f64; N]) {
        // A log that goes back was continued by another program; what is later counts.
        let later = self.x[0].iter().rev().take_while(|step| **step >= x[0]).count();
        let kept = self.x[0].len() - later;
        self.x.iter_mut().chain(&mut self.y).for_each(|column| column.truncate(kept));
        self.x.iter_mut().zip(x).for_each(|(column, value)| column.push(value));
        self.y.iter_mut().zip(y).for_each(|(column, value)| column.push(value));
        if self.x[0].len() >= MOST_ROWS {
            self.thin();
        }
    }

    /// Leaves the rows that have an extreme of any quantity.
    fn thin(&mut self) {
        let mut kept: Vec<usize> =
            self.y.iter().flat_map(|column| decimate::places(column, THINNED)).collect();
        kept.sort_unstable();
        kept.dedup();
        for column in self.x.iter_mut().chain(&mut self.y) {
            *column = kept.iter().map(|&row| column[row]).collect();
        }
    }

    fn has(&self, quantity: usize) -> bool {
        self.y[quantity].iter().any(|value| value.is_finite())
    }

    fn series(&self, name: &str, quantity: usize, points: usize) -> Option<Series> {
        if !self.has(quantity) {
            return None;
        }
        let values = &self.y[quantity];
        let places = decimate::places(values, points);
        let pick = |column: &Vec<f64>| places.iter().map(|&place| column[place]).collect();
        // No step has recorded its FLOPs.
        let column = |axis: Axis| self.x.get(axis as usize).map(pick);
        let x = Axis::ALL.map(|axis| column(axis).unwrap_or_else(|| vec![f64::NAN; places.len()]));
        Some(Series { name: name.to_owned(), place: 0, x, y: pick(values) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Log {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, text).unwrap();
        Log::read(&path).unwrap()
    }

    fn step(step: usize, loss: f64) -> String {
        let tail = "\"tokens\":8,\"seconds\":0.5";
        format!("{{\"event\":\"step\",\"step\":{step},\"epoch\":0.5,\"loss\":{loss},{tail}}}\n")
    }

    #[test]
    fn steps_and_evaluations_have_their_place_on_every_axis() {
        let evaluation = "{\"event\":\"evaluation\",\"step\":2,\"epoch\":1.0,\
                          \"cross_entropy\":3.5,\"tokens\":99,\"seconds\":9}\n";
        let log = read([step(1, 7.0), step(2, 6.0), evaluation.to_owned()].concat());
        let loss = log.series("a", Quantity::Loss, 100).unwrap();
        assert_eq!(loss.x[0], [1.0, 2.0]);
        assert_eq!(loss.x[2], [8.0, 16.0]);
        assert_eq!(loss.x[3], [0.5, 1.0]);
        assert_eq!(loss.y, [7.0, 6.0]);
        assert_eq!(log.series("a", Quantity::Speed, 100).unwrap().y, [16.0, 16.0]);
        assert!(log.series("a", Quantity::Kl, 100).is_none());
        let held_out = log.held_out("a", 100).unwrap();
        assert_eq!((held_out.x[2][0], held_out.y[0]), (16.0, 3.5));
    }

    #[test]
    fn damage_is_passed_over_and_counted() {
        let mut text = step(1, 7.0).into_bytes();
        text.extend(b"\xff\xfe\n{\"step\":\"x\"}\n");
        text.extend(step(2, 6.0).bytes());
        text.extend(b"{\"event\":\"step\",\"st");
        let log = read(text);
        assert_eq!((log.damaged, log.first_damaged, log.is_cut), (2, 2, true));
        assert_eq!((log.count, log.last_step()), (2, Some(2.0)));
        assert_eq!(read("").count, 0);
    }

    #[test]
    fn steps_that_were_done_again_count_once() {
        let text = [step(1, 7.0), step(2, 6.0), step(3, 5.0), step(2, 4.0)].concat();
        let loss = read(text).series("a", Quantity::Loss, 100).unwrap();
        assert_eq!((loss.x[0].clone(), loss.y), (vec![1.0, 2.0], vec![7.0, 4.0]));
    }

    #[test]
    fn long_logs_keep_their_extremes() {
        let loss = |number: usize| match number {
            123_456 => 99.0,
            654_321 => -99.0,
            number => (number % 17) as f64,
        };
        let text: String = (1..=700_000).map(|number| step(number, loss(number))).collect();
        let log = read(text);
        assert!(log.steps.x[0].len() < MOST_ROWS);
        let series = log.series("a", Quantity::Loss, 500).unwrap();
        assert!(series.y.len() <= 500);
        assert!(series.y.contains(&99.0) && series.y.contains(&-99.0));
        assert_eq!(series.x[0].last(), Some(&700_000.0));
    }
}

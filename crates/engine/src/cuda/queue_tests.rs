//! What goes in graphs computes what goes alone.

use std::sync::Arc;

use super::Cuda;
use crate::device::{Arithmetic, Device, LaunchStats};
use crate::tape::DropoutMask;
use crate::tensor::Tensor;
use crate::testing::random;
use base::rng::Rng;

const SIZE: usize = 16;

/// A small square matrix times two matrices in turn, with a mask of its own each time.
struct Work {
    device: Arc<dyn Device>,
    matrices: [Tensor; 2],
    state: Tensor,
    next: Tensor,
}

impl Work {
    fn new(with_graphs: bool) -> Self {
        let device: Arc<dyn Device> =
            Arc::new(Cuda::open(0, Arithmetic::F32, None, with_graphs).unwrap());
        let tensor = |seed| Tensor::from_slice(&device, SIZE, SIZE, &random(seed, SIZE * SIZE));
        Self {
            matrices: [tensor(1), tensor(2)],
            state: tensor(3),
            next: tensor(4),
            device: device.clone(),
        }
    }

    /// `products` products with a matrix, and dropout after each; then what is there.
    fn round(&mut self, matrix: usize, products: usize, seed: u64) -> Vec<f32> {
        for product in 0..products {
            let weight = self.matrices[matrix].view();
            self.device.linear(self.state.view(), weight, None, None, self.next.view_mut());
            let mask = DropoutMask {
                rng: Rng::new(seed, "queue").at(product as u64),
                first_token: seed,
                probability: 0.5 + 0.01 * seed as f32,
            };
            self.device.dropout(self.next.view(), None, mask, self.state.view_mut());
        }
        let found = self.state.to_vec();
        self.device.write(self.state.view_mut(), &random(3, SIZE * SIZE));
        found
    }

    fn launch_stats(&self) -> LaunchStats {
        self.device.launch_stats().unwrap()
    }
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn a_sequence_that_repeats_becomes_a_graph_whose_parameters_change() {
    let (mut in_graphs, mut alone) = (Work::new(true), Work::new(false));
    let mut last = Vec::new();
    for round in 0..8 {
        let found = in_graphs.round(0, 8, round);
        assert_eq!(found, alone.round(0, 8, round), "round {round}");
        assert!(found != last && found.iter().all(|value| value.is_finite()), "round {round}");
        last = found;
    }
    // Both halves of a round are the same eight commands: three times alone, and then in a graph.
    assert_eq!(
        in_graphs.launch_stats(),
        LaunchStats { alone: 3 * 8, in_graphs: 13 * 8, graphs: 13, refused: None }
    );
    assert_eq!(alone.launch_stats(), LaunchStats { alone: 8 * 16, ..LaunchStats::default() });
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn another_operand_or_another_length_is_another_sequence() {
    let (mut in_graphs, mut alone) = (Work::new(true), Work::new(false));
    for round in 0..15 {
        // More than go together, so that a round is several sequences.
        let (matrix, products) = (round as usize % 2, [8, 40, 9][round as usize % 3]);
        assert_eq!(
            in_graphs.round(matrix, products, round),
            alone.round(matrix, products, round),
            "round {round}"
        );
    }
    let launched = in_graphs.launch_stats();
    assert!(
        launched.graphs > 0 && launched.in_graphs + launched.alone == alone.launch_stats().alone,
        "{launched:?}"
    );
}

#[test]
#[ignore = "needs a GPU or the emulator"]
fn memory_that_is_freed_and_graphs_that_are_forgotten_do_no_harm() {
    let mut work = Work::new(true);
    let expected: Vec<Vec<f32>> = (0..3).map(|round| Work::new(false).round(0, 8, round)).collect();
    for _ in 0..4 {
        for (round, expected) in (0..).zip(&expected) {
            assert_eq!(&work.round(0, 8, round), expected, "round {round}");
        }
        work.device.trim();
    }
    // What was queued and never waited for.
    work.device.fill(work.state.view_mut(), 1.0);
}

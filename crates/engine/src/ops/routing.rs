//! Which expert every token goes to (Fedus et al., arXiv 2101.03961, section 2): the expert of the
//! largest logit, as long as it has room, and the losses that keep routers balanced and their
//! logits small.
//!
//! It needs no kernels: a router has a handful of logits per token, which are read back and looked
//! at one by one on the host.

use std::ops::Range;
use std::sync::Arc;

use crate::spans::Spans;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// The place of a token that no expert takes.
pub const DROPPED: u32 = u32::MAX;

/// Where the tokens of a batch go.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Softmax of the logits: `[tokens, experts]`.
    probabilities: Vec<f32>,
    /// The expert of each token's largest logit, whether it takes the token or not.
    choices: Vec<u32>,
    /// The tokens that experts take: by expert, and of each expert in the order of the batch.
    order: Vec<u32>,
    /// The part of `order` that is each expert's.
    ranges: Vec<Range<usize>>,
    /// The place of each token in `order`, or [`DROPPED`].
    places: Vec<u32>,
}

impl Routing {
    /// Routes the tokens of logits `[tokens, experts]`. `capacity` is how many tokens of a sequence
    /// an expert takes, by the sequence's length: those that come first. Of equal logits the first
    /// counts.
    ///
    /// # Panics
    /// When there is no expert, or the logits are not those of the tokens.
    pub fn new(
        logits: &[f32],
        experts: usize,
        spans: &Spans,
        capacity: impl Fn(usize) -> usize,
    ) -> Self {
        assert_eq!(logits.len(), spans.tokens() * experts, "a logit per token and expert");
        let probabilities = logits.chunks_exact(experts).flat_map(softmax).collect();
        let choices: Vec<u32> = logits.chunks_exact(experts).map(largest).collect();
        let is_taken = within_capacity(&choices, experts, spans, capacity);
        let mut by_expert = vec![Vec::new(); experts];
        for (token, (&choice, _)) in
            choices.iter().zip(&is_taken).enumerate().filter(|(_, (_, is_taken))| **is_taken)
        {
            by_expert[choice as usize].push(token as u32);
        }
        let mut places = vec![DROPPED; choices.len()];
        let (mut order, mut ranges) = (Vec::new(), Vec::new());
        for tokens in by_expert {
            let start = order.len();
            for &token in &tokens {
                places[token as usize] = order.len() as u32;
                order.push(token);
            }
            ranges.push(start..order.len());
        }
        Self { probabilities, choices, order, ranges, places }
    }

    /// Number of experts.
    pub fn experts(&self) -> usize {
        self.ranges.len()
    }

    /// The expert of each token's largest logit.
    pub fn choices(&self) -> &[u32] {
        &self.choices
    }

    /// The tokens that experts take, by expert.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The part of [`order`](Self::order) that is each expert's.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// The place of each token in [`order`](Self::order), or [`DROPPED`].
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// Whether an expert takes each token.
    pub fn kept(&self) -> impl Iterator<Item = bool> {
        self.places.iter().map(|&place| place != DROPPED)
    }

    /// Whether the only expert takes all tokens: there is nothing to gather, and every gate is 1.
    pub fn is_dense(&self) -> bool {
        self.experts() == 1 && self.order.len() == self.places.len()
    }

    /// The probabilities of a token's experts.
    fn probabilities(&self, token: usize) -> &[f32] {
        &self.probabilities[token * self.experts()..][..self.experts()]
    }

    /// The gate of each token: the probability of its expert.
    pub fn gates(&self) -> Vec<f32> {
        let gate = |(token, &choice): (usize, &u32)| self.probabilities(token)[choice as usize];
        self.choices.iter().enumerate().map(gate).collect()
    }

    /// The gradient of the logits from those of the gates, which stand in the order of
    /// [`order`](Self::order). That of a dropped token is 0.
    pub(crate) fn gate_gradient(&self, d_gates: &[f32]) -> Vec<f32> {
        let mut d_logits = vec![0.0; self.probabilities.len()];
        for (&token, &d_gate) in self.order.iter().zip(d_gates) {
            let token = token as usize;
            let (row, choice) = (self.probabilities(token), self.choices[token] as usize);
            let d_row = &mut d_logits[token * row.len()..][..row.len()];
            for (expert, (d_logit, &probability)) in d_row.iter_mut().zip(row).enumerate() {
                let own = if expert == choice { 1.0 } else { 0.0 };
                *d_logit = row[choice] * (own - probability) * d_gate;
            }
        }
        d_logits
    }
}

/// The softmax of a row, by way of f64.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}

/// The logarithm of the sum of a row's powers.
fn logsumexp(logits: &[f32]) -> f64 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    top + logits.iter().map(|&logit| (f64::from(logit) - top).exp()).sum::<f64>().ln()
}

/// The first of the largest values.
fn largest(logits: &[f32]) -> u32 {
    let best = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (0..logits.len()).reduce(best).expect("at least one expert") as u32
}

/// Whether each token is among the first of its sequence that its expert has room for.
fn within_capacity(
    choices: &[u32],
    experts: usize,
    spans: &Spans,
    capacity: impl Fn(usize) -> usize,
) -> Vec<bool> {
    let mut is_taken = Vec::with_capacity(choices.len());
    for rows in spans.iter() {
        let room = capacity(rows.len());
        let mut counts = vec![0; experts];
        for &choice in &choices[rows] {
            let count = &mut counts[choice as usize];
            *count += 1;
            is_taken.push(*count <= room);
        }
    }
    is_taken
}

/// The losses of all routers of a forward pass, as sums that a split of the batch does not change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouterLosses {
    /// Sum over tokens of the squared logarithm of the sum of a router's exponentials, as a mean
    /// over the routers (Zoph et al., arXiv 2202.08906, section 3.2).
    pub z: f64,
    /// Sum over sequences of `experts * sum over experts of f * P`, where `f` is the share of the
    /// sequence's tokens that choose an expert, dropped or not, and `P` its mean probability, both
    /// over all routers (Fedus et al., section 2.2).
    pub balance: f64,
}

impl Tape<'_> {
    /// Where the tokens go by a router's logits `[tokens, experts]`; see [`Routing::new`]. The
    /// gradient of the gates is [`experts_add`](Self::experts_add)'s.
    pub fn route(
        &mut self,
        logits: &Var,
        spans: &Spans,
        capacity: impl Fn(usize) -> usize,
    ) -> Arc<Routing> {
        let (values, experts) = (logits.value().to_vec(), logits.value().columns());
        let routing = Arc::new(Routing::new(&values, experts, spans, capacity));
        if self.is_recording() {
            self.routers.push((logits.clone(), routing.clone()));
        }
        routing
    }

    /// The losses of all routers so far, of a tape that records. The backward starts from `z`
    /// times one sum and `balance` times the other, too. None where there was no router.
    ///
    /// # Panics
    /// When the routers had other sequences.
    pub fn router_losses(&mut self, spans: &Spans, z: f64, balance: f64) -> Option<RouterLosses> {
        let routers = std::mem::take(&mut self.routers);
        let sequences: Vec<Balance> = match routers.first() {
            None => return None,
            Some(_) => spans.iter().map(|rows| Balance::of(&routers, rows)).collect(),
        };
        let layers = routers.len() as f64;
        let balances = sequences.iter().map(Balance::loss).sum();
        let mut losses = RouterLosses { z: 0.0, balance: balances };
        for (logits, routing) in &routers {
            let values = logits.value().to_vec();
            assert_eq!(values.len(), spans.tokens() * routing.experts(), "the routers' tokens");
            let mut gradient = Vec::with_capacity(values.len());
            for (rows, sequence) in spans.iter().zip(&sequences) {
                for token in rows {
                    let row = &values[token * routing.experts()..][..routing.experts()];
                    let logsumexp = logsumexp(row);
                    losses.z += logsumexp * logsumexp / layers;
                    let probabilities = routing.probabilities(token);
                    let along_z = z * 2.0 * logsumexp / layers;
                    let along = sequence.gradient(probabilities);
                    gradient.extend(
                        probabilities
                            .iter()
                            .zip(along)
                            .map(|(&p, along)| (f64::from(p) * along_z + balance * along) as f32),
                    );
                }
            }
            let (rows, columns) = (logits.value().rows(), logits.value().columns());
            let gradient = Tensor::from_slice(self.device(), rows, columns, &gradient);
            self.seed(logits, gradient);
        }
        Some(losses)
    }
}

/// How evenly the routers spread a sequence.
struct Balance {
    /// Tokens times routers.
    count: f64,
    /// The share of each expert.
    shares: Vec<f64>,
    /// The mean probability of each expert.
    means: Vec<f64>,
}

impl Balance {
    fn of(routers: &[(Var, Arc<Routing>)], rows: Range<usize>) -> Self {
        let experts = routers[0].1.experts();
        let count = (rows.len() * routers.len()) as f64;
        let (mut shares, mut means) = (vec![0.0; experts], vec![0.0; experts]);
        for (_, routing) in routers {
            for token in rows.clone() {
                shares[routing.choices[token] as usize] += 1.0 / count;
                for (mean, &probability) in means.iter_mut().zip(routing.probabilities(token)) {
                    *mean += f64::from(probability) / count;
                }
            }
        }
        Self { count, shares, means }
    }

    fn loss(&self) -> f64 {
        let products = self.shares.iter().zip(&self.means).map(|(share, mean)| share * mean);
        self.shares.len() as f64 * products.sum::<f64>()
    }

    /// The gradient of a token's logits. The shares have none.
    fn gradient<'a>(&'a self, probabilities: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let products =
            probabilities.iter().zip(&self.shares).map(|(&p, share)| f64::from(p) * share);
        let mean: f64 = products.sum();
        let scale = self.shares.len() as f64 / self.count;
        let of_one = move |(&p, share): (&f32, &f64)| scale * f64::from(p) * (share - mean);
        probabilities.iter().zip(&self.shares).map(of_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Layout;
    use crate::testing::Check;

    /// Eight tokens of two sequences, of three experts.
    const LOGITS: [f32; 24] = [
        2.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.5, 0.4, 0.3, -1.0, 2.0, 0.0, //
        0.0, 0.0, 0.0, 3.0, 1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 1.0, 0.0,
    ];

    fn unlimited(_: usize) -> usize {
        usize::MAX
    }

    /// The values are those of transformers 5.24's `SwitchTransformersTop1Router` and its losses.
    #[test]
    fn losses_are_the_reference_implementations() {
        let spans = Spans::uniform(2, 4);
        let mut check = Check::new(Layout::default(), &[(8, 3)]);
        check.inputs[0] = LOGITS.to_vec();
        let losses = |check: &mut Check| {
            let mut found = None;
            check.inputs_on_tape(|tape, inputs| {
                tape.route(&inputs[0], &spans, unlimited);
                found = tape.router_losses(&spans, 1.0, 1.0);
            });
            found.unwrap()
        };
        let found = losses(&mut check);
        assert!((found.z / 8.0 - 4.324_718).abs() < 1e-6, "{}", found.z / 8.0);
        assert!((found.balance / 2.0 - 1.242_543).abs() < 1e-6, "{}", found.balance / 2.0);
    }

    #[test]
    fn losses_have_the_gradients_of_finite_differences() {
        let spans = Spans::from_lengths([4, 0, 3, 1]);
        let mut check = Check::new(Layout::default(), &[(8, 3), (8, 3)]);
        check.inputs[0] = LOGITS.to_vec();
        // Far from a change of the choice, for shares have no gradient.
        check.inputs[1] = (0..24).map(|index| ((index * 7) % 5) as f32 * 0.4).collect();
        check.inputs[0][6] = 0.7;
        check.inputs[0][12] = 0.2;
        check.inputs[0][21] = 1.2;
        check.objective_gradients(1.0, |tape, inputs| {
            let recording = tape.is_recording();
            tape.route(&inputs[0], &spans, |_| 1);
            tape.route(&inputs[1], &spans, unlimited);
            assert!(recording, "gradients are compared on tapes that record");
            let losses = tape.router_losses(&spans, 0.3, 0.7).unwrap();
            0.3 * losses.z + 0.7 * losses.balance
        });
    }

    #[test]
    fn a_split_of_the_batch_changes_no_sum() {
        let sums = |lengths: &[usize], logits: &[f32]| {
            let spans = Spans::from_lengths(lengths.iter().copied());
            let mut check = Check::new(Layout::default(), &[(spans.tokens(), 3)]);
            check.inputs[0] = logits.to_vec();
            let mut found = None;
            check.inputs_on_tape(|tape, inputs| {
                tape.route(&inputs[0], &spans, |_| 1);
                found = tape.router_losses(&spans, 1.0, 1.0);
            });
            found.unwrap()
        };
        let whole = sums(&[4, 4], &LOGITS);
        let (first, second) = (sums(&[4], &LOGITS[..12]), sums(&[4], &LOGITS[12..]));
        assert!((first.z + second.z - whole.z).abs() < 1e-12);
        assert!((first.balance + second.balance - whole.balance).abs() < 1e-12);
    }

    #[test]
    fn the_first_tokens_of_each_sequence_are_taken() {
        let spans = Spans::from_lengths([4, 4]);
        let routing = Routing::new(&LOGITS, 3, &spans, |tokens| tokens / 2);
        assert_eq!(routing.choices(), [0, 0, 0, 1, 0, 0, 2, 0]);
        assert_eq!(routing.order(), [0, 1, 4, 5, 3, 6]);
        assert_eq!(routing.ranges(), [0..4, 4..5, 5..6]);
        assert_eq!(routing.places(), [0, 1, DROPPED, 4, 2, 3, 5, DROPPED]);
        assert!(!routing.is_dense());
        let whole = Routing::new(&LOGITS, 3, &spans, unlimited);
        assert_eq!(whole.order(), [0, 1, 2, 4, 5, 7, 3, 6]);
        assert_eq!(whole.gates(), routing.gates());
    }

    #[test]
    fn experts_may_get_no_token_or_all() {
        let spans = Spans::from_lengths([3, 0]);
        let routing = Routing::new(&[0.0, 9.0, 0.0, 9.0, 0.0, 9.0], 2, &spans, unlimited);
        assert_eq!((routing.ranges(), routing.order()), (&[0..0, 0..3][..], &[0, 1, 2][..]));
        let one = Routing::new(&[-3.0, 0.5, 8.0], 1, &spans, unlimited);
        assert!(one.is_dense());
        assert_eq!(one.gates(), [1.0; 3]);
        assert!(!Routing::new(&[-3.0, 0.5, 8.0], 1, &spans, |_| 2).is_dense());
        let none = Routing::new(&[], 2, &Spans::from_lengths([]), unlimited);
        assert_eq!((none.order(), none.ranges()), (&[][..], &[0..0, 0..0][..]));
    }

    #[test]
    fn large_logits_stay_finite() {
        let spans = Spans::from_lengths([2]);
        let routing = Routing::new(&[3e38, -3e38, -1e4, -1e4], 2, &spans, unlimited);
        assert_eq!(routing.gates(), [1.0, 0.5]);
        assert!(logsumexp(&[1e4, 1e4]) - 1e4 < 0.7);
    }
}

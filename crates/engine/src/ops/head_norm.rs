//! Normalisation of every head of queries and keys before they meet (QK-norm: Henry et al., arXiv
//! 2010.04245; as an RMS norm with gains over the channels of a head, as in Qwen3, arXiv
//! 2505.09388).

use crate::kernels::kernels;
use crate::ops::attention::Heads;
use crate::params::Segment;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

kernels! {
    /// Kernels of the norm of heads, on the fused queries, keys and values `[tokens, qkv columns]`.
    pub trait HeadNormKernels {
        /// `head = head / sqrt(mean(head^2) + epsilon) * gain` of every head of queries and keys,
        /// in place; values stay. `gains` `[2, head_dim]` are those of queries and of keys;
        /// `statistics` `[tokens, heads of both]` receives the inverse roots.
        fn head_norm(
            &self,
            fused_qkv: ViewMut<'_>,
            gains: View<'_>,
            epsilon: f32,
            heads: &Heads,
            statistics: Option<ViewMut<'_>>,
        );

        /// Gradients of `head_norm`: that of the output becomes that of the input, in place, and
        /// `d_gains` `[2, head_dim]` is written. `fused_qkv` is what was normalised.
        fn head_norm_gradient(
            &self,
            d_fused_qkv: ViewMut<'_>,
            fused_qkv: View<'_>,
            gains: View<'_>,
            statistics: View<'_>,
            heads: &Heads,
            d_gains: ViewMut<'_>,
        );
    }
}

/// Where the gains of a norm of heads are.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm {
    /// `[2, head_dim]`: of queries, and of keys.
    pub gains: Segment,
    /// Added to the mean square before its root.
    pub epsilon: f32,
}

struct HeadNormNode {
    norm: HeadNorm,
    input: Var,
    heads: Heads,
    statistics: Tensor,
    output: usize,
}

impl Tape<'_> {
    /// Normalises the heads of queries and keys: `[tokens, qkv columns] -> [tokens, qkv columns]`.
    /// For the gradient it keeps its input.
    pub fn head_norm(&mut self, fused_qkv: Var, norm: &HeadNorm, heads: &Heads) -> Var {
        let columns = fused_qkv.value().columns();
        assert_eq!(columns, heads.qkv_columns(), "fused queries, keys and values");
        let gains = self.parameters().view(norm.gains);
        assert_eq!((gains.rows, gains.columns), (2, heads.head_dim), "gains of a head");
        let kept = self.is_recording().then(|| fused_qkv.clone());
        let mut output = fused_qkv.into_owned();
        let mut statistics = self.allocate(output.rows(), heads.turned());
        let wanted = kept.is_some().then(|| statistics.view_mut());
        self.device().head_norm(output.view_mut(), gains, norm.epsilon, heads, wanted);
        let (norm, heads) = (*norm, *heads);
        match kept {
            None => self.variable(output),
            Some(input) => self.record(output, |output| HeadNormNode {
                norm,
                input,
                heads,
                statistics,
                output: output.id,
            }),
        }
    }
}

impl Node for HeadNormNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(mut gradient) = pass.take(self.output) else { return };
        let (device, gains) = (pass.device(), self.norm.gains);
        let mut d_gains = Tensor::uninitialised(device, 2, self.heads.head_dim);
        device.head_norm_gradient(
            gradient.view_mut(),
            self.input.value().view(),
            pass.parameters().view(gains),
            self.statistics.view(),
            &self.heads,
            d_gains.view_mut(),
        );
        device.add(d_gains.view(), pass.gradients().view_mut(gains));
        pass.give(self.input.id, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Layout, Role};
    use crate::testing::{Check, assert_close};

    fn heads(num_heads: usize, num_kv_heads: usize, head_dim: usize) -> Heads {
        let (rotary, causal, dropout) = (None, true, 0.0);
        Heads { num_heads, num_kv_heads, head_dim, rotary, causal, dropout }
    }

    fn check(heads: Heads, rows: usize) -> (HeadNorm, Check) {
        let mut layout = Layout::default();
        // So that nothing is aligned by chance.
        layout.add("before", 1, 3, Role::Bias);
        let q = layout.add("q", 1, heads.head_dim, Role::NormGain);
        let k = layout.add("k", 1, heads.head_dim, Role::NormGain);
        let norm = HeadNorm { gains: Segment::stack(&[q, k]), epsilon: 1e-2 };
        (norm, Check::new(layout, &[(rows, heads.qkv_columns())]))
    }

    /// Each head by itself, in double precision.
    fn reference(fused_qkv: &[f32], gains: &[f32], epsilon: f64, heads: &Heads) -> Vec<f32> {
        let (width, all) = (heads.head_dim, heads.num_heads + 2 * heads.num_kv_heads);
        let normed = |(index, head): (usize, &[f32])| {
            let place = index % all;
            if place >= heads.num_heads + heads.num_kv_heads {
                return head.to_vec();
            }
            let gain = &gains[if place < heads.num_heads { 0 } else { width }..][..width];
            let square = head.iter().map(|&x| x as f64 * x as f64).sum::<f64>() / width as f64;
            let root = (square + epsilon).sqrt();
            head.iter().zip(gain).map(|(&x, &g)| (x as f64 / root * g as f64) as f32).collect()
        };
        fused_qkv.chunks(width).enumerate().flat_map(normed).collect()
    }

    #[test]
    fn matches_the_reference_and_finite_differences() {
        for (shape, rows) in [
            (heads(1, 1, 1), 1),
            (heads(2, 1, 4), 1),
            (heads(3, 1, 5), 7),
            (heads(4, 2, 6), 67),
            (heads(1, 1, 33), 3),
            (heads(2, 2, 64), 130),
        ] {
            let (norm, mut check) = check(shape, rows);
            let forward =
                |tape: &mut Tape, inputs: &[Var]| tape.head_norm(inputs[0].clone(), &norm, &shape);
            let output = check.output(forward);
            let gains = check.segment(norm.gains);
            assert_close(&output, &reference(&check.inputs[0], &gains, 1e-2, &shape), 1e-5);
            if rows < 100 {
                check.gradients(forward);
            }
        }
    }

    #[test]
    fn a_head_of_zeros_stays_one() {
        let shape = heads(2, 1, 4);
        let (norm, mut check) = check(shape, 2);
        check.inputs[0][..16].fill(0.0);
        let output = check.output(|tape, inputs| tape.head_norm(inputs[0].clone(), &norm, &shape));
        assert_eq!(output[..16], [0.0; 16]);
        assert!(output.iter().all(|value| value.is_finite()));
    }

    /// An input that something else reads too is not changed.
    #[test]
    fn an_input_that_is_shared_stays_and_gets_both_gradients() {
        let shape = heads(2, 1, 3);
        let (norm, mut check) = check(shape, 5);
        check.gradients(|tape, inputs| {
            let normed = tape.head_norm(inputs[0].clone(), &norm, &shape);
            let again = tape.head_norm(normed.clone(), &norm, &shape);
            assert_ne!(normed.value().to_vec(), again.value().to_vec());
            again
        });
        let output = check.output(|tape, inputs| {
            tape.head_norm(inputs[0].clone(), &norm, &shape);
            inputs[0].clone()
        });
        assert_eq!(output, check.inputs[0]);
    }

    /// Sums over more rows than a block has do not depend on the number of threads.
    #[test]
    fn threads_change_no_bit() {
        let shape = heads(3, 1, 10);
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (norm, mut check) = check(shape, 301);
                check.parameter_gradient(|tape, inputs| {
                    tape.head_norm(inputs[0].clone(), &norm, &shape)
                })
            })
        };
        let expected = bits(1);
        assert!(expected.iter().any(|&value| value != 0.0));
        assert!([2, 5].into_iter().all(|threads| bits(threads) == expected));
    }
}

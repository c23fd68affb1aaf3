//! A layer between two normalisations without gains, as LTG-BERT has it before its output layer.

use engine::ops::linear::Linear;
use engine::{Layout, Tape, Var};

use crate::families::segments::linear;

/// `norm(gelu(norm(x) * dense^T))`, with a bias.
pub(crate) struct NormedDense {
    dense: Linear,
    epsilon: f32,
}

impl NormedDense {
    /// Adds its parameters to the layout, under names that begin with `name`.
    pub(crate) fn new(name: &str, hidden: usize, epsilon: f32, layout: &mut Layout) -> Self {
        let name = format!("{name}.nonlinearity.1");
        Self { dense: linear(layout, &name, hidden, hidden), epsilon }
    }

    /// `[rows, hidden] -> [rows, hidden]`.
    pub(crate) fn states(&self, tape: &mut Tape<'_>, x: &Var) -> Var {
        let x = tape.plain_layer_norm(x, self.epsilon);
        let x = tape.linear(&x, &self.dense);
        let x = tape.exact_gelu(x);
        tape.plain_layer_norm(&x, self.epsilon)
    }
}

//! What several families share in the layout of their parameters: a weight and then its bias, under
//! Hugging Face names.

use engine::ops::attention::Heads;
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Segment};

use super::ModelConfig;

/// `NAME.weight` `[rows, columns]` and `NAME.bias`.
pub(crate) fn linear(layout: &mut Layout, name: &str, rows: usize, columns: usize) -> Linear {
    fused(layout, &[name.to_owned()], rows, columns)
}

/// Several products of one input as one: their weights are neighbours, and so are their biases
/// behind them.
pub(super) fn fused(layout: &mut Layout, names: &[String], rows: usize, columns: usize) -> Linear {
    let mut each = |ending: &str, rows, columns, role| {
        let parts: Vec<_> = names
            .iter()
            .map(|name| layout.add(format!("{name}.{ending}"), rows, columns, role))
            .collect();
        match role {
            Role::Matrix => Segment::stack(&parts),
            _ => Segment::join(&parts),
        }
    };
    let weight = each("weight", rows, columns, Role::Matrix);
    Linear { weight, bias: Some(each("bias", 1, rows, Role::Bias)) }
}

/// A layer norm over the hidden channels.
pub(super) fn layer_norm(layout: &mut Layout, name: &str, config: &ModelConfig) -> Norm {
    let gain = layout.add(format!("{name}.weight"), 1, config.hidden_size, Role::NormGain);
    let bias = layout.add(format!("{name}.bias"), 1, config.hidden_size, Role::Bias);
    Norm { gain, bias: Some(bias), epsilon: config.norm_epsilon }
}

/// A norm of the hidden channels by their root mean square, which has no bias.
pub(super) fn rms_norm(layout: &mut Layout, name: &str, config: &ModelConfig) -> Norm {
    let gain = layout.add(format!("{name}.weight"), 1, config.hidden_size, Role::NormGain);
    Norm { gain, bias: None, epsilon: config.norm_epsilon }
}

/// Heads with keys and values of their own, without rotary positions.
pub(super) fn plain_heads(config: &ModelConfig, causal: bool) -> Heads {
    Heads {
        num_heads: config.num_heads,
        num_kv_heads: config.num_heads,
        head_dim: config.head_dim,
        rotary: None,
        causal,
        dropout: config.attention_dropout,
    }
}

/// A table without its first rows.
pub(super) fn without_rows(table: Segment, rows: usize) -> Segment {
    Segment {
        offset: table.offset + rows * table.columns,
        rows: table.rows - rows,
        columns: table.columns,
    }
}

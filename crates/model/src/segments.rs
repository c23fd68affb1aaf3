//! How the layers of several families lay out their parameters: a weight and then its bias, under
//! Hugging Face names.

use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::{Layout, Role, Segment};

use crate::config::ModelConfig;

/// `NAME.weight` `[rows, columns]` and `NAME.bias`.
pub(crate) fn linear(layout: &mut Layout, name: &str, rows: usize, columns: usize) -> Linear {
    joined(layout, &[name.to_owned()], rows, columns)
}

/// Several products of one input as one: their weights are neighbours, and so are their biases
/// behind them.
pub(crate) fn joined(layout: &mut Layout, names: &[String], rows: usize, columns: usize) -> Linear {
    let mut each = |ending: &str, rows, columns, role| {
        let parts: Vec<_> = names
            .iter()
            .map(|name| layout.add(format!("{name}.{ending}"), rows, columns, role))
            .collect();
        Segment::join(&parts)
    };
    let weight = each("weight", rows, columns, Role::Matrix);
    Linear { weight, bias: Some(each("bias", 1, rows, Role::Bias)) }
}

/// A layer norm over the hidden channels.
pub(crate) fn layer_norm(layout: &mut Layout, name: &str, config: &ModelConfig) -> Norm {
    let gain = layout.add(format!("{name}.weight"), 1, config.hidden_size, Role::NormGain);
    let bias = layout.add(format!("{name}.bias"), 1, config.hidden_size, Role::Bias);
    Norm { gain, bias: Some(bias), epsilon: config.norm_epsilon }
}

/// A table without its first rows.
pub(crate) fn without_rows(table: Segment, rows: usize) -> Segment {
    Segment {
        offset: table.offset + rows * table.columns,
        rows: table.rows - rows,
        columns: table.columns,
    }
}

//! Settings of sharpness-aware minimisation.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{SettingError, rules};

/// Sharpness-aware minimisation (Foret et al., arXiv 2010.01412): every update uses the gradient
/// at a nearby point of higher loss. Costs a second forward and backward pass, and a copy of the
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct SamSettings {
    /// Distance of the nearby point whose gradient is used; 0 turns it off.
    pub rho: f64,
    /// Whether distances are measured relative to each weight's size (ASAM, arXiv 2102.11600),
    /// which needs a `rho` about ten times as large.
    pub adaptive: bool,
    /// Dropout masks of the second pass.
    pub dropout: SamDropout,
}

/// Dropout masks of the second pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamDropout {
    /// The masks of the first pass: both gradients are of one function.
    Same,
    /// Other masks, as in davda54's implementation.
    New,
}

impl Default for SamSettings {
    fn default() -> Self {
        Self { rho: 0.05, adaptive: false, dropout: SamDropout::Same }
    }
}

impl SamSettings {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        rules::number("sam.rho", self.rho)
    }
}

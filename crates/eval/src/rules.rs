//! The two pipelines whose numbers are printed in the papers, and where they differ (BabyLM 2023:
//! lm-eval 0.2.0; BabyLM 2024: lm-eval 0.4.2). Those of 2025 and 2026 fine-tune by rules of their
//! own; how they score texts is in [`challenge`](crate::challenge).

use serde::{Deserialize, Serialize};

/// Which pipeline's rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rules {
    /// `</s>` before every sentence; a score per group, pooled over its tasks' items.
    #[serde(rename = "2023")]
    Year2023,
    /// `<s>` before every sentence; the unweighted mean of the tasks' accuracies.
    #[default]
    #[serde(rename = "2024")]
    Year2024,
    /// Of fine-tuning alone: seven tasks, a head of two layers on the first token.
    #[serde(rename = "2025")]
    Year2025,
    /// Of fine-tuning alone: seven tasks, a head of two layers on the last token.
    #[serde(rename = "2026")]
    Year2026,
}

/// How the probability of a text is computed by models that predict the next token, by the names
/// of the pipeline of 2025.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Each token from those before it. Masked models predict each token from all others, which is
    /// the only way for them.
    #[default]
    Causal,
    /// Each token from all others, hidden itself, at the token before it: masked next-token
    /// prediction, for models that have learned it.
    Mntp,
}

impl Backend {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How texts are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Method {
    /// Whose pipeline is followed.
    pub rules: Rules,
    /// How models are asked.
    pub backend: Backend,
}

impl From<Rules> for Method {
    fn from(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }
}

impl Rules {
    /// Whether they are those of a pipeline whose way to score texts is chosen by rules too.
    pub fn score_texts(self) -> bool {
        matches!(self, Rules::Year2023 | Rules::Year2024)
    }

    /// The token that stands before every sentence in the papers' models. A folder may name another
    /// for its role, the end of a text in 2023 and its beginning in 2024.
    pub fn prefix_token(self) -> &'static str {
        if self == Rules::Year2023 { "</s>" } else { "<s>" }
    }

    /// The year as in files, such as `2024`.
    pub fn name(self) -> &'static str {
        match self {
            Rules::Year2023 => "2023",
            Rules::Year2024 => "2024",
            Rules::Year2025 => "2025",
            Rules::Year2026 => "2026",
        }
    }

    /// The year.
    pub fn year(self) -> u16 {
        match self {
            Rules::Year2023 => 2023,
            Rules::Year2024 => 2024,
            Rules::Year2025 => 2025,
            Rules::Year2026 => 2026,
        }
    }
}

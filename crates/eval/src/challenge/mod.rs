//! The evaluation of BabyLM's pipelines of 2025 and 2026.

mod backend;

pub use backend::ChallengeBackend;

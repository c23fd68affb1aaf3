//! The evaluation of BabyLM's pipelines of 2025 and 2026.

mod backend;
pub mod reading;

pub use backend::ChallengeBackend;

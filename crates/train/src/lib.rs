//! Training and distillation.

pub mod settings;

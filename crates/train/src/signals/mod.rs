//! What teachers say of a batch, wherever it comes from.

pub mod cache;

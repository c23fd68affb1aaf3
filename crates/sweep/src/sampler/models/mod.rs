//! The mathematics of the samplers' models, without spaces and trials.

pub(super) mod gaussian_process;
pub(super) mod parzen;

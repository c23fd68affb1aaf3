//! One file per operation: the trait of its kernels, its place on the tape, its slow reference and
//! its tests.

mod activation;
pub mod attention;
pub mod attention_pooling;
pub mod biased_attention;
pub mod blend;
pub mod distillation_loss;
pub mod dropout;
pub mod embed;
pub mod exact_gelu;
pub mod experts;
pub mod gather_rows;
pub mod geglu;
pub mod gelu;
pub mod head_norm;
pub mod language_model_loss;
pub mod linear;
pub mod memory;
pub mod mixture;
pub mod multiply;
pub mod norm;
pub mod optimizer;
pub mod orthogonal;
pub mod relative_attention;
pub mod relu;
pub mod router;
pub mod routing;
pub mod sam;
pub mod scale;
pub mod swiglu;
pub mod tanh;
pub mod teacher_samples;

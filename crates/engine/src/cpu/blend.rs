//! Moving one vector towards another.

use rayon::prelude::*;

use super::elementwise::TASK;
use super::{Cpu, memory, vectorised};
use crate::ops::blend::BlendKernels;
use crate::tensor::Tensor;

vectorised! {
    fn blend(from: &[f32], share: f32, to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += share * (from - *to);
        }
    }
}

impl BlendKernels for Cpu {
    fn blend(&self, from: &Tensor, share: f32, to: &mut Tensor) {
        let length = to.rows() * to.columns();
        memory::full_values_mut(to)[..length]
            .par_chunks_mut(TASK)
            .zip(memory::full_values(from)[..length].par_chunks(TASK))
            .for_each(|(to, from)| blend(from, share, to));
    }
}

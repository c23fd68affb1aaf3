//! What optimizers of whole matrices compute: momentum, and the nearest matrix with orthonormal
//! rows (or columns, where those are fewer) by Newton-Schulz iterations (Jordan et al., "Muon",
//! 2024).
//!
//! An iteration replaces `X` by `(a + b G + c G^2) X` with the Gram matrix `G = X X^T`: it keeps
//! the singular vectors and moves every singular value `s` to `a s + b s^3 + c s^5`, which ends
//! near 1. Of a matrix with more rows than columns the Gram matrix is `X^T X`, so that products are
//! always those of the smaller side, and nothing is transposed.

use crate::kernels::kernels;
use crate::ops::linear::product_flops;
use crate::tensor::{Precision, Shape, Tensor, View, ViewMut};

/// The settings of a step of Nesterov's momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumStep {
    /// Decay of the average of gradients, and its share in the output.
    pub momentum: f64,
    /// Multiplies every gradient first: the clipping factor.
    pub gradient_scale: f64,
}

kernels! {
    /// Kernels of updates of whole matrices. Views are contiguous.
    pub trait OrthogonalKernels {
        /// `average = momentum * average + (1 - momentum) * gradient`, and `output = momentum *
        /// average + (1 - momentum) * gradient` with the new average.
        fn nesterov(
            &self,
            gradients: View<'_>,
            average: ViewMut<'_>,
            step: MomentumStep,
            output: ViewMut<'_>,
        );

        /// Divides a matrix by `factor` times its Frobenius norm, or by `smallest` where that is
        /// more.
        fn divide_by_norm(&self, matrix: ViewMut<'_>, factor: f32, smallest: f32);

        /// The Gram matrix of the smaller side, `[n, n]`: `X X^T`, or `X^T X` of more rows than
        /// columns.
        #[flops(product_flops(matrix.rows.min(matrix.columns), matrix))]
        fn gram(&self, matrix: View<'_>, output: ViewMut<'_>);

        /// `output = a + b G + c G^2` of a symmetric matrix `[n, n]`; `a` is on the diagonal.
        #[flops(product_flops(gram.rows, gram))]
        fn gram_polynomial(&self, gram: View<'_>, coefficients: [f32; 3], output: ViewMut<'_>);

        /// The product of a matrix with a symmetric one of its smaller side: `P X`, or `X P` of
        /// more rows than columns.
        #[flops(product_flops(symmetric.rows, matrix))]
        fn gram_product(&self, symmetric: View<'_>, matrix: View<'_>, output: ViewMut<'_>);

        /// Follows the mean square of each row, `second_moment = beta2 * second_moment + (1 -
        /// beta2) * mean` (`[1, rows]`), divides each row by its root, and scales the matrix so
        /// that its Frobenius norm stays.
        fn normalise_rows(&self, matrix: ViewMut<'_>, second_moment: ViewMut<'_>, beta2: f64);
    }
}

/// What [`normalise_rows`](OrthogonalKernels::normalise_rows) adds to roots and norms before it
/// divides by them.
pub(crate) const ROOT_EPSILON: f64 = 1e-10;

/// The coefficients of some iterations, and how the matrix is scaled before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz {
    /// `a`, `b` and `c` of each iteration.
    pub coefficients: &'static [[f32; 3]],
    /// The matrix is first divided by this times its Frobenius norm, which is at least its largest
    /// singular value.
    pub margin: f32,
}

/// The smallest number by which a matrix is divided.
const SMALLEST_NORM: f32 = 1e-7;

impl NewtonSchulz {
    /// Muon's own: singular values end between about 0.68 and 1.2.
    pub const CLASSIC: Self = Self { coefficients: &[[3.4445, -4.7750, 2.0315]; 5], margin: 1.0 };

    /// Polar Express (Amsel et al., arXiv 2505.16932), the best polynomials one after the other:
    /// nearer to 1 with as many products.
    pub const POLAR_EXPRESS: Self = Self {
        coefficients: &[
            [8.156_554, -22.483_294, 15.878_77],
            [4.042_93, -2.808_917_5, 0.500_017_8],
            [3.891_667_8, -2.772_484, 0.506_064_83],
            [3.285_753_7, -2.368_129_5, 0.464_490_23],
            [2.346_541_4, -1.709_782_8, 0.423_235_5],
        ],
        margin: 1.02,
    };

    /// Floating-point operations of the products for a matrix.
    pub fn flops(self, rows: usize, columns: usize) -> f64 {
        let smaller = rows.min(columns);
        let products = 2 * smaller * rows * columns + smaller * smaller * smaller;
        (2 * self.coefficients.len() * products) as f64
    }

    /// The matrix made nearly orthonormal, in the arithmetic of the device's products.
    pub fn orthogonalise(self, mut matrix: Tensor) -> Tensor {
        let device = matrix.device().clone();
        device.divide_by_norm(matrix.view_mut(), self.margin, SMALLEST_NORM);
        let smaller = matrix.rows().min(matrix.columns());
        let square = Shape { rows: smaller, columns: smaller, precision: Precision::Compact };
        let [mut gram, mut polynomial] = [square; 2].map(|shape| Tensor::of_shape(&device, shape));
        let mut next = Tensor::of_shape(&device, matrix.shape());
        for &coefficients in self.coefficients {
            device.gram(matrix.view(), gram.view_mut());
            device.gram_polynomial(gram.view(), coefficients, polynomial.view_mut());
            device.gram_product(polynomial.view(), matrix.view(), next.view_mut());
            std::mem::swap(&mut matrix, &mut next);
        }
        matrix
    }
}

#[cfg(test)]
mod tests;

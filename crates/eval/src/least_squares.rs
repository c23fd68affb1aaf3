//! Ordinary least squares by an orthonormal basis of the predictors, in f64.

/// The sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// An orthonormal basis of what the columns span, by Gram and Schmidt's procedure; each column is
/// reduced twice, which keeps the basis orthogonal to rounding ("twice is enough": Parlett, "The
/// Symmetric Eigenvalue Problem", 1980). A column that depends on those before it adds nothing, so
/// that a basis with fewer vectors than there are columns means dependent ones.
pub(crate) fn orthonormal_basis(columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns.len());
    for mut column in columns {
        let before = dot(&column, &column).sqrt();
        for _ in 0..2 {
            for unit in &basis {
                let along = dot(unit, &column);
                column.iter_mut().zip(unit).for_each(|(value, unit)| *value -= along * unit);
            }
        }
        let after = dot(&column, &column).sqrt();
        if after > 1e-10 * before {
            column.iter_mut().for_each(|value| *value /= after);
            basis.push(column);
        }
    }
    basis
}

/// The share of the variance of `outcome` that a regression on the columns of a basis leaves
/// unexplained: one less R². One of the columns must be the intercept. None where all outcomes are
/// equal.
pub(crate) fn unexplained(basis: &[Vec<f64>], outcome: &[f64]) -> Option<f64> {
    let mean = outcome.iter().sum::<f64>() / outcome.len() as f64;
    let mut residual: Vec<f64> = outcome.iter().map(|value| value - mean).collect();
    let total = dot(&residual, &residual);
    for unit in basis {
        let along = dot(unit, &residual);
        residual.iter_mut().zip(unit).for_each(|(value, unit)| *value -= along * unit);
    }
    (total > 0.0).then(|| dot(&residual, &residual) / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_explains_what_its_correlation_squared_is() {
        let (x, y) = (vec![1.0, 2.0, 4.0, 7.0, 7.5], [2.0, 1.0, 5.0, 4.0, 9.0]);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / 5.0;
        let about = |values: &[f64]| values.iter().map(|v| v - mean(values)).collect::<Vec<f64>>();
        let (dx, dy) = (about(&x), about(&y));
        let r_squared = dot(&dx, &dy).powi(2) / (dot(&dx, &dx) * dot(&dy, &dy));
        let basis = orthonormal_basis(vec![vec![1.0; 5], x]);
        assert!((1.0 - unexplained(&basis, &y).unwrap() - r_squared).abs() < 1e-14);
    }

    #[test]
    fn dependent_columns_add_nothing() {
        let columns = vec![vec![1.0; 4], vec![1.0, 2.0, 3.0, 5.0], vec![3.0, 5.0, 7.0, 11.0]];
        let basis = orthonormal_basis(columns.clone());
        assert_eq!(basis, orthonormal_basis(columns[..2].to_vec()));
        assert_eq!(orthonormal_basis(vec![vec![0.0; 3]]).len(), 0);
        assert_eq!(unexplained(&basis, &[2.0; 4]), None);
    }
}

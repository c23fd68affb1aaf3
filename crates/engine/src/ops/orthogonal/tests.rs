use super::*;
use crate::testing::{assert_close, device, random};

/// Wide, tall, square, a row, a column, larger than a tile.
const SHAPES: [(usize, usize); 7] = [(5, 9), (9, 5), (8, 8), (1, 7), (6, 1), (70, 41), (33, 130)];

fn matrix(values: &[f32], rows: usize, columns: usize) -> Tensor {
    let shape = Shape { rows, columns, precision: Precision::Compact };
    let mut tensor = Tensor::of_shape(&device(), shape);
    device().write(tensor.view_mut(), values);
    tensor
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value as f64).collect()
}

fn singles(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// `[rows, columns]` as `[columns, rows]`.
fn transposed(values: &[f64], columns: usize) -> Vec<f64> {
    let rows = values.len() / columns;
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// `[rows, inner] x [inner, columns]`, one sum at a time.
fn product(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let columns = b.len() / inner;
    let sum = |row: &[f64], column: usize| {
        row.iter().enumerate().map(|(k, value)| value * b[k * columns + column]).sum()
    };
    a.chunks(inner).flat_map(|row| (0..columns).map(move |column| sum(row, column))).collect()
}

/// The iterations as they are published, on a matrix that is no taller than wide.
fn reference(values: &[f64], columns: usize, scheme: NewtonSchulz) -> Vec<f64> {
    let rows = values.len() / columns;
    if rows > columns {
        let result = reference(&transposed(values, columns), rows, scheme);
        return transposed(&result, rows);
    }
    let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut x: Vec<f64> = values.iter().map(|x| x / (scheme.margin as f64 * norm)).collect();
    for &[a, b, c] in scheme.coefficients {
        let [a, b, c] = [a, b, c].map(f64::from);
        let gram = product(&x, &transposed(&x, columns), columns);
        let square = product(&gram, &gram, rows);
        let sum: Vec<f64> = gram.iter().zip(&square).map(|(g, s)| b * g + c * s).collect();
        let update = product(&sum, &x, rows);
        x = x.iter().zip(&update).map(|(x, update)| a * x + update).collect();
    }
    x
}

#[test]
fn iterations_follow_the_published_ones_on_any_shape() {
    for scheme in [NewtonSchulz::CLASSIC, NewtonSchulz::POLAR_EXPRESS] {
        for (rows, columns) in SHAPES {
            let values = random(7, rows * columns);
            let found = scheme.orthogonalise(matrix(&values, rows, columns));
            let expected = reference(&doubles(&values), columns, scheme);
            assert_close(&found.to_vec(), &singles(&expected), 1e-4);
            // Singular values end near 1, so that the norm is that of the smaller side.
            let norm = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
            let ratio = norm / (rows.min(columns) as f64).sqrt();
            assert!((0.65..1.25).contains(&ratio), "[{rows}, {columns}]: {ratio}");
        }
    }
}

#[test]
fn a_matrix_of_zeros_stays_one() {
    let found = NewtonSchulz::CLASSIC.orthogonalise(matrix(&[0.0; 12], 3, 4));
    assert_eq!(found.to_vec(), [0.0; 12]);
}

#[test]
fn momentum_is_nesterovs() {
    let (rows, columns) = (131, 257);
    let count = rows * columns;
    let step = MomentumStep { momentum: 0.9, gradient_scale: 0.5 };
    let mut average = Tensor::zeros(&device(), 1, count);
    let mut output = matrix(&vec![7.0; count], rows, columns);
    let mut expected = vec![0.0f64; count];
    let mut outputs = Vec::new();
    for seed in 0..2 {
        let gradients = random(seed, count);
        let tensor = Tensor::from_slice(&device(), 1, count, &gradients);
        device().nesterov(tensor.view(), average.view_mut(), step, output.view_mut());
        let each = expected.iter_mut().zip(&gradients).map(|(average, &gradient)| {
            let gradient = 0.5 * gradient as f64;
            *average = 0.9 * *average + (1.0 - 0.9) * gradient;
            0.9 * *average + (1.0 - 0.9) * gradient
        });
        outputs = each.collect();
    }
    assert_close(&average.to_vec(), &singles(&expected), 1e-6);
    assert_close(&output.to_vec(), &singles(&outputs), 1e-6);
}

/// The authors' code (arXiv 2510.05491), row by row.
#[test]
fn rows_are_normalised_and_the_norm_stays() {
    for (rows, columns) in SHAPES {
        let mut moments = random(1, rows).iter().map(|x| x * x).collect::<Vec<f32>>();
        let mut second = Tensor::from_slice(&device(), 1, rows, &moments);
        let values = random(2, rows * columns);
        let mut found = matrix(&values, rows, columns);
        device().normalise_rows(found.view_mut(), second.view_mut(), 0.95);
        let mut expected = doubles(&values);
        let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let before = norm(&expected);
        for (row, moment) in expected.chunks_mut(columns).zip(&mut moments) {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / columns as f64;
            let next = 0.95 * *moment as f64 + (1.0 - 0.95) * mean;
            row.iter_mut().for_each(|x| *x /= next.sqrt() + 1e-10);
            *moment = next as f32;
        }
        let scale = before / norm(&expected);
        expected.iter_mut().for_each(|x| *x *= scale);
        assert_close(&found.to_vec(), &singles(&expected), 1e-5);
        assert_close(&second.to_vec(), &moments, 1e-6);
    }
    // Nothing is divided by 0.
    let (mut zeros, mut second) = (matrix(&[0.0; 6], 2, 3), Tensor::zeros(&device(), 1, 2));
    device().normalise_rows(zeros.view_mut(), second.view_mut(), 0.95);
    assert_eq!((zeros.to_vec(), second.to_vec()), (vec![0.0; 6], vec![0.0; 2]));
}

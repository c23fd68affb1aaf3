//! What optimizers compute: updates of single values and of whole matrices, and norms.

use std::sync::Arc;

use super::Case;
use crate::Device;
use crate::ops::optimizer::{AdamwStep, AdamwVariant, LionStep, UpdateStep};
use crate::ops::orthogonal::{MomentumStep, NewtonSchulz};
use crate::parity::problem::{Output, random_tensor};
use crate::tensor::{Precision, Shape, Tensor, View, ViewMut};

const LENGTH: usize = 10_001;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        adamw(AdamwVariant::Torch, false),
        adamw(AdamwVariant::Transformers, false),
        adamw(AdamwVariant::Torch, true),
        lion(),
        lamb(),
        gradient_norm(50_000),
        sam_and_average(50_000),
    ];
    for (rows, columns) in [(64, 128), (129, 33), (1, 70)] {
        cases.extend([momentum(rows, columns), orthogonal(rows, columns)]);
    }
    cases
}

fn vector(device: &Arc<dyn Device>, seed: u64) -> Tensor {
    random_tensor(device, seed, 1, LENGTH, Precision::Full)
}

fn output(name: &'static str, tensor: &Tensor) -> Output {
    Output { name, values: tensor.to_vec() }
}

fn adamw_step(variant: AdamwVariant, cautious: bool) -> AdamwStep {
    AdamwStep {
        step: 1,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        weight_decay: 0.1,
        gradient_scale: 0.5,
        cautious,
        variant,
    }
}

/// The first values of a vector as a matrix.
fn weights(values: &Tensor) -> View<'_> {
    View::block(values, 0, 100, 100)
}

fn adamw(variant: AdamwVariant, cautious: bool) -> Case {
    let kind = if cautious { ", cautious" } else { "" };
    Case {
        operation: "adamw",
        shape: format!("[{LENGTH}], {variant:?}{kind}"),
        run: Box::new(move |device| {
            let mut values = vector(device, 1);
            let (mut first, mut second) =
                (Tensor::zeros(device, 1, LENGTH), Tensor::zeros(device, 1, LENGTH));
            // The update must reach what products read, too.
            let input = random_tensor(device, 2, 40, 100, Precision::Full);
            let mut product = Tensor::uninitialised(device, 40, 100);
            device.linear(input.view(), weights(&values), None, None, product.view_mut());
            for (index, range) in [(1, 3..LENGTH - 2), (2, 4..LENGTH - 1), (3, 0..LENGTH)] {
                device.adamw(
                    &mut values,
                    &vector(device, 10 + index),
                    &mut first,
                    &mut second,
                    range,
                    AdamwStep { step: index, ..adamw_step(variant, cautious) },
                );
            }
            device.linear(input.view(), weights(&values), None, None, product.view_mut());
            vec![
                output("values", &values),
                output("first moment", &first),
                output("second moment", &second),
                output("product", &product),
            ]
        }),
    }
}

fn lion() -> Case {
    Case {
        operation: "lion",
        shape: format!("[{LENGTH}]"),
        run: Box::new(move |device| {
            let (mut values, mut momentum) = (vector(device, 1), vector(device, 2));
            let step = LionStep {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.99,
                weight_decay: 0.1,
                gradient_scale: 0.5,
                cautious: true,
            };
            let range = 3..LENGTH - 2;
            device.lion(&mut values, &vector(device, 3), &mut momentum, range, step);
            vec![output("values", &values), output("momentum", &momentum)]
        }),
    }
}

/// The direction, and how it is applied.
fn lamb() -> Case {
    Case {
        operation: "lamb",
        shape: format!("[{LENGTH}]"),
        run: Box::new(move |device| {
            let mut values = vector(device, 1);
            let (mut first, mut second) =
                (Tensor::zeros(device, 1, LENGTH), Tensor::zeros(device, 1, LENGTH));
            let range = 3..LENGTH - 2;
            let mut direction = Tensor::uninitialised(device, 1, range.len());
            device.lamb_direction(
                &values,
                &vector(device, 2),
                &mut first,
                &mut second,
                range.clone(),
                adamw_step(AdamwVariant::Torch, true),
                direction.view_mut(),
            );
            let step = UpdateStep { rate: 0.01, decay: 0.0, cautious: false, by_norms: true };
            device.apply_update(&mut values, range, direction.view(), step);
            vec![
                output("direction", &direction),
                output("values", &values),
                output("first moment", &first),
                output("second moment", &second),
            ]
        }),
    }
}

fn momentum(rows: usize, columns: usize) -> Case {
    Case {
        operation: "nesterov, divide by norm",
        shape: format!("[{rows}, {columns}]"),
        run: Box::new(move |device| {
            let tensor = |seed| random_tensor(device, seed, rows, columns, Precision::Full);
            let (mut average, mut update) = (tensor(1), tensor(2));
            let step = MomentumStep { momentum: 0.95, gradient_scale: 0.5 };
            let gradient = tensor(3);
            device.nesterov(gradient.view(), average.view_mut(), step, update.view_mut());
            device.divide_by_norm(update.view_mut(), 1.02, 1e-7);
            vec![output("average", &average), output("update", &update)]
        }),
    }
}

/// One iteration, each of its products from the same inputs on every device.
fn orthogonal(rows: usize, columns: usize) -> Case {
    Case {
        operation: "orthogonalise",
        shape: format!("[{rows}, {columns}]"),
        run: Box::new(move |device| {
            let compact = |rows, columns| {
                let shape = Shape { rows, columns, precision: Precision::Compact };
                Tensor::of_shape(device, shape)
            };
            let size = rows.min(columns);
            let mut x = random_tensor(device, 1, rows, columns, Precision::Compact);
            let (mut gram, mut polynomial) = (compact(size, size), compact(size, size));
            let mut product = compact(rows, columns);
            device.divide_by_norm(x.view_mut(), 1.0, 1e-7);
            device.gram(x.view(), gram.view_mut());
            let [coefficients, ..] = NewtonSchulz::CLASSIC.coefficients else { return Vec::new() };
            device.gram_polynomial(gram.view(), *coefficients, polynomial.view_mut());
            device.gram_product(polynomial.view(), x.view(), product.view_mut());
            let mut outputs = vec![
                output("gram", &gram),
                output("polynomial", &polynomial),
                output("product", &product),
            ];
            let mut moments = random_tensor(device, 2, 1, rows + 1, Precision::Full);
            device.fill(moments.view_mut(), 0.25);
            let of_rows = ViewMut::block(&mut moments, 1, 1, rows);
            device.normalise_rows(product.view_mut(), of_rows, 0.95);
            let mut values = random_tensor(device, 3, rows, columns, Precision::Full);
            let step = UpdateStep { rate: 0.1, decay: 0.01, cautious: true, by_norms: false };
            device.apply_update(&mut values, 0..rows * columns, product.view(), step);
            outputs.extend([
                output("normalised", &product),
                output("moments", &moments),
                output("values", &values),
            ]);
            outputs
        }),
    }
}

fn sam_and_average(length: usize) -> Case {
    Case {
        operation: "climb of SAM, average",
        shape: format!("[{length}]"),
        run: Box::new(move |device| {
            let vector = |seed| random_tensor(device, seed, 1, length, Precision::Full);
            let (mut plain, mut adaptive, mut average) = (vector(1), vector(1), vector(3));
            device.climb(&mut plain, &vector(2), 0.1, false);
            device.climb(&mut adaptive, &vector(2), 0.1, true);
            device.blend(&plain, 0.25, &mut average);
            let sum = device.sum_of_squared_products(&vector(1), &vector(2));
            vec![
                output("plain", &plain),
                output("adaptive", &adaptive),
                output("average", &average),
                Output { name: "sum", values: vec![sum as f32] },
            ]
        }),
    }
}

fn gradient_norm(length: usize) -> Case {
    Case {
        operation: "sum of squares",
        shape: format!("[{length}]"),
        run: Box::new(move |device| {
            let sum = device.sum_of_squares(&random_tensor(device, 1, 1, length, Precision::Full));
            vec![Output { name: "sum", values: vec![sum as f32] }]
        }),
    }
}

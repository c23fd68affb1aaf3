use super::*;
use crate::testing::{assert_close, device, random};

const LENGTH: usize = 5000;

/// AdamW's second step.
fn adamw_step(variant: AdamwVariant, cautious: bool) -> AdamwStep {
    AdamwStep {
        step: 2,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-3,
        weight_decay: 0.1,
        gradient_scale: 0.5,
        cautious,
        variant,
    }
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_slice(&device(), 1, values.len(), values)
}

fn singles(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value as f64).collect()
}

/// Both formulas as their programs state them (`torch.optim.AdamW`; `transformers.AdamW` of
/// release 4.31).
fn reference(values: &mut [f64], gradients: &[f32], m: &mut [f64], v: &mut [f64], step: AdamwStep) {
    let (b1, b2) = (step.beta1, step.beta2);
    let (c1, c2) = (1.0 - b1.powf(step.step as f64), 1.0 - b2.powf(step.step as f64));
    for i in 0..values.len() {
        let gradient = gradients[i] as f64 * step.gradient_scale;
        m[i] = b1 * m[i] + (1.0 - b1) * gradient;
        v[i] = b2 * v[i] + (1.0 - b2) * gradient * gradient;
        // The update has the sign of the average.
        let decays = !step.cautious || m[i] * values[i] >= 0.0;
        let decay = if decays { step.learning_rate * step.weight_decay } else { 0.0 };
        match step.variant {
            AdamwVariant::Torch => {
                values[i] -= decay * values[i];
                values[i] -=
                    step.learning_rate / c1 * m[i] / (v[i].sqrt() / c2.sqrt() + step.epsilon);
            }
            AdamwVariant::Transformers => {
                values[i] -=
                    step.learning_rate * c2.sqrt() / c1 * m[i] / (v[i].sqrt() + step.epsilon);
                values[i] -= decay * values[i];
            }
        }
    }
}

#[test]
fn five_steps_follow_both_formulas() {
    for (variant, cautious) in [
        (AdamwVariant::Torch, false),
        (AdamwVariant::Torch, true),
        (AdamwVariant::Transformers, false),
        (AdamwVariant::Transformers, true),
    ] {
        let start = random(1, LENGTH);
        let (mut values, mut m, mut v) =
            (vector(&start), vector(&[0.0; LENGTH]), vector(&[0.0; LENGTH]));
        let mut expected = doubles(&start);
        let (mut em, mut ev) = (vec![0.0; LENGTH], vec![0.0; LENGTH]);
        for index in 1..=5 {
            let gradients = random(index + 10, LENGTH);
            let step = AdamwStep { step: index, ..adamw_step(variant, cautious) };
            device().adamw(&mut values, &vector(&gradients), &mut m, &mut v, 0..LENGTH, step);
            reference(&mut expected, &gradients, &mut em, &mut ev, step);
        }
        assert_close(&values.to_vec(), &singles(&expected), 1e-6);
    }
}

#[test]
fn a_range_leaves_the_rest_alone() {
    let ones = || vector(&[1.0; 10]);
    let (mut values, gradients) = (ones(), ones());
    let (mut m, mut v) = (vector(&[0.0; 10]), vector(&[0.0; 10]));
    let step = AdamwStep {
        step: 1,
        learning_rate: 0.1,
        epsilon: 1e-8,
        weight_decay: 0.0,
        gradient_scale: 1.0,
        ..adamw_step(AdamwVariant::Torch, false)
    };
    device().adamw(&mut values, &gradients, &mut m, &mut v, 3..7, step);
    let found = values.to_vec();
    assert_eq!((&found[..3], &found[7..]), (&[1.0; 3][..], &[1.0; 3][..]));
    assert_close(&found[3..7], &[0.9; 4], 1e-6);
}

/// The paper's algorithm 2; a value without gradient and average does not move.
#[test]
fn lion_moves_by_the_sign_of_an_average() {
    for cautious in [false, true] {
        let step = LionStep {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.5,
            gradient_scale: 0.25,
            cautious,
        };
        let start = random(3, LENGTH);
        let (mut values, mut momentum) = (vector(&start), vector(&[0.0; LENGTH]));
        let (mut expected, mut average) = (doubles(&start), vec![0.0; LENGTH]);
        let range = 5..LENGTH - 3;
        for index in 0..3 {
            let mut gradients = random(20 + index, LENGTH);
            gradients[7] = 0.0;
            device().lion(&mut values, &vector(&gradients), &mut momentum, range.clone(), step);
            for i in range.clone() {
                let gradient = gradients[i] as f64 * step.gradient_scale;
                let mixed: f64 = 0.9 * average[i] + (1.0 - 0.9) * gradient;
                let update = if mixed == 0.0 { 0.0 } else { mixed.signum() };
                if !cautious || update * expected[i] >= 0.0 {
                    expected[i] *= 1.0 - 0.01 * 0.5;
                }
                expected[i] -= 0.01 * update;
                average[i] = 0.99 * average[i] + (1.0 - 0.99) * gradient;
            }
        }
        assert_close(&values.to_vec(), &singles(&expected), 1e-6);
        assert_close(&momentum.to_vec(), &singles(&average), 1e-6);
    }
}

#[test]
fn lamb_adds_the_decay_to_adams_direction() {
    for cautious in [false, true] {
        let step = adamw_step(AdamwVariant::Torch, cautious);
        let (start, gradients) = (random(1, LENGTH), random(2, LENGTH));
        let (first, second) =
            (random(3, LENGTH), random(4, LENGTH).iter().map(|x| x * x).collect());
        let second: Vec<f32> = second;
        let (mut m, mut v) = (vector(&first), vector(&second));
        let range = 3..LENGTH - 2;
        let mut output = Tensor::zeros(&device(), 1, range.len());
        let (values, gradient) = (vector(&start), vector(&gradients));
        let output_view = output.view_mut();
        device().lamb_direction(
            &values,
            &gradient,
            &mut m,
            &mut v,
            range.clone(),
            step,
            output_view,
        );
        let (mut expected, mut em, mut ev) = (Vec::new(), doubles(&first), doubles(&second));
        for i in range.clone() {
            let gradient = gradients[i] as f64 * step.gradient_scale;
            em[i] = 0.9 * em[i] + (1.0 - 0.9) * gradient;
            ev[i] = 0.999 * ev[i] + (1.0 - 0.999) * gradient * gradient;
            let (c1, c2): (f64, f64) = (1.0 - 0.9 * 0.9, 1.0 - 0.999 * 0.999);
            let update = em[i] / c1 / ((ev[i] / c2).sqrt() + step.epsilon);
            let decays = !cautious || update * start[i] as f64 >= 0.0;
            let decay = if decays { step.weight_decay * start[i] as f64 } else { 0.0 };
            expected.push(update + decay);
        }
        assert_close(&output.to_vec(), &singles(&expected), 1e-6);
        assert_close(&m.to_vec(), &singles(&em), 1e-6);
        assert_close(&v.to_vec(), &singles(&ev), 1e-6);
    }
}

#[test]
fn updates_are_applied_with_decay_and_with_the_ratio_of_norms() {
    let (start, range) = (random(1, LENGTH), 11..LENGTH - 4);
    let update = random(2, range.len());
    let norm = |values: &[f32]| doubles(values).iter().map(|x| x * x).sum::<f64>().sqrt();
    for (cautious, by_norms) in [(false, false), (true, false), (false, true)] {
        let step = UpdateStep { rate: 0.03, decay: 0.2, cautious, by_norms };
        let mut values = vector(&start);
        device().apply_update(&mut values, range.clone(), vector(&update).view(), step);
        let ratio = if by_norms { norm(&start[range.clone()]) / norm(&update) } else { 1.0 };
        let mut expected = doubles(&start);
        for (value, &update) in expected[range.clone()].iter_mut().zip(&update) {
            if !cautious || update as f64 * *value >= 0.0 {
                *value *= 0.8;
            }
            *value -= ratio * 0.03 * update as f64;
        }
        assert_close(&values.to_vec(), &singles(&expected), 1e-6);
    }
    // A norm of 0 leaves the rate as it is.
    let step = UpdateStep { rate: 0.5, decay: 0.0, cautious: false, by_norms: true };
    let mut zeros = vector(&[0.0; 4]);
    device().apply_update(&mut zeros, 0..4, vector(&[1.0, 2.0, 0.0, -1.0]).view(), step);
    assert_eq!(zeros.to_vec(), [-0.5, -1.0, 0.0, 0.5]);
    device().apply_update(&mut zeros, 0..4, vector(&[0.0; 4]).view(), step);
    assert_eq!(zeros.to_vec(), [-0.5, -1.0, 0.0, 0.5]);
}

#[test]
fn sum_of_squares_adds_everything_up() {
    for length in [1, 17, 100_003] {
        let values = random(length as u64, length);
        let expected: f64 = values.iter().map(|&x| x as f64 * x as f64).sum();
        let found = device().sum_of_squares(&vector(&values));
        assert!((found - expected).abs() < 1e-9 * expected, "{found} instead of {expected}");
    }
}

//! Every optimizer against numbers that other programs and the papers' formulas gave, in double
//! precision (`tools/golden`).

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Layout, Parameters, Role};
use serde::Deserialize;

use super::{GroupedOptimizer, OptimizerKind};
use crate::settings::TrainSettings;

/// The values after each update of one matrix, which begins at `start`.
fn updated(
    settings: &TrainSettings,
    (rows, columns): (usize, usize),
    start: &[f32],
    gradients: &[Vec<f32>],
    learning_rates: &[f64],
) -> Vec<Vec<f32>> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let mut layout = Layout::default();
    layout.add("weight", rows, columns, Role::Matrix);
    let layout = Arc::new(layout);
    let filled = |values: &[f32]| {
        let mut parameters = Parameters::zeros(&device, layout.clone());
        device.write(parameters.values_mut().view_mut(), values);
        parameters
    };
    let mut parameters = filled(start);
    let mut optimizer = GroupedOptimizer::new(&parameters, settings);
    let steps = (1..).zip(gradients.iter().zip(learning_rates));
    let update = |(step, (gradient, &rate)): (u64, (&Vec<f32>, &f64))| {
        optimizer.update(&mut parameters, &filled(gradient), step, rate, 1.0);
        parameters.values().to_vec()
    };
    steps.map(update).collect()
}

#[track_caller]
fn assert_close(name: &str, found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            let apart = (found - expected).abs();
            assert!(apart < tolerance, "{name}, step {step}: {found} instead of {expected}");
        }
    }
}

/// `schedules.py`: `torch.optim.AdamW` itself, and the formula of `transformers.AdamW`.
#[test]
fn both_variants_of_adamw_match_the_fixtures() {
    let text = include_str!("../../tests/fixtures/optimizers.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    fn read<T: for<'de> Deserialize<'de>>(value: &serde_json::Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }
    for name in ["adamw", "adamw_hf"] {
        let settings = TrainSettings {
            optimizer: OptimizerKind::named(name).unwrap(),
            weight_decay: read(&fixture["weight_decay"]),
            max_grad_norm: 0.0,
            ..TrainSettings::default()
        };
        let (start, gradients): (Vec<f32>, Vec<Vec<f32>>) =
            (read(&fixture["start"]), read(&fixture["gradients"]));
        let rates: Vec<f64> = read(&fixture["learning_rates"]);
        let found = updated(&settings, (1, 12), &start, &gradients, &rates);
        assert_close(name, &found, &read::<Vec<_>>(&fixture[name]["parameters"]), 2e-6);
    }
}

/// `optimizers.py`, which compares Muon with `torch.optim.Muon` besides.
#[test]
fn updates_of_matrices_match_the_fixtures() {
    #[derive(Deserialize)]
    struct Case {
        rows: usize,
        columns: usize,
        start: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        /// By the optimizer's name and what is set besides.
        after: BTreeMap<String, Vec<Vec<f32>>>,
    }
    let text = include_str!("../../tests/fixtures/updates.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert!(cases.len() == 4 && cases.iter().all(|case| case.after.len() == 7));
    for Case { rows, columns, start, gradients, after } in cases {
        for (name, expected) in after {
            let (optimizer, more) = name.split_once(' ').unwrap_or((&name, ""));
            let options = [("polar_express".to_owned(), 1.0)];
            let settings = TrainSettings {
                optimizer: OptimizerKind::named(optimizer).unwrap(),
                optimizer_options: options.into_iter().filter(|(key, _)| key == more).collect(),
                cautious_decay: more == "cautious",
                weight_decay: 0.1,
                max_grad_norm: 0.0,
                ..TrainSettings::default()
            };
            let found = updated(&settings, (rows, columns), &start, &gradients, &[0.02; 2]);
            assert_close(&format!("{name} [{rows}, {columns}]"), &found, &expected, 1e-5);
        }
    }
}

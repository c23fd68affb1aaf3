//! Mutated search spaces, distributions, stopping rules and W&B files: no panic, no hang, no memory
//! that the input does not justify.
//!
//! The quick tests try some thousands; `cargo test --release -p sweep --test mutations --
//! --ignored` tries 300,000 of each.

use std::alloc::System;

use base::mutation::{LONGEST, try_all};
use cap::Cap;
use sweep::distribution::Distribution;
use sweep::sampler::{Outcome, Past, SamplerKind, propose};
use sweep::space::Space;
use sweep::stopping::{Curve, CurveState, StopRule};
use sweep::wandb;

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 128 << 20);

const SPACE: &str = r#"
rate = { log_normal = [-7.3, 0.7] }
batch = { log_normal = [5, 1.5], integer = true, low = 1, high = 256 }
beta = { log_uniform = [0.01, 1], one_minus = true }
kind = { values = ["a", "b", 3], probabilities = [0.25, 0.25, 0.5] }
width = { uniform = [8, 64], q = 8, when = { kind = ["a", "b"] } }
share = { beta = [2, 5], q = 0.1 }
shift = { normal = [0, 1], when = { kind = 3 } }
seed = 7
"#;

const WANDB: &str = "method: bayes\nrun_cap: 20\nmetric: {name: eval/loss, goal: minimize}\n\
    early_terminate:\n  type: hyperband\n  max_iter: 27\n  s: 2\n  eta: 3\n\
    parameters:\n  lr: {distribution: log_normal, mu: -7.3, sigma: 0.7}\n\
    \x20 batch_size: {distribution: q_log_normal, mu: 5, sigma: 1.5, q: 2}\n\
    \x20 one_minus_adam_beta1: {distribution: log_uniform_values, min: 1e-2, max: 1}\n\
    \x20 inner: {parameters: {a: {values: [1, x]}, b: {min: 1, max: 9}}}\n";

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Tables of an accepted space are proposed from, stored and read back.
fn check_space(space: &Space) {
    let mut past: Vec<Past> = Vec::new();
    let kinds = [SamplerKind::Random, SamplerKind::Grid, SamplerKind::Bohb, SamplerKind::Gp];
    for (number, kind) in kinds.into_iter().cycle().take(8).enumerate() {
        let point = propose(kind, space, 1, number as u64, &past).point;
        let stored = space.stored(&point);
        for parameter in &stored {
            assert!(parameter.value.is_finite(), "{parameter:?}");
            assert!(parameter.distribution.contains(parameter.value), "{parameter:?}");
            let json = parameter.distribution.to_json();
            assert_eq!(Distribution::from_json(&json).as_ref(), Ok(&parameter.distribution));
        }
        assert_eq!(space.values(&point), space.settings(&stored));
        let back = space.point_of_stored(&stored).unwrap();
        assert!(back.iter().flatten().all(|u| u.is_finite()));
        let outcome = Outcome::Complete(number as f64);
        past.push(Past { number: number as u64, point: back, outcome, reports: Vec::new() });
    }
}

fn spaces(count: u64) -> u64 {
    try_all(&seeds(&[SPACE]), count, LONGEST, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(table) = text.parse::<toml::Table>() else { return false };
        match Space::parse(&table) {
            Ok(space) => {
                check_space(&space);
                true
            }
            Err(error) => error.to_string().is_empty(),
        }
    })
}

fn wandb_files(count: u64) -> u64 {
    try_all(&seeds(&[WANDB]), count, LONGEST, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        match wandb::read(text) {
            Ok(import) => {
                let recipe: toml::Table = import.to_recipe("n", "r", "m").parse().unwrap();
                let space = recipe["space"].as_table().unwrap();
                assert_eq!(Space::parse(space).as_ref(), Ok(&import.space));
                let stop: StopRule = recipe["stop"].clone().try_into().unwrap();
                assert_eq!(stop, import.stop);
                true
            }
            Err(error) => error.to_string().is_empty(),
        }
    })
}

fn distributions(count: u64) -> u64 {
    let texts = [
        r#"{"name": "FloatDistribution", "attributes": {"step": 0.25, "low": 1, "high": 2.6}}"#,
        r#"{"name": "IntDistribution", "attributes": {"step": 2, "low": 1, "high": 9}}"#,
        r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, null]}}"#,
        r#"{"name": "LogUniformDistribution", "attributes": {"low": 1e-5, "high": 0.1}}"#,
    ];
    try_all(&seeds(&texts), count, LONGEST, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(distribution) = Distribution::from_json(text) else { return false };
        let again = Distribution::from_json(&distribution.to_json()).unwrap();
        assert_eq!(again, distribution);
        let _ = distribution.contains(1.0);
        true
    })
}

fn stop_rules(count: u64) -> u64 {
    let texts = [
        "rule = 'wandb'\nmin_iter = 1\neta = 2",
        "rule = 'asha'\nmin = 0.1\neta = 3\nunit = 'fraction'",
        "rule = 'hyperband'\nmin = 1\nmax = 27\nunit = 'epochs'",
        "rule = 'successive_halving'\nrate = 1\nbootstrap = 2",
        "rule = 'optuna_hyperband'\nmin = 1\nmax = 81",
    ];
    try_all(&seeds(&texts), count, LONGEST, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(rule) = toml::from_str::<StopRule>(text) else { return false };
        if rule.check().is_err() {
            return false;
        }
        let mut curves: Vec<Curve> = Vec::new();
        for number in 0..4 {
            let start = rule.next_new(&curves, "study", number);
            let end = rule.budget(9.0, 9.0);
            let reports = (1..=8).map(|epoch| {
                let epoch = f64::from(epoch);
                (rule.budget(epoch, 9.0), epoch - number as f64)
            });
            let state = CurveState::Running;
            curves.push(Curve { number, reports: reports.collect(), state, end, start });
            rule.decide(&curves, number);
            rule.next_promotion(&curves, number % 2 == 0);
            assert!(rule.rungs(9.0).len() <= 1000);
        }
        true
    })
}

#[test]
fn mutated_spaces_neither_panic_nor_hang() {
    assert!(spaces(4000) > 0);
}

#[test]
fn mutated_wandb_files_neither_panic_nor_hang() {
    assert!(wandb_files(4000) > 0);
}

#[test]
fn mutated_distributions_neither_panic_nor_hang() {
    assert!(distributions(4000) > 0);
}

#[test]
fn mutated_stopping_rules_neither_panic_nor_hang() {
    assert!(stop_rules(4000) > 0);
}

#[test]
#[ignore = "minutes"]
fn many_mutations_neither_panic_nor_hang() {
    for parser in [spaces, wandb_files, distributions, stop_rules] {
        assert!(parser(500_000) > 0);
    }
}

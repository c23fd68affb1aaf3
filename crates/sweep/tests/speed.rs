//! How long a proposal takes. Run with
//! `cargo test --release -p sweep --test speed -- --ignored --nocapture`.

use std::time::Instant;

use sweep::sampler::{Outcome, Past, SamplerKind, propose};
use sweep::space::Space;

/// The search space of BabyLlama-2's teachers.
const SPACE: &str = r#"
"train.learning_rate" = { log_normal = [-7.3, 0.7] }
"train.batch_size" = { log_normal = [5, 1.5], integer = true, low = 1 }
"train.epochs" = { log_normal = [1.8, 0.7], integer = true, low = 1 }
"train.adam_beta1" = { log_uniform = [0.01, 1], one_minus = true }
"train.adam_beta2" = { log_uniform = [1e-4, 0.01], one_minus = true }
"train.adam_epsilon" = { log_normal = [-13.8, 3.5] }
"train.schedule" = ["linear", "cosine"]
"train.weight_decay" = { log_normal = [1, 1.5] }
"train.max_grad_norm" = { log_normal = [0, 1] }
"train.warmup_steps" = { log_normal = [5.7, 1], integer = true, low = 0 }
attention_dropout = { uniform = [0, 1] }
"#;

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the measurement is what it is for")]
fn a_proposal_from_265_trials_takes_under_a_fifth_of_a_second() {
    let space = Space::parse(&SPACE.parse().unwrap()).unwrap();
    let mut past: Vec<Past> = Vec::new();
    for number in 0..265 {
        let point = propose(SamplerKind::Random, &space, 1, number, &[]).point;
        let distance: f64 = point.iter().flatten().map(|u| (u - 0.4) * (u - 0.4)).sum();
        let reports = vec![(1.0 / 3.0, distance + 5.0), (1.0, distance + 4.0)];
        let outcome = match number {
            // Ninety-five running trials are the most that the Gaussian process takes.
            0..95 => Outcome::Running,
            95..105 => Outcome::Failed,
            105..165 => Outcome::Stopped(distance + 5.0),
            _ => Outcome::Complete(distance + 4.0),
        };
        past.push(Past { number, point, outcome, reports });
    }
    for kind in [SamplerKind::Random, SamplerKind::Bohb, SamplerKind::Gp, SamplerKind::Tpe] {
        for running in [false, true] {
            let mut past = past.clone();
            if !running {
                past.iter_mut()
                    .filter(|trial| trial.outcome == Outcome::Running)
                    .for_each(|trial| trial.outcome = Outcome::Complete(trial.reports[1].1));
            }
            let mut seconds: Vec<f64> = (265..276)
                .map(|number| {
                    let start = Instant::now();
                    propose(kind, &space, 1, number, &past);
                    start.elapsed().as_secs_f64()
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            println!("{kind:?}, with running trials {running}: {:.4} s", seconds[5]);
            assert!(seconds[5] < 0.2, "{kind:?}");
        }
    }
}

use super::*;
use crate::Tensor;
use crate::ops::distillation_loss::reference::{ENSEMBLES, Problem, objectives};
use crate::ops::distillation_loss::{DistillationObjective, TeacherSamples, TeacherSignal};
use crate::testing::{assert_close, device, random};
use base::rng::Rng;

/// What `sample_teachers` writes.
#[derive(Debug, PartialEq)]
struct Drawn {
    ids: Vec<u32>,
    count: usize,
    negative_entropies: Vec<f32>,
}

impl Drawn {
    fn new(
        problem: &Problem,
        ensemble: Ensemble,
        temperature: f32,
        uniforms: &[f32],
        count: usize,
    ) -> Self {
        let teachers =
            SoftenedTeachers { projections: &problem.projections(), ensemble, temperature };
        let mut drawn = Self {
            ids: vec![u32::MAX; uniforms.len() * count],
            count,
            negative_entropies: vec![0.0; uniforms.len()],
        };
        let (ids, negative_entropies) = (&mut drawn.ids, &mut drawn.negative_entropies);
        problem.device.sample_teachers(teachers, uniforms, count, ids, negative_entropies);
        drawn
    }

    fn signal(&self) -> TeacherSignal<'_> {
        let Self { ids, count, negative_entropies } = self;
        TeacherSignal::Samples(TeacherSamples { ids, count: *count, negative_entropies })
    }

    /// How often each id of the vocabulary was drawn, row by row.
    fn counts(&self, vocab: usize) -> Vec<Vec<usize>> {
        let count = |row: &[u32]| {
            let mut counts = vec![0; vocab];
            row.iter().for_each(|&id| counts[id as usize] += 1);
            counts
        };
        self.ids.chunks(self.count).map(count).collect()
    }
}

fn uniforms(seed: u64, count: usize) -> Vec<f32> {
    let rng = Rng::new(seed, "test uniforms");
    (0..count as u64).map(|index| rng.uniform(index)).collect()
}

/// The forward KL alone.
fn objective(ensemble: Ensemble, temperature: f32) -> DistillationObjective {
    DistillationObjective { ensemble, ..objectives(temperature, 0.0, 1.0)[0] }
}

#[test]
fn draws_are_ordered_and_as_many_as_the_probabilities_say() {
    for (rows, vocab, temperature, count) in
        [(1, 2, 1.0, 1), (6, 33, 2.0, 7), (9, 1301, 1.5, 64), (3, 40, 1.0, 1000), (1030, 5, 3.0, 4)]
    {
        let problem = Problem::random(rows, 3, vocab, &[0.5, 0.2, 0.3]);
        let mut uniforms = uniforms(1, rows);
        uniforms[0] = 0.0;
        uniforms[rows / 2] = 1.0 - f32::EPSILON / 2.0;
        for ensemble in ENSEMBLES {
            let drawn = Drawn::new(&problem, ensemble, temperature, &uniforms, count);
            assert!(drawn.ids.chunks(count).all(|row| row.is_sorted()));
            let distributions = problem.distributions(ensemble, temperature);
            for ((row, counts), constant) in
                distributions.iter().zip(drawn.counts(vocab)).zip(&drawn.negative_entropies)
            {
                for (id, drawn) in counts.into_iter().enumerate() {
                    let probability: f64 =
                        row.iter().map(|(weight, log_p)| weight * log_p[id].exp()).sum();
                    let (expected, slack) = (probability * count as f64, 1e-5 * count as f64);
                    let (least, most) = ((expected - slack).floor(), (expected + slack).ceil());
                    assert!(
                        (least..=most).contains(&(drawn as f64)),
                        "{drawn} draws of {expected}"
                    );
                }
                let entropy =
                    |log_p: &[f64]| log_p.iter().map(|log_p| log_p.exp() * log_p).sum::<f64>();
                let expected: f64 = row.iter().map(|(weight, log_p)| weight * entropy(log_p)).sum();
                assert!(
                    (*constant as f64 - expected).abs() < 1e-5 * expected.abs(),
                    "{constant} for {expected}"
                );
            }
        }
    }
}

#[test]
fn probabilities_in_whole_draws_give_the_exact_loss_and_gradient() {
    let (vocab, counts, temperature) = (40, [(3, 1.0f32), (17, 4.0), (18, 2.0), (39, 9.0)], 2.0);
    let mut logits = vec![-400.0; vocab];
    counts.iter().for_each(|&(id, count)| logits[id] = temperature * count.ln());
    let device = device();
    let tensor = |columns, values: &[f32]| {
        Tensor::from_slice(&device, values.len() / columns, columns, values)
    };
    let teacher = (tensor(1, &[1.0]), tensor(1, &logits));
    let problem =
        Problem::with_output(&random(1, vocab * 3), tensor(3, &random(2, 3)), vocab, vec![teacher]);
    for ensemble in ENSEMBLES {
        let objective = objective(ensemble, temperature);
        let drawn = Drawn::new(&problem, ensemble, temperature, &[0.3], 16);
        assert_eq!(counts.map(|(id, _)| drawn.counts(vocab)[0][id]), [1, 4, 2, 9]);
        let (exact, found) = (problem.run(objective), problem.run_with(drawn.signal(), objective));
        assert!((found.sums.kl - exact.sums.kl).abs() < 1e-5 * exact.sums.kl);
        assert_close(&found.d_hidden, &exact.d_hidden, 1e-5);
        assert_close(&found.d_output, &exact.d_output, 1e-5);
    }
}

/// Every row of this problem is the same, so that rows are trials of one draw.
fn trials(count: usize) -> Problem {
    let problem = Problem::random(1, 3, 60, &[0.5, 0.2, 0.3]);
    let repeat = |tensor: &Tensor| {
        Tensor::from_slice(&problem.device, count, tensor.columns(), &tensor.to_vec().repeat(count))
    };
    let teachers =
        problem.teachers.iter().map(|(hidden, output)| (repeat(hidden), output.clone())).collect();
    let output = problem.parameters.values().to_vec();
    Problem {
        weights: problem.weights.clone(),
        ..Problem::with_output(&output, repeat(&problem.hidden), 60, teachers)
    }
}

#[test]
fn the_mean_over_many_draws_is_the_dense_loss_and_gradient() {
    const TRIALS: usize = 4000;
    let problem = trials(TRIALS);
    for ensemble in ENSEMBLES {
        let objective = objective(ensemble, 1.5);
        let drawn = Drawn::new(&problem, ensemble, 1.5, &uniforms(2, TRIALS), 5);
        let (dense, sampled) =
            (problem.run(objective), problem.run_with(drawn.signal(), objective));
        for column in 0..3 {
            let values: Vec<f64> =
                sampled.d_hidden.chunks(3).map(|row| row[column] as f64).collect();
            assert_mean_is(&values, dense.d_hidden[column] as f64);
        }
        // The loss of single trials, from the draws: what does not depend on them is the same in
        // all.
        let log_q = problem.student_log_probabilities(1.5);
        let loss = |(ids, constant): (&[u32], &f32)| {
            let mean = ids.iter().map(|&id| log_q[id as usize]).sum::<f64>() / ids.len() as f64;
            1.5f64.powi(2) * (*constant as f64 - mean)
        };
        let losses: Vec<f64> =
            drawn.ids.chunks(5).zip(&drawn.negative_entropies).map(loss).collect();
        let sum: f64 = losses.iter().sum();
        assert!((sampled.sums.kl - sum).abs() < 1e-5 * sum, "{} instead of {sum}", sampled.sums.kl);
        assert_mean_is(&losses, dense.sums.kl / TRIALS as f64);
    }
}

/// Panics when the mean is further from what is expected than four and a half of its standard
/// errors, which happens once in 150,000 times.
#[track_caller]
fn assert_mean_is(values: &[f64], expected: f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let standard_error = (variance / count).sqrt();
    assert!(
        standard_error > 0.0 && standard_error < 0.05 * expected.abs(),
        "{standard_error} of {expected}"
    );
    assert!(
        (mean - expected).abs() < 4.5 * standard_error,
        "{mean} instead of {expected} +- {standard_error}"
    );
}

#[test]
fn every_row_draws_with_its_own_number() {
    // More rows than a block.
    let problem = trials(1030);
    let mut uniforms = vec![0.1; 1030];
    (uniforms[3], uniforms[1029]) = (0.8, 0.8);
    let ids = Drawn::new(&problem, Ensemble::MeanLogits, 1.0, &uniforms, 6).ids;
    let row = |row: usize| &ids[row * 6..(row + 1) * 6];
    assert!(row(0) == row(1) && row(0) == row(1027) && row(3) == row(1029) && row(0) != row(3));
}

#[test]
fn draws_vary_less_than_independent_ones() {
    const TRIALS: usize = 4000;
    let problem = trials(TRIALS);
    let drawn = Drawn::new(&problem, Ensemble::MeanLogits, 1.0, &uniforms(3, TRIALS), 20);
    let (_, log_p) = &problem.distributions(Ensemble::MeanLogits, 1.0)[0][0];
    let counts = drawn.counts(60);
    let variance = |id: usize| {
        let expected = 20.0 * log_p[id].exp();
        counts.iter().map(|row| (row[id] as f64 - expected).powi(2)).sum::<f64>() / TRIALS as f64
    };
    let found: f64 = (0..60).map(variance).sum();
    let independent: f64 = log_p.iter().map(|log_p| 20.0 * log_p.exp() * (1.0 - log_p.exp())).sum();
    assert!(found < 0.8 * independent, "{found} against {independent}");
}

#[test]
fn a_certain_teacher_leaves_no_choice() {
    let device = device();
    let tensor = |values: &[f32]| Tensor::from_slice(&device, values.len(), 1, values);
    for certain in [0, 20, 39] {
        let logits: Vec<f32> = (0..40).map(|id| if id == certain { 80.0 } else { -80.0 }).collect();
        let problem = Problem::with_output(
            &random(1, 40),
            tensor(&[1.0; 3]),
            40,
            vec![(tensor(&[1.0; 3]), tensor(&logits))],
        );
        for ensemble in ENSEMBLES {
            let drawn =
                Drawn::new(&problem, ensemble, 1.0, &[0.0, 0.5, 1.0 - f32::EPSILON / 2.0], 8);
            assert!(drawn.ids.iter().all(|&id| id == certain as u32));
            assert!(drawn.negative_entropies.iter().all(|constant| constant.abs() < 1e-6));
        }
    }
}

#[test]
fn draws_never_leave_the_tokens_that_have_a_probability() {
    let device = device();
    let tensor = |values: &[f32]| Tensor::from_slice(&device, values.len(), 1, values);
    let draw = |logits: &[f32]| {
        let problem = Problem::with_output(
            &[1.0; 5],
            tensor(&[1.0]),
            5,
            vec![(tensor(&[1.0]), tensor(logits))],
        );
        // A uniform of one is what rounding could make of the largest one below: the last draw is
        // at the very end.
        Drawn::new(&problem, Ensemble::MeanLogits, 1.0, &[1.0], 3).ids
    };
    assert_eq!(draw(&[0.2f32.ln(), -400.0, 0.8f32.ln(), -400.0, -400.0]), [2, 2, 2]);
    assert_eq!(draw(&[f32::NAN; 5]), [0, 0, 0]);
}

#[test]
fn thread_count_does_not_change_a_draw() {
    let problem = Problem::random(75, 4, 1201, &[0.5, 0.2, 0.3]);
    let compute = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            ENSEMBLES.map(|ensemble| Drawn::new(&problem, ensemble, 2.0, &uniforms(4, 75), 9))
        })
    };
    let alone = compute(1);
    for threads in [2, 3, 5] {
        assert!(alone == compute(threads), "{threads} threads draw otherwise than one");
    }
}

#[test]
fn no_tensor_memory_is_allocated_after_the_first_time() {
    let problem = Problem::random(20, 4, 301, &[0.5, 0.2, 0.3]);
    let everything =
        || ENSEMBLES.map(|ensemble| Drawn::new(&problem, ensemble, 2.0, &[0.5; 20], 3));
    everything();
    let before = problem.device.fresh_allocations();
    everything();
    assert_eq!(problem.device.fresh_allocations(), before);
}

use super::reference::{Found, Problem, objectives};
use super::*;
use crate::Tensor;
use crate::ops::language_model_loss::Target;
use crate::testing::{device, random};

fn forward_kl(temperature: f32) -> DistillationObjective {
    objectives(temperature, 0.2, 0.7)[0]
}

/// A problem whose student and teachers have the given logits: a single hidden value of one, and
/// the logits as matrix.
fn with_logits(student: &[f32], teachers: &[&[f32]]) -> Problem {
    let device = device();
    let one = || Tensor::from_slice(&device, 1, 1, &[1.0]);
    let teachers = teachers
        .iter()
        .map(|logits| (one(), Tensor::from_slice(&device, logits.len(), 1, logits)))
        .collect();
    Problem::with_output(student, one(), student.len(), teachers)
}

#[test]
fn every_divergence_and_ensemble_matches_the_reference() {
    // One row; few rows; more vocabulary than one partial sum; more rows than a block.
    let shapes =
        [(1, 3, 2, 1.0), (6, 5, 33, 2.0), (13, 4, 301, 1.5), (2, 3, 2100, 1.0), (1030, 2, 5, 3.0)];
    for (rows, width, vocab, temperature) in shapes {
        for weights in [&[1.0][..], &[0.5, 0.2, 0.3]] {
            let problem = Problem::random(rows, width, vocab, weights);
            for objective in objectives(temperature, 0.2, 0.7) {
                problem.check(&problem.run(objective), objective, 1e-4);
            }
        }
    }
}

/// Of logits (2, 0, -1) and (0, 1, 0): the logarithms of the softmax of their mean, and of the mean
/// of their softmax. With a student that finds all words alike, the gradient of the divergence is
/// its distribution less the ensemble's.
#[test]
fn ensembles_have_the_probabilities_of_mean_logits_or_the_mean_probabilities() {
    let logits: [&[f32]; 2] = [&[2.0, 0.0, -1.0], &[0.0, 1.0, 0.0]];
    let mut problem = with_logits(&[0.0; 3], &logits);
    problem.weights = vec![0.5; 2];
    let of_mean_logits = [-0.604131, -1.104131, -2.104131];
    let of_mean_probabilities = [-0.638909, -1.063759, -2.063759];
    for (ensemble, expected) in
        [(Ensemble::MeanLogits, of_mean_logits), (Ensemble::MeanProbs, of_mean_probabilities)]
    {
        let objective = DistillationObjective {
            temperature: 1.0,
            cross_entropy: 0.0,
            kl: 1.0,
            divergence: Divergence::ForwardKl,
            ensemble,
        };
        let found = problem.run(objective).d_output;
        let found = [0, 1, 2].map(|id| (1.0 / 3.0 - f64::from(found[id])).ln());
        let pairs = found.iter().zip(&expected);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 2e-6), "{found:?}, not {expected:?}");
    }
    // The same mean of logits where models are evaluated together.
    let targets = [0, 1, 2].map(|id| Target { row: 0, id });
    let mut found = [0.0; 3];
    problem.device.log_probabilities(&problem.projections(), &targets, &mut found);
    let pairs = found.iter().zip(&of_mean_logits);
    assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 2e-6), "{found:?}");
}

/// Also on more rows than are computed at a time; finite differences of the reference reach the
/// bias.
#[test]
fn a_bias_of_the_student_is_added_and_gets_its_gradient() {
    for (rows, width, vocab) in [(1, 3, 2), (6, 5, 33), (1030, 2, 5)] {
        let problem = Problem::random(rows, width, vocab, &[0.75, 0.25]).with_bias();
        for objective in objectives(2.0, 0.2, 0.7) {
            let found = problem.run(objective);
            assert_eq!(found.d_output.len(), vocab * width + vocab);
            assert!(found.d_output[vocab * width..].iter().all(|&value| value != 0.0));
            problem.check(&found, objective, 1e-4);
        }
        let samples = TeacherSamples {
            ids: &vec![1; rows * 2],
            count: 2,
            negative_entropies: &vec![-1.0; rows],
        };
        let found = problem.run_with(TeacherSignal::Samples(samples), forward_kl(2.0));
        assert!(found.d_output[vocab * width..].iter().all(|&value| value != 0.0));
    }
}

/// A teacher's bias counts as much as the same number in every logit's product.
#[test]
fn a_bias_of_a_teacher_is_added_to_its_logits() {
    let problem = Problem::random(6, 5, 33, &[0.75, 0.25]);
    let bias = Tensor::from_slice(&problem.device, 1, 33, &random(7, 33));
    let mut with_bias = problem.projections();
    with_bias[1].bias = Some(bias.view());
    // One more hidden value, which is 1 everywhere and meets the bias.
    let widened = |values: Vec<f32>, width: usize, last: &dyn Fn(usize) -> f32| -> Vec<f32> {
        let rows = values.chunks(width).enumerate();
        rows.flat_map(|(row, values)| [values, &[last(row)]].concat()).collect()
    };
    let (hidden, output) = &problem.teachers[1];
    let (width, bias) = (hidden.columns(), bias.to_vec());
    let tensor =
        |rows, values: Vec<f32>| Tensor::from_slice(&problem.device, rows, width + 1, &values);
    let hidden = tensor(6, widened(hidden.to_vec(), width, &|_| 1.0));
    let output = tensor(33, widened(output.to_vec(), width, &|row| bias[row]));
    let mut widened = problem.projections();
    (widened[1].hidden, widened[1].output) = (hidden.view(), output.view());
    for objective in objectives(2.0, 0.2, 0.7) {
        let [found, expected] = [&with_bias, &widened]
            .map(|teachers| problem.run_with(TeacherSignal::States(teachers), objective));
        assert!((found.sums.kl - expected.sums.kl).abs() < 1e-5 * expected.sums.kl);
        crate::testing::assert_close(&found.d_output, &expected.d_output, 1e-5);
    }
}

#[test]
fn evaluation_finds_the_sums_of_training() {
    let problem = Problem::random(6, 5, 33, &[0.75, 0.25]);
    for objective in objectives(2.0, 0.2, 0.7) {
        let mut tape = Tape::inference(&problem.parameters);
        let hidden = tape.input(problem.hidden.clone());
        let signal = TeacherSignal::States(&problem.projections());
        let sums =
            tape.distillation_loss(&hidden, problem.output, signal, &problem.targets, objective);
        assert_eq!(sums, problem.run(objective).sums);
    }
}

#[test]
fn a_student_that_agrees_with_its_teachers_has_neither_divergence_nor_gradient() {
    let logits = random(3, 700);
    let mut problem = with_logits(&logits, &[&logits, &logits, &logits]);
    problem.weights = vec![0.5, 0.2, 0.3];
    for temperature in [1.0, 2.0] {
        for objective in objectives(temperature, 0.2, 1.0) {
            let Found { sums, d_hidden, d_output } = problem.run(objective);
            assert!(sums.kl.abs() < 1e-5 && sums.cross_entropy == 0.0, "{objective:?}: {sums:?}");
            let largest =
                d_hidden.iter().chain(&d_output).fold(0.0f32, |top, value| top.max(value.abs()));
            assert!(largest < 1e-6, "{objective:?}: gradient {largest}");
        }
    }
}

#[test]
fn jensen_shannon_is_symmetric_and_at_most_ln_2() {
    let (a, b) = (random(3, 500), random(4, 501)[..500].to_vec());
    let peak =
        |at: usize| (0..500).map(|id| if id == at { 80.0 } else { -80.0 }).collect::<Vec<f32>>();
    for (a, b, least) in [(a, b, 0.05), (peak(3), peak(77), 0.999 * std::f64::consts::LN_2)] {
        let value = |student: &[f32], teacher: &[f32]| {
            let objective =
                DistillationObjective { divergence: Divergence::JensenShannon, ..forward_kl(1.0) };
            with_logits(student, &[teacher]).run(objective).sums.kl
        };
        let (forth, back) = (value(&a, &b), value(&b, &a));
        assert!((forth - back).abs() < 1e-5 * forth, "{forth} one way, {back} the other");
        assert!(forth > least && forth < std::f64::consts::LN_2 * (1.0 + 1e-6), "{forth}");
    }
}

#[test]
fn forward_and_reverse_kl_are_each_other_with_the_roles_exchanged() {
    let (a, b) = (random(3, 500), random(4, 501)[..500].to_vec());
    let value = |student: &[f32], teacher: &[f32], divergence| {
        with_logits(student, &[teacher])
            .run(DistillationObjective { divergence, ..forward_kl(2.0) })
            .sums
            .kl
    };
    let (forward, reverse) =
        (value(&a, &b, Divergence::ForwardKl), value(&b, &a, Divergence::ReverseKl));
    assert!((forward - reverse).abs() < 1e-5 * forward, "{forward} and {reverse}");
}

#[test]
fn peaked_teachers_and_students_stay_finite_and_right() {
    let peaked = |seed: u64| -> Vec<f32> {
        random(seed, 40)
            .iter()
            .enumerate()
            .map(|(id, v)| v + if id as u64 % 7 == seed % 7 { 80.0 } else { -80.0 })
            .collect()
    };
    for student in [random(1, 40), peaked(2)] {
        let problem = with_logits(&student, &[&peaked(3), &peaked(4), &random(5, 40)]);
        for objective in
            [1.0, 2.0].into_iter().flat_map(|temperature| objectives(temperature, 0.2, 0.7))
        {
            let found = problem.run(objective);
            assert!(
                found.sums.kl.is_finite() && found.d_output.iter().all(|value| value.is_finite())
            );
            // The hidden state's gradient sums over logits of 80, which magnifies rounding as much.
            problem.check(&found, objective, 1e-3);
        }
    }
}

#[test]
fn a_teacher_of_no_weight_does_not_matter() {
    let mut problem = Problem::random(6, 5, 33, &[0.6, 0.4]);
    let alone = objectives(2.0, 0.2, 0.7)
        .into_iter()
        .map(|objective| problem.run(objective))
        .collect::<Vec<_>>();
    let device = problem.device.clone();
    let tensor = |rows, seed| Tensor::from_slice(&device, rows, 4, &random(seed, rows * 4));
    problem.teachers.insert(0, (tensor(6, 50), tensor(33, 51)));
    problem.weights = vec![0.0, 0.6, 0.4];
    for (objective, alone) in objectives(2.0, 0.2, 0.7).into_iter().zip(alone) {
        let found = problem.run(objective);
        assert!((found.sums.kl - alone.sums.kl).abs() < 1e-5 * alone.sums.kl);
        crate::testing::assert_close(&found.d_hidden, &alone.d_hidden, 1e-5);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let problem = Problem::random(75, 4, 1201, &[0.5, 0.2, 0.3]);
    let ids: Vec<u32> = (0..75 * 5).map(|index| index * 31 % 1201).collect();
    let samples = TeacherSamples { ids: &ids, count: 5, negative_entropies: &random(6, 75) };
    let compute = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut found: Vec<Found> = objectives(2.0, 0.2, 0.7)
                .into_iter()
                .map(|objective| problem.run(objective))
                .collect();
            found.push(problem.run_with(TeacherSignal::Samples(samples), forward_kl(2.0)));
            found
        })
    };
    let alone = compute(1);
    for threads in [2, 3, 5] {
        assert!(alone == compute(threads), "{threads} threads give other bits than one");
    }
}

#[test]
fn no_tensor_memory_is_allocated_after_the_first_time() {
    let problem = Problem::random(20, 4, 301, &[0.5, 0.2, 0.3]);
    let samples = TeacherSamples { ids: &[3; 40], count: 2, negative_entropies: &[-1.0; 20] };
    let everything = || {
        objectives(2.0, 0.2, 0.7).into_iter().for_each(|objective| drop(problem.run(objective)));
        problem.run_with(TeacherSignal::Samples(samples), forward_kl(2.0));
    };
    everything();
    let before = problem.device.fresh_allocations();
    everything();
    assert_eq!(problem.device.fresh_allocations(), before);
}

#[test]
fn samples_match_the_reference() {
    // Draws are a distribution of their own: KL(counts / count || q), but for the entropy, which is
    // given.
    for (rows, width, vocab, temperature, count) in
        [(1, 3, 2, 1.0, 1), (6, 5, 33, 2.0, 7), (3, 4, 2100, 1.5, 64), (1030, 2, 5, 3.0, 4)]
    {
        let mut problem = Problem::random(rows, width, vocab, &[1.0]);
        let ids: Vec<u32> =
            (0..rows * count).map(|index| (index * index * 13 % vocab) as u32).collect();
        let mut shares = vec![0.0f32; rows * vocab];
        ids.iter().enumerate().for_each(|(draw, &id)| {
            shares[draw / count * vocab + id as usize] += 1.0 / count as f32
        });
        // A teacher whose logits are the logarithms of the counts, so that its softmax at this
        // temperature is their share.
        let identity: Vec<f32> =
            (0..vocab * vocab).map(|at| if at / vocab == at % vocab { 1.0 } else { 0.0 }).collect();
        let logits: Vec<f32> =
            shares.iter().map(|&share| temperature * share.max(1e-35).ln()).collect();
        let (device, tensor) = (problem.device.clone(), Tensor::from_slice);
        problem.teachers =
            vec![(tensor(&device, rows, vocab, &logits), tensor(&device, vocab, vocab, &identity))];
        let entropy =
            |row: &[f32]| row.iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f32>();
        let negative_entropies: Vec<f32> = shares.chunks(vocab).map(entropy).collect();
        let samples = TeacherSamples { ids: &ids, count, negative_entropies: &negative_entropies };
        let objective = forward_kl(temperature);
        problem.check(
            &problem.run_with(TeacherSignal::Samples(samples), objective),
            objective,
            1e-4,
        );
    }
}

#[test]
#[should_panic(expected = "samples support the forward KL only")]
fn samples_serve_no_other_divergence() {
    let problem = Problem::random(1, 3, 5, &[1.0]);
    let samples = TeacherSamples { ids: &[1], count: 1, negative_entropies: &[-1.0] };
    let objective = DistillationObjective { divergence: Divergence::ReverseKl, ..forward_kl(1.0) };
    problem.run_with(TeacherSignal::Samples(samples), objective);
}

#[test]
#[should_panic(expected = "the teachers' weights sum to 0.75 instead of 1")]
fn weights_that_do_not_sum_to_one_are_refused() {
    Problem::random(1, 3, 5, &[0.5, 0.25]).run(forward_kl(1.0));
}

//! Single operations against PyTorch's answers and gradients (`tools/golden/ops.py`,
//! `divergences.py`, `classifier.py`, `switch.py`).

mod common;

use std::sync::Arc;

use engine::ops::attention::{Heads, Rotary};
use engine::ops::distillation_loss::{DistillationObjective, Divergence, Ensemble, TeacherSignal};
use engine::ops::experts::{Expert, ExpertActivation};
use engine::ops::language_model_loss::{NO_TARGET, Projection};
use engine::ops::linear::Linear;
use engine::ops::norm::Norm;
use engine::params::{Layout, Parameters, Role, Segment};
use engine::{Device, Spans, Tape, Tensor, Var};
use safetensors::SafeTensors;

/// A tensor of `ops.safetensors`.
fn fixture(name: &str) -> (Vec<usize>, Vec<f32>) {
    fixture_of("ops", name)
}

fn fixture_of(file: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
    let values =
        tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (tensor.shape().to_vec(), values)
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], tolerance: f32) {
    assert_values_close(name, found, &fixture(name).1, tolerance);
}

#[track_caller]
fn assert_values_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(0.0f32, |top, value| top.max(value.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{name}, value {index}: {f} instead of {e}");
    }
}

/// Runs an operation on `name.INPUT` with parameters from the fixtures and compares everything that
/// PyTorch recorded.
fn compare(
    name: &str,
    input: &str,
    parameters: &[(&str, Role)],
    forward: impl Fn(&mut Tape, Var, &[Segment]) -> Var,
) {
    let device: Arc<dyn Device> = common::test_device();
    let mut layout = Layout::default();
    let mut segments = Vec::new();
    let mut values = Vec::new();
    for (parameter, role) in parameters {
        let (shape, data) = fixture(&format!("{name}.{parameter}"));
        let (rows, columns) = if shape.len() == 2 { (shape[0], shape[1]) } else { (1, shape[0]) };
        segments.push(layout.add(*parameter, rows, columns, *role));
        values.extend(data);
    }
    let layout = Arc::new(layout);
    let mut weights = Parameters::zeros(&device, layout.clone());
    device.write(weights.values_mut().view_mut(), &values);
    let mut gradients = Parameters::zeros(&device, layout);

    let (shape, data) = fixture(&format!("{name}.{input}"));
    let (output_shape, d_output) = fixture(&format!("{name}.d_output"));
    let mut tape = Tape::training(&weights, &mut gradients, None);
    let x = tape.input(Tensor::from_slice(&device, shape[0], shape[1], &data));
    let output = forward(&mut tape, x.clone(), &segments);
    assert_close(&format!("{name}.output"), &output.value().to_vec(), 1e-5);
    tape.seed(&output, Tensor::from_slice(&device, output_shape[0], output_shape[1], &d_output));
    let inputs = tape.backward();
    assert_close(&format!("{name}.d_{input}"), &inputs.of(&x).unwrap().to_vec(), 2e-5);
    let gradient = gradients.values().to_vec();
    for ((parameter, _), segment) in parameters.iter().zip(&segments) {
        let found = &gradient[segment.offset..segment.offset + segment.length()];
        assert_close(&format!("{name}.d_{parameter}"), found, 2e-5);
    }
}

#[test]
fn linear() {
    compare("linear", "x", &[("weight", Role::Matrix), ("bias", Role::Bias)], |tape, x, at| {
        tape.linear(&x, &Linear { weight: at[0], bias: Some(at[1]) })
    });
}

#[test]
fn norms() {
    let epsilon = fixture("epsilon").1[0];
    compare("rms_norm", "x", &[("weight", Role::NormGain)], |tape, x, at| {
        tape.norm(&x, &Norm { gain: at[0], bias: None, epsilon })
    });
    compare(
        "layer_norm",
        "x",
        &[("weight", Role::NormGain), ("bias", Role::Bias)],
        |tape, x, at| tape.norm(&x, &Norm { gain: at[0], bias: Some(at[1]), epsilon }),
    );
}

#[test]
fn activations() {
    compare("gelu", "x", &[], |tape, x, _| tape.gelu(x));
    compare("exact_gelu", "x", &[], |tape, x, _| tape.exact_gelu(x));
    compare("relu", "x", &[], |tape, x, _| tape.relu(x));
    compare("tanh", "x", &[], |tape, x, _| tape.tanh(x));
    compare("swiglu", "gate_up", &[], |tape, x, _| tape.swiglu(x));
}

#[test]
fn attention() {
    let spans = Spans::from_lengths([5, 8]);
    let positions: Arc<[u32]> = spans.positions().into();
    let plain = Heads {
        num_heads: 3,
        num_kv_heads: 3,
        head_dim: 5,
        rotary: None,
        causal: true,
        dropout: 0.0,
    };
    let grouped = Heads {
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 6,
        rotary: Some(Rotary { theta: 10_000.0, channels: 6 }),
        causal: true,
        dropout: 0.0,
    };
    compare("attention_plain", "qkv", &[], |tape, x, _| {
        tape.attention(x, &spans, &positions, &plain)
    });
    let both_ways = Heads { causal: false, ..plain };
    compare("attention_both_ways", "qkv", &[], |tape, x, _| {
        tape.attention(x, &spans, &positions, &both_ways)
    });
    compare("attention_grouped", "qkv", &[], |tape, x, _| {
        tape.attention(x, &spans, &positions, &grouped)
    });
}

#[test]
fn classifier_loss() {
    let device: Arc<dyn Device> = common::test_device();
    let floats = |name: &str| fixture_of("classifier_loss", name).1;
    let numbers = |name: &str| floats(name).into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let shape = fixture_of("classifier_loss", "weight").0;
    for with_bias in [false, true] {
        let mut layout = Layout::default();
        let weight = layout.add("weight", shape[0], shape[1], Role::Matrix);
        let bias = with_bias.then(|| layout.add("with_bias.bias", 1, shape[0], Role::Bias));
        let layout = Arc::new(layout);
        let mut parameters = Parameters::zeros(&device, layout.clone());
        for named in layout.segments() {
            device.write(parameters.view_mut(named.segment), &floats(&named.name));
        }
        let mut gradients = Parameters::zeros(&device, layout);
        let mut tape = Tape::training(&parameters, &mut gradients, None);
        let hidden = tape.input(Tensor::from_slice(&device, 13, shape[1], &floats("hidden")));
        let (rows, output): (Arc<[u32]>, _) = (numbers("rows").into(), Linear { weight, bias });
        let picked = tape.gather_rows(&hidden, &rows);
        let loss = tape.language_model_loss(&picked, output, &numbers("labels"), 1.0);
        let d_hidden = tape.backward().of(&hidden).unwrap().to_vec();
        let gradient = gradients.values().to_vec();
        let (d_weight, d_bias) = gradient.split_at(weight.length());
        let prefix = if with_bias { "with_bias." } else { "" };
        for (name, found) in
            [("loss", &[loss as f32][..]), ("d_hidden", &d_hidden), ("d_weight", d_weight)]
        {
            let name = format!("{prefix}{name}");
            assert_values_close(&name, found, &floats(&name), 2e-6);
        }
        if with_bias {
            assert_values_close("d_bias", d_bias, &floats("with_bias.d_bias"), 2e-6);
        }
    }
}

#[test]
fn divergences_of_ensembles() {
    let device: Arc<dyn Device> = common::test_device();
    let tensor = |name: &str| {
        let (shape, data) = fixture_of("divergences", name);
        Tensor::from_slice(&device, shape[0], shape[1], &data)
    };
    let weight = tensor("weight");
    let mut layout = Layout::default();
    let output = layout.add("weight", weight.rows(), weight.columns(), Role::Matrix);
    let layout = Arc::new(layout);
    let mut parameters = Parameters::zeros(&device, layout.clone());
    device.write(parameters.values_mut().view_mut(), &weight.to_vec());
    let teachers = [0, 1].map(|n| {
        (tensor(&format!("teachers.{n}.hidden")), tensor(&format!("teachers.{n}.weight")))
    });
    let shares = fixture_of("divergences", "weights").1;
    let projections: Vec<_> = teachers
        .iter()
        .zip(shares)
        .map(|((hidden, output), share)| Projection {
            hidden: hidden.view(),
            output: output.view(),
            bias: None,
            share,
        })
        .collect();
    for (divergence_name, divergence) in Divergence::NAMED {
        for (ensemble_name, ensemble) in Ensemble::NAMED {
            for temperature in [1.0, 2.0] {
                let mut gradients = Parameters::zeros(&device, layout.clone());
                let mut tape = Tape::training(&parameters, &mut gradients, None);
                let hidden = tape.input(tensor("hidden"));
                let objective = DistillationObjective {
                    temperature,
                    cross_entropy: 0.0,
                    kl: 1.0,
                    divergence,
                    ensemble,
                };
                let (signal, targets) = (TeacherSignal::States(&projections), [NO_TARGET; 7]);
                let loss =
                    tape.distillation_loss(&hidden, output, signal, &targets, objective).kl as f32;
                let d_hidden = tape.backward().of(&hidden).unwrap().to_vec();
                let d_weight = gradients.values().to_vec();
                for (part, found) in
                    [("loss", vec![loss]), ("d_hidden", d_hidden), ("d_weight", d_weight)]
                {
                    let name = format!(
                        "{divergence_name}.{ensemble_name}.temperature_{temperature}.{part}"
                    );
                    assert_values_close(&name, &found, &fixture_of("divergences", &name).1, 2e-5);
                }
            }
        }
    }
}

/// The second layer of a decoder of transformers' Switch Transformers on its own input
/// (`tools/golden/switch.py`): routes, gates, both losses, the layer's output, and the logits and
/// the cross-entropy of what comes behind it.
#[test]
fn a_sparse_layer_of_switch_transformers() {
    let device: Arc<dyn Device> = common::test_device();
    let values = |name: &str| fixture_of("switch_layer", name).1;
    let close = |name: &str, found: &[f32]| {
        assert_values_close(name, found, &values(name), 2e-5);
    };
    let mut layout = Layout::default();
    let router = layout.add("router.classifier.weight", 3, 8, Role::Matrix);
    let experts: Arc<[Expert]> = (0..3)
        .map(|number| Expert {
            up: layout
                .add(format!("experts.expert_{number}.wi.weight"), 12, 8, Role::Matrix)
                .into(),
            down: layout
                .add(format!("experts.expert_{number}.wo.weight"), 8, 12, Role::Matrix)
                .into(),
        })
        .collect();
    let sparse: Vec<_> = layout.segments().to_vec();
    let gain = layout.add("final_norm", 1, 8, Role::NormGain);
    let embedding = layout.add("embedding", 11, 8, Role::Embedding);
    let mut parameters = Parameters::zeros(&device, Arc::new(layout));
    for named in parameters.layout().clone().segments() {
        device.write(parameters.view_mut(named.segment), &values(&named.name));
    }
    let mut gradients = Parameters::zeros(&device, parameters.layout().clone());
    let mut tape = Tape::training(&parameters, &mut gradients, None);
    let mut place = |name: &str| tape.input(Tensor::from_slice(&device, 12, 8, &values(name)));
    let (input, residual) = (place("input"), place("residual"));
    let spans = Spans::uniform(2, 6);
    let logits = tape.router(&input, router);
    let routing = tape.route(&logits, &spans, |_| 2);
    assert_eq!(routing.choices(), [2, 1, 2, 1, 1, 1, 0, 0, 0, 1, 0, 0]);
    let kept: Vec<u8> = routing.kept().map(u8::from).collect();
    assert_eq!(kept, [1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 0]);
    let gates = [
        0.42951, 0.41682, 0.36320, 0.49024, 0.35439, 0.56551, 0.39441, 0.39441, 0.39441, 0.51600,
        0.44697, 0.42701,
    ];
    assert_values_close("gates", &routing.gates(), &gates, 2e-5);
    close("gates", &routing.gates());
    let activation = ExpertActivation::Relu;
    let output =
        tape.experts_add(&input, &logits, &routing, &experts, activation, residual.clone(), 0.0);
    close("output", &output.value().to_vec());
    // Sums over twelve tokens and two sequences.
    let losses = tape.router_losses(&spans, 0.3 / 12.0, 0.7 / 2.0).unwrap();
    let (z, balance) = (losses.z / 12.0, losses.balance / 2.0);
    assert!((z - 1.27476).abs() < 1e-5 && (balance - 1.11759).abs() < 1e-5, "{z} {balance}");

    let norm = Norm { gain, bias: None, epsilon: 1e-6 };
    let states = tape.norm(&output, &norm);
    let mut scores = vec![0.0; 12 * 11];
    let share = 8f32.powf(-0.5);
    let output_layer = parameters.view(embedding);
    let projection =
        Projection { hidden: states.value().view(), output: output_layer, bias: None, share };
    device.logits(&[projection], &mut scores);
    close("scores", &scores);
    assert_values_close("scores", &scores[5 * 11..][..3], &[0.10449, -0.07323, 0.03957], 1e-4);
    assert_values_close("scores", &scores[8 * 11..][..3], &[0.17329, -0.19706, 0.21434], 1e-4);
    let loss = shifted_cross_entropy(&scores, &[1, 5, 3, 7, 2, 9, 4, 4, 4, 0, 8, 6], 6);
    assert!((loss - 2.284_557).abs() < 2e-6, "{loss}");

    tape.seed(&output, Tensor::from_slice(&device, 12, 8, &values("d_output")));
    let of_inputs = tape.backward();
    close("d_input", &of_inputs.of(&input).unwrap().to_vec());
    close("d_output", &of_inputs.of(&residual).unwrap().to_vec());
    let gradients = gradients.values().to_vec();
    for named in sparse {
        let segment = named.segment;
        close(&format!("d_{}", named.name), &gradients[segment.offset..][..segment.length()]);
    }
}

/// The mean of every token's cross-entropy but the first of each sequence.
fn shifted_cross_entropy(logits: &[f32], ids: &[usize], length: usize) -> f64 {
    let width = logits.len() / ids.len();
    let of_token = |token: usize| {
        let row = logits[(token - 1) * width..token * width].iter().map(|&logit| f64::from(logit));
        row.clone().map(f64::exp).sum::<f64>().ln()
            - f64::from(logits[(token - 1) * width + ids[token]])
    };
    let predicted: Vec<f64> =
        (0..ids.len()).filter(|token| token % length != 0).map(of_token).collect();
    predicted.iter().sum::<f64>() / predicted.len() as f64
}

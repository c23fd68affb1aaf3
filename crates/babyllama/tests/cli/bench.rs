//! Benchmarks of tiny models: what they report, not how fast they are.

use serde_json::Value;

use super::common::Workspace;

fn bench(workspace: &Workspace, line: &str) -> Value {
    let finished = workspace.babyllama(&format!("bench {line} --json")).done();
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|cause| panic!("{cause}: {}", finished.stdout))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn positive(report: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let number = report.pointer(pointer).and_then(Value::as_f64);
        assert!(number.is_some_and(|number| number > 0.0), "{pointer} of {report:#}");
    }
}

/// A token file of two steps and a half of 128 tokens.
fn with_tokens() -> Workspace {
    let workspace = Workspace::new();
    let ids = (0..320u32).flat_map(|index| ((index * 37 + index / 7) as u16 % 300).to_le_bytes());
    workspace.write("raw.bin", ids.collect::<Vec<_>>());
    workspace
}

#[test]
fn measured_steps_are_the_steps_of_training() {
    let workspace = with_tokens();
    let steps = "--config small.toml --model student --tokens raw.bin --raw-tokens --warmup 1 \
     --steps 4 --only-steps";
    let report = bench(&workspace, &format!("train {steps}"));
    let losses = numbers(&report["losses"]);
    assert_eq!((losses.len(), numbers(&report["seconds"]).len()), (4, 4));
    // The seed of the benchmark's weights and dropout.
    let set = "--set seed=1 --set order=file --set schedule=constant --set max_steps=2";
    let train = "pretrain --config small.toml --model student --tokens raw.bin --raw-tokens \
     --vocab-size 300";
    workspace.babyllama(&format!("{train} {set} --output run")).done();
    assert_eq!(workspace.losses("run")[1], losses[0]);
    let alone = bench(&workspace, &format!("train {steps} --threads 3"));
    assert_eq!(numbers(&alone["losses"]), losses);
    assert!(
        report["product_peak"].is_null() && report["operations"].as_array().unwrap().is_empty()
    );
}

#[test]
fn the_optimizer_has_its_share_of_a_step() {
    let workspace = Workspace::new();
    let line = "train --config small.toml --model teacher --steps 1 --tokens-per-step 64";
    for (choice, optimizer) in [("", "adamw"), (" --optimizer muon", "muon")] {
        let report = bench(&workspace, &format!("{line}{choice}"));
        assert_eq!(
            (&report["optimizer"], &report["fresh_allocations"]),
            (&optimizer.into(), &0.into())
        );
        positive(&report, &["/optimizer_share"]);
        let names = report["operations"].as_array().unwrap().iter().map(|part| &part["name"]);
        assert_eq!(names.into_iter().any(|name| name == "gram"), optimizer == "muon");
    }
    workspace.babyllama(&format!("bench {line} --optimizer sgd")).refused(2).names(&["sgd"]);
}

#[test]
fn steps_are_reported_with_their_parts() {
    let workspace = Workspace::new();
    let report = bench(
        &workspace,
        "train --config small.toml --model teacher --steps 2 --tokens-per-step 64",
    );
    assert_eq!((&report["model"], &report["tokens_per_step"]), (&"teacher".into(), &64.into()));
    assert_eq!((&report["sequence_length"], &report["fresh_allocations"]), (&16.into(), &0.into()));
    let speeds = [
        "/tokens_per_second/median",
        "/gflops/best",
        "/share_of_peak/median",
        "/product_peak/gflops",
    ];
    positive(&report, &speeds);
    #[cfg(target_os = "linux")]
    positive(&report, &["/peak_memory"]);
    let losses = numbers(&report["losses"]);
    assert!(losses.iter().all(|loss| (loss - 300f64.ln()).abs() < 0.5), "{losses:?}");
    let operations = report["operations"].as_array().unwrap();
    let share: f64 = operations.iter().map(|operation| operation["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    let named = |name: &str| operations.iter().find(|operation| operation["name"] == name).unwrap();
    // Queries, keys and values; the attention's output; gate and up; down: in both layers.
    assert_eq!(named("linear")["calls_per_step"], 8.0);
    positive(named("linear"), &["/gflops", "/seconds_per_step"]);
    assert!(named("adamw")["gflops"].is_null());

    let text = workspace
        .babyllama("bench train --config small.toml --model teacher --steps 1")
        .done()
        .stdout;
    for part in [
        "teacher, ",
        "tokens/s",
        "of the product peak",
        "linear_weight_gradient",
        "between operations",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn students_are_measured_with_their_teachers() {
    let workspace = Workspace::new();
    // Nothing is kept of sequences that never come back; those that are measured are cut in one
    // place.
    workspace.replace(
        "small.toml",
        "[models.student.train]\n",
        "[models.student.train]\nrandom_offset = true\n",
    );
    // Two layers of the student's and two of the teacher's; five products of the student's and some
    // of the teacher's.
    for (signal, attentions, products) in
        [("online", 4, 10), ("hidden", 2, 6), ("hidden-bf16", 2, 6), ("sampled", 2, 5)]
    {
        let line =
            format!("distill --config small.toml --model student --steps 1 --teachers {signal}");
        let report = bench(&workspace, &line);
        assert_eq!(report["teachers"], serde_json::json!(["teacher"]));
        assert_eq!(report["teacher_signal"], signal);
        let reads_file = report["reads_teacher_file"].as_bool().unwrap_or_default();
        assert_eq!(reads_file, signal != "online");
        assert!(report["tokens_per_second_from_device"].is_null(), "the CPU has no such memory");
        assert!(numbers(&report["losses"])[0].is_finite(), "{signal}: {report:#}");
        let operations = report["operations"].as_array().unwrap();
        let calls = |name: &str| {
            let operation = operations.iter().find(|operation| operation["name"] == name).unwrap();
            operation["calls_per_step"].as_f64().unwrap()
        };
        assert_eq!(
            (calls("attention"), calls("distillation_loss")),
            (attentions as f64, 1.0),
            "{signal}"
        );
        let measured = report["product_peak"]["products"].as_array().unwrap();
        assert_eq!(measured.len(), products, "{signal}");
        for of_teacher in &measured[5..] {
            assert!(of_teacher["name"].as_str().unwrap().starts_with("teacher "), "{of_teacher}");
            assert!(of_teacher["input_gradient"].is_null(), "{of_teacher}");
        }
    }
}

#[test]
fn the_machine_scoring_and_encoding_are_measured() {
    let workspace = Workspace::new();
    let machine = bench(&workspace, "machine --config small.toml --model teacher");
    let keys = [
        "/product_peak/gflops",
        "/square_product_gflops",
        "/copy_gigabytes_per_second",
        "/machine/threads",
    ];
    positive(&machine, &keys);
    positive(&machine, &["/add_gigabytes_per_second", "/product_peak/products/0/weight_gradient"]);

    let scoring =
        bench(&workspace, "evaluate --config small.toml --model teacher --pairs 1 --repeats 2");
    positive(&scoring, &["/sentences_per_second/median", "/tokens"]);
    assert_eq!(numbers(&scoring["seconds"]).len(), 2);
    let sizes = "hidden_size = 16\nintermediate_size = 24\nnum_layers = 1\nnum_heads = 2\n";
    let [masked, spans] = ["ltg-bert", "t5"]
        .map(|family| format!("[models.{family}]\narchitecture = \"{family}\"\n{sizes}"));
    let tokenizer = "[tokenizer]\nvocab_size = 300\nmask_token = true\nsentinels = 20\n";
    workspace.write("others.toml", format!("{tokenizer}{masked}{spans}"));
    for model in ["ltg-bert", "t5"] {
        let line = format!("evaluate --config others.toml --model {model} --pairs 1 --repeats 1");
        positive(&bench(&workspace, &line), &["/sentences_per_second/median", "/tokens"]);
    }

    workspace.babyllama("tokenizer train text --vocab-size 90 --output tokenizer").done();
    let encoding = bench(
        &workspace,
        "tokenize --data text --tokenizer tokenizer/tokenizer.json --repeats 1 --threads 2",
    );
    assert_eq!((&encoding["files"], &encoding["vocab_size"]), (&2.into(), &90.into()));
    let bytes = workspace.bytes("text/a.train").len() + workspace.bytes("text/b.train").len();
    assert_eq!(encoding["bytes"], bytes);
    let threads: Vec<&Value> =
        encoding["speeds"].as_array().unwrap().iter().map(|speed| &speed["threads"]).collect();
    assert_eq!(threads, [1, 2]);
    positive(&encoding, &["/tokens", "/speeds/1/megabytes_per_second/best"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let workspace = with_tokens();
    let refused = |line: &str| workspace.babyllama(&format!("bench {line}"));
    let preset = refused("train --preset 17m");
    assert_eq!(preset.code, Some(2));
    assert!(preset.stderr.contains("17m") && preset.stderr.contains("345m"), "{}", preset.stderr);
    assert_eq!(refused("train --preset 16m --config small.toml --model teacher").code, Some(2));
    assert_eq!(refused("train --config small.toml").code, Some(2));
    for flags in [
        "train --steps 0",
        "train --steps 1000001",
        "train --warmup 4294967295",
        "evaluate --repeats 4294967295",
    ] {
        assert_eq!(refused(flags).code, Some(2), "{flags}");
    }

    let config = "--config small.toml --model";
    refused(&format!("train {config} nobody"))
        .refused(2)
        .names(&["no model nobody", "teacher, student"]);
    refused(&format!("distill {config} teacher")).refused(2).names(&["teacher has no teachers"]);
    let odd = refused(&format!("train {config} teacher --tokens-per-step 100")).refused(2);
    odd.names(&["--tokens-per-step is 100", "16 tokens"]).advises("--help");
    let long =
        refused(&format!("train {config} teacher --sequence-length 64 --tokens-per-step 64"))
            .refused(1);
    long.names(&["sequence_length is 64", "teacher has 32 positions"]);
    refused("train --config none.toml --model teacher").refused(2).names(&["none.toml"]);
    let headless = refused(&format!("train {config} teacher --tokens raw.bin")).refused(1);
    headless.names(&["raw.bin"]).advises("--raw-tokens");
    workspace.write("foreign.bin", [1u8, 0, 44, 1].repeat(80));
    let foreign =
        refused(&format!("train {config} teacher --tokens foreign.bin --raw-tokens")).refused(1);
    foreign.names(&["token 300", "vocabulary of 300"]);
    refused("tokenize --data none").refused(1).names(&["none does not exist"]);
}

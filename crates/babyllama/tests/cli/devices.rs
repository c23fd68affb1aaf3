//! Devices by name, on a machine whose GPUs are out of sight if it has any.

use serde_json::{Value, json};

use super::common::{Finished, STUDENT, TEACHER, Workspace, sentences};

/// The program without a GPU.
fn babyllama(workspace: &Workspace, line: &str) -> Finished {
    let mut command = workspace.command(&line.split_whitespace().collect::<Vec<_>>());
    command.env("CUDA_VISIBLE_DEVICES", "-1").env_remove("LD_LIBRARY_PATH");
    workspace.finish(command)
}

#[test]
fn a_gpu_that_is_not_there_is_said_so_before_anything_is_made() {
    let workspace = Workspace::new();
    let before = workspace.names(".");
    workspace.write("tokens.bin", [1u8, 0].repeat(2000));
    let tokens = "--tokens tokens.bin --raw-tokens --vocab-size 300";
    for command in [
        "run small.toml".to_owned(),
        format!("pretrain --config small.toml --model teacher {tokens} --output made"),
        "generate nowhere --prompt x".to_owned(),
        "evaluate loss nowhere --data text".to_owned(),
        "evaluate blimp nowhere --data pairs".to_owned(),
        "bench train --config small.toml --model teacher".to_owned(),
        "check".to_owned(),
    ] {
        let refusal = babyllama(&workspace, &format!("{command} --device cuda")).refused(1);
        assert!(refusal.cause.contains("NVIDIA"), "{command}: {}", refusal.cause);
        refusal.advises("--device cpu");
    }
    std::fs::remove_file(workspace.path("tokens.bin")).unwrap();
    assert_eq!(workspace.names("."), before);
}

#[test]
fn what_is_no_device_is_wrong_usage() {
    let workspace = Workspace::new();
    for flags in ["--device gpu", "--device cuda:x", "--device cuda --precision f16"] {
        let finished = babyllama(&workspace, &format!("run small.toml {flags}"));
        assert_eq!(finished.code, Some(2), "{flags}: {}", finished.stderr);
    }
    let wrong = babyllama(&workspace, "run small.toml --device gpu").stderr;
    assert!(wrong.contains("'gpu' is none of cpu, cuda, cuda:N and auto"), "{wrong}");
    let mut command = workspace.command(&["run", "small.toml"]);
    command.env("BABYLLAMA_DEVICE", "gpu");
    assert_eq!(workspace.finish(command).code, Some(2));
    // The command line takes precedence.
    for (flag, notes) in [("cpu", 0), ("auto", 1)] {
        let mut command = workspace.command(&["plan", "small.toml", "--device", flag]);
        command
            .env("BABYLLAMA_DEVICE", "auto")
            .env("CUDA_VISIBLE_DEVICES", "-1")
            .env_remove("LD_LIBRARY_PATH");
        assert_eq!(workspace.finish(command).done().stderr.lines().count(), notes);
    }
}

#[test]
fn without_a_gpu_any_device_is_the_cpu() {
    let workspace = Workspace::trained();
    let finished = babyllama(&workspace, "run small.toml --device auto --output runs/auto").done();
    assert!(finished.stderr.starts_with("on cpu ("), "{}", finished.stderr);
    for model in [TEACHER, STUDENT] {
        assert!(
            workspace.weights(model) == workspace.weights(&model.replace("small", "auto")),
            "{model}"
        );
    }
    let plain = babyllama(&workspace, "run small.toml --precision f32").done();
    assert!(
        plain.stdout.contains("Nothing to do"),
        "the device is no part of what a run is: {}",
        plain.stdout
    );
}

#[test]
fn a_plan_for_a_gpu_needs_none() {
    let workspace = Workspace::new();
    let finished = babyllama(&workspace, "plan small.toml --device cuda").done();
    assert!(
        finished.stderr.contains("NVIDIA") && finished.stderr.contains("without times"),
        "{}",
        finished.stderr
    );
    for part in [
        "GPU memory in bf16, estimated",
        "weights, gradient, moments",
        "fit at a time",
        "teacher",
        "student",
    ] {
        assert!(finished.stdout.contains(part), "no {part:?} in {}", finished.stdout);
    }
    let here = babyllama(&workspace, "plan small.toml").done().stdout;
    assert!(!here.contains("GPU"), "{here}");
}

#[test]
fn a_check_compares_whole_runs() {
    let workspace = Workspace::new();
    let finished = babyllama(&workspace, "check --only-models --steps 4 --json").done();
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert!(report["passed"] == true && rows.len() == 53, "{report:#}");
    for row in rows {
        assert!(row["passed"] == true && row["error"] == 0.0, "the CPU is its own equal: {row}");
    }
    let table = babyllama(&workspace, "check --steps 2").done().stdout;
    for part in [
        "linear",
        "scores",
        "a checkpoint from it to the CPU",
        "two teachers, hidden",
        " checks passed.",
    ] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
}

/// By `LD_LIBRARY_PATH` also on the emulator.
#[test]
#[ignore = "needs a GPU or the emulator"]
fn a_gpu_computes_what_the_cpu_does() {
    let workspace = Workspace::new();
    for precision in ["f32", "bf16"] {
        let finished =
            workspace.babyllama(&format!("check --device cuda --precision {precision} --steps 3"));
        assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    }
}

/// On the emulator, whose memory has the size that the test sets.
fn with_memory(workspace: &Workspace, bytes: &str, line: &str) -> Finished {
    let line = format!("{line} --device cuda --precision f32");
    let mut command = workspace.command(&line.split_whitespace().collect::<Vec<_>>());
    command.env("EMULATED_MEMORY", bytes);
    workspace.finish(command)
}

const MUCH: &str = "1000000000";

/// Room for weights and little more.
const LITTLE: &str = "36500000";

/// Steps that read the cache's file, and the same with what stayed in the GPU's memory.
#[test]
#[ignore = "needs a GPU or the emulator"]
fn both_kinds_of_steps_with_cached_teachers_are_measured() {
    let workspace = Workspace::new();
    for signal in ["hidden", "hidden-bf16", "sampled"] {
        let line = format!(
            "bench distill --config small.toml --model student --steps 2 --only-steps --json \
             --teachers {signal} --device cuda"
        );
        let report: Value =
            serde_json::from_str(&workspace.babyllama(&line).done().stdout).unwrap();
        assert_eq!(report["reads_teacher_file"], true, "{signal}");
        let again = report["tokens_per_second_from_device"]["median"].as_f64();
        assert_eq!(again.is_some_and(|speed| speed > 0.0), signal != "sampled", "{signal}");
    }
}

#[test]
#[ignore = "needs the emulator"]
fn a_step_that_the_gpu_has_no_memory_for_is_split() {
    let workspace = Workspace::new();
    workspace.write(
        "tokens.bin",
        (0..4096u32).flat_map(|at| ((at * 37 % 300) as u16).to_le_bytes()).collect::<Vec<_>>(),
    );
    let train = |memory: &str, output: &str| {
        let line = format!(
            "pretrain --config small.toml --model teacher --tokens tokens.bin --raw-tokens \
             --vocab-size 300 --set batch_size=256 --set max_steps=2 --output {output}"
        );
        let finished = with_memory(&workspace, memory, &line).done();
        (finished.stderr.contains("of a step's 256 sequences at a time"), workspace.losses(output))
    };
    let ((whole, expected), (split, found)) = (train(MUCH, "whole"), train("38000000", "split"));
    assert_eq!((whole, split), (false, true));
    assert!(
        expected.iter().zip(&found).all(|(a, b)| (a / b - 1.0).abs() < 1e-5),
        "{expected:?} {found:?}"
    );
}

/// Everything then goes one by one, to the same numbers, as the table states.
#[test]
#[ignore = "needs the emulator"]
fn graphs_that_the_driver_refuses_are_told_and_harm_nothing() {
    let workspace = Workspace::new();
    for (fails, words) in
        [("upload", "cannot bring a graph to the GPU"), ("launch", "cannot start a graph")]
    {
        let line = "check --only-models --steps 5 --json --device cuda --precision f32";
        let mut command = workspace.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("EMULATED_GRAPHS_FAIL", fails);
        let finished = workspace.finish(command);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        let failed: Vec<_> = report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["passed"] == false)
            .collect();
        assert!(failed.len() == 1 && failed[0]["check"] == "kernels go in graphs", "{failed:?}");
        assert!(
            failed[0]["on"].as_str().unwrap().contains(&format!("{words}: out of memory")),
            "{}",
            failed[0]
        );
    }
}

#[test]
#[ignore = "needs the emulator"]
fn scoring_that_the_gpu_has_no_memory_for_takes_less_at_a_time() {
    let workspace = Workspace::trained();
    let pairs: String = sentences(300, 5).lines().map(|good| format!("{}\n", pair(good))).collect();
    workspace.write("many/agreement.jsonl", pairs);
    let score = |memory: &str, output: &str| {
        let line = format!("evaluate blimp {STUDENT} --data many --output {output}");
        let finished = with_memory(&workspace, memory, &line).done();
        let said = finished.stderr.contains(" tokens at a time: there is no memory for more");
        (said, workspace.bytes(&format!("{output}/student/pairs/predictions.jsonl")))
    };
    let ((whole, expected), (split, found)) = (score(MUCH, "whole"), score(LITTLE, "split"));
    assert_eq!((whole, split), (false, true));
    // The emulator's sums do not depend on how many rows there are.
    assert!(expected == found);
}

#[test]
#[ignore = "needs the emulator"]
fn fine_tuning_that_the_gpu_has_no_memory_for_takes_less_at_a_time() {
    let workspace = Workspace::trained();
    let items: String =
        sentences(48, 5).lines().enumerate().map(|(at, text)| item(at, text)).collect();
    ["train", "valid"]
        .iter()
        .for_each(|part| workspace.write(&format!("data/cola.{part}.jsonl"), &items));
    let tune = |memory: &str, output: &str| {
        let line = format!(
            "finetune {STUDENT} --data data --set default.epochs=2 --set default.batch_size=48 \
             --output {output}"
        );
        let finished = with_memory(&workspace, memory, &line);
        let said =
            finished.stderr.contains("of a step's tokens at a time: there is no memory for more");
        (said, finished)
    };
    let loss = |output: &str| {
        let history =
            &workspace.json(&format!("{output}/student/cola/seed-12/result.json"))["history"];
        history[1]["loss"].as_f64().unwrap()
    };
    let ((whole, first), (split, second)) = (tune(MUCH, "whole"), tune("37000000", "split"));
    first.done();
    second.done();
    assert_eq!((whole, split), (false, true));
    assert!(
        (loss("whole") / loss("split") - 1.0).abs() < 1e-5,
        "{} {}",
        loss("whole"),
        loss("split")
    );
    let refusal = tune("36000000", "none").1.refused(1);
    refusal
        .names(&["there is no memory for one sequence of ", "cuda:0"])
        .advises("shorter sequences");
}

fn pair(good: &str) -> Value {
    json!({ "sentence_good": good, "sentence_bad": good.replace("The", "A the") })
}

fn item(index: usize, sentence: &str) -> String {
    format!("{}\n", json!({ "sentence": sentence, "label": index % 3 % 2, "idx": index }))
}

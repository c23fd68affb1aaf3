//! Model folders that other programs wrote, or that were damaged on the way.

use std::sync::Arc;

use engine::Segment;
use engine::cpu::Cpu;
use model::{Model, ModelConfig, hugging_face};

use super::common::{STUDENT, TEACHER, Workspace};

/// The last weight of a folder's model becomes another number.
fn damage(workspace: &Workspace, folder: &str, value: f32) {
    let name = format!("{folder}/model.safetensors");
    let mut weights = workspace.bytes(&name);
    let place = weights.len() - 4;
    weights[place..].copy_from_slice(&value.to_le_bytes());
    workspace.write(&name, weights);
}

#[test]
fn every_reader_refuses_weights_that_are_no_numbers() {
    let workspace = Workspace::trained();
    workspace.copy(STUDENT, "damaged");
    damage(&workspace, "damaged", f32::NAN);
    for line in [
        "evaluate blimp damaged --data pairs",
        "evaluate blimp runs/small/models/teacher/final damaged --ensemble --data pairs",
        "evaluate loss damaged --data text --sequence-length 16",
        "evaluate all damaged --data . --text text --sequence-length 16 --output all",
        "generate damaged --prompt The",
        "run small.toml --output runs/taught --set student.distill.teachers=['damaged']",
    ] {
        let refusal = workspace.babyllama(line).refused(1);
        refusal.names(&["tensor `", "holds NaN", "damaged"]).advises("fetch the file again");
    }
    damage(&workspace, STUDENT, f32::INFINITY);
    let refusal = workspace.babyllama("export runs/small --model student --output out").refused(1);
    refusal.names(&["model.safetensors is not as stage model-student left it"]);
}

/// Finite weights whose products are not: the last gain of the last norm, and what it meets in the
/// first row of the output matrix.
#[test]
fn numbers_that_overflow_are_no_result() {
    let workspace = Workspace::trained();
    workspace.copy(TEACHER, "huge");
    damage(&workspace, "huge", 3e38);
    let mut weights = workspace.weights("huge");
    let header = u64::from_le_bytes(*weights.first_chunk().unwrap()) as usize;
    let place = 8 + header + 15 * 4;
    weights[place..place + 4].copy_from_slice(&3e38f32.to_le_bytes());
    workspace.write("huge/model.safetensors", weights);
    let loss = workspace.babyllama("evaluate loss huge --data text --sequence-length 16");
    loss.refused(1).names(&["log-probability is "]).advises("learning_rate");
    let generated = workspace.babyllama("generate huge --prompt The --max-tokens 3");
    generated.refused(1).names(&["a logit is "]).advises("learning_rate");
}

#[test]
fn other_programs_settings_are_followed_or_named() {
    let workspace = Workspace::trained();
    let score = |folder: &str| {
        let found = workspace
            .babyllama(&format!("evaluate blimp {folder} --data pairs --json scores.json"));
        let stderr = found.done().stderr;
        (workspace.json("scores.json")[0]["blimp"]["tasks"].clone(), stderr)
    };
    let (expected, _) = score(TEACHER);
    workspace.copy(TEACHER, "own");
    let config = "own/config.json";
    let none = "\"pad_token_id\": -1, \"rope_scaling\": {\"rope_type\": \"default\"}";
    workspace.replace(config, "\"pad_token_id\": 0", none);
    workspace.replace(config, "\"mlp_bias\"", "\"logits_scaling\": 8, \"mlp_bias\"");
    let (found, stderr) = score("own");
    assert_eq!(found, expected);
    assert!(stderr.contains("config.json: LLaMA has no use for `logits_scaling`"), "{stderr}");

    workspace.replace(config, "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"");
    let refusal = workspace.babyllama("evaluate blimp own --data pairs").refused(1);
    refusal
        .names(&["`rope_scaling.rope_type` is \"yarn\"; babyllama knows \"default\""])
        .advises("take a model without that setting");
    workspace.write("own/model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    workspace.write(config, workspace.bytes(&format!("{TEACHER}/config.json")));
    let refusal = workspace.babyllama("evaluate blimp own --data pairs").refused(1);
    refusal.names(&["own/model.safetensors is a pointer of Git LFS"]).advises("git lfs pull");
}

#[test]
fn a_text_ends_where_the_folder_says_so() {
    let workspace = Workspace::trained();
    workspace.copy(STUDENT, "own");
    let write = || {
        let line = "generate own --prompt The --greedy --max-tokens 20";
        workspace.babyllama(line).done().stdout
    };
    let long = write();
    let vocab_size = workspace.json("own/config.json")["vocab_size"].as_u64().unwrap();
    let all: Vec<u64> = (0..vocab_size).collect();
    let ends = serde_json::json!({ "eos_token_id": all });
    workspace.write("own/generation_config.json", ends.to_string());
    // One token, which is a word and so is shown.
    let short = write();
    assert!(short.trim_end().len() > 3 && short.len() < long.len(), "{short:?} {long:?}");
    assert!(long.starts_with(short.trim_end()), "{short:?} {long:?}");
    let stated = |most: u64| {
        let stated = serde_json::json!({ "max_new_tokens": most });
        workspace.write("own/generation_config.json", stated.to_string());
    };
    stated(20);
    assert_eq!(workspace.babyllama("generate own --prompt The --greedy").done().stdout, long);
    stated(3);
    assert_eq!(write(), long, "the option counts more");
    for (wrong, cause) in [
        ("{\"top_p\": 2}", "`top_p` is 2"),
        ("{\"eos_token_id\": [1, 99999]}", "`eos_token_id` is 99999"),
    ] {
        workspace.write("own/generation_config.json", wrong);
        workspace.babyllama("generate own --prompt The").refused(1).names(&[cause]);
    }
    workspace.write("own/generation_config.json", "{\"num_beams\": 4}");
    let refusal = workspace.babyllama("generate own --prompt The").refused(1);
    refusal.names(&["own/generation_config.json: `num_beams` is 4; babyllama knows 1"]);

    let zero = workspace.babyllama("generate own --prompt The --temperature 0");
    assert_eq!(zero.code, Some(2));
    assert!(zero.stderr.contains("--greedy always takes the likeliest token"), "{}", zero.stderr);
}

/// Byte-level tokenizers that put a space before every text, as `tokenizers` trains them by
/// default.
#[test]
fn a_teachers_tokenizer_with_a_prefix_space_is_that_of_its_student() {
    let workspace = Workspace::trained();
    workspace.copy(TEACHER, "theirs");
    let mut tokenizer = workspace.json("theirs/tokenizer.json");
    tokenizer["pre_tokenizer"]["add_prefix_space"] = true.into();
    workspace.write("theirs/tokenizer.json", tokenizer.to_string());
    let mut config = workspace.json("theirs/tokenizer_config.json");
    config["tokenizer_class"] = "PreTrainedTokenizerFast".into();
    config["add_prefix_space"] = true.into();
    workspace.write("theirs/tokenizer_config.json", config.to_string());
    let line = "run small.toml --only student --set tokenizer.path=theirs/tokenizer.json --set \
                student.distill.teachers=['theirs'] --set student.train.max_steps=5 --output";
    workspace.babyllama(&format!("{line} runs/own")).done();
    let kept = workspace.json("runs/own/models/student/final/tokenizer.json");
    assert_eq!(kept["pre_tokenizer"]["add_prefix_space"], true);
    // Another tokenizer is still refused.
    let other = line.replace("theirs/tokenizer.json", "runs/small/tokenizer/tokenizer.json");
    let refusal = workspace.babyllama(&format!("{other} runs/other")).refused(2);
    refusal.names(&["was trained with another tokenizer"]);
}

#[test]
fn rows_beyond_a_teachers_tokenizer_are_left_out() {
    let workspace = Workspace::trained();
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let teacher = hugging_face::load(&workspace.path(TEACHER), &device).unwrap();
    let rows = teacher.config().vocab_size;
    // The same model with rows of other values behind its own.
    let config = ModelConfig { vocab_size: rows + 4, ..teacher.config().clone() };
    let mut padded = Model::new(config, &device, 9).unwrap();
    let (from, to) = (teacher.parameters().layout(), padded.parameters().layout().clone());
    for (source, target) in from.segments().iter().zip(to.segments()) {
        let first = Segment { offset: target.segment.offset, ..source.segment };
        let values = teacher.parameters().view(source.segment);
        device.copy(values, padded.parameters_mut().view_mut(first));
    }
    for (folder, model) in [("exact", &teacher), ("padded", &padded)] {
        workspace.copy(TEACHER, folder);
        hugging_face::save(model, &workspace.path(folder)).unwrap();
    }
    let losses = |folder: &str, signal: &str| {
        let run = format!("{folder}-{signal}");
        let sets = format!(
            "--set student.distill.teachers=['{folder}'] --set student.distill.signal={signal}"
        );
        let line = format!("run small.toml --output runs/{run} {sets}");
        let stderr = workspace.babyllama(&line).done().stderr;
        (workspace.losses(&format!("runs/{run}/models/student")), stderr)
    };
    for signal in ["online", "hidden", "sampled"] {
        let ((expected, _), (found, stderr)) = (losses("exact", signal), losses("padded", signal));
        assert_eq!(found, expected, "{signal}");
        let note = format!("teacher padded has {} rows for the {rows} ids", rows + 4);
        assert!(stderr.contains(&note), "{stderr}");
    }
}

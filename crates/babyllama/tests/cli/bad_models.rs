//! Model folders that are wrong, and models that do not belong together.

use super::common::{Refusal, STUDENT, TEACHER, Workspace, sentences};

/// What loading a folder ends in.
fn load(workspace: &Workspace, folder: &str) -> Refusal {
    workspace.babyllama(&format!("evaluate blimp {folder} --data pairs")).refused(1)
}

/// A copy of the student with one file replaced, or with none at all in its place.
fn with_file(workspace: &Workspace, folder: &str, name: &str, content: Option<&[u8]>) {
    workspace.copy(STUDENT, folder);
    match content {
        Some(content) => workspace.write(&format!("{folder}/{name}"), content),
        None => std::fs::remove_file(workspace.path(folder).join(name)).unwrap(),
    }
}

#[test]
fn weights_that_are_cut_or_of_another_kind() {
    let workspace = Workspace::trained();
    let weights = workspace.weights(STUDENT);
    for (folder, content) in
        [("cut", &weights[..weights.len() / 2]), ("foreign", b"hello"), ("empty", b"")]
    {
        with_file(&workspace, folder, "model.safetensors", Some(content));
        let place = format!("{folder}/model.safetensors: not a whole safetensors file");
        load(&workspace, folder)
            .names(&[&place, "truncated"])
            .advises("fetch or write the file again");
    }
    with_file(&workspace, "absent", "model.safetensors", None);
    load(&workspace, "absent")
        .names(&["absent is not a folder with a model: it has no model.safetensors"]);
    load(&workspace, "nowhere")
        .names(&["nowhere is not a folder with a model"])
        .advises("models/NAME/final");
}

#[test]
fn the_folder_of_a_run_or_a_training_leads_to_its_models() {
    let workspace = Workspace::trained();
    for folder in ["runs/small", "runs/small/models/student"] {
        let place = format!("{folder} is not a folder with a model, but {STUDENT} is");
        load(&workspace, folder).names(&[&place]).advises("give that folder");
    }
    std::fs::remove_dir_all(workspace.path(STUDENT)).unwrap();
    load(&workspace, "runs/small/models/student").names(&["but runs/small/models/student/best is"]);
    load(&workspace, "runs/small").names(&["but runs/small/models/student/best is"]);
    std::fs::remove_dir_all(workspace.path("runs/small/models/student")).unwrap();
    load(&workspace, "runs/small").names(&[&format!("but {TEACHER} is")]);
}

#[test]
fn pickles_are_never_opened() {
    let workspace = Workspace::trained();
    with_file(&workspace, "old", "model.safetensors", None);
    workspace.write("old/pytorch_model.bin", b"PK\x03\x04");
    load(&workspace, "old")
        .names(&["old/pytorch_model.bin is a pickle file"])
        .advises("save_pretrained");
    with_file(
        &workspace,
        "renamed",
        "model.safetensors",
        Some(b"PK\x03\x04 whatever it is called"),
    );
    load(&workspace, "renamed").names(&["renamed/model.safetensors is a pickle file"]);
}

#[test]
fn tensors_that_do_not_fit_the_configuration() {
    let workspace = Workspace::trained();
    workspace.copy(STUDENT, "deeper");
    workspace.replace("deeper/config.json", "\"n_layer\": 2", "\"n_layer\": 3");
    load(&workspace, "deeper")
        .names(&["deeper/model.safetensors: tensor `transformer.h.2.", "is missing"]);
    workspace.copy(STUDENT, "wider");
    workspace.replace("wider/config.json", "\"n_positions\": 32", "\"n_positions\": 48");
    let shapes = ["tensor `transformer.wpe.weight` has shape [32, 16]", "asks for [48, 16]"];
    load(&workspace, "wider").names(&shapes).advises("of the same model");
}

#[test]
fn sizes_beyond_any_memory() {
    let workspace = Workspace::trained();
    for (folder, size, part) in [
        ("wide", "\"n_embd\": 16000000000000", "hidden_size is 16000000000000"),
        // Compared with the file before there is memory for it.
        ("heavy", "\"n_embd\": 16000000", "where the configuration asks for"),
    ] {
        workspace.copy(STUDENT, folder);
        workspace.replace(&format!("{folder}/config.json"), "\"n_embd\": 16", size);
        load(&workspace, folder).names(&[part]);
    }
    let recipe = workspace
        .babyllama("run small.toml --output runs/wide --set teacher.hidden_size=1000000000000");
    let too_large = "`models.teacher.hidden_size` is 1000000000000; it must be at most";
    recipe.refused(2).names(&[too_large]);
    with_file(&workspace, "shardless", "model.safetensors", None);
    workspace.write("shardless/model.safetensors.index.json", "{\"weight_map\": {}}");
    load(&workspace, "shardless").names(&["shardless is not a folder with a model", "index"]);
}

#[test]
fn configurations_and_tokenizers_that_are_wrong() {
    let workspace = Workspace::trained();
    with_file(&workspace, "torn", "config.json", Some(b"{"));
    load(&workspace, "torn").names(&["torn/config.json: bad JSON"]);
    workspace.copy(STUDENT, "bert");
    workspace.replace("bert/config.json", "\"model_type\": \"gpt2\"", "\"model_type\": \"bert\"");
    load(&workspace, "bert").names(&["bert/config.json: `model_type` is \"bert\"", "\"llama\""]);
    with_file(&workspace, "wordless", "tokenizer.json", None);
    load(&workspace, "wordless").names(&["wordless/tokenizer.json does not exist"]);
    with_file(
        &workspace,
        "other",
        "tokenizer.json",
        Some(b"{\"model\": {\"type\": \"WordPiece\"}}"),
    );
    load(&workspace, "other").names(&["other/tokenizer.json is not a tokenizer", "\"WordPiece\""]);
}

#[test]
fn vocabularies_of_different_sizes() {
    let workspace = Workspace::trained();
    // Without its tokenizer, a teacher's size is all there is to compare.
    for name in ["config.json", "model.safetensors"] {
        workspace.write(&format!("teacher/{name}"), workspace.bytes(&format!("{TEACHER}/{name}")));
    }
    let size = &workspace.json("teacher/config.json")["vocab_size"];
    let tokens = workspace.bytes("runs/small/tokens/train.bin");
    workspace.write("raw.bin", &tokens[64..]);
    let command = "distill --config small.toml --model student --teacher teacher --output out \
                   --tokens raw.bin --raw-tokens --vocab-size 5000";
    let cause = format!("teacher teacher has a vocabulary of {size}, the student one of 5000");
    workspace.babyllama(command).refused(1).names(&[&cause]).advises("same tokenizer");
}

#[test]
fn vocabularies_of_one_size_and_different_content() {
    let workspace = Workspace::new();
    workspace.write(
        "words/a.train",
        sentences(300, 3).replace("dog", "fox").replace("garden", "forest"),
    );
    for (text, tokenizer) in [("text", "one"), ("words", "two")] {
        let command = format!("tokenizer train {text} --vocab-size 100 --output {tokenizer}");
        assert!(workspace.babyllama(&command).done().stdout.starts_with("100 entries in "));
    }
    let run = |tokenizer: &str, more: &str| {
        let path = format!("--set tokenizer.path={tokenizer}/tokenizer.json");
        workspace.babyllama(&format!("run small.toml {path} --output runs/{tokenizer} {more}"))
    };
    run("one", "").done();
    let teacher = "runs/one/models/teacher/final";
    let cause = format!(
        "teacher {teacher} was trained with another tokenizer: vocabularies of 100 and 100 entries;"
    );
    let refusal = run("two", &format!("--set student.distill.teachers=['{teacher}']")).refused(2);
    refusal
        .names(&["`models.student.distill.teachers[0]` names", "100 and 100 entries", "token "])
        .advises("tokenizer.path");

    run("two", "").done();
    let ensemble =
        format!("evaluate blimp {teacher} runs/two/models/teacher/final --ensemble --data pairs");
    workspace.babyllama(&ensemble).refused(1).names(&["another tokenizer", "100 and 100 entries"]);
    let distill = "distill --config small.toml --model student --output out --tokens \
     runs/two/tokens/train.bin";
    let given = format!("{distill} --teacher {teacher} --tokenizer two/tokenizer.json");
    workspace.babyllama(&given).refused(1).names(&[&cause]);
    // The token file alone states which tokenizer made it.
    let alone = workspace.babyllama(&format!("{distill} --teacher {teacher}")).refused(1);
    alone.names(&[teacher, "--tokens", "different tokenizers"]);
}

/// The text is not even opened, which could be a long one.
#[test]
fn a_model_with_too_few_positions_is_refused_before_text_is_read() {
    let workspace = Workspace::trained();
    workspace.write("bad.txt", b"The dog \xFF");
    let line = format!("evaluate loss {STUDENT} --data bad.txt --sequence-length 64");
    workspace.babyllama(&line).refused(1).names(&["sequence_length is 64", "32 positions"]);
}

/// Transformers gives such a token an id beyond the model's embedding.
#[test]
fn a_token_before_texts_that_the_vocabulary_does_not_have_is_refused_by_name() {
    let workspace = Workspace::trained();
    workspace.copy(STUDENT, "model");
    let score = || workspace.babyllama("evaluate blimp model --data pairs --json scores.json");
    score().done();
    let begins = workspace.json("scores.json");
    let config = "model/tokenizer_config.json";
    std::fs::remove_file(workspace.path("model/special_tokens_map.json")).unwrap();
    workspace.replace(config, r#""bos_token": "<s>""#, r#""bos_token": "<|begin|>""#);
    let refusal = score().refused(1);
    refusal
        .names(&["`bos_token` is \"<|begin|>\", which its vocabulary does not have"])
        .advises("tokenizer_config.json");
    // Without any the token that ends texts stands before them.
    workspace.replace(config, r#""bos_token": "<|begin|>","#, "");
    score().done();
    let ends = workspace.json("scores.json");
    assert_ne!(begins, ends);
    workspace.replace(config, r#""eos_token": "</s>""#, r#""bos_token": "</s>""#);
    score().done();
    assert_eq!(workspace.json("scores.json"), ends);
}

//! The whole way without any file: the built-in corpus, its models and its minimal pairs.

use super::common::Workspace;

const RECIPE: &str = r#"
[corpus]
words = 4000
pairs_per_paradigm = 2

[tokenizer]
vocab_size = 400

[models.only]
architecture = "llama"
hidden_size = 16
intermediate_size = 32
num_layers = 1
num_heads = 2

[models.only.train]
epochs = 1
batch_size = 16
sequence_length = 32
learning_rate = 3e-3
"#;

#[test]
fn a_run_needs_no_file_but_its_recipe() {
    let workspace = Workspace::new();
    workspace.write("alone.toml", RECIPE);
    let finished = workspace.babyllama("run alone.toml").done();
    assert!(finished.stderr.contains("stage pairs: not done yet"), "{}", finished.stderr);
    let scores = workspace.json("runs/alone/evaluation/only.json");
    assert!(scores["pairs"]["builtin"]["items"].as_u64().unwrap() >= 20, "{scores}");
    assert_eq!(workspace.names("runs/alone/corpus/train").len(), 10, "one file a source");

    workspace
        .babyllama(
            "corpus write-builtin --output builtin --words 4000 --validation-words 200 --pairs 2",
        )
        .done();
    nothing_of_a_user_is_replaced(&workspace);
    let count = |folder: &str| {
        let texts = workspace
            .names(folder)
            .into_iter()
            .map(|name| workspace.text(&format!("{folder}/{name}")));
        texts.map(|text| text.split_whitespace().count()).sum::<usize>()
    };
    let words = count("builtin/train");
    assert!((3000..6000).contains(&words), "{words}");
    // The run has cleaned the same text.
    workspace.babyllama("corpus clean builtin/train --output clean").done();
    for name in workspace.names("clean") {
        let (ours, theirs) =
            (workspace.text(&format!("clean/{name}")), format!("runs/alone/corpus/train/{name}"));
        assert!(ours == workspace.text(&theirs), "{name}");
    }
    let pairs = workspace.names("builtin/builtin_pairs");
    assert!(pairs.iter().filter(|name| name.ends_with(".jsonl")).count() >= 10, "{pairs:?}");
    for name in pairs.iter().filter(|name| name.ends_with(".jsonl")) {
        let pairs = workspace.text(&format!("builtin/builtin_pairs/{name}"));
        assert_eq!(pairs.lines().count(), 2, "{name}");
    }
}

fn nothing_of_a_user_is_replaced(workspace: &Workspace) {
    let own = "a user's own text";
    let again = "corpus write-builtin --words 100 --validation-words 100 --pairs 1 --output data";
    workspace.write("data/train/open_subtitles.train", own);
    let refusal = workspace.babyllama(again).refused(1);
    refusal.names(&["data/train/open_subtitles.train is there"]).advises("--replace");
    assert_eq!(workspace.names("data/train"), ["open_subtitles.train"]);
    workspace.write("data/validation/mine.txt", own);
    workspace.babyllama(&format!("{again} --replace")).refused(2).names(&["mine.txt is no text"]);
    assert_eq!(workspace.text("data/train/open_subtitles.train"), own);
    std::fs::remove_file(workspace.path("data/validation/mine.txt")).unwrap();
    workspace.babyllama(&format!("{again} --replace")).done();
    assert_ne!(workspace.text("data/train/open_subtitles.train"), own);

    // The same again is no change, and pairs are as safe as texts.
    workspace.babyllama(again).done();
    let pairs = format!("data/builtin_pairs/{}", workspace.names("data/builtin_pairs")[0]);
    workspace.write(&pairs, own);
    workspace.babyllama(again).refused(1).names(&[&pairs, "is there already"]);
    let other = again.replace("--words 100", "--words 200");
    workspace.babyllama(&other).refused(1).names(&["is there already"]);
    assert_eq!(workspace.text(&pairs), own);
}
